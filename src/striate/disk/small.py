"""Small files that people or striate wrote: read whole, within bounds, whatever their name turns out to be."""

from __future__ import annotations

import errno
import os
import stat
import tomllib
from pathlib import Path
from typing import Any

from striate.errors import StriateError, nearest

# Networks and recipes are written by hand.
MOST_TEXT_BYTES = 1_000_000
# tomllib takes memory with the square of the parts of a dotted key, and a key ends with its line.
MOST_TOML_BYTES, MOST_LINE = 100_000, 4_000


def read_small(path: Path, most_bytes: int) -> bytes:
    """The content of a regular file of at most `most_bytes`.

    Raises OSError with its reason in `strerror`, also for a folder, a pipe or device, which could hang or
    never end, and for a file that is too large.
    """
    # A pipe without a writer would wait to be opened.
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    kind = os.fstat(handle).st_mode
    if not stat.S_ISREG(kind):
        os.close(handle)
        reason = "it is a folder" if stat.S_ISDIR(kind) else "it is a pipe or a device"
        raise OSError(errno.EINVAL, reason, str(path))
    with open(handle, "rb") as file:
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise OSError(errno.EFBIG, f"it has more than {most_bytes:,} bytes", str(path))
    return content


def read_small_text(
    path: Path, error: type[StriateError], expected: str, *, most_bytes: int = MOST_TEXT_BYTES
) -> str:
    """The text of a small UTF-8 file.  expected: what it should be, as `the text of a network`.

    Raises `error`, with the nearest name in its folder where there is no such file.
    """
    try:
        return read_small(path, most_bytes).decode("utf-8-sig")
    except FileNotFoundError:
        folder = path.parent if path.parent.is_dir() else None
        names = [each.name for each in folder.glob(f"*{path.suffix}")] if folder else []
        near = nearest(path.name, names)
        cure = str(path.with_name(near)) if near else ""
        raise error("there is no such file", place=str(path), cure=cure) from None
    except UnicodeDecodeError:
        problem = "this is not UTF-8 text"
    except (OSError, ValueError) as failure:
        # ValueError: a path with a null byte.
        problem = f"it cannot be read: {getattr(failure, 'strerror', None) or failure}"
    raise error(problem, place=str(path), expected=expected)


def parse_toml(text: str) -> dict[str, Any]:
    """The values of a small TOML text.  Raises ValueError for whatever cannot be one, or is no small one."""
    if len(text) > MOST_TOML_BYTES:
        raise ValueError(f"it has more than {MOST_TOML_BYTES:,} characters")
    for number, line in enumerate(text.splitlines(), 1):
        if len(line) > MOST_LINE:
            raise ValueError(f"line {number} has more than {MOST_LINE:,} characters")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        raise
    except RecursionError:
        raise ValueError("its brackets are nested too deep") from None
    except ValueError:
        raise ValueError("a number has too many digits") from None
