"""Images that are odd, alone or among the rest: of one colour, of an extreme shape."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from PIL import Image

from striate.data.decode import Pixels

BLANK_RANGE = 8
"""No channel of a blank picture varies by more, of 255: a little noise of a lossy format is allowed."""

BLACK_BELOW, BLACK_SHARE = 16, 0.99
"""A picture is nearly black where this share of its grey values is below this."""


def uniform_remark(pixels: Pixels) -> tuple[str, str] | None:
    """ "blank" or "near-black" and the reason, or None where something is to be seen."""
    content = pixels.content
    if not isinstance(content, Image.Image):
        if np.ptp(content, axis=(0, 1)).max() > (BLANK_RANGE if content.dtype == np.uint8 else 0):
            return None
        return "blank", "all of its values are the same" if content.dtype != np.uint8 else _one_colour(0)
    extremes = np.array(content.getextrema()).reshape(-1, 2)
    spread = int((extremes[:, 1] - extremes[:, 0]).max())
    if spread <= BLANK_RANGE:
        return "blank", _one_colour(spread)
    counts = content.convert("L").histogram()
    share = sum(counts[:BLACK_BELOW]) / sum(counts)
    if share >= BLACK_SHARE:
        return "near-black", f"{share:.1%} of its pixels are darker than {BLACK_BELOW} of 255"
    return None


def _one_colour(spread: int) -> str:
    return "it is of one colour" + (f", but for differences of at most {spread} of 255" if spread else "")


EXTREME = 5
"""The long side of an extreme picture is more than so many times the short one."""

TINY_SIDE, USUAL_SIDE = 16, 64
"""A short side below TINY_SIDE is tiny where the median short side of all is at least USUAL_SIDE."""


def shape_remarks(sizes: Iterable[tuple[int, int]]) -> Iterator[tuple[int, str, str]]:
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
