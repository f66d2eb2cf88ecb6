"""Windows of an image at random places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from striate.data.augment.argument import Argument, written
from striate.data.augment.chance import Chance, Stream
from striate.data.images import ImageArray, Images

ARGUMENT = Argument("N", 0, 256, 4, whole=True)


@dataclass(frozen=True, slots=True)
class Crop:
    """A window of the network's size at a random place, up to `pad` rows and columns beyond the image.

        top ~ {0 .. H + 2*pad - h} - pad,  left ~ {0 .. W + 2*pad - w} - pad

    where H x W are stored and h x w wanted.  Beyond its edges the image is mirrored: row -k is row k.
    `crop` alone, pad 0, moves only as far as the stored image reaches.
    Source: He et al. 2016 (Deep Residual Learning), section 4.2, with zeros; Jordan 2024 (airbench94), mirrored.
    """

    pad: int
    word: ClassVar[str] = "crop"
    argument: ClassVar[Argument | None] = ARGUMENT

    def __post_init__(self) -> None:
        ARGUMENT.require(self.word, self.pad)

    def __str__(self) -> str:
        return f"{self.word} {written(self.pad)}" if self.pad else self.word

    def cut(self, images: Sequence[ImageArray], windows: Images, chance: Chance) -> None:
        """Fill N windows, h x w x C each, out of N images, H x W x C each."""
        if not images:
            return
        (rows, columns), (height, width) = images[0].shape[:2], windows.shape[1:3]
        pad = int(self.pad)
        down, across = _reflected(rows, pad), _reflected(columns, pad)
        tops = chance.below(rows + 2 * pad - height + 1, Stream.TOP) - pad
        lefts = chance.below(columns + 2 * pad - width + 1, Stream.LEFT) - pad
        for image, window, top, left in zip(images, windows, tops.tolist(), lefts.tolist(), strict=True):
            if 0 <= top <= rows - height and 0 <= left <= columns - width:
                window[...] = image[top : top + height, left : left + width]
            else:
                seen = image.take(down[pad + top : pad + top + height], axis=0)
                seen.take(across[pad + left : pad + left + width], axis=1, out=window, mode="clip")


def _reflected(side: int, pad: int) -> NDArray[np.intp]:
    """The places -pad .. side + pad - 1 of a row of pixels that goes on beyond its ends as in a mirror."""
    last = max(1, side - 1)
    return np.minimum(np.abs((np.arange(-pad, side + pad) + last) % (2 * last) - last), side - 1)
