"""What a bundle makes of an image is what training made of it, to the bit; so does the one file that goes with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from striate.bundle.preprocess import Preprocessing
from striate.bundle.run import load
from striate.data.decode.image import prepare_image
from striate.data.images import center
from striate.predict.normalize import Feeder, Normalization

CHANCE = np.random.default_rng(0)


def pixels(height: int, width: int, channels: int) -> np.ndarray:
    """Smooth and rough at once, so that every kind of resizing shows."""
    rows, columns = np.mgrid[:height, :width]
    ramp = (rows * 255 // max(1, height - 1) + columns) % 256
    noise = CHANCE.integers(0, 60, (height, width, channels))
    return ((ramp[..., None] + noise) % 256).astype(np.uint8)


def turned(value: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = value
    return exif


def palette() -> Image.Image:
    return Image.fromarray(pixels(40, 50, 3)).convert("P")


def with_a_clear_color() -> Image.Image:
    image = palette()
    image.info["transparency"] = 3
    return image


FILES = {
    "rgb.png": lambda path: Image.fromarray(pixels(40, 50, 3)).save(path),
    "gray.png": lambda path: Image.fromarray(pixels(50, 40, 1)[..., 0]).save(path),
    "alpha.png": lambda path: Image.fromarray(pixels(40, 50, 4)).save(path),
    "gray-alpha.png": lambda path: Image.fromarray(pixels(40, 50, 2)).save(path),
    "palette.png": lambda path: palette().save(path),
    "clear.png": lambda path: with_a_clear_color().save(path, transparency=3),
    "bilevel.png": lambda path: Image.fromarray(pixels(40, 50, 1)[..., 0]).convert("1").save(path),
    "small.jpg": lambda path: Image.fromarray(pixels(21, 17, 3)).save(path),
    "large.jpg": lambda path: Image.fromarray(pixels(401, 333, 3)).save(path, quality=90),
    "cmyk.jpg": lambda path: Image.fromarray(pixels(90, 70, 3)).convert("CMYK").save(path),
    "wide.webp": lambda path: Image.fromarray(pixels(20, 90, 3)).save(path, lossless=True),
    **{
        f"turned-{value}.jpg": lambda path, value=value: Image.fromarray(pixels(331, 140, 3)).save(
            path, exif=turned(value)
        )
        for value in range(1, 9)
    },
    "turned-6.png": lambda path: Image.fromarray(pixels(31, 14, 3)).save(path, exif=turned(6)),
}


def normalization(channels: int, fit: str, whole: bool) -> Normalization:
    size, stored = (20, 24), ((23, 27) if fit == "crop" else (20, 24))
    mean_image = CHANCE.normal(100, 20, (*size, channels)).astype("<f4").tobytes() if whole else b""
    mean = tuple(100.1 + 3.3 * each for each in range(channels))
    deviation = tuple(50.7 + 1.9 * each for each in range(channels))
    return Normalization(size, stored, channels, mean, deviation, "uint8", mean_image, fit)  # type: ignore[arg-type]


def trained_on(known: Normalization, path: Path) -> np.ndarray:
    """As the training sees it."""
    stored = prepare_image(path, stored_size=known.stored_size, channels=known.channels, fit=known.fit)
    feeder = Feeder(known, torch.device("cpu"))
    return feeder.images(center(stored[None], known.size)).numpy()


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    ("channels", "fit", "whole"),
    [(3, "crop", False), (1, "crop", True), (3, "pad", True), (3, "stretch", False)],
)
def test_to_the_bit(tmp_path: Path, name: str, channels: int, fit: str, whole: bool) -> None:
    path = tmp_path / name
    FILES[name](path)
    known = normalization(channels, fit, whole)
    wanted = trained_on(known, path)
    record = known.to_record()
    preprocessing = Preprocessing(record)
    found = preprocessing.normalize(preprocessing.store(path)[None])
    assert found.tobytes() == np.ascontiguousarray(wanted).tobytes()
    assert found.flags.c_contiguous
    alone = load(str(path), record.model_dump())
    assert alone.tobytes() == found.tobytes()


def test_gray_images_for_a_network_that_reads_colors() -> None:
    """Data of gray images, as the training of a network that knows colors has them."""
    known = normalization(3, "stretch", False)
    stored = pixels(20, 24, 1)[None]
    wanted = Feeder(known, torch.device("cpu")).images(stored).numpy()
    assert (
        Preprocessing(known.to_record()).normalize(stored).tobytes() == np.ascontiguousarray(wanted).tobytes()
    )


def test_real_numbers() -> None:
    """Arrays of float32 between 0 and 1, and a picture of bytes for a network that was trained on them."""
    known = Normalization((8, 8), (8, 8), 1, (0.5,), (0.25,), "float32", values=(0.0, 1.0))
    preprocessing = Preprocessing(known.to_record())
    image = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)
    wanted = Feeder(known, torch.device("cpu")).images(image[None, ..., None]).numpy()
    found = preprocessing.normalize(preprocessing.store(image)[None])
    assert found.tobytes() == wanted.tobytes()
    bytes_ = np.full((8, 8), 51, dtype=np.uint8)
    assert preprocessing.normalize(preprocessing.store(bytes_)[None]) == pytest.approx(-1.2, abs=1e-6)


def test_what_the_runner_does_not_open(tmp_path: Path) -> None:
    path = tmp_path / "deep.png"
    Image.fromarray(np.full((9, 9), 40_000, dtype=np.uint16)).save(path)
    with pytest.raises(SystemExit) as caught:
        load(str(path), normalization(1, "crop", False).to_record().model_dump())
    assert str(caught.value) == f"{path}: an image of 16 or 32 bits: save it with 8, or ask `striate predict`"


def test_the_runner_is_short() -> None:
    import striate.bundle.run as run

    lines = Path(run.__file__).read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 80
