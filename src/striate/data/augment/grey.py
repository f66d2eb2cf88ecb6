"""Color without color."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from striate.data.augment.argument import Argument, written
from striate.data.augment.chance import Chance, Stream
from striate.data.images import ImageArray, Images

# Of red, green and blue in luminance (ITU-R BT.601).
WEIGHTS = (0.299, 0.587, 0.114)


ARGUMENT = Argument("SHARE", 0, 1, 0.1, above=True)


@dataclass(frozen=True, slots=True)
class Grey:
    """All three channels become the luminance, with probability `share`:

        y[r, c, :] = 0.299 x[r, c, 0] + 0.587 x[r, c, 1] + 0.114 x[r, c, 2]

    Images of other than three channels stay as they are.
    Source: Wu et al. 2018 (Unsupervised Feature Learning via Non-Parametric Instance Discrimination), section 3.
    """

    share: float
    word: ClassVar[str] = "grey"
    argument: ClassVar[Argument | None] = ARGUMENT

    def __post_init__(self) -> None:
        ARGUMENT.require(self.word, self.share)

    def __str__(self) -> str:
        return f"{self.word} {written(self.share)}"

    def change(self, windows: Images, chance: Chance) -> None:
        """Change N x H x W x C in place."""
        if windows.shape[3] != 3:
            return
        for place in np.flatnonzero(chance.uniform(Stream.GREY) < self.share).tolist():
            luminance = weighed(windows[place].astype(np.float32))
            if windows.dtype == np.uint8:
                luminance += np.float32(0.5)
            windows[place] = luminance[..., None]


def weighed(image: ImageArray) -> ImageArray:
    """The luminance of float32 pixels, ... x 3 -> ..., operation by operation: the same on any machine."""
    luminance = image[..., 0] * np.float32(WEIGHTS[0])
    luminance += image[..., 1] * np.float32(WEIGHTS[1])
    luminance += image[..., 2] * np.float32(WEIGHTS[2])
    return luminance
