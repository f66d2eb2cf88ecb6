"""Images drawn on the spot, and a cache that is thrown away."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

Paint = Callable[..., Path]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test has a cache of its own."""
    folder = tmp_path / "the cache"
    monkeypatch.setenv("STRIATE_CACHE", str(folder))
    return folder


@pytest.fixture
def paint() -> Paint:
    """Saves an image of drawn noise at a path and returns the path."""

    def save(path: Path, seed: int = 0, size: tuple[int, int] = (12, 10), mode: str = "RGB") -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        Image.fromarray(noise).convert(mode).save(path)
        return path

    return save


@pytest.fixture
def photos(tmp_path: Path, paint: Paint) -> Path:
    """A folder of two classes with ten images each, no two of one size."""
    folder = tmp_path / "photos"
    for label, name in enumerate(("cat", "dog")):
        for number in range(10):
            paint(folder / name / f"{number}.png", 10 * label + number, (40 + number, 50 + label))
    return folder
