"""What this process does with memory that was freed, and the most that it ever had."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from pathlib import Path

# Names of glibc's malloc.h, and its own values.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -3, -4
_MMAP_MAX, _LARGE_BYTES = 65_536, 128 * 1024

_STATUS, _CLEAR, _MAPS = (Path("/proc/self") / name for name in ("status", "clear_refs", "smaps"))

# Whether this program rules its process, as a command does and a library does not.
_ruled = False


def keep_freed_memory() -> None:
    """Freed memory stays with the process: the quick way, at half as much memory again.

    glibc would give every large block back after each step and fault it in again, 4 KiB at a time, in the
    next one.  What it keeps lies in pieces between what lives.  Whoever calls this rules the process.
    """
    global _ruled
    _ruled = True
    _set((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, -1))


def return_freed_memory() -> None:
    """Large blocks go back to the system as soon as they are freed, so that the process has what lives.

    Nothing happens where nobody called `keep_freed_memory`.
    """
    if _ruled:
        _set((_M_MMAP_THRESHOLD, _LARGE_BYTES), (_M_MMAP_MAX, _MMAP_MAX), (_M_TRIM_THRESHOLD, _LARGE_BYTES))
        trim()


def keep_freed_again() -> None:
    """As `keep_freed_memory`, behind `return_freed_memory`; nothing happens where nobody called `keep_freed_memory`."""
    if _ruled:
        keep_freed_memory()


def trim() -> None:
    """Give back what is free now."""
    libc = _libc()
    if libc is not None and hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)


def resident_bytes() -> int | None:
    """Bytes of this process in memory, libraries too; None where the system does not tell.

    Files of data that are mapped, as stored images are, give way to others and do not count.
    """
    whole = _field("VmRSS")
    return None if whole is None else whole - _mapped_bytes()


def own_bytes() -> int | None:
    """Bytes in memory that are of no file; None where the system does not tell."""
    return _field("RssAnon")


def peak_bytes() -> int | None:
    """The most since `forget_peak`, files not counted; None where the system does not tell."""
    most, files = _field("VmHWM"), _field("RssFile")
    return None if most is None or files is None else most - files


def forget_peak() -> bool:
    """Measure the peak from here on; whether the system can."""
    try:
        _CLEAR.write_text("5")
    except OSError:
        return False
    return True


def _mapped_bytes() -> int:
    """Of data files in memory: all that is mapped, has a name, and is no library or program."""
    total, counts = 0, False
    try:
        for line in _MAPS.read_text(errors="replace").splitlines():
            name = line.split(maxsplit=5)
            if len(name) >= 5 and "-" in name[0]:
                counts = (
                    len(name) == 6 and name[5].startswith("/") and ".so" not in name[5] and "x" not in name[1]
                )
            elif counts and name[0] == "Rss:":
                total += int(name[1]) * 1024
    except (OSError, ValueError):
        return 0
    return total


def _field(name: str) -> int | None:
    try:
        for line in _STATUS.read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, LookupError):
        pass
    return None


def _libc() -> ctypes.CDLL | None:
    if sys.platform != "linux":
        return None
    try:
        return ctypes.CDLL(None)
    except OSError:
        return None


def _set(*options: tuple[int, int]) -> None:
    mallopt: Callable[[int, int], int] | None = getattr(_libc(), "mallopt", None)
    # Another C library, musl for instance, has no such call.
    if mallopt is not None:
        for option, value in options:
            mallopt(option, value)
