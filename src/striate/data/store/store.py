"""The prepared images of a data set in one memory-mapped file, keyed by what they were made of.

    CACHE/store/KEY/images    the raw values, image after image, (count, H, W, C)
    CACHE/store/KEY/index.json  how many, its seal (`seal_of`), and which of the files could not be decoded

KEY is a hash of the files' content hashes in order and of how they were prepared, so neither names,
labels, places nor times matter, and a changed image makes another store.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import PIL

from striate.data.decode.decode import quiet_pillow
from striate.data.decode.image import prepare_image
from striate.data.decode.size import Fit
from striate.data.files.finding import Unreadable
from striate.data.store.ledger import stamp_of
from striate.data.store.survey import Seen
from striate.disk.cache import TRIES, building, no_room, publish, seal_of, writing_failed
from striate.disk.cached import hold, let_go, make_room
from striate.errors import DataError
from striate.threads import in_order

_FORMAT = 3


@dataclass(frozen=True, slots=True)
class Normalization:
    """How images are made ready: stored height and width, channels, the kind of number, and how they fit in."""

    stored_size: tuple[int, int]
    channels: int
    dtype: str
    fit: Fit = "crop"

    @property
    def image_bytes(self) -> int:
        """What one prepared image takes."""
        return self.stored_size[0] * self.stored_size[1] * self.channels * np.dtype(self.dtype).itemsize


@dataclass(frozen=True, eq=False)
class Store:
    """Prepared images.

    images: (kept, H, W, C), read-only.
    failed: (position among the files, code, reason, cure) of each that could not be decoded.
    """

    folder: Path
    images: npt.NDArray[Any]
    failed: tuple[tuple[int, str, str, str], ...]


def store_key(contents: Sequence[str], preparation: Normalization) -> str:
    """The name of the store for files with these content hashes, in this order."""
    told = {
        "format": _FORMAT,
        "pillow": PIL.__version__,
        "size": preparation.stored_size,
        "channels": preparation.channels,
        "dtype": preparation.dtype,
        "fit": preparation.fit,
    }
    digest = hashlib.sha256(json.dumps(told).encode())
    digest.update("".join(contents).encode())
    return digest.hexdigest()[:32]


def open_store(folder: Path, files: int, preparation: Normalization) -> Store | None:
    """The store in `folder`, or None where there is none, or one that is no longer what was written."""
    hold(folder)
    store = _read_store(folder, files, preparation)
    if store is None:
        let_go(folder)
    return store


def _read_store(folder: Path, files: int, preparation: Normalization) -> Store | None:
    try:
        index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
        failed = tuple((int(each[0]), str(each[1]), str(each[2]), str(each[3])) for each in index["failed"])
        count = files - len(failed)
        images = folder / "images"
        if (
            index["format"] != _FORMAT
            or index["count"] != count
            or images.stat().st_size != count * preparation.image_bytes
            or index["seal"] != seal_of(images)
        ):
            return None
        shape = (count, *preparation.stored_size, preparation.channels)
        if not count:
            return Store(folder, np.empty(shape, preparation.dtype), failed)
        return Store(folder, np.memmap(images, preparation.dtype, "r", shape=shape), failed)
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None


def build_store(
    root: Path,
    key: str,
    seen: Sequence[Seen],
    preparation: Normalization,
    max_pixels: int,
    step: Callable[[int], None],
) -> Store:
    """Decodes every image once and keeps them under `root`.

    The store is written beside its place, synced to the disk and renamed: whoever looks sees all of it
    or nothing, and of two processes that build it at once either may win.
    step: called with the number of images that are done, after each.
    Raises: ResourceError where the cache cannot be written or the disk is full; DataError where a file
    changes meanwhile; MissingExtra.  After any exception, Ctrl-C too, nothing half-built is left.
    """
    needed_bytes = len(seen) * preparation.image_bytes
    stores = root / "store"

    def sound(folder: Path) -> bool:
        return open_store(folder, len(seen), preparation) is not None

    make_room(root, needed_bytes)
    try:
        with building(stores) as temporary:
            free_bytes = shutil.disk_usage(stores).free
            if free_bytes < needed_bytes:
                raise no_room(root, needed_bytes, free_bytes)
            _write(temporary, seen, preparation, max_pixels, step)
            publish(temporary, stores / key, sound)
    except OSError as problem:
        raise writing_failed(problem, root, needed_bytes) from None
    for _ in range(TRIES):
        store = open_store(stores / key, len(seen), preparation)
        if store is not None:
            return store
        time.sleep(0.05)  # another process is just replacing a damaged one
    raise DataError(
        "the prepared images vanished as soon as they were written", place=str(root), cure="run it again"
    )


def _write(
    folder: Path,
    seen: Sequence[Seen],
    preparation: Normalization,
    max_pixels: int,
    step: Callable[[int], None],
) -> None:
    def prepare(each: Seen) -> npt.NDArray[Any] | Unreadable:
        try:
            image = prepare_image(
                each.entry.path,
                stored_size=preparation.stored_size,
                channels=preparation.channels,
                dtype=preparation.dtype,
                max_pixels=max_pixels,
                fit=preparation.fit,
            )
        except Unreadable as problem:
            refuse_changed(each)
            if problem.passing:
                # The store would say so for ever.
                raise DataError(
                    problem.problem,
                    place=each.entry.name,
                    expected="a file that can be read again, as it could a moment ago",
                    cure="run it again; if that does not help, remove the file",
                ) from None
            return problem
        refuse_changed(each)
        return image

    failed: list[tuple[int, str, str, str]] = []
    # One thread writes, in order: a full disk is met by a plain write, where a page of a
    # memory map would kill the process.
    with open(folder / "images", "wb") as file:
        with quiet_pillow(), closing(in_order(prepare, seen)) as prepared:
            for position, image in enumerate(prepared):
                if isinstance(image, Unreadable):
                    failed.append((position, image.code, image.problem, image.cure))
                else:
                    write_values(file, image)
                step(position + 1)
        sync(file)
    count, (height, width) = len(seen) - len(failed), preparation.stored_size
    index = {
        "format": _FORMAT,
        "about": f"{count:,} images of {preparation.channels}x{height}x{width}, {preparation.dtype}",
        "count": count,
        "failed": failed,
        "seal": seal_of(folder / "images"),
    }
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
            expected="images that stay as they are for a moment",
            cure="run it again once they are complete",
        )
