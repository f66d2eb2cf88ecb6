"""Three classes of drawn images, small enough to be learned in a second: bars across, bars down, blobs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

CLASSES = ("across", "blob", "down")
SIDE = 12


def draw(count: int, seed: int, side: int = SIDE) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """`count` grey images, N x side x side, and their classes, 0 to 2 in turn."""
    chance = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    images = chance.integers(0, 90, (count, side, side))
    rows, columns = np.mgrid[:side, :side]
    for image, label in zip(images, labels, strict=True):
        at, down = chance.integers(2, side - 2, 2)
        if label == 0:
            image[at - 1 : at + 1] += 150
        elif label == 2:
            image[:, at - 1 : at + 1] += 150
        else:
            image[(rows - at) ** 2 + (columns - down) ** 2 <= 8] += 150
    return images.astype(np.uint8), labels.astype(np.int64)


def write_arrays(path: Path, train: int = 120, test: int = 30, side: int = SIDE) -> Path:
    """An .npz with a training and a test split; the classes have names."""
    names = np.array(CLASSES)
    x_train, y_train = draw(train, 1, side)
    splits = {"x_train": x_train, "y_train": names[y_train]}
    if test:
        x_test, y_test = draw(test, 2, side)
        splits |= {"x_test": x_test, "y_test": names[y_test]}
    np.savez(path, **splits)  # type: ignore[arg-type]
    return path


def write_folder(path: Path, count: int = 36, side: int = SIDE) -> Path:
    """A folder of class folders of small PNGs."""
    images, labels = draw(count, 3, side)
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        folder = path / CLASSES[label]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{number:03d}.png")
    return path
