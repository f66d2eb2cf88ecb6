"""Arrays in an .npz file, by Keras' names or MedMNIST's."""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from striate.data.decode.memory import refuse_beyond_memory
from striate.data.decode.npy import array_header, looks_channels_first
from striate.data.files.entry import ArraySplit, Listing
from striate.data.files.finding import CODES, Finding, told
from striate.errors import DataError, counted
from striate.text.visible import visible

# (split, the images' name, the labels' name), in small letters
NAMES = (
    (("train", "x_train", "y_train"), ("val", "x_val", "y_val"), ("test", "x_test", "y_test")),
    (
        ("train", "train_images", "train_labels"),
        ("val", "val_images", "val_labels"),
        ("test", "test_images", "test_labels"),
    ),
    (("train", "train_x", "train_y"), ("val", "val_x", "val_y"), ("test", "test_x", "test_y")),
    (("train", "x", "y"),),
    (("train", "images", "labels"),),
    (("train", "data", "target"),),
)
# How much the loss of each training image counts.
WEIGHTS = "w_train"

_LABELS = tuple(f": {labels}" for names in NAMES for _, _, labels in names)
EXPECTED = "arrays named x_train, y_train, x_test, y_test, or train_images, train_labels, val_images, ..."


def list_npz(path: Path, source: str, name: str) -> Listing:
    """The images of an .npz, as `list_arrays` reads them.

    Raises: DataError as `list_arrays`, and where an array is pickled or damaged; ResourceError where it declares more
    than the memory holds.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = {each.filename.removesuffix(".npy").lower(): each for each in archive.infolist()}

            def read(array: str) -> npt.NDArray[Any]:
                return _member(archive, members[array], f"{source}: {array}")

            return list_arrays(members, read, source, name, "npz")
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as problem:
        raise DataError(
            f"it is damaged or no .npz file ({told(problem)})",
            place=source,
            expected=EXPECTED,
            cure="save it again with numpy.savez_compressed",
        ) from None
    except OSError as problem:
        raise DataError(
            f"it cannot be read: {problem.strerror or problem}", place=source, expected=EXPECTED
        ) from None


def list_arrays(
    held: Collection[str], read: Callable[[str], npt.NDArray[Any]], source: str, name: str, kind: str
) -> Listing:
    """Images (N, H, W) or (N, H, W, C), labels (N,) or (N, 1), whole numbers or texts, as arrays of NAMES.

    Whole numbers within 0..255 are kept as bytes; anything else becomes float32, unscaled.
    The classes are the labels that occur in any split, sorted.  An image with NaN or infinity is a finding.
    held: the names of the arrays.  read: gives one of them.

    Raises: DataError where names are missing, an array is ill-shaped, or labels are several an image; where `w_train`
    is there and no weight for each image.
    """
    names = next((each for each in NAMES if each[0][1] in held), None)
    if names is None:
        raise DataError(
            f"it holds {', '.join(sorted(map(visible, held))[:8]) or 'nothing'}",
            place=source,
            expected=EXPECTED,
            cure="numpy.savez(FILE, x_train=images, y_train=labels)",
        )
    splits = []
    for split, images, labels in names:
        if images not in held and labels not in held:
            continue
        for each in (images, labels):
            if each not in held:
                raise DataError(f"there is no array `{each}`", place=source, expected=EXPECTED)
        stored = _images(read(images), f"{source}: {images}")
        marks = _labels(read(labels), f"{source}: {labels}", len(stored))
        splits.append((split, stored, marks))
    weights = None
    if WEIGHTS in held:
        weights = _weights(read(WEIGHTS), f"{source}: {WEIGHTS}", len(splits[0][1]))
    if len({marks.dtype.kind == "U" for _, _, marks in splits}) > 1:
        raise DataError("labels are texts in one split and numbers in another", place=source)
    values = np.unique(np.concatenate([marks for _, _, marks in splits]))
    if any(images.dtype == np.float32 for _, images, _ in splits):
        splits = [(split, images.astype(np.float32), marks) for split, images, marks in splits]
    findings: list[Finding] = []
    arrays = [
        _left_out(
            ArraySplit(
                split,
                images,
                np.searchsorted(values, marks).astype(np.int64),
                weights=weights if split == "train" else None,
            ),
            findings,
        )
        for split, images, marks in splits
    ]
    if not len(arrays[0].labels):
        raise DataError(
            f"each of its {counted(len(findings), 'image')} holds NaN or infinity",
            place=source,
            expected="finite numbers",
            cure=CODES["not-finite"].cure,
        )
    return Listing(
        source=source,
        name=name,
        kind=kind,
        classes=tuple(visible(str(each)) for each in values),
        arrays=tuple(each for each in arrays if len(each.labels)),
        findings=tuple(findings),
    )


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, place: str) -> npt.NDArray[Any]:
    """One array, its header compared with its member's length before memory is taken."""
    with archive.open(info) as file:
        try:
            shape, fortran, dtype = array_header(file)
        except ValueError as problem:
            raise DataError(f"it is no array ({told(problem)})", place=place, expected=EXPECTED) from None
        if dtype.hasobject:
            raise DataError(
                "it holds Python objects, and opening them could run code",
                place=place,
                expected="an array of numbers",
                cure="labels.astype(str) before saving"
                if len(shape) == 1 and place.endswith(_LABELS)
                else "stack the images into one (N, H, W, C) array of uint8 before saving",
            )
        declared = math.prod(shape) * dtype.itemsize
        if declared > info.file_size:
            raise DataError(
                f"it declares {declared:,} bytes and holds at most {info.file_size:,}",
                place=place,
                expected="a header that agrees with the file",
                cure="save it again with numpy.savez_compressed",
            )
        refuse_beyond_memory(declared, place)
        content = file.read(declared)
        if len(content) != declared:
            raise DataError(
                f"it declares {declared:,} bytes and holds {len(content):,}",
                place=place,
                expected="a header that agrees with the file",
                cure="save it again with numpy.savez_compressed",
            )
    return np.frombuffer(content, dtype=dtype).reshape(shape, order="F" if fortran else "C")


