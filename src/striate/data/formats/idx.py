"""MNIST's idx files, gzipped or not."""

from __future__ import annotations

import gzip
import math
import os
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from striate.data.decode.memory import refuse_beyond_memory
from striate.data.files.entry import IDX_NAME, ArraySplit, Listing
from striate.errors import DataError

_SPLITS = {"train": "train", "val": "val", "t10k": "test", "test": "test"}

_GZIP_MOST = 1032
"""No gzip stream unpacks to more than 1,032 bytes a byte (a deflate block's best case)."""

EXPECTED = (
    "train-images-idx3-ubyte and train-labels-idx1-ubyte, and if wanted the same with t10k, "
    "with or without .gz"
)


def list_idx(folder: Path, files: list[str], source: str, name: str) -> Listing:
    """The images of idx files: (N, H, W) or (N, H, W, C) unsigned bytes, and (N,) labels.

    The classes are the labels that occur, as text, in order of number.
    Raises: DataError where a file is missing, damaged or no idx file; ResourceError where it declares
    more than the memory holds.
    """
    found: dict[tuple[str, str], str] = {}
    for each in sorted(files):  # x before x.gz: what is unpacked already is preferred
        match = IDX_NAME.fullmatch(each)
        if match:
            found.setdefault((_SPLITS[match[1]], match[2]), each)
    splits: list[tuple[str, npt.NDArray[np.uint8], npt.NDArray[np.uint8]]] = []
    for split in ("train", "val", "test"):
        images, labels = found.get((split, "images")), found.get((split, "labels"))
        if images is None and labels is None and split != "train":
            continue
        if images is None or labels is None:
            what = "images" if images is None else "labels"
            raise DataError(f"the {what} of the {split} split are missing", place=source, expected=EXPECTED)
        stored = read_idx(folder / images, f"{source}/{images}", (3, 4))
        marks = read_idx(folder / labels, f"{source}/{labels}", (1,))
        if len(stored) != len(marks):
            raise DataError(
                f"there are {len(marks):,} labels for {len(stored):,} images",
                place=f"{source}/{labels}",
                expected="one label an image",
            )
        if stored.size == 0:
            raise DataError("there are no images in it", place=f"{source}/{images}")
        splits.append((split, stored, marks))
    values = np.unique(np.concatenate([marks for _, _, marks in splits]))
    return Listing(
        source=source,
        name=name,
        kind="idx",
        classes=tuple(str(each) for each in values),
        arrays=tuple(
            ArraySplit(
                split,
                stored if stored.ndim == 4 else stored[..., None],
                np.searchsorted(values, marks).astype(np.int64),
            )
            for split, stored, marks in splits
        ),
    )


def read_idx(path: Path, place: str, axes: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """The array of an idx file of unsigned bytes.

    Layout (LeCun, the MNIST page): two zero bytes, a type byte (8: unsigned byte), the number of axes,
    each axis as 4 bytes big-endian, then the values, the last axis fastest.  The product of the axes
    must equal the number of bytes that follow; it is compared before memory is taken for them.

    axes: how many axes are right.
    Raises: DataError, ResourceError.
    """
    try:
        with open(path, "rb") as raw:
            packed_bytes = os.fstat(raw.fileno()).st_size
            if path.suffix != ".gz":
                return _read(raw, packed_bytes, place, axes)
            with gzip.GzipFile(fileobj=raw) as unpacked:
                return _read(unpacked, packed_bytes * _GZIP_MOST, place, axes)
    except (EOFError, zlib.error, gzip.BadGzipFile) as problem:
        raise DataError(
            f"the gzip file is damaged: {problem}", place=place, expected=EXPECTED, cure="fetch it again"
        ) from None
    except OSError as problem:
        raise DataError(
            f"it cannot be read: {problem.strerror or problem}", place=place, expected=EXPECTED
        ) from None


def _read(
    file: gzip.GzipFile | object, most_bytes: int, place: str, axes: tuple[int, ...]
) -> npt.NDArray[np.uint8]:
    read = file.read  # type: ignore[union-attr]
    head = read(4)
    if len(head) < 4 or head[:2] != b"\0\0" or head[2] != 8 or head[3] not in axes:
        wanted = " or ".join(f"00 00 08 {each:02x}" for each in axes)
        raise DataError(
            f"it begins with {head.hex(' ') or 'nothing'}",
            place=place,
            expected=f"{wanted}: an idx file of unsigned bytes with {' or '.join(map(str, axes))} axes",
        )
    sizes = read(4 * head[3])
    if len(sizes) < 4 * head[3]:
        raise DataError("its header is cut off", place=place, expected=EXPECTED, cure="fetch it again")
    shape = [int(each) for each in np.frombuffer(sizes, dtype=">u4")]
    declared = math.prod(shape)
    text = " x ".join(f"{each:,}" for each in shape)
    if declared > most_bytes:
        raise DataError(
            f"it declares {text} values, more than a file of its length can hold",
            place=place,
            expected="a header that agrees with the file",
            cure="fetch it again",
        )
    refuse_beyond_memory(declared, place)
    content = read(declared + 1)
    if len(content) != declared:
        rest = "more" if len(content) > declared else f"only {len(content):,}"
        raise DataError(
            f"it declares {text} = {declared:,} values and holds {rest}",
            place=place,
            expected="a header that agrees with the file",
            cure="fetch it again",
        )
    return np.frombuffer(content, dtype=np.uint8).reshape(shape)
