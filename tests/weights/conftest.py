"""Real data and weights where they are at hand, one thread, and a cache that is thrown away."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    torch.set_rng_state(state)


@pytest.fixture(autouse=True)
def hf_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test has a Hugging Face cache of its own."""
    folder = tmp_path / "the cache"
    monkeypatch.setenv("HF_HOME", str(folder))
    return folder


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data and weights; a test that wants it skips where it is missing."""
    if not SHARED.is_dir():
        pytest.skip(f"no real data: {SHARED} is missing")
    return SHARED


@dataclass(frozen=True)
class Photo:
    """One ImageNet photo, prepared as reference.json says: 224 x 224 x 3, bytes."""

    pixels: Any
    label: int
    reference: dict[str, Any]


@pytest.fixture(scope="session")
def photos(shared: Path) -> list[Photo]:
    """The 83 photos with their right class and what published networks say of them."""
    folder = shared / "imagenet-sample"
    reference = json.loads((folder / "reference.json").read_text())["images"]
    found = []
    with tarfile.open(folder / "imagenet-sample83.tar") as tar:
        for member in tar:
            name = Path(member.name).name
            if name in reference:
                file = tar.extractfile(member)
                assert file is not None
                image = Image.open(io.BytesIO(file.read())).convert("RGB")
                found.append(Photo(_cropped(image), reference[name]["index"], reference[name]))
    assert len(found) == 83
    return found


def _cropped(image: Image.Image) -> Any:
    width, height = image.size
    scale = 256 / min(width, height)
    size = (256, round(height * scale)) if width <= height else (round(width * scale), 256)
    image = image.resize(size, Image.Resampling.BILINEAR)
    left, top = (size[0] - 224) // 2, (size[1] - 224) // 2
    return np.asarray(image.crop((left, top, left + 224, top + 224)))


@pytest.fixture(scope="session")
def cifar(shared: Path) -> tuple[Tensor, Tensor]:
    """The 10,000 test images of CIFAR-10, N x 3 x 32 x 32 bytes, and their labels."""
    mosaic = np.asarray(Image.open(shared / "cifar10" / "test.webp"))
    images = mosaic.reshape(100, 32, 100, 32, 3).transpose(0, 2, 4, 1, 3).reshape(10_000, 3, 32, 32)
    labels = np.fromfile(shared / "cifar10" / "test.labels", np.uint8)
    return torch.from_numpy(images.copy()), torch.from_numpy(labels.astype(np.int64))
