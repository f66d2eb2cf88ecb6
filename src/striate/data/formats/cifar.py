"""CIFAR-10's and CIFAR-100's binary batches."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import numpy.typing as npt

from striate.data.decode.memory import refuse_beyond_memory
from striate.data.files.entry import ArraySplit, Listing
from striate.errors import DataError
from striate.text.visible import visible

SIDE = 32
PIXEL_BYTES = 3 * SIDE * SIDE

_BATCH = re.compile(r"data_batch_(\d+)\.bin")


def is_cifar(files: list[str]) -> bool:
    """Whether the names of `files` are those of CIFAR-10's or CIFAR-100's binary version."""
    return any(map(_BATCH.fullmatch, files)) or {"train.bin", "fine_label_names.txt"} <= set(files)


def list_cifar(folder: Path, files: list[str], source: str, name: str) -> Listing:
    """The images of CIFAR's binary version.

    A record is a label byte (CIFAR-100: a coarse and a fine one, of which the fine is taken) and 3072
    bytes, channel by channel, row by row (Krizhevsky, 2009).  The classes' names are read from
    batches.meta.txt or fine_label_names.txt where it is there, else they are the numbers.

    Raises: DataError where a batch is missing, damaged or has a label without a name, or one that CIFAR lacks.
    """
    batches = sorted((each for each in files if _BATCH.fullmatch(each)), key=lambda each: int(each[11:-4]))
    numbers = [int(each[11:-4]) for each in batches]
    if numbers != list(range(1, len(numbers) + 1)):
        lacking = next(number for number in range(1, len(numbers) + 2) if number not in numbers)
        raise DataError(
            f"there is no data_batch_{lacking}.bin, but data_batch_{numbers[-1]}.bin",
            place=source,
            expected="all batches from 1 on",
            cure="fetch it again, in CIFAR's binary version",
        )
    if batches:
        train, test, meta, label_bytes = batches, "test_batch.bin", "batches.meta.txt", 1
    else:
        train, test, meta, label_bytes = ["train.bin"], "test.bin", "fine_label_names.txt", 2
    parts = {"train": [_read(folder / each, f"{source}/{each}", label_bytes) for each in train]}
    if test in files:
        parts["test"] = [_read(folder / test, f"{source}/{test}", label_bytes)]
    most = max(int(labels.max()) for batch in parts.values() for labels, _ in batch)
    classes = _names(folder / meta, f"{source}/{meta}") if meta in files else ()
    if classes and most >= len(classes):
        raise DataError(
            f"a label is {most}, and {meta} names {len(classes)} classes",
            place=source,
            expected="a name for each label, counted from 0",
        )
    usual = 10 if batches else 100
    if not classes and most >= usual:
        raise DataError(
            f"a label is {most}, and CIFAR-{usual} has the labels 0 to {usual - 1}",
            place=source,
            expected=f"CIFAR-{usual}'s binary version, or {meta} with a name for each label",
            cure=f"fetch it again; or write the names of the classes into {meta}, one a line",
        )
    return Listing(
        source=source,
        name=name,
        kind="cifar",
        classes=classes or tuple(map(str, range(most + 1))),
        arrays=tuple(
            ArraySplit(
                split,
                np.concatenate([images for _, images in batch]),
                np.concatenate([labels for labels, _ in batch]).astype(np.int64),
            )
            for split, batch in parts.items()
        ),
    )


def _read(path: Path, place: str, label_bytes: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """The labels (N,) and images (N, 32, 32, 3) of one batch."""
    try:
        refuse_beyond_memory(path.stat().st_size, place)
        content = np.fromfile(path, dtype=np.uint8)
    except OSError as problem:
        raise DataError(
            f"it cannot be read: {problem.strerror or problem}", place=place, expected="a CIFAR batch"
        ) from None
    record = label_bytes + PIXEL_BYTES
    if content.size == 0 or content.size % record:
        raise DataError(
            f"its {content.size:,} bytes are no whole number of records",
            place=place,
            expected=f"one or more records of {record:,} bytes, {label_bytes} for the label",
            cure="fetch it again, in CIFAR's binary version",
        )
    records = content.reshape(-1, record)
    planes = records[:, label_bytes:].reshape(-1, 3, SIDE, SIDE)
    return records[:, label_bytes - 1], np.ascontiguousarray(planes.transpose(0, 2, 3, 1))


def _names(path: Path, place: str) -> tuple[str, ...]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise DataError("it cannot be read as text", place=place, expected="one class name a line") from None
    return tuple(visible(each.strip()) for each in lines if each.strip())
