"""The cache: where it lies, how folders come into it whole, and whether they still hold what was written."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from striate.errors import ResourceError
from striate.text.visible import visible
from striate.threads import in_order

VARIABLE = "STRIATE_CACHE"

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

TRIES = 100

# A folder cannot be renamed to the name of one that is there and not empty.
_IN_THE_WAY = frozenset(
    {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR, errno.EACCES if os.name == "nt" else 0}
)

_ABANDONED_S = 24 * 3600.0
"""A half-built folder untouched for so long was left by a process that was killed."""

BLOCK_BYTES, PIECE_BYTES = 2**24, 2**20
"""A thread reads a block, piece by piece."""


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
    root: Path, needed_bytes: int, free_bytes: int | None = None, what: str = "the prepared images take"
) -> ResourceError:
    """The error that the disk is too full for `needed_bytes` of prepared images, or of `what`."""
    there = "" if free_bytes is None else f" and {free_bytes:,} are free"
    return ResourceError(
        f"the disk is full: {what} {needed_bytes:,} bytes{there}",
        place=visible(str(root)),
        expected="room for them in the cache folder; nothing half-written was left there",
        cure=f"striate cache --clear, or {VARIABLE}=/a/folder/with/room, or a smaller size",
    )


def writing_failed(
    problem: OSError, root: Path, needed_bytes: int, what: str = "the prepared images take"
) -> ResourceError:
    """The error that the cache could not be written, whatever the reason."""
    if problem.errno in _FULL:
        return no_room(root, needed_bytes, what=what)
    return ResourceError(
        f"the cache folder cannot be written: {problem.strerror or problem}",
        place=visible(str(root)),
        expected=f"a folder that you may write, with room for {needed_bytes:,} bytes",
        cure=f"{VARIABLE}=/a/folder/of/yours",
    )


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


def seal_of(place: Path) -> dict[str, int | str]:
    """What tells whether a file, or a folder with all that is in it, is still the one that was written.

    `files` and `bytes` count it; `blake2b` is a hash of its names, lengths and content, block by block, by as
    many threads as there are cores: about a second for a gigabyte and core.
    Raises: OSError, also where something lies there that is neither file nor folder.
    """
    found = sorted(_files_in(place))
    whole = hashlib.blake2b(repr([(name, size) for name, _, size in found]).encode(), digest_size=32)
    blocks = [(path, start) for _, path, size in found for start in range(0, size, BLOCK_BYTES)]
    with closing(in_order(_hashed, blocks)) as hashes:
        for each in hashes:
            whole.update(each)
    return {
        "files": len(found),
        "bytes": sum(size for *_, size in found),
        "blake2b": whole.hexdigest(),
    }


def _files_in(place: Path) -> Iterator[tuple[bytes, str, int]]:
    if not place.is_dir():
        yield b"", os.fspath(place), os.stat(place).st_size
        return
    waiting = [(os.fspath(place), b"")]
    while waiting:
        here, above = waiting.pop()
        with os.scandir(here) as found:
            for each in found:
                name = above + os.fsencode(each.name)
                if each.is_dir(follow_symlinks=False):
                    waiting.append((each.path, name + b"/"))
                elif each.is_file(follow_symlinks=False):
                    yield name, each.path, each.stat(follow_symlinks=False).st_size
                else:
                    raise OSError(errno.EINVAL, "neither a file nor a folder", each.path)


def _hashed(block: tuple[str, int]) -> bytes:
    path, start = block
    digest = hashlib.blake2b(digest_size=32)
    left = BLOCK_BYTES
    with open(path, "rb", buffering=0) as file:
        file.seek(start)
        while left and (piece := file.read(min(left, PIECE_BYTES))):
            digest.update(piece)
            left -= len(piece)
    return digest.digest()
