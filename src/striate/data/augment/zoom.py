"""Windows of random size and shape, resized to the network's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from striate.data.augment.argument import Argument, written
from striate.data.augment.chance import Chance, Stream
from striate.data.images import ImageArray, Images

# A window is at most so much wider or narrower in shape than the stored image.
WIDEST = 4 / 3


ARGUMENT = Argument("LOW", 0.01, 1, 0.35, nothing=1)


@dataclass(frozen=True, slots=True)
class Zoom:
    """A random resized crop: a window of random area and shape, resized to the network's size.

        s ~ U(low, 1)                                share of the stored image's area
        log r ~ U(log a, log b)                      a = max(3/4, s),  b = min(4/3, 1/s)
        width = W sqrt(s r),  height = H sqrt(s / r)   in whole pixels, at least 1
        left ~ {0 .. W - width},  top ~ {0 .. H - height}

    The shapes that are left for an area s are those that fit, so none is drawn in vain.  Resized
    bilinearly over the whole footprint of a pixel (antialiased), by torch, whose kernel for bytes takes a
    fifth of Pillow's time and differs from it by 1 in 255 at most.
    Source: Szegedy et al. 2015 (Going Deeper with Convolutions), section 6.
    """

    low: float
    word: ClassVar[str] = "zoom"
    argument: ClassVar[Argument | None] = ARGUMENT

    def __post_init__(self) -> None:
        ARGUMENT.require(self.word, self.low)

    def __str__(self) -> str:
        return f"{self.word} {written(self.low)}"

    def cut(self, images: Sequence[ImageArray], windows: Images, chance: Chance) -> None:
        """Fill N windows, h x w x C each, out of N images, H x W x C each."""
        if not images:
            return
        # Words are read where torch is not wanted.
        import torch

        resize = torch.ops.aten._upsample_bilinear2d_aa
        height, width = windows.shape[1:3]
        boxes = self.boxes(images[0].shape[1], images[0].shape[0], chance)
        places = torch.from_numpy(windows).permute(0, 3, 1, 2)
        with torch.inference_mode():
            for place, (image, (left, top, right, bottom)) in enumerate(zip(images, boxes, strict=True)):
                # A copy of four axes: torch warns of a store that is read-only, and then reads channels last.
                part = torch.from_numpy(image[None, top:bottom, left:right].copy()).permute(0, 3, 1, 2)
                places[place : place + 1].copy_(resize(part, (height, width), False))

    def boxes(self, width: int, height: int, chance: Chance) -> list[tuple[int, int, int, int]]:
        """The windows drawn in images of that size: left, top, right, bottom of each."""
        area = chance.uniform(Stream.AREA, self.low, 1.0)
        low, high = np.log(np.maximum(1 / WIDEST, area)), np.log(np.minimum(WIDEST, 1 / area))
        aspect = np.exp(low + (high - low) * chance.uniform(Stream.ASPECT))
        across = np.clip(np.rint(width * np.sqrt(area * aspect)), 1, width)
        down = np.clip(np.rint(height * np.sqrt(area / aspect)), 1, height)
        left = np.minimum(np.floor((width - across + 1) * chance.uniform(Stream.LEFT)), width - across)
        top = np.minimum(np.floor((height - down + 1) * chance.uniform(Stream.TOP)), height - down)
        found = np.stack([left, top, left + across, top + down], axis=1).astype(np.int64).tolist()
        return [(a, b, c, d) for a, b, c, d in found]
