"""How large the network sees the pictures, how large they are kept, and with how many channels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from striate.errors import DataError

EXACT_SIDE = 96
"""Pictures that all have one size, no side above this, are kept as they are."""

AUTOMATIC = (32, 64, 128)
"""What is chosen from where no size is asked for; 224 costs three times 128 and must be asked for."""

LARGEST = 4096


def choose_size(
    sizes: Sequence[tuple[int, int]], wanted: int | None, suit: Callable[[int], int] | None = None
) -> tuple[tuple[int, int], tuple[int, int]]:
    """The (height, width) that the network sees, and the one that is stored.

    sizes: the pictures' heights and widths.  wanted: a side, or None to choose.
    suit: of the side that was chosen here, the one to take; it may be smaller where the time is short.
    Where all pictures have one size with no side above 96, it is kept, rectangles included, unless
    another is wanted; both sizes are then equal, for such pictures have no border to spare.
    Else the network sees a square: of the sides 32, 64 and 128 the largest that is not above the median
    of the pictures' short sides (at least 32).  Stored is a square of round(side * 8 / 7), as 256 for
    224, so that training can take random crops out of it and evaluation the centre.

    Raises: DataError where `wanted` is not in 1..4096.
    """
    if wanted is not None and not 1 <= wanted <= LARGEST:
        raise DataError(f"the size is {wanted}", expected=f"a side of 1 to {LARGEST:,} pixels", cure="128")
    height, width = sizes[0]
    small = max(height, width) <= EXACT_SIDE and all(each == sizes[0] for each in sizes)
    if small:
        exact = (height, width) if wanted is None else (wanted, wanted)
        return exact, exact
    if wanted is None:
        median = float(np.median([min(each) for each in sizes]))
        wanted = max((side for side in AUTOMATIC if side <= median), default=AUTOMATIC[0])
        if suit is not None:
            wanted = suit(wanted)
    stored = round(wanted * 8 / 7)
    return (wanted, wanted), (stored, stored)


def choose_channels(channels: Sequence[int]) -> int:
    """The number of channels that the pictures get, from how many each has.

    1 where all are grey; 3 where any is in colour (grey becomes three equal channels); and where most
    are arrays of another number of channels, that number.
    """
    counts = Counter(channels)
    pictures = counts.pop(1, 0) + counts.pop(3, 0)
    if counts:
        most, number = max(counts.items(), key=lambda each: (each[1], -each[0]))
        if number > pictures:
            return most
    return 3 if 3 in channels else 1


def fits(channels: int, chosen: int) -> bool:
    """Whether a picture of so many channels can be given the chosen number without losing any."""
    return channels == chosen or (channels == 1 and chosen == 3)
