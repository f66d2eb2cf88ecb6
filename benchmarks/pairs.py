"""Rounds in which every side runs once, one behind the other, and what their figures say about each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeVar

import numpy as np

T = TypeVar("T")

Better = Literal["lower", "higher", "neither"]


# Of fewer figures than this the band is from the lowest to the highest.
FEW = 10


@dataclass(frozen=True)
class Band:
    """The middle of some figures, and the range that all but the lowest and the highest tenth lie in.

    Of fewer than 10 the range is that of all.
    """

    n: int
    median: float
    low: float
    high: float

    def to_record(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


def interleaved(
    sides: Mapping[str, Callable[[], T]], rounds: int, tell: Callable[[str], None]
) -> dict[str, list[T]]:
    """What each side gave, round by round; every second round goes through the sides backwards.

    Whatever else the machine does meanwhile hits all sides alike, and none always comes behind the same.
    """
    found: dict[str, list[T]] = {name: [] for name in sides}
    for round_ in range(rounds):
        for name in list(sides) if round_ % 2 == 0 else reversed(list(sides)):
            tell(f"round {round_ + 1} of {rounds}: {name}")
            found[name].append(sides[name]())
    return found


def band(figures: Sequence[float | None]) -> Band | None:
    """Median and the 10 % and 90 % points of those that are there, between neighbors in proportion.

    Of fewer than 10 the lowest and the highest.
    """
    there = [figure for figure in figures if figure is not None]
    if not there:
        return None
    ends = (0, 50, 100) if len(there) < FEW else (10, 50, 90)
    low, median, high = (float(point) for point in np.percentile(there, ends))
    return Band(len(there), median, low, high)


def ratio(ours: Sequence[float | None], theirs: Sequence[float | None], better: Better) -> Band | None:
    """How many times as good striate was, round by round; below 1 it was worse.

    theirs / ours where lower figures are better, ours / theirs where higher ones are.  A round in which a
    side has no figure is left out; None where no round is left.
    """
    if better == "neither":
        return None
    pairs = [
        (a, b) for a, b in zip(ours, theirs, strict=True) if a is not None and b is not None and a * b > 0
    ]
    return band([b / a if better == "lower" else a / b for a, b in pairs])
