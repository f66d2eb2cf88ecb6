"""Windows of random size and shape, resized to the network's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from PIL import Image

from striate.data.chance import Chance, Stream
from striate.data.changes.argument import Argument, written
from striate.data.changes.resample import resampled
from striate.data.pictures import Picture, Pictures

# A window is at most so much wider or narrower in shape than the stored picture.
WIDEST = 4 / 3


ARGUMENT = Argument("LOW", 0.01, 1, 0.35)


@dataclass(frozen=True, slots=True)
class Zoom:
    """A random resized crop: a window of random area and shape, resized to the network's size.

        s ~ U(low, 1)                                share of the stored picture's area
        log r ~ U(log a, log b)                      a = max(3/4, s),  b = min(4/3, 1/s)
        width = W sqrt(s r),  height = H sqrt(s / r)
        left ~ U(0, W - width),  top ~ U(0, H - height)

    The shapes that are left for an area s are those that fit, so none is drawn in vain.  Resized
    bilinearly over the whole footprint of a pixel (antialiased).
    Source: Szegedy et al. 2015 (Going Deeper with Convolutions), section 6.
    """

    low: float
    word: ClassVar[str] = "zoom"
    argument: ClassVar[Argument | None] = ARGUMENT

    def __post_init__(self) -> None:
        ARGUMENT.require(self.word, self.low)

    def __str__(self) -> str:
        return f"{self.word} {written(self.low)}"

    def cut(self, pictures: Sequence[Picture], windows: Pictures, chance: Chance) -> None:
        """Fill N windows, h x w x C each, out of N pictures, H x W x C each."""
        if not pictures:
            return
        height, width = windows.shape[1:3]
        boxes = self.boxes(pictures[0].shape[1], pictures[0].shape[0], chance)
        for picture, window, box in zip(pictures, windows, boxes, strict=True):

            def resize(image: Image.Image, box: tuple[float, float, float, float] = box) -> Image.Image:
                return image.resize((width, height), Image.Resampling.BILINEAR, box)

            resampled(picture, resize, window)

    def boxes(self, width: int, height: int, chance: Chance) -> list[tuple[float, float, float, float]]:
        """The windows drawn in pictures of that size: left, top, right, bottom of each."""
        area = chance.uniform(Stream.AREA, self.low, 1.0)
        low, high = np.log(np.maximum(1 / WIDEST, area)), np.log(np.minimum(WIDEST, 1 / area))
        aspect = np.exp(low + (high - low) * chance.uniform(Stream.ASPECT))
        across = np.minimum(width, width * np.sqrt(area * aspect))
        down = np.minimum(height, height * np.sqrt(area / aspect))
        left = (width - across) * chance.uniform(Stream.LEFT)
        top = (height - down) * chance.uniform(Stream.TOP)
        # Pillow refuses a box that ends a rounding behind the last pixel.
        right, bottom = np.minimum(left + across, width), np.minimum(top + down, height)
        return [
            (float(a), float(b), float(c), float(d))
            for a, b, c, d in zip(left, top, right, bottom, strict=True)
        ]
