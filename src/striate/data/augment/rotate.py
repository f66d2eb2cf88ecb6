"""Turned images."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from striate.data.augment.argument import Argument, written
from striate.data.augment.chance import Chance, Stream
from striate.data.images import ImageArray

ARGUMENT = Argument("DEGREES", 0, 180, 15, above=True)


@dataclass(frozen=True, slots=True)
class Rotate:
    """Turned about its middle by an angle ~ U(-degrees, degrees), counter-clockwise where positive.

    Resampled bilinearly.  Beyond its border the image is continued as in a mirror, so that no black
    corners come in.
    """

    degrees: float
    word: ClassVar[str] = "rotate"
    argument: ClassVar[Argument | None] = ARGUMENT

    def __post_init__(self) -> None:
        ARGUMENT.require(self.word, self.degrees)

    def __str__(self) -> str:
        return f"{self.word} {written(self.degrees)}"

    def turn(self, images: Sequence[ImageArray], chance: Chance) -> list[ImageArray]:
        """N images, H x W x C each, turned; the shapes stay."""
        angles = chance.uniform(Stream.ANGLE, -self.degrees, self.degrees).tolist()
        return [turned(image, degrees) for image, degrees in zip(images, angles, strict=True)]


def turned(image: ImageArray, degrees: float) -> ImageArray:
    """An image, H x W x C, turned counter-clockwise about its middle."""
    height, width = image.shape[:2]
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    # How far the corners of what is seen reach beyond the border, and a pixel for the interpolation.
    across = max(0, math.ceil((abs(cos) - 1) * width / 2 + abs(sin) * height / 2)) + 1
    down = max(0, math.ceil((abs(cos) - 1) * height / 2 + abs(sin) * width / 2)) + 1
    wide = _mirrored(image, down, across)
    # The place in `wide` that the pixel at (x, y) is taken from: turned back about the middle.
    x, y = across + width / 2, down + height / 2
    back = (
        cos,
        -sin,
        x - cos * width / 2 + sin * height / 2,
        sin,
        cos,
        y - sin * width / 2 - cos * height / 2,
    )

    def turn(plane: Image.Image) -> Image.Image:
        return plane.transform((width, height), Image.Transform.AFFINE, back, Image.Resampling.BILINEAR)

    into = np.empty_like(image, shape=image.shape)
    _resampled(wide, turn, into)
    return into


def _resampled(image: ImageArray, change: Callable[[Image.Image], Image.Image], into: ImageArray) -> None:
    """Write into `into` what `change` makes of an image.

    Color goes through as one image of three channels, all else channel by channel, so that no channel is
    ever taken for transparency.  image: H x W x C.  into: h x w x C.
    """
    if image.dtype == np.uint8 and image.shape[2] == 3:
        into[...] = np.asarray(change(Image.fromarray(image)))
        return
    for channel in range(image.shape[2]):
        into[..., channel] = np.asarray(change(Image.fromarray(image[..., channel])))


def _mirrored(image: ImageArray, down: int, across: int) -> ImageArray:
    """An image, H x W x C, with so many rows and columns of its mirror images around it.

    Beyond a whole mirror image, as around an image of one pixel, the mirror image of that follows.
    """
    height, width, channels = image.shape
    if down >= height or across >= width:
        rows, columns = _back_and_forth(height, down), _back_and_forth(width, across)
        return image[rows][:, columns]
    wide: ImageArray = np.empty((height + 2 * down, width + 2 * across, channels), dtype=image.dtype)
    inner = wide[down : down + height]
    inner[:, across : across + width] = image
    for channel in range(channels):
        inner[:, :across, channel] = image[:, across - 1 :: -1, channel]
        inner[:, across + width :, channel] = image[:, : width - across - 1 : -1, channel]
    wide[:down] = inner[down - 1 :: -1]
    wide[down + height :] = inner[: height - down - 1 : -1]
    return wide


def _back_and_forth(count: int, around: int) -> NDArray[np.int64]:
    """Places ... 1 0 0 1 2 .. count-1 count-1 .. of a line of so many pixels, `around` more at both ends."""
    places = np.arange(-around, count + around) % (2 * count)
    return np.minimum(places, 2 * count - 1 - places)
