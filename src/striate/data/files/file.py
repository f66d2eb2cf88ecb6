"""Opening what should be an image's file, and looking at no more than its first bytes."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from striate.data.files.finding import Unreadable
from striate.data.files.magic import HEAD_BYTES, ends_early, recognize

Source = Path | bytes


@contextmanager
def opened(source: Source) -> Iterator[tuple[IO[bytes], str, int]]:
    """The open file, its kind, and its length; the file is closed afterwards.

    Raises: Unreadable where it is no file that may be read, or none of the kinds that are.
    """
    if isinstance(source, bytes):
        file: IO[bytes] = io.BytesIO(source)
        content_bytes = len(source)
    else:
        file, content_bytes = open_regular(source)
    with file:
        if content_bytes == 0:
            raise Unreadable("empty-file", "the file is empty")
        try:
            head = file.read(HEAD_BYTES)
            file.seek(0)
        except OSError as problem:
            said = f"it cannot be read: {problem.strerror or problem}"
            raise Unreadable("unreadable", said, passing=True) from None
        sort, kind = recognize(head)
        if sort == "other":
            raise Unreadable("not-a-image", f"it is {kind}", "move it out of the class folders")
        if sort == "refused":
            raise Unreadable(
                "unsupported-format",
                f"it is {kind}, which is not opened",
                "save it as PNG or JPEG",
            )
        if ends_early(kind, head, content_bytes):
            raise Unreadable("truncated", "it ends too early")
        yield file, kind, content_bytes


def open_regular(path: Path) -> tuple[io.BufferedReader, int]:
    """The open file and its length; who asked closes it.  Raises: Unreadable where it is no ordinary file."""
    try:
        looked = os.stat(path)
        if not stat.S_ISREG(looked.st_mode):
            raise Unreadable("special-file", "it is no ordinary file", "remove it")
        file = open(path, "rb", opener=_without_waiting)  # noqa: SIM115 - who asked closes it
    except OSError as problem:
        raise opening_failed(path, problem) from None
    except ValueError:
        raise Unreadable("missing-file", "there cannot be a file of this name", "mend its path") from None
    looked = os.fstat(file.fileno())
    if not stat.S_ISREG(looked.st_mode):  # exchanged between the look and the opening
        file.close()
        raise Unreadable("special-file", "it is no ordinary file", "remove it")
    return file, looked.st_size


def _without_waiting(path: str, flags: int) -> int:
    # A pipe put in the place of an image after the look would block its reader for ever.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def opening_failed(path: Path, problem: OSError) -> Unreadable:
    """Why the file at `path` cannot be opened."""
    if isinstance(problem, FileNotFoundError):
        link = path.is_symlink()
        return Unreadable(
            "missing-file", "a link that leads nowhere" if link else "there is no such file", "mend its path"
        )
    if problem.errno == errno.ELOOP:
        return Unreadable("missing-file", "a link that leads in a circle", "remove the link")
    if isinstance(problem, PermissionError):
        return Unreadable("no-permission", "no permission to read it", "give yourself the permission")
    return Unreadable("unreadable", f"it cannot be opened: {problem.strerror or problem}", passing=True)


def read_whole(path: Path, most_bytes: int) -> bytes | None:
    """All bytes of a file, or None where it is longer than `most_bytes`.

    Raises: Unreadable where it is no file that may be read.
    """
    file, content_bytes = open_regular(path)
    with file:
        if content_bytes > most_bytes:
            return None
        try:
            return file.read(most_bytes + 1)[:most_bytes]
        except OSError as problem:
            raise opening_failed(path, problem) from None


def content_hash(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal.

    Raises: Unreadable.
    """
    file, _ = open_regular(path)
    with file:
        try:
            return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as problem:
            raise opening_failed(path, problem) from None
