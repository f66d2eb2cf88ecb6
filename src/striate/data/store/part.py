"""One split's images with all that is known of each, and picking some of them."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from striate.data.store.store import sync, write_values
from striate.disk.cache import seal_of, writing_failed

IN_MEMORY_BYTES = 2**30
"""Picked images up to this much are copied into memory; more are copied into a file and mapped."""

_AT_ONCE = 256


@dataclass(frozen=True, eq=False)
class Part:
    """The images (N, H, W, C) of one split, with N labels, names, groups and content hashes.

    store: the folder of the store that the images are mapped from, or None where they are in memory.
    offset: the place of the first image in that store.
    weights: how much the loss of each counts, N, or None where all count alike.
    """

    images: npt.NDArray[Any]
    labels: npt.NDArray[np.int64]
    names: tuple[str, ...]
    groups: tuple[str | None, ...]
    contents: tuple[str, ...]
    store: Path | None = None
    offset: int = 0
    weights: npt.NDArray[np.float32] | None = None

    def pick(self, positions: npt.NDArray[np.int64], root: Path) -> Part:
        """The part with only these images, in the order of `positions`.

        Without a gap its images are a view; else a copy in memory, or where that is large a mapped
        copy beside the store, made once.
        Raises: ResourceError where the disk is full.
        """
        return Part(
            self._picked(positions, root),
            self.labels[positions],
            tuple(self.names[each] for each in positions),
            tuple(self.groups[each] for each in positions),
            tuple(self.contents[each] for each in positions),
            weights=None if self.weights is None else self.weights[positions],
        )

    def _picked(self, positions: npt.NDArray[np.int64], root: Path) -> npt.NDArray[Any]:
        if len(positions) and (np.diff(positions) == 1).all():
            return self.images[positions[0] : positions[-1] + 1]
        needed_bytes = len(positions) * self.images[:1].nbytes
        if self.store is None or needed_bytes <= IN_MEMORY_BYTES:
            return np.asarray(self.images[positions])
        rows = (positions + self.offset).astype("<i8").tobytes()
        file = self.store / f"picked-{hashlib.sha256(rows).hexdigest()[:32]}"
        seal = file.with_suffix(".json")
        try:
            if not _is_sealed(file, seal, needed_bytes):
                self._write_picked(file, positions)
                seal.write_text(json.dumps(seal_of(file)))
        except OSError as problem:
            raise writing_failed(problem, root, needed_bytes) from None
        return np.memmap(file, self.images.dtype, "r", shape=(len(positions), *self.images.shape[1:]))

    def _write_picked(self, file: Path, positions: npt.NDArray[np.int64]) -> None:
        descriptor, temporary = tempfile.mkstemp(prefix=".picking-", dir=file.parent)
        try:
            with os.fdopen(descriptor, "wb") as out:
                for start in range(0, len(positions), _AT_ONCE):
                    write_values(out, self.images[positions[start : start + _AT_ONCE]])
                sync(out)
            os.replace(temporary, file)
        except BaseException:
            os.unlink(temporary)
            raise


def _is_sealed(file: Path, seal: Path, needed_bytes: int) -> bool:
    try:
        return file.stat().st_size == needed_bytes and json.loads(seal.read_bytes()) == seal_of(file)
    except (OSError, ValueError, RecursionError):
        return False


def content_hashes(images: npt.NDArray[Any]) -> tuple[str, ...]:
    """The SHA-256 of each image's values, for images that have no files."""
    return tuple(hashlib.sha256(each.data).hexdigest() for each in np.ascontiguousarray(images))


def split_hash(names: Sequence[str], labels: npt.NDArray[np.int64], contents: Sequence[str]) -> str:
    """The SHA-256 over the lines `name, label, content hash` of a split, each field closed by a zero byte."""
    digest = hashlib.sha256()
    for name, label, content in zip(names, labels, contents, strict=True):
        digest.update(f"{name}\0{label}\0{content}\0".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
