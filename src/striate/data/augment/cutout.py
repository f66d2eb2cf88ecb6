"""Squares without an image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from striate.data.augment.argument import Argument, written
from striate.data.augment.chance import Chance, Stream
from striate.data.images import Images

ARGUMENT = Argument("N", 1, 1024, 8, whole=True)


@dataclass(frozen=True, slots=True)
class Cutout:
    """A square of side x side zeros.

    Its middle is drawn from all pixels alike, so a part of it may lie outside:

        row ~ {0 .. H-1},  column ~ {0 .. W-1}
        y[row - side//2 : row - side//2 + side, column - side//2 : column - side//2 + side] = 0

    Source: DeVries and Taylor 2017 (Improved Regularization of Convolutional Neural Networks with Cutout),
    section 3.
    """

    side: int
    word: ClassVar[str] = "cutout"
    argument: ClassVar[Argument | None] = ARGUMENT

    def __post_init__(self) -> None:
        ARGUMENT.require(self.word, self.side)

    def __str__(self) -> str:
        return f"{self.word} {written(self.side)}"

    def change(self, windows: Images, chance: Chance) -> None:
        """Change N x H x W x C in place."""
        side = int(self.side)
        tops = chance.below(windows.shape[1], Stream.CUTOUT_ROW) - side // 2
        lefts = chance.below(windows.shape[2], Stream.CUTOUT_COLUMN) - side // 2
        for window, top, left in zip(windows, tops.tolist(), lefts.tolist(), strict=True):
            window[max(0, top) : max(0, top + side), max(0, left) : max(0, left + side)] = 0
