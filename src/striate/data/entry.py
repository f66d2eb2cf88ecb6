"""One picture of a data set before it is decoded, and the list of all of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from striate.data.finding import Finding

SPLITS = ("train", "val", "test")

SPLIT_NAMES = {
    "train": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}
"""What people call the splits (in any case of letters), and what they are called here."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file that should be a picture of one class.

    name: how it is shown, relative to the source.
    label: the index of its class in the listing's classes.
    split: "train", "val" or "test", or None where the source does not say.
    group: what it must not be separated from (a patient, a scene), or None.
    path: where it lies.
    """

    name: str
    label: int
    split: str | None
    group: str | None
    path: Path


@dataclass(frozen=True, eq=False)
class ArraySplit:
    """One split of a source that holds arrays.

    pictures: (N, H, W, C), uint8 or float32, C-contiguous.
    labels: (N,) int64, indices into the listing's classes.
    """

    split: str
    pictures: npt.NDArray[Any]
    labels: npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Listing:
    """What a source holds, before a picture is decoded.

    source: as the user named it; name: its last part; kind: "folder", "split-folder", "manifest",
    "idx", "cifar", "npz" or "built-in".
    unpacked: whether it is an archive, so that the files lie in the cache.
    Either `entries` (files) or `arrays` (already in memory) is filled.
    """

    source: str
    name: str
    kind: str
    classes: tuple[str, ...]
    entries: tuple[Entry, ...] = ()
    arrays: tuple[ArraySplit, ...] = ()
    findings: tuple[Finding, ...] = ()
    unpacked: bool = False
