"""How large the network sees the images, how large they are kept, and with how many channels."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, get_args

import numpy as np

from striate.data.files.finding import Finding
from striate.errors import DataError
from striate.text.visible import visible

Size = int | str | tuple[int, int]
"""What a size may be said as: a side of a square, `HEIGHTxWIDTH`, or height and width."""

Fit = Literal["crop", "pad", "stretch"]
"""How an image is brought to another shape: its edges are cut off, bars are put beside it, or it is distorted."""

FITS: tuple[Fit, ...] = get_args(Fit)

EXACT_SIDE = 96
"""Images that all have one size, no side above this, are kept as they are."""

AUTOMATIC = (32, 64, 128)
"""What is chosen from where no size is asked for; 224 costs three times 128 and must be asked for."""

LARGEST = 4096


MUCH_CROPPED = 0.45
"""A crop that cuts off this share of the images is warned of: 16:9 to a square, 44 %, is not."""


def read_size(said: object) -> tuple[int, int]:
    """Height and width: of `128` both, of `60x180`, `60 x 180`, `60,180` or (60, 180) one each.

    Raises: DataError where it is none, or a side is not in 1..4096.
    """
    sides = re.fullmatch(r"[(\[]?\s*(\d{1,6})(?:\s*[x×X*, ]\s*(\d{1,6}))?\s*[)\]]?", f"{said}".strip())
    height, width = (int(sides[1]), int(sides[2] or sides[1])) if sides else (0, 0)
    if not (1 <= height <= LARGEST and 1 <= width <= LARGEST):
        raise DataError(
            f"the size is {visible(str(said))}",
            expected=f"a side of 1 to {LARGEST:,} pixels, or HEIGHTxWIDTH",
            cure="128, or 96x128",
        )
    return height, width


def write_size(size: tuple[int, int]) -> int | str:
    """A size as it is written: the side of a square, else `HEIGHTxWIDTH`."""
    return size[0] if size[0] == size[1] else f"{size[0]}x{size[1]}"


def cropped_share(sizes: Iterable[tuple[int, int]], target: tuple[int, int]) -> float:
    """The share of its area that an image loses on average where it is cropped to the shape of `target`.

    1 - min(s, t) / max(s, t), s and t being width / height of the image and of the target.
    """
    shapes = np.array([width / height for height, width in sizes])
    wanted = target[1] / target[0]
    return float(np.mean(1 - np.minimum(shapes, wanted) / np.maximum(shapes, wanted)))


def cropped_finding(source: str, sizes: Sequence[tuple[int, int]], target: tuple[int, int]) -> Finding | None:
    """A finding where the crop cuts off much of most images.  source: as it is visible."""
    share = cropped_share(sizes, target)
    if share < MUCH_CROPPED:
        return None
    ratio = float(np.median([width / height for height, width in sizes]))
    # As many rows and columns more as the images are longer, in steps that can be halved.
    short = min(target)
    long = max(4, 4 * round(short * max(ratio, 1 / ratio) / 4))
    better = (short, long) if ratio > 1 else (long, short)
    return Finding(
        "cropped",
        source,
        f"the crop to {target[0]}x{target[1]} cuts off {share:.0%} of an image on average",
        f"--size {write_size(better)}, --set fit=pad or --set fit=stretch",
    )


def choose_size(
    sizes: Sequence[tuple[int, int]],
    wanted: Size | None,
    fit: Fit = "crop",
    suit: Callable[[int], int] | None = None,
) -> tuple[tuple[int, int], tuple[int, int]]:
    """The (height, width) that the network sees, and the one that is stored.

    sizes: the images' heights and widths.  wanted: what `read_size` takes, or None to choose.
    suit: of the side that was chosen here, the one to take; it may be smaller where the time is short.
    Where all images have one size with no side above 96, it is kept, rectangles included, unless
    another is wanted; both sizes are then equal, for such images have no border to spare.  So it is where
    all have the very size that is wanted.
    Else the network sees what is wanted, or a square: of the sides 32, 64 and 128 the largest that is not above the median
    of the images' short sides (at least 32).  Stored is round(side * 8 / 7) of each side, as 256 for
    224, so that training can take random crops out of it and evaluation the center; where images are not
    cropped but padded or stretched, the size itself, so that nothing of them is lost.

    Raises: DataError where `wanted` is no size.
    """
    asked = None if wanted is None else read_size(wanted)
    height, width = sizes[0]
    alike = all(each == sizes[0] for each in sizes)
    if alike and (max(height, width) <= EXACT_SIDE or asked == (height, width)):
        exact = asked or (height, width)
        return exact, exact
    if asked is None:
        median = float(np.median([min(each) for each in sizes]))
        side = max((side for side in AUTOMATIC if side <= median), default=AUTOMATIC[0])
        if suit is not None:
            side = suit(side)
        asked = side, side
    if fit != "crop":
        return asked, asked
    return asked, (round(asked[0] * 8 / 7), round(asked[1] * 8 / 7))


def choose_channels(channels: Sequence[int]) -> int:
    """The number of channels that the images get, from how many each has.

    1 where all are grey; 3 where any is in color (grey becomes three equal channels); and where most
    are arrays of another number of channels, that number.
    """
    counts = Counter(channels)
    images = counts.pop(1, 0) + counts.pop(3, 0)
    if counts:
        most, number = max(counts.items(), key=lambda each: (each[1], -each[0]))
        if number > images:
            return most
    return 3 if 3 in channels else 1


def fits(channels: int, chosen: int) -> bool:
    """Whether an image of so many channels can be given the chosen number without losing any."""
    return channels == chosen or (channels == 1 and chosen == 3)
