"""Pictures whose height and width are odd, alone or among the rest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

EXTREME = 5
"""The long side of an extreme picture is more than so many times the short one."""

TINY_SIDE, USUAL_SIDE = 16, 64
"""A short side below TINY_SIDE is tiny where the median short side of all is at least USUAL_SIDE."""


def extent_remarks(sizes: Iterable[tuple[int, int]]) -> Iterator[tuple[int, str, str]]:
    """The position, code and reason of each picture of an odd extent.  sizes: heights and widths."""
    every = list(sizes)
    if not every:
        return
    usual = float(np.median([min(each) for each in every]))
    for position, (height, width) in enumerate(every):
        short, long = sorted((height, width))
        if short < TINY_SIDE and usual >= USUAL_SIDE:
            yield (
                position,
                "tiny",
                f"it is {width} x {height} pixels, and the median short side is {usual:.0f}",
            )
        if long > EXTREME * short:
            told = f"it is {width:,} x {height:,} pixels, {long / short:.0f} times as long as wide"
            yield position, "extreme-aspect", told
