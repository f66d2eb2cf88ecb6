"""The images that the claims are measured on: those of a data set, few of them, moved, painted or drawn."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from striate.data.gather import gather
from striate.errors import DataError

Bytes = NDArray[np.uint8]
Labels = NDArray[np.int64]

# Validation and test images are no more than these, evenly spread over those that there are.
MOST_VALIDATION, MOST_TEST = 500, 2_000
# Hues of the painted digits in training, in turns either way from red.
NARROW_HUE = 1 / 18


@dataclass(frozen=True, slots=True)
class ImageSet:
    """A set of images, made of those that the user gives, or of the digits.

    per_class: training images of each class, drawn by the seed; 0 for all.  most: training images at all, 0 for
    as many as are used.  classes: only these, by their number.  canvas: times the side of the images: black is put around them.
    painted: gray images get a color, a hue near red.
    """

    per_class: int = 0
    most: int = 0
    classes: tuple[int, ...] = ()
    canvas: int = 1
    painted: bool = False

    def said(self) -> str:
        """In words, for the page."""
        parts = []
        if self.per_class:
            parts.append(f"{self.per_class} a class")
        if self.most:
            parts.append(f"{self.most:,} to train on")
        if self.classes:
            parts.append(f"classes {self.classes[0]} to {self.classes[-1]}")
        if self.canvas > 1:
            parts.append(f"on a black canvas of {self.canvas} times the side")
        if self.painted:
            parts.append("painted in hues near red")
        return ", ".join(parts) or "as they are"


DIGITS = ImageSet()


@dataclass(frozen=True, eq=False)
class Images:
    """Arrays, N x H x W x C of bytes, and labels, N."""

    train: tuple[Bytes, Labels]
    val: tuple[Bytes, Labels]
    test: tuple[Bytes, Labels]

    def mapped(self, change: Callable[[Bytes], Bytes]) -> Images:
        """Every split with its images changed."""
        return Images(*((change(x), y) for x, y in (self.train, self.val, self.test)))


def load_images(source: str | Path, most: int) -> Images:
    """The images of a data set, `most` of them to train on, evenly spread; see MOST_VALIDATION and MOST_TEST.

    Where there is no test split, the validation split is halved.  Raises DataError, for images of real numbers, too.
    """
    data = gather(source, val_share=0.15, seed=0)
    if data.train.images.dtype != np.uint8:
        raise DataError(
            f"the images hold {data.train.images.dtype.name}",
            place=str(source),
            expected="bytes of 0 to 255, of which the lab makes others",
            cure="striate lab NAME, on the digits",
        )
    train, val = (data.train.images, data.train.labels), (data.val.images, data.val.labels)
    if data.test is not None:
        test = data.test.images, data.test.labels
    else:
        val, test = (val[0][::2], val[1][::2]), (val[0][1::2], val[1][1::2])
    return Images(_few(*train, most=most), _few(*val, most=MOST_VALIDATION), _few(*test, most=MOST_TEST))


def _few(images: Bytes, labels: Labels, *, most: int) -> tuple[Bytes, Labels]:
    chosen = np.linspace(0, len(labels) - 1, min(most, len(labels))).round().astype(np.int64)
    return np.ascontiguousarray(images[chosen]), np.asarray(labels[chosen], dtype=np.int64)


def make_images(images: Images, wanted: ImageSet, seed: int) -> Images:
    """The set that is wanted, of the images that there are."""
    draw = np.random.default_rng([seed, 7])
    if wanted.classes:
        if missing := set(wanted.classes) - set(images.train[1].tolist()):
            raise DataError(
                f"there is no class number {min(missing)} among the images",
                place="--data",
                expected="10 classes or more: the claim divides them",
                cure="striate lab NAME, on the digits",
            )
        images = Images(
            *(_of_classes(*split, wanted.classes) for split in (images.train, images.val, images.test))
        )
    if wanted.most:
        images = replace(images, train=_few(*images.train, most=wanted.most))
    if wanted.per_class:
        images = replace(images, train=_per_class(*images.train, wanted.per_class, draw))
    if wanted.painted and images.train[0].shape[3] == 1:
        images = images.mapped(lambda x: painted(x, draw))
    if wanted.canvas > 1:
        side = wanted.canvas * images.train[0].shape[1]
        images = images.mapped(lambda x: placed(x, side))
    return images


def write_images(images: Images, folder: Path) -> Path:
    """An .npz that `striate train` takes, named by a hash of what it holds, so that each is there once."""
    content = hashlib.sha256()
    for pixels, labels in (images.train, images.val, images.test):
        content.update(f"{pixels.shape}".encode() + pixels.tobytes() + labels.tobytes())
    path = folder / f"images-{content.hexdigest()[:12]}.npz"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        half = path.with_suffix(".part.npz")
        (xt, yt), (xv, yv), (xs, ys) = images.train, images.val, images.test
        np.savez(half, x_train=xt, y_train=yt, x_val=xv, y_val=yv, x_test=xs, y_test=ys)
        half.replace(path)
    return path


def _of_classes(images: Bytes, labels: Labels, classes: tuple[int, ...]) -> tuple[Bytes, Labels]:
    kept = np.isin(labels, classes)
    return images[kept], labels[kept]


def _per_class(images: Bytes, labels: Labels, count: int, draw: np.random.Generator) -> tuple[Bytes, Labels]:
    chosen = np.concatenate(
        [draw.permutation(np.flatnonzero(labels == each))[:count] for each in np.unique(labels)]
    )
    chosen.sort()
    return images[chosen], labels[chosen]


def placed(images: Bytes, side: int, corner: int | None = None) -> Bytes:
    """Images on a black canvas of a side: in its middle, or in the corner 0, 1, 2 or 3."""
    count, height, width, channels = images.shape
    canvas = np.zeros((count, side, side, channels), dtype=np.uint8)
    down, across = side - height, side - width
    top, left = (down // 2, across // 2) if corner is None else (down * (corner // 2), across * (corner % 2))
    canvas[:, top : top + height, left : left + width] = images
    return canvas


def moved(images: Bytes, down: int, across: int) -> Bytes:
    """Images moved by so many pixels; what comes in is black."""
    height, width = images.shape[1:3]
    found = np.zeros_like(images)
    found[:, max(0, down) : height + min(0, down), max(0, across) : width + min(0, across)] = images[
        :, max(0, -down) : height - max(0, down), max(0, -across) : width - max(0, across)
    ]
    return found


def painted(images: Bytes, draw: np.random.Generator) -> Bytes:
    """Gray images, N x H x W x 1, each in one pure color whose hue is near red: N x H x W x 3."""
    hues = draw.uniform(-NARROW_HUE, NARROW_HUE, size=len(images))
    colors = np.stack([_pure(hue) for hue in hues])
    return np.round(images * colors[:, None, None, :]).astype(np.uint8)


def _pure(hue: float) -> NDArray[np.float64]:
    """The pure color of a hue, in turns from red: red, green and blue, of 0 to 1."""
    places = (np.array([0.0, 1 / 3, 2 / 3]) - hue + 0.5) % 1 - 0.5
    found: NDArray[np.float64] = np.clip(2 - 6 * np.abs(places), 0, 1)
    return found


def turned_hue(images: Bytes, turn: float) -> Bytes:
    """Images N x H x W x 3 whose hue is turned, in turns: the colors are rotated about the axis of gray.

    Rotating keeps R + G + B of every pixel, but where a value would leave 0 to 255.
    """
    angle = 2 * np.pi * turn
    third, root = (1 - np.cos(angle)) / 3, np.sqrt(1 / 3) * np.sin(angle)
    same, next_, last = np.cos(angle) + third, third - root, third + root
    matrix = np.array([[same, next_, last], [last, same, next_], [next_, last, same]])
    found: Bytes = np.clip(np.round(images @ matrix.T), 0, 255).astype(np.uint8)
    return found
