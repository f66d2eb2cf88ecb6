"""What lies in the cache: how large, how long unused, who uses it, and making room for more.

    CACHE/store      prepared images, a folder for each data set and size
    CACHE/archives   unpacked archives, a folder for each
    CACHE/ledger     what was seen of each file of a source, so that it need not be read again
    CACHE/machine    what was measured on this machine
    CACHE/explained  what a network made of training images, for `striate explain`

An entry is a folder or file in one of them.  A process that uses a folder holds a lock on a file of its own
in it until it ends, however it ends; what is held is never removed.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from striate.errors import StriateError
from striate.text.visible import visible

LIMIT = "STRIATE_CACHE_LIMIT"

LEAST_LIMIT_BYTES, DISK_SHARE = 20 * 10**9, 0.1
"""The bound where none is said: a share of the disk, and on small disks so much."""

KINDS = {
    "store": "prepared images",
    "archives": "unpacked archives",
    "downloads": "weights from the web",
    "ledger": "what was seen of files",
    "machine": "measurements of this machine",
    "explained": "what networks made of training images",
}
"""The kinds of entries and what they are.  Downloads lie in a folder of their own; see `inventory`."""

_BOUNDED = ("store", "archives", "ledger", "explained")
"""What the bound counts, and what makes room: it is made again by itself.  Downloads would need the network."""

_MARK = f".used-{os.getpid()}-{secrets.token_hex(4)}"
_STALE_S = 24 * 3600.0

_held: dict[Path, FileLock] = {}


@dataclass(frozen=True, slots=True)
class Cached:
    """One entry.

    about: what it is, as far as it says so.  used: when it was used last, in seconds since 1970.
    in_use: whether a running process, this one too, uses it.
    """

    kind: str
    path: Path
    about: str
    size_bytes: int
    used: float
    in_use: bool


def hold(entry: Path) -> None:
    """Notes that a folder of the cache is used now, and by this process until it ends.

    To be called before the look whether it is there and whole: what is removed between is then missed by that
    look.  Where files cannot be locked, nothing is noted.
    """
    lock = entry / _MARK
    with suppress(OSError, NotImplementedError, Timeout):
        if not entry.is_dir():
            return
        if entry not in _held or not lock.exists():
            held = FileLock(lock, thread_local=False)
            held.acquire(blocking=False)
            _held[entry] = held
        os.utime(entry)


def let_go(entry: Path) -> None:
    """Ends what `hold` began, as for a folder that turns out damaged; some systems move none with open files."""
    held = _held.pop(entry, None)
    if held is not None:
        held.release()
        with suppress(OSError):
            (entry / _MARK).unlink(missing_ok=True)


def inventory(root: Path, downloads: Path | None = None) -> list[Cached]:
    """All entries of the cache under `root`, kind by kind, the largest first.

    downloads: the folder that files of the web are kept in, which lies elsewhere.
    """
    found: list[Cached] = []
    for kind in KINDS:
        folder = downloads if kind == "downloads" else root / kind
        if folder is not None and folder.is_dir():
            # What begins with a dot is being made.
            there = (each for each in folder.iterdir() if each.name[0] != "." and each.suffix != ".lock")
            mine = (_entry(kind, each) for each in there)
            found += sorted((each for each in mine if each), key=lambda each: -each.size_bytes)
    return found


def remove(entries: Iterable[Cached]) -> list[Cached]:
    """Removes what no process uses, and says which entries are gone."""
    return [each for each in entries if _remove(each.path)]


def limit_bytes(root: Path) -> int | None:
    """How much the cache may take: what $STRIATE_CACHE_LIMIT says, or a share of its disk; None for no bound.

    Raises: StriateError where the variable says nothing that can be read.
    """
    said = os.environ.get(LIMIT, "").strip()
    if said.lower() == "none":
        return None
    if said:
        found = bytes_said(said)
        if found is None:
            raise StriateError(
                f"`{visible(said)}` is not a size",
                place=LIMIT,
                expected="a size as 20G or 500M, 0 to keep only what is in use, or none for no bound",
                cure=f"{LIMIT}=20G",
            )
        return found
    there = next(each for each in (root, *root.absolute().parents) if each.exists())
    return max(LEAST_LIMIT_BYTES, round(DISK_SHARE * shutil.disk_usage(there).total))


def make_room(root: Path, needed_bytes: int = 0) -> list[Cached]:
    """Removes what was not used for longest until `needed_bytes` more are within the bound; says what is gone.

    What a process uses stays, though it be more than the bound.  Raises: StriateError, see `limit_bytes`.
    """
    limit = limit_bytes(root)
    if limit is None:
        return []
    entries = [each for each in inventory(root) if each.kind in _BOUNDED]
    total = sum(each.size_bytes for each in entries) + needed_bytes
    gone: list[Cached] = []
    for each in sorted(entries, key=lambda each: each.used):
        if total <= limit:
            break
        if remove([each]):
            total -= each.size_bytes
            gone.append(each)
    return gone


def bytes_said(text: str) -> int | None:
    """`2G`, `1.5GB`, `512M` or `1000` in bytes, in powers of 1000; None for anything else."""
    match = re.fullmatch(r"(\d{1,18}(?:\.\d{1,9})?) ?([kKmMgGtT]?)[bB]?", text.strip())
    if match is None:
        return None
    factor: int = 1000 ** " kmgt".index(match[2].lower() or " ")
    return round(float(match[1]) * factor)


def _entry(kind: str, path: Path) -> Cached | None:
    about = ""
    try:
        used = path.stat().st_mtime
        size_bytes = 0
        if path.is_dir():
            inside = list(path.iterdir())
            with suppress(OSError, ValueError, TypeError, LookupError, RecursionError):
                index = json.loads((path / "index.json").read_bytes())
                about = visible(str(index["about"]))
                if kind == "archives":  # of how many files it may be is not looked up again
                    size_bytes = int(index["seal"]["bytes"])
                    inside.remove(path / "files")
            size_bytes += sum(map(_size, inside))
        else:
            size_bytes = path.stat().st_size
            about = (
                ""
                if kind in ("ledger", "explained")
                else visible(path.stem if kind == "machine" else path.name)
            )
    except OSError:
        return None  # it was just removed, or is about to be finished
    return Cached(kind, path, about, size_bytes, used, in_use(path))


def _size(path: Path) -> int:
    """What lies there, links not followed."""
    if path.is_symlink() or not path.is_dir():
        return path.lstat().st_size
    return sum(each.lstat().st_size for each in path.rglob("*"))


def in_use(entry: Path) -> bool:
    """Whether a process holds it, or fetches it.  What killed processes left of their holding goes after a day."""
    if entry.is_dir():
        marks = list(entry.glob(".used-*"))
    else:  # beside a download lies its lock, named as it is, and what has come of it, named so and more
        marks = [each for each in entry.parent.glob("*.lock") if entry.name.startswith(each.stem)]
    for mark in marks:
        lock = FileLock(mark, thread_local=False)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            return True
        except (OSError, NotImplementedError):
            continue
        with suppress(OSError):
            if mark.suffix != ".lock" and mark.stat().st_mtime < time.time() - _STALE_S:
                mark.unlink()
        lock.release()
    return False


def _remove(path: Path) -> bool:
    if in_use(path):
        return False
    aside = None
    try:
        if not path.is_dir():
            path.unlink()
            return True
        # Moved away first, so that nobody meets half of it.
        aside = Path(tempfile.mkdtemp(prefix=".building-", dir=path.parent))
        os.rename(path, aside / path.name)
        if in_use(aside / path.name):  # since the look
            os.rename(aside / path.name, path)
            return False
        return True
    except OSError:
        return False
    finally:
        if aside is not None:
            shutil.rmtree(aside, ignore_errors=True)
