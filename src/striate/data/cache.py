"""Where the prepared pictures are kept between runs, and what is said when they cannot be."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

from striate.data.finding import shown
from striate.errors import ResourceError

VARIABLE = "STRIATE_CACHE"

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def cache_root(given: Path | None) -> Path:
    """The folder of everything cached: `given`, else $STRIATE_CACHE, else where the system keeps caches.

    That is $XDG_CACHE_HOME/striate or ~/.cache/striate, ~/Library/Caches/striate on macOS, and
    %LOCALAPPDATA%\\striate on Windows.  It is not created here.
    """
    if given is not None:
        return given
    named = os.environ.get(VARIABLE)
    if named:
        return Path(os.path.expanduser(named))
    if sys.platform == "win32":
        home = os.environ.get("LOCALAPPDATA")
        return (Path(home) if home else Path.home() / "AppData" / "Local") / "striate"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "striate"
    xdg = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(xdg) if os.path.isabs(xdg) else Path.home() / ".cache") / "striate"


def no_room(
    root: Path, needed_bytes: int, free_bytes: int | None = None, what: str = "the prepared pictures take"
) -> ResourceError:
    """The error that the disk is too full for `needed_bytes` of prepared pictures, or of `what`."""
    there = "" if free_bytes is None else f" and {free_bytes:,} are free"
    return ResourceError(
        f"the disk is full: {what} {needed_bytes:,} bytes{there}",
        place=shown(str(root)),
        expected="room for them in the cache folder; nothing half-written was left there",
        cure=f"{VARIABLE}=/a/folder/with/room, or a smaller size, or delete old folders in store/ and archives/",
    )


def writing_failed(
    problem: OSError, root: Path, needed_bytes: int, what: str = "the prepared pictures take"
) -> ResourceError:
    """The error that the cache could not be written, whatever the reason."""
    if problem.errno in _FULL:
        return no_room(root, needed_bytes, what=what)
    return ResourceError(
        f"the cache folder cannot be written: {problem.strerror or problem}",
        place=shown(str(root)),
        expected=f"a folder that you may write, with room for {needed_bytes:,} bytes",
        cure=f"{VARIABLE}=/a/folder/of/yours",
    )
