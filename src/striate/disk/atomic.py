"""Files that are either there whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import re
from pathlib import Path

from striate.errors import ResourceError

# .NAME.PROCESS.tmp: what `write_atomic` writes before it renames.
_TEMPORARY = re.compile(r"\..+\.\d+\.tmp")


def write_atomic(path: Path, content: bytes) -> None:
    """Write a file so that a crash at any point leaves the old one or the new one, never a part.

    The content goes to a temporary name, is synced, renamed, and the folder synced.  Raises ResourceError
    where the disk is full or the folder cannot be written; the old file then still stands.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync_folder(path.parent)
    except OSError as error:
        raise cannot_write(path, error, len(content)) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Remove what killed processes left half-written in a folder that nobody else writes in now."""
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            if _TEMPORARY.fullmatch(path.name):
                path.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Make renames inside a folder survive a loss of power; does nothing where folders cannot be synced.

    Windows and some network drives cannot, and what was renamed is in its place all the same.
    """
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def cannot_write(path: Path, error: OSError, size_bytes: int) -> ResourceError:
    """The error of a write that failed, with its cause in words and a cure."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return ResourceError(
            f"the disk is full: {size_bytes:,} bytes could not be written",
            place=str(path),
            expected="room for the run folder",
            cure="free some space, or --out on another disk; what was written before is still good",
        )
    return ResourceError(
        f"cannot be written: {error.strerror or error}",
        place=str(path),
        expected="a folder that may be written to",
        cure="another place, or the permission to write there",
    )
