"""Images that are odd, alone or among the rest: of one color, of an extreme shape, of another make."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from striate.data.decode.decode import Pixels
from striate.errors import counted

BLANK_RANGE = 8
"""No channel of a blank image varies by more, of 255: a little noise of a lossy format is allowed."""

BLACK_BELOW, BLACK_SHARE = 16, 0.99
"""An image is nearly black where this share of its grey values is below this."""


def uniform_remark(pixels: Pixels) -> tuple[str, str] | None:
    """ "blank" or "near-black" and the reason, or None where something is to be seen."""
    content = pixels.content
    if not isinstance(content, Image.Image):
        if np.ptp(content, axis=(0, 1)).max() > (BLANK_RANGE if content.dtype == np.uint8 else 0):
            return None
        return "blank", "all of its values are the same" if content.dtype != np.uint8 else _one_color(0)
    extremes = np.array(content.getextrema()).reshape(-1, 2)
    spread = int((extremes[:, 1] - extremes[:, 0]).max())
    if spread <= BLANK_RANGE:
        return "blank", _one_color(spread)
    counts = content.convert("L").histogram()
    share = sum(counts[:BLACK_BELOW]) / sum(counts)
    if share >= BLACK_SHARE:
        return "near-black", f"{share:.1%} of its pixels are darker than {BLACK_BELOW} of 255"
    return None


def _one_color(spread: int) -> str:
    return "it is of one color" + (f", but for differences of at most {spread} of 255" if spread else "")


EXTREME = 5
"""The long side of an extreme image is more than so many times the short one."""

TINY_SIDE, USUAL_SIDE = 16, 64
"""A short side below TINY_SIDE is tiny where the median short side of all is at least USUAL_SIDE."""


def shape_remarks(sizes: Iterable[tuple[int, int]]) -> Iterator[tuple[int, str, str]]:
    """The position, code and reason of each image of an odd extent.  sizes: heights and widths."""
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


FEWEST, RARE_SHARE = 20, 0.01
"""Among so many images one can be odd; a trait is rare where at most this share of them has it, or one image."""

MOST_OF_ONE, FEW_COLORS, NEARLY_ALL = 0.85, 8, 0.98
"""A placeholder has one color over more than the first share of its pixels, or at most so many colors over
nearly all.  Of 2,618 photographs (caltech26) six have the first trait, 14 the second and none both."""

MUCH_SMALLER = 16
"""So many times fewer pixels than the median image."""

_SAMPLED = 96


@dataclass(frozen=True, slots=True)
class Palette:
    """one: the share of the most common color.  colors: how many cover 98 % of the pixels, FEW_COLORS + 1 for more.

    Colors are counted in 16 steps a channel, of large images on a grid of 96 x 96 pixels.
    """

    one: float
    colors: int


@dataclass(frozen=True, slots=True)
class Make:
    """kind: JPEG, GIF and so on, empty where it has no file.  palette: None for more than grey or color bytes."""

    kind: str
    height: int
    width: int
    palette: Palette | None


def palette_of(pixels: Pixels) -> Palette | None:
    """The palette of a decoded image, or None where it is neither grey nor colored bytes."""
    content = pixels.content
    if not isinstance(content, Image.Image):
        if content.dtype != np.uint8 or content.shape[2] not in (1, 3):
            return None
        content = Image.fromarray(content if content.shape[2] == 3 else content[..., 0])
    if max(content.size) > _SAMPLED:
        content = content.resize((_SAMPLED, _SAMPLED), Image.Resampling.NEAREST)
    red, green, blue = np.moveaxis(np.asarray(content.convert("RGB")).astype(np.uint16) >> 4, 2, 0)
    counts = np.bincount((red << 8 | green << 4 | blue).ravel(), minlength=FEW_COLORS)
    common = np.sort(np.partition(counts, -FEW_COLORS)[-FEW_COLORS:])[::-1]
    covered = np.cumsum(common) / (content.width * content.height)
    return Palette(float(covered[0]), int(np.searchsorted(covered, NEARLY_ALL)) + 1)


def odd_remarks(makes: Sequence[Make]) -> Iterator[tuple[int, str]]:
    """The position and reason of each image that differs from nearly all others in two ways or more.

    The ways: its format; its size, where the others have one, or it has far fewer pixels; one color over most
    of it; few colors in all of it.  So "image not found" is found, saved as a photograph.
    """
    if len(makes) < FEWEST:
        return
    total = len(makes)
    kinds = Counter(each.kind for each in makes)
    sizes = Counter((each.height, each.width) for each in makes)
    pixels = float(np.median([each.height * each.width for each in makes]))
    most = max(1, RARE_SHARE * total)
    one_size = sizes.most_common(1)[0][1] >= (1 - RARE_SHARE) * total

    def said(each: Make) -> tuple[str, str, str, str]:
        other = one_size and sizes[each.height, each.width] <= RARE_SHARE * total
        small = MUCH_SMALLER * each.height * each.width <= pixels
        one, colors = (each.palette.one, each.palette.colors) if each.palette else (0.0, FEW_COLORS + 1)
        same = kinds[each.kind]
        first = "it is the only" if same == 1 else f"it is one of {same:,}"
        return (
            f"{first} {each.kind} among {total:,}" if each.kind and same <= most else "",
            f"it is {each.width:,} x {each.height:,} pixels, unlike the rest" if other or small else "",
            f"one color covers {one:.0%} of it" if one >= MOST_OF_ONE else "",
            f"{counted(colors, 'color')} make{'s' * (colors == 1)} up nearly all of it"
            if colors <= FEW_COLORS
            else "",
        )

    every = [said(each) for each in makes]
    rare = [sum(map(bool, column)) <= most for column in zip(*every, strict=True)]
    rare[0] = True  # counted for each format by itself
    for position, texts in enumerate(every):
        ways = [text for text, counts in zip(texts, rare, strict=True) if text and counts]
        if len(ways) > 1:
            yield position, f"{', '.join(ways[:-1])}, and {ways[-1]}"
