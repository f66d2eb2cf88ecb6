"""One image of a data set before it is decoded, and the list of all of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from striate.data.files.finding import Finding

SPLITS = ("train", "val", "test")

# What surrounds the word in a name: `train_images`, `Dataset-Test`, `val2017`, `trainset`.
_FILLER = "(?:data|set|image|img|image|photo|split|sample|folder|s)*"
_SPLIT_WORDS = {
    "train": "train|training|trn",
    "val": "val|valid|validation|validate|validating|vld|dev|development",
    "test": "test|testing|tests|tst|eval|evaluation|holdout",
}

IDX_NAME = re.compile(r"(train|val|t10k|test)-(images|labels)[-.]idx(\d)-ubyte(\.gz)?")


@lru_cache(1024)
def split_of(name: str) -> str | None:
    """The split that people mean by a name, in any case of letters, or None where it is no split's.

    name: as `valid`, `Training`, `test_set`, `train_images`, `val2017`.
    """
    letters = re.sub(r"[\W\d_]+", "", name.casefold())
    return next(
        (
            split
            for split, words in _SPLIT_WORDS.items()
            if re.fullmatch(f"{_FILLER}(?:{words}){_FILLER}", letters)
        ),
        None,
    )


@dataclass(frozen=True, slots=True)
class Entry:
    """A file that should be an image of one class.

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

    images: (N, H, W, C), uint8 or float32, C-contiguous.
    labels: (N,) int64, indices into the listing's classes.
    numbers: (N,) int64, at which place of the source each image stands; None where none is left out.
    weights: (N,) float32, how much the loss of each image counts; None where all count alike.
    """

    split: str
    images: npt.NDArray[Any]
    labels: npt.NDArray[np.int64]
    numbers: npt.NDArray[np.int64] | None = None
    weights: npt.NDArray[np.float32] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The split and the number of each image, as train/00017."""
        numbers = range(len(self.labels)) if self.numbers is None else self.numbers.tolist()
        return array_names(self.split, numbers)


def array_names(split: str, numbers: Sequence[int]) -> tuple[str, ...]:
    """How images of arrays are called, by their places: as many digits as the last one has."""
    digits = len(str(numbers[-1])) if numbers else 1
    return tuple(f"{split}/{number:0{digits}d}" for number in numbers)


@dataclass(frozen=True, eq=False)
class Listing:
    """What a source holds, before an image is decoded.

    source: as the user named it; name: its last part; kind: "folder", "split-folder", "manifest",
    "idx", "cifar", "npz", "arrays" (in memory) or "built-in".
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


def is_idx(files: list[str]) -> bool:
    """Whether one of the names of `files` is an idx file's."""
    return any(map(IDX_NAME.fullmatch, files))
