"""One image in a .npy file: any number of channels, any kind of number, never a pickle."""

from __future__ import annotations

import math
import tokenize
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from striate.data.files.finding import Unreadable, told

MAX_CHANNELS = 1024

# As in numpy; its parser may fail on a longer one.
_MOST_HEADER = 10_000


def array_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """The shape, whether it is in Fortran's order, and the kind of number, read from a .npy header.

    Raises: ValueError where it is no such header.
    """
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    version = np.lib.format.read_magic(file)
    if version not in readers:
        raise ValueError(f"the .npy version {version[0]}.{version[1]} is not known")
    try:
        shape, fortran, dtype = readers[version](file, _MOST_HEADER)
    except ValueError as problem:
        # What numpy advises here, allow_pickle=True, would run whatever code the file holds.
        raise ValueError(
            "its header is too long" if "max_header_size" in str(problem) else told(problem)
        ) from None
    except (tokenize.TokenError, SyntaxError, TypeError, RecursionError, MemoryError) as problem:
        raise ValueError(told(problem)) from None
    if min(shape, default=0) < 0:
        raise ValueError(f"a side of its shape {shape} is negative")
    return shape, fortran, dtype


def image_header(file: IO[bytes], content_bytes: int) -> tuple[int, int, int, bool]:
    """The height, width and channels of an image in a .npy, and whether its values are bytes.

    content_bytes: the file's length, with which the header must agree.
    Raises: Unreadable.
    """
    try:
        shape, _, dtype = array_header(file)
    except ValueError as problem:
        code = "truncated" if str(problem).startswith("EOF") else "unreadable"
        raise Unreadable(code, f"its .npy header is damaged ({told(problem)})") from None
    if dtype.hasobject or dtype.kind not in "uifb":
        raise Unreadable(
            "unreadable", f"its values are {dtype}, not numbers", "save it as an array of uint8 or float32"
        )
    if len(shape) not in (2, 3) or not math.prod(shape):
        raise Unreadable("unreadable", f"its shape is {shape}", "save it with the shape (H, W) or (H, W, C)")
    if looks_channels_first(shape):
        raise Unreadable(
            "channels-first", f"its shape {shape} looks like (C, H, W)", "numpy.moveaxis(image, 0, -1)"
        )
    channels = shape[2] if len(shape) == 3 else 1
    if channels > MAX_CHANNELS:
        raise Unreadable("unreadable", f"it has {channels:,} channels, and {MAX_CHANNELS:,} are the most")
    if file.tell() + math.prod(shape) * dtype.itemsize > content_bytes:
        raise Unreadable("truncated", f"it declares {shape} values of {dtype} and ends before them")
    return shape[0], shape[1], channels, dtype == np.uint8


def read_image(file: IO[bytes]) -> npt.NDArray[Any]:
    """The image (H, W, C): uint8 as it is, any other number as float32, unscaled.

    Raises: ValueError where the file is damaged; Unreadable where a value is not finite.
    """
    array = np.lib.format.read_array(file, allow_pickle=False)
    return finite(array if array.ndim == 3 else array[..., None])


def finite(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """`array` C-contiguous as uint8 or float32.

    Raises: Unreadable where a value is NaN or infinite, or becomes so as float32.
    """
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    with np.errstate(over="ignore"):
        values = np.ascontiguousarray(array, dtype=np.float32)
    if not np.isfinite(values).all():
        raise Unreadable("not-finite", "it holds NaN or infinity", "replace those values before saving")
    return values


def looks_channels_first(shape: tuple[int, ...]) -> bool:
    """Whether an image's `shape` is rather (C, H, W) than (H, W, C).

    That is: few in front, many behind, and no square in front (a 9x9 patch of 200 bands is one); or as many
    in front as images have channels, and a square behind.
    """
    if len(shape) != 3:
        return False
    first, second, third = shape
    usual = (1, 3, 4)
    return (first <= 16 < min(second, third) and first != second) or (
        first in usual and second == third and third not in usual
    )