def _images(array: npt.NDArray[Any], place: str) -> npt.NDArray[Any]:
    if array.ndim == 3:
        array = array[..., None]
    if array.ndim != 4 or not array.size:
        raise DataError(
            f"its shape is {array.shape}",
            place=place,
            expected="(N, H, W) or (N, H, W, C), at least one image",
            cure="images.reshape(-1, height, width, channels) before saving" if array.ndim == 2 else "",
        )
    if looks_channels_first(array.shape[1:]):
        raise DataError(
            f"its shape {array.shape} looks like (N, C, H, W)",
            place=place,
            expected="(N, H, W, C)",
            cure="numpy.moveaxis(images, 1, -1) before saving",
        )
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    if array.dtype.kind not in "uifb":
        raise DataError(f"its values are {array.dtype}", place=place, expected="whole or real numbers")
    if array.dtype.kind in "ui" and array.min() >= 0 and array.max() <= 255:
        return np.ascontiguousarray(array.astype(np.uint8))
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(array.astype(np.float32))


def finite_places(images: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """The places of the images (N, ...) of which every value is a finite number."""
    if images.dtype.kind != "f":
        return np.arange(len(images))
    return np.array([place for place, each in enumerate(images) if np.isfinite(each).all()], np.int64)


def _left_out(split: ArraySplit, findings: list[Finding]) -> ArraySplit:
    """The split without the images that hold NaN or infinity, which become findings."""
    kept = finite_places(split.images)
    if len(kept) == len(split.images):
        return split
    lost = np.setdiff1d(np.arange(len(split.images)), kept)
    findings += (
        Finding("not-finite", split.names[each], "it holds NaN or infinity", CODES["not-finite"].cure)
        for each in lost.tolist()
    )
    weights = None if split.weights is None else split.weights[kept]
    return ArraySplit(split.split, split.images[kept], split.labels[kept], kept, weights)


def _weights(array: npt.NDArray[Any], place: str, images: int) -> npt.NDArray[np.float32]:
    if array.shape != (images,) or array.dtype.kind not in "uif":
        raise DataError(
            f"its shape is {array.shape} and its values are {array.dtype}",
            place=place,
            expected=f"one weight for each training image: ({images},), real numbers",
        )
    if not np.isfinite(array).all() or array.min() < 0 or not array.max() > 0:
        raise DataError(
            "it holds a weight that is negative or no number, or none above 0",
            place=place,
            expected="finite weights of at least 0, not all 0",
        )
    return array.astype(np.float32)


def _labels(array: npt.NDArray[Any], place: str, images: int) -> npt.NDArray[Any]:
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise DataError(
            f"its shape is {array.shape}",
            place=place,
            expected="one label an image: (N,) or (N, 1)",
            cure="where it is one-hot, labels.argmax(axis=1) before saving",
        )
    if len(array) != images:
        raise DataError(
            f"there {'is' if len(array) == 1 else 'are'} {counted(len(array), 'label')} for "
            f"{counted(images, 'image')}",
            place=place,
            expected="one label an image",
        )
    if array.dtype.kind == "S":
        array = np.char.decode(array, "utf-8", "backslashreplace")
    whole = array.dtype.kind in "uib" or (array.dtype.kind == "f" and bool((array == np.floor(array)).all()))
    if not whole and array.dtype.kind != "U":
        raise DataError(f"the labels are {array.dtype}", place=place, expected="whole numbers or texts")
    return array if array.dtype.kind == "U" else array.astype(np.int64)
