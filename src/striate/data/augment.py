"""Changes drawn anew for every picture in training: words, and what they do to a batch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from striate.data.chance import below, uniform
from striate.errors import RecipeError, nearest

Pictures = NDArray[np.uint8] | NDArray[np.float32]

_WORDS = {
    "flip": "mirrored left to right, every second time",
    "crop": "cut out at a random place, after N rows and columns of zeros were put around it",
}


@dataclass(frozen=True, slots=True)
class Augment:
    """What is drawn for each picture.

    flip: mirror it with probability 1/2.
    crop: rows and columns of zeros around it before a random window is cut out; None cuts out the centre.
    """

    flip: bool = False
    crop: int | None = None

    def __str__(self) -> str:
        said = ["flip"] * self.flip + ([] if self.crop is None else [f"crop {self.crop}"])
        return ", ".join(said) or "none"


def read_augment(text: str) -> Augment:
    """Read words separated by commas: `flip`, `crop N`; or `none`.  Raises RecipeError."""
    flip, crop = False, None
    for said in text.split(","):
        word, _, number = said.strip().partition(" ")
        if word == "none" or (not word and not text.strip()):
            continue
        if word == "flip" and not number:
            flip = True
        elif word == "crop" and (not number or (number.isdigit() and int(number) <= 256)):
            crop = int(number or 0)
        else:
            known = word in _WORDS
            raise RecipeError(
                f"`{said.strip()}` is not an augmentation"
                if not known
                else f"`{word}` cannot take `{number}`",
                place="augment",
                expected="none, or words separated by commas out of: flip, crop N with N from 0 to 256",
                cure=nearest(word, _WORDS) or "augment = flip, crop 4",
            )
    return Augment(flip, crop)


def suited_augment(size: tuple[int, int], channels: int, *, margin: bool) -> Augment:
    """What is taken where nothing is said.

    Colour pictures are flipped and cropped, pictures of other kinds only cropped: a mirrored digit or
    letter is another one.  The crop moves by an eighth of the side (colour) or a fourteenth.

    margin: the stored pictures are larger than what the network sees, so there is room to crop already.
    """
    side = min(size)
    if channels == 3:
        return Augment(flip=True, crop=0 if margin else round(side / 8))
    return Augment(flip=False, crop=0 if margin else max(1, round(side / 14)))


def cut(
    pictures: Pictures,
    size: tuple[int, int],
    augment: Augment,
    seed: int,
    epoch: int,
    index: NDArray[np.int64],
) -> Pictures:
    """Windows of `size` out of stored pictures, as `augment` draws them.

    pictures: N x H x W x C as stored.  index: the place of each in its split.
    Returns N x height x width x C.
    """
    windows: Pictures
    if augment.crop is None:
        windows = centre(pictures, size)
    else:
        windows = _random_windows(pictures, size, augment.crop, seed, epoch, index)
    if augment.flip:
        mirrored = np.flatnonzero(uniform(seed, epoch, index, stream=3) < 0.5)
        windows = windows.copy() if augment.crop is None else windows
        windows[mirrored] = windows[mirrored, :, ::-1]
    return windows


def centre(pictures: Pictures, size: tuple[int, int]) -> Pictures:
    """The middle `size` of stored pictures, N x H x W x C -> N x height x width x C."""
    top = (pictures.shape[1] - size[0]) // 2
    left = (pictures.shape[2] - size[1]) // 2
    return pictures[:, top : top + size[0], left : left + size[1]]


def _random_windows(
    pictures: Pictures, size: tuple[int, int], pad: int, seed: int, epoch: int, index: NDArray[np.int64]
) -> Pictures:
    height, width = size
    padded = np.pad(pictures, ((0, 0), (pad, pad), (pad, pad), (0, 0))) if pad else pictures
    tops = below(padded.shape[1] - height + 1, seed, epoch, index, stream=1)
    lefts = below(padded.shape[2] - width + 1, seed, epoch, index, stream=2)
    windows = np.empty((len(index), height, width, padded.shape[3]), dtype=padded.dtype)
    for i, (top, left) in enumerate(zip(tops.tolist(), lefts.tolist(), strict=True)):
        windows[i] = padded[i, top : top + height, left : left + width]
    return windows
