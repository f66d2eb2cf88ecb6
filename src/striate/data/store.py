"""The prepared pictures of a data set in one memory-mapped file, keyed by what they were made of.

    CACHE/store/KEY/pictures    the raw values, picture after picture, (count, H, W, C)
    CACHE/store/KEY/index.json  the shape, and which of the files could not be decoded

KEY is a hash of the files' content hashes in order and of how they were prepared, so neither names,
labels, places nor times matter, and a changed picture makes another store.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import PIL

from striate.data.cache import no_room, writing_failed
from striate.data.ledger import stamp_of
from striate.data.picture import prepare_picture
from striate.data.quiet import quiet_pillow
from striate.data.survey import Seen
from striate.data.threads import in_order
from striate.data.trouble import Unreadable
from striate.errors import DataError

_FORMAT = 1

_TRIES = 100

# A folder cannot be renamed to the name of one that is there and not empty.
_IN_THE_WAY = frozenset(
    {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR, errno.EACCES if os.name == "nt" else 0}
)

_ABANDONED_S = 24 * 3600.0
"""A half-built store untouched for so long was left by a process that was killed."""


@dataclass(frozen=True, slots=True)
class Preparation:
    """How pictures are made ready: stored height and width, channels, and the kind of number."""

    stored_size: tuple[int, int]
    channels: int
    dtype: str

    @property
    def picture_bytes(self) -> int:
        """What one prepared picture takes."""
        return self.stored_size[0] * self.stored_size[1] * self.channels * np.dtype(self.dtype).itemsize


@dataclass(frozen=True, eq=False)
class Store:
    """Prepared pictures.

    pictures: (kept, H, W, C), read-only.
    failed: (position among the files, code, reason, cure) of each that could not be decoded.
    """

    folder: Path
    pictures: npt.NDArray[Any]
    failed: tuple[tuple[int, str, str, str], ...]


def store_key(contents: Sequence[str], preparation: Preparation) -> str:
    """The name of the store for files with these content hashes, in this order."""
    told = {
        "format": _FORMAT,
        "pillow": PIL.__version__,
        "size": preparation.stored_size,
        "channels": preparation.channels,
        "dtype": preparation.dtype,
    }
    digest = hashlib.sha256(json.dumps(told).encode())
    digest.update("".join(contents).encode())
    return digest.hexdigest()[:32]


def open_store(folder: Path, files: int, preparation: Preparation) -> Store | None:
    """The store in `folder`, or None where there is none, or one that is damaged or cut off."""
    try:
        index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
        failed = tuple((int(each[0]), str(each[1]), str(each[2]), str(each[3])) for each in index["failed"])
        count = files - len(failed)
        pictures = folder / "pictures"
        if (
            index["format"] != _FORMAT
            or index["count"] != count
            or pictures.stat().st_size != count * preparation.picture_bytes
        ):
            return None
        shape = (count, *preparation.stored_size, preparation.channels)
        if not count:
            return Store(folder, np.empty(shape, preparation.dtype), failed)
        return Store(folder, np.memmap(pictures, preparation.dtype, "r", shape=shape), failed)
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None


def build_store(
    root: Path,
    key: str,
    seen: Sequence[Seen],
    preparation: Preparation,
    max_pixels: int,
    step: Callable[[int], None],
) -> Store:
    """Decodes every picture once and keeps them under `root`.

    The store is written beside its place, synced to the disk and renamed: whoever looks sees all of it
    or nothing, and of two processes that build it at once either may win.
    step: called with the number of pictures that are done, after each.
    Raises: ResourceError where the cache cannot be written or the disk is full; DataError where a file
    changes meanwhile; MissingExtra.  After any exception, Ctrl-C too, nothing half-built is left.
    """
    needed_bytes = len(seen) * preparation.picture_bytes
    stores = root / "store"
    temporary: Path | None = None
    try:
        stores.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(stores)
        free_bytes = shutil.disk_usage(stores).free
        if free_bytes < needed_bytes:
            raise no_room(root, needed_bytes, free_bytes)
        temporary = Path(tempfile.mkdtemp(prefix=".building-", dir=stores))
        _write(temporary, seen, preparation, max_pixels, step)
        _publish(temporary, stores / key, len(seen), preparation)
    except OSError as problem:
        raise writing_failed(problem, root, needed_bytes) from None
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
    for _ in range(_TRIES):
        store = open_store(stores / key, len(seen), preparation)
        if store is not None:
            return store
        time.sleep(0.05)  # another process is just replacing a damaged one
    raise DataError(
        "the prepared pictures vanished as soon as they were written", place=str(root), cure="run it again"
    )


def _write(
    folder: Path, seen: Sequence[Seen], preparation: Preparation, max_pixels: int, step: Callable[[int], None]
) -> None:
    def prepare(each: Seen) -> npt.NDArray[Any] | Unreadable:
        try:
            picture = prepare_picture(
                each.entry.path,
                stored_size=preparation.stored_size,
                channels=preparation.channels,
                dtype=preparation.dtype,
                max_pixels=max_pixels,
            )
        except Unreadable as problem:
            refuse_changed(each)
            return problem
        refuse_changed(each)
        return picture

    failed: list[tuple[int, str, str, str]] = []
    # One thread writes, in order: a full disk is met by a plain write, where a page of a
    # memory map would kill the process.
    with open(folder / "pictures", "wb") as file:
        with quiet_pillow(), closing(in_order(prepare, seen)) as prepared:
            for position, picture in enumerate(prepared):
                if isinstance(picture, Unreadable):
                    failed.append((position, picture.code, picture.problem, picture.cure))
                else:
                    write_values(file, picture)
                step(position + 1)
        sync(file)
    index = {"format": _FORMAT, "count": len(seen) - len(failed), "failed": failed}
    with open(folder / "index.json", "w", encoding="utf-8") as text:
        json.dump(index, text)
        sync(text)


def write_values(file: Any, values: npt.NDArray[Any]) -> None:
    """Appends the values to an open file.  Raises: OSError where the disk is full."""
    file.write(np.ascontiguousarray(values).data)


def sync(file: Any) -> None:
    """Waits until what was written is on the disk.  Raises: OSError where it is full after all."""
    file.flush()
    os.fsync(file.fileno())


def refuse_changed(seen: Seen) -> None:
    """Raises: DataError where the file is no longer the one whose content hash is known."""
    try:
        same = stamp_of(os.stat(seen.entry.path)) == seen.stamp
    except OSError:
        same = False
    if not same:
        raise DataError(
            "the file changed while it was read",
            place=seen.entry.name,
            expected="pictures that stay as they are for a moment",
            cure="run it again once they are complete",
        )


def _publish(temporary: Path, place: Path, files: int, preparation: Preparation) -> None:
    """Gives the finished store its name; where another process was first, its store stays."""
    for _ in range(_TRIES):
        try:
            os.rename(temporary, place)
        except OSError as problem:
            if problem.errno not in _IN_THE_WAY:
                raise
            if open_store(place, files, preparation) is not None:
                return
            _remove_damaged(place, files, preparation)
        else:
            if hasattr(os, "O_DIRECTORY"):
                descriptor = os.open(place.parent, os.O_RDONLY | os.O_DIRECTORY)
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)
            return


def _remove_damaged(place: Path, files: int, preparation: Preparation) -> None:
    """Removes a damaged store, moved away first, so that nobody meets half of it."""
    aside = Path(tempfile.mkdtemp(prefix=".building-", dir=place.parent))
    try:
        os.rename(place, aside / "damaged")
        # Between the look and the move another process may have put a good one there.
        if open_store(aside / "damaged", files, preparation) is not None:
            os.rename(aside / "damaged", place)
    except OSError as problem:
        if problem.errno not in _IN_THE_WAY and not isinstance(problem, FileNotFoundError):
            raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _remove_abandoned(stores: Path) -> None:
    for each in stores.glob(".building-*"):
        try:
            newest = max(inner.stat().st_mtime for inner in (each, *each.iterdir()))
            if newest < time.time() - _ABANDONED_S:
                shutil.rmtree(each, ignore_errors=True)
        except OSError:
            continue  # it is being finished or removed by its owner
