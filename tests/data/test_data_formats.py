"""Every kind of image comes out right: pixels computed by hand."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from striate.data.decode.decode import Header, read_header
from striate.data.decode.image import prepare_image
from striate.data.files.finding import Unreadable


def saved(image: Image.Image, form: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def one(mode: str, color: object, size: tuple[int, int] = (2, 2)) -> Image.Image:
    return Image.new(mode, size, color)


def palette_with_transparency() -> bytes:
    image = Image.new("P", (2, 2), 1)
    image.putpalette([0, 0, 0, 10, 200, 30])
    image.putpixel((0, 0), 0)
    return saved(image, "PNG", transparency=0)


def grey_palette() -> bytes:
    image = Image.new("P", (2, 2), 1)
    image.putpalette([0, 0, 0, 77, 77, 77])
    return saved(image, "PNG")


def sixteen(value: int, other: int, form: str = "PNG") -> bytes:
    return saved(Image.fromarray(np.array([[value, other], [value, other]], dtype=np.uint16)), form)


def big_endian_tiff() -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, np.array([[65535, 257], [0, 0]], dtype=">u2"), byteorder=">")
    return file.getvalue()


# name, file, channels of the header, the first two pixels of the first row
TABLE = [
    ("1-bit", saved(one("1", 1), "PNG"), 1, [[255], [255]]),
    ("grey", saved(one("L", 90), "PNG"), 1, [[90], [90]]),
    ("grey bmp", saved(one("L", 90), "BMP"), 1, [[90], [90]]),
    # 200 at half opacity on white: (200 * 128 + 255 * 127) / 255 = 227.4
    ("grey + alpha", saved(one("LA", (200, 128)), "PNG"), 1, [[227], [227]]),
    ("grey palette", grey_palette(), 1, [[77], [77]]),
    ("color", saved(one("RGB", (10, 200, 30)), "PNG"), 3, [[10, 200, 30]] * 2),
    ("color gif", saved(one("RGB", (10, 200, 30)), "GIF"), 3, [[10, 200, 30]] * 2),
    ("color bmp", saved(one("RGB", (10, 200, 30)), "BMP"), 3, [[10, 200, 30]] * 2),
    ("color tiff", saved(one("RGB", (10, 200, 30)), "TIFF"), 3, [[10, 200, 30]] * 2),
    (
        "color tiff lzw",
        saved(one("RGB", (10, 200, 30)), "TIFF", compression="tiff_lzw"),
        3,
        [[10, 200, 30]] * 2,
    ),
    ("color webp", saved(one("RGB", (10, 200, 30)), "WEBP", lossless=True), 3, [[10, 200, 30]] * 2),
    # red at half opacity on white: red 255, green and blue (0 * 128 + 255 * 127) / 255 = 127
    ("color + alpha", saved(one("RGBA", (255, 0, 0, 128)), "PNG"), 3, [[255, 127, 127]] * 2),
    ("all transparent", saved(one("RGBA", (9, 9, 9, 0)), "PNG"), 3, [[255, 255, 255]] * 2),
    ("alpha webp", saved(one("RGBA", (255, 0, 0, 128)), "WEBP", lossless=True), 3, [[255, 127, 127]] * 2),
    ("palette, one transparent", palette_with_transparency(), 3, [[255, 255, 255], [10, 200, 30]]),
    (
        "color, one transparent",
        saved(one("RGB", (1, 2, 3)), "PNG", transparency=(1, 2, 3)),
        3,
        [[255] * 3] * 2,
    ),
    ("grey, one transparent", saved(one("L", 7), "PNG", transparency=7), 1, [[255], [255]]),
    # round(v * 255 / 65535): 65535 -> 255, 257 -> 1, 385 -> 1 (1.498), 386 -> 2 (1.502)
    ("16-bit", sixteen(65535, 257), 1, [[255], [1]]),
    ("16-bit rounding", sixteen(385, 386), 1, [[1], [2]]),
    ("8-bit in 16", sixteen(255, 3), 1, [[255], [3]]),
    ("16-bit tiff", sixteen(65535, 386, "TIFF"), 1, [[255], [2]]),
    ("16-bit tiff, big-endian", big_endian_tiff(), 1, [[255], [1]]),
    # R = 255 * (1 - C) * (1 - K): C = 255 leaves no red, K = 0
    ("cmyk tiff", saved(one("CMYK", (255, 0, 0, 0)), "TIFF"), 3, [[0, 255, 255]] * 2),
    ("cmyk tiff, black", saved(one("CMYK", (0, 0, 0, 255)), "TIFF"), 3, [[0, 0, 0]] * 2),
]


@pytest.mark.parametrize(
    ("file", "channels", "pixels"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
def test_modes(file: bytes, channels: int, pixels: list[list[int]]) -> None:
    assert read_header(file) == Header(2, 2, channels, True)
    image = prepare_image(file, stored_size=(2, 2), channels=channels)
    assert image.dtype == np.uint8
    assert image.flags.c_contiguous
    assert image[0].tolist() == pixels


@pytest.mark.parametrize(
    ("mode", "color", "wanted"),
    [
        ("L", 90, [90, 90, 90]),
        ("RGB", (10, 200, 30), [10, 200, 30]),
        ("CMYK", (255, 0, 0, 0), [0, 255, 255]),
        ("CMYK", (0, 0, 0, 255), [0, 0, 0]),
    ],
)
def test_jpeg_nearly(mode: str, color: object, wanted: list[int]) -> None:
    """A CMYK JPEG is stored inverted, as Adobe does: read the other way round it would be a negative."""
    file = saved(one(mode, color, (16, 16)), "JPEG", quality=95)
    image = prepare_image(file, stored_size=(16, 16), channels=3)
    assert np.abs(image.astype(int) - wanted).max() <= 3


def test_avif_nearly() -> None:
    image = prepare_image(
        saved(one("RGB", (10, 200, 30), (16, 16)), "AVIF"), stored_size=(16, 16), channels=3
    )
    assert np.abs(image.astype(int) - [10, 200, 30]).max() <= 8


UPRIGHT = np.array([[10, 20, 30], [40, 50, 60]], dtype=np.uint8)

# How a camera's file looks (as stored) for each EXIF orientation, so that it is seen as UPRIGHT.
STORED = {
    1: UPRIGHT,
    2: UPRIGHT[:, ::-1],
    3: UPRIGHT[::-1, ::-1],
    4: UPRIGHT[::-1],
    5: UPRIGHT.T,
    6: UPRIGHT.T[::-1],
    7: UPRIGHT.T[::-1, ::-1],
    8: UPRIGHT.T[:, ::-1],
}


@pytest.mark.parametrize("form", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientations(orientation: int, form: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(np.ascontiguousarray(STORED[orientation]))
    options = {"lossless": True} if form == "WEBP" else {}
    file = saved(image, form, exif=exif, **options)
    header = read_header(file)
    assert (header.height, header.width) == (2, 3)
    seen = prepare_image(file, stored_size=(2, 3), channels=1)
    assert seen[..., 0].tolist() == UPRIGHT.tolist()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_of_a_reduced_rectangle(orientation: int) -> None:
    """A large JPEG goes through decoding at a reduced scale, cropping and turning together."""
    upright = np.zeros((400, 640), dtype=np.uint8)
    upright[:200, :320], upright[200:, 320:] = 250, 120
    stored = {1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1]}
    stored |= {5: upright.T, 6: upright.T[::-1], 7: upright.T[::-1, ::-1], 8: upright.T[:, ::-1]}
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = saved(Image.fromarray(np.ascontiguousarray(stored[orientation])), "JPEG", exif=exif)
    seen = prepare_image(file, stored_size=(20, 32), channels=1)[..., 0].astype(int)
    assert abs(seen[5, 8] - 250) <= 3
    assert abs(seen[15, 24] - 120) <= 3
    assert max(seen[5, 24], seen[15, 8]) <= 3


def test_exif_behind_the_pixels_of_a_png() -> None:
    """A PNG may carry its eXIf chunk after the pixels."""
    exif = Image.Exif()
    exif[0x0112] = 6
    with_exif = saved(Image.fromarray(np.ascontiguousarray(STORED[6])), "PNG", exif=exif)
    start = with_exif.index(b"eXIf") - 4
    end = start + 12 + int.from_bytes(with_exif[start : start + 4], "big")
    close = with_exif.index(b"IEND") - 4
    moved = with_exif[:start] + with_exif[end:close] + with_exif[start:end] + with_exif[close:]
    assert prepare_image(moved, stored_size=(2, 3), channels=1)[..., 0].tolist() == UPRIGHT.tolist()


def test_damaged_exif_costs_only_the_orientation() -> None:
    file = saved(one("RGB", (9, 9, 9), (16, 16)), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert prepare_image(file, stored_size=(16, 16), channels=3).shape == (16, 16, 3)


def test_first_frame_of_an_animation() -> None:
    for form, options in (("GIF", {}), ("WEBP", {"lossless": True}), ("PNG", {}), ("TIFF", {})):
        file = saved(
            one("RGB", (10, 200, 30)), form, save_all=True, append_images=[one("RGB", (255, 0, 0))], **options
        )
        assert prepare_image(file, stored_size=(2, 2), channels=3)[0, 0].tolist() == [10, 200, 30]


@pytest.mark.parametrize(
    ("dtype", "bytes_"), [("uint8", True), ("uint16", False), ("float64", False), ("bool", False)]
)
def test_npy(dtype: str, bytes_: bool, tmp_path: Path) -> None:
    values = np.arange(2 * 3 * 5).reshape(2, 3, 5).astype(dtype)
    np.save(tmp_path / "a.npy", values)
    assert read_header(tmp_path / "a.npy") == Header(2, 3, 5, bytes_)
    wanted = "uint8" if bytes_ else "float32"
    image = prepare_image(tmp_path / "a.npy", stored_size=(2, 3), channels=5, dtype=wanted)
    assert image.dtype == wanted
    assert (image == values).all()


def test_npy_in_fortran_order_and_grey(tmp_path: Path) -> None:
    values = np.asfortranarray(np.arange(6, dtype=np.uint8).reshape(2, 3))
    np.save(tmp_path / "a.npy", values)
    image = prepare_image(tmp_path / "a.npy", stored_size=(2, 3), channels=3)
    assert (image == values[..., None]).all()
    assert image.flags.c_contiguous


@pytest.mark.parametrize("planes", ["contig", "separate"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_tiff_of_many_bands(planes: str, dtype: str, compression: str | None, tmp_path: Path) -> None:
    values = (np.arange(4 * 5 * 6).reshape(4, 5, 6) * (2 if dtype == "uint8" else 300)).astype(dtype)
    written = values if planes == "contig" else np.moveaxis(values, -1, 0)
    tifffile.imwrite(
        tmp_path / "a.tif", written, photometric="minisblack", planarconfig=planes, compression=compression
    )
    assert read_header(tmp_path / "a.tif") == Header(4, 5, 6, dtype == "uint8")
    wanted = "uint8" if dtype == "uint8" else "float32"
    image = prepare_image(tmp_path / "a.tif", stored_size=(4, 5), channels=6, dtype=wanted)
    assert (image == values).all()


def test_real_numbers_in_a_tiff(tmp_path: Path) -> None:
    values = np.array([[0.5, -3.25], [1e6, 0]], dtype=np.float32)
    tifffile.imwrite(tmp_path / "a.tif", values)
    assert read_header(tmp_path / "a.tif") == Header(2, 2, 1, False)
    image = prepare_image(tmp_path / "a.tif", stored_size=(2, 2), channels=1, dtype="float32")
    assert (image[..., 0] == values).all()


def test_grey_of_color() -> None:
    """ITU-R 601: 0.299 * 10 + 0.587 * 200 + 0.114 * 30 = 123.8."""
    file = saved(one("RGB", (10, 200, 30)), "PNG")
    assert prepare_image(file, stored_size=(2, 2), channels=1)[0, 0].tolist() == [124]
    array = np.full((2, 2, 3), (10, 200, 30), dtype=np.uint8)
    assert prepare_image(array, stored_size=(2, 2), channels=1)[0, 0].tolist() == [124]
    real = prepare_image(array.astype(np.float32), stored_size=(2, 2), channels=1, dtype="float32")
    assert real[0, 0] == pytest.approx(123.81)


def test_the_same_from_a_path_bytes_an_array_and_a_pil_image(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png")
    ways = [
        tmp_path / "a.png",
        str(tmp_path / "a.png"),
        (tmp_path / "a.png").read_bytes(),
        noise,
        Image.fromarray(noise),
        Image.open(tmp_path / "a.png"),
    ]
    made = [prepare_image(way, stored_size=(32, 32), channels=3) for way in ways]
    assert all((each == made[0]).all() for each in made)


def test_channels_that_cannot_be_given(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((4, 4, 5), np.uint8))
    with pytest.raises(Unreadable) as error:
        prepare_image(tmp_path / "a.npy", stored_size=(4, 4), channels=3)
    assert str(error.value) == (
        f"{tmp_path / 'a.npy'}: it has 5 channels, and 3 are wanted\n"
        "  expected: a JPEG, PNG, WebP, AVIF, TIFF, BMP, GIF or .npy image\n"
        "  try: give images with equally many channels"
    )


@pytest.mark.parametrize(
    ("values", "given", "found"),
    [
        ((0.0, 1.0), np.uint8(51), 0.2),
        ((0.1, 0.7), np.uint8(51), 0.2),
        ((-1.0, 1.0), np.uint8(255), 1.0),
        ((-1.0, 1.0), np.int64(0), -1.0),
        ((0.0, 255.0), np.uint8(51), 51.0),
        ((0.0, 1.0), np.float32(1.9), 1.9),
        ((-3.0, 4.0), np.float64(-9), -9.0),
        ((0.0, 255.0), np.float32(1), 1.0),  # a black image
        ((0.0, 0.0), np.uint8(255), 1.0),
    ],
)
def test_the_scale_of_training(values: tuple[float, float], given: np.generic, found: float) -> None:
    array = np.full((2, 2), given)
    made = prepare_image(array, stored_size=(2, 2), channels=1, dtype="float32", values=values)
    assert made.dtype == np.float32
    assert made == pytest.approx(found)


FAR = {
    ((0.0, 1.0), 200.5): ("200.5 to 200.5", "0 to 1", "divide it by 255"),
    ((-1.0, 1.0), 200.5): ("200.5 to 200.5", "-1 to 1", "divide it by 127.5, and subtract 1"),
    ((0.0, 255.0), 0.5): ("0.5 to 0.5", "0 to 255", "multiply it by 255"),
    ((-3.0, 4.0), 200.0): ("200 to 200", "-3 to 4", "scale it as the images in training were scaled"),
    ((0.0, 1.0), -300.0): ("-300 to -300", "0 to 1", "scale it as the images in training were scaled"),
}


@pytest.mark.parametrize(("values", "given"), FAR)
def test_values_far_from_those_of_training(values: tuple[float, float], given: float) -> None:
    seen, known, cure = FAR[values, given]
    with pytest.raises(Unreadable) as error:
        prepare_image(
            np.full((2, 2), given, np.float32), stored_size=(2, 2), channels=1, dtype="float32", values=values
        )
    assert str(error.value) == (
        f"predict: its values go from {seen}\n  expected: values as in training, {known}\n  try: {cure}"
    )


def test_8_bit_images_far_from_those_of_training() -> None:
    with pytest.raises(Unreadable, match="its values go from 200 to 200"):
        prepare_image(
            Image.new("L", (2, 2), 200), stored_size=(2, 2), channels=1, dtype="float32", values=(-3.0, 4.0)
        )
