"""Folders of the cache: made beside their place, and given their name when they are whole."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

TRIES = 100

# A folder cannot be renamed to the name of one that is there and not empty.
_IN_THE_WAY = frozenset(
    {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR, errno.EACCES if os.name == "nt" else 0}
)

_ABANDONED_S = 24 * 3600.0
"""A half-built folder untouched for so long was left by a process that was killed."""


@contextmanager
def building(parent: Path) -> Iterator[Path]:
    """A new folder in `parent` to build in, removed afterwards where it was not published.

    Those that killed processes left behind are removed first.  Raises: OSError.
    """
    parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(parent)
    folder = Path(tempfile.mkdtemp(prefix=".building-", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def publish(built: Path, place: Path, sound: Callable[[Path], bool]) -> None:
    """Gives a finished folder its name; where another process was first, its folder stays if it is `sound`.

    Raises: OSError.
    """
    for _ in range(TRIES):
        try:
            os.rename(built, place)
        except OSError as problem:
            if problem.errno not in _IN_THE_WAY:
                raise
            if sound(place):
                return
            _remove_damaged(place, sound)
        else:
            if hasattr(os, "O_DIRECTORY"):
                descriptor = os.open(place.parent, os.O_RDONLY | os.O_DIRECTORY)
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)
            return


def _remove_damaged(place: Path, sound: Callable[[Path], bool]) -> None:
    """Removes a damaged folder, moved away first, so that nobody meets half of it."""
    aside = Path(tempfile.mkdtemp(prefix=".building-", dir=place.parent))
    try:
        os.rename(place, aside / "damaged")
        # Between the look and the move another process may have put a good one there.
        if sound(aside / "damaged"):
            os.rename(aside / "damaged", place)
    except OSError as problem:
        if problem.errno not in _IN_THE_WAY and not isinstance(problem, FileNotFoundError):
            raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _remove_abandoned(parent: Path) -> None:
    for each in parent.glob(".building-*"):
        try:
            newest = max(inner.stat().st_mtime for inner in (each, *each.iterdir()))
            if newest < time.time() - _ABANDONED_S:
                shutil.rmtree(each, ignore_errors=True)
        except OSError:
            continue  # it is being finished or removed by its owner
