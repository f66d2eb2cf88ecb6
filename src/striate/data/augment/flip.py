"""Mirrored images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from striate.data.augment.argument import Argument
from striate.data.augment.chance import Chance, Stream
from striate.data.images import Images


@dataclass(frozen=True, slots=True)
class Flip:
    """Mirrored left to right in every second epoch:  y[r, c] = x[r, W-1-c].

    In which ones, the even or the odd, is drawn for each image once, so that two epochs show both of its
    sides; drawn anew in each epoch, half of the images would show the same side again.

    Source: Krizhevsky, Sutskever and Hinton 2012, section 4.1; Jordan 2024, section 3.6 (alternating flip).
    """

    word: ClassVar[str] = "flip"
    argument: ClassVar[Argument | None] = None

    def __str__(self) -> str:
        return self.word

    def change(self, windows: Images, chance: Chance) -> None:
        """Change N x H x W x C in place."""
        # Words are read where torch is not wanted.
        import torch

        first = chance.once(Stream.FLIP) < 0.5
        tensors = torch.from_numpy(windows)
        for place in np.flatnonzero(first ^ (chance.epoch % 2 == 1)).tolist():
            # N x C x H x W in the order of channels_last: for these torch has a kernel four times as fast.
            window = tensors[place : place + 1].permute(0, 3, 1, 2)
            window.copy_(window.flip(3))


@dataclass(frozen=True, slots=True)
class VFlip:
    """Mirrored top to bottom with probability 1/2:  y[r, c] = x[H-1-r, c]."""

    word: ClassVar[str] = "vflip"
    argument: ClassVar[Argument | None] = None

    def __str__(self) -> str:
        return self.word

    def change(self, windows: Images, chance: Chance) -> None:
        """Change N x H x W x C in place."""
        for place in np.flatnonzero(chance.uniform(Stream.VFLIP) < 0.5).tolist():
            windows[place] = windows[place, ::-1]
