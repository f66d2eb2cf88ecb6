"""The check of a data set: every picture looked at once, then all of them beside one another."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from striate.check.arrays import check_arrays
from striate.check.checked import Checked
from striate.check.files import check_files
from striate.data.decode import MAX_PIXELS
from striate.data.listing import list_data


def check(
    source: str | Path,
    *,
    max_pixels: int = MAX_PIXELS,
    progress: Callable[[int, int], None] | None = None,
) -> Checked:
    """What is wrong with the pictures and labels that `source` stands for (`list_data` says what it may be).

    Nothing is written, but that an archive is unpacked into the cache.  Each file is read and decoded once, by as many threads as there are cores; what
    lies in arrays is in memory already.
    max_pixels: a picture whose header declares more is refused before it is decoded.
    progress: called with (pictures looked at, all).
    Raises: DataError where the source cannot be told apart into classes at all, ResourceError, MissingExtra.
    """
    listing = list_data(source)

    def step(done: int, total: int) -> None:
        if progress is not None:
            progress(done, total)

    if listing.arrays:
        return check_arrays(listing, step)
    return check_files(listing, Path(os.path.expanduser(source)), max_pixels, step)
