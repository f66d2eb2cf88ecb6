"""TIFFs of any number of bands, which Pillow does not know."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from striate.data.decode.npy import MAX_CHANNELS, finite
from striate.errors import MissingExtra


@dataclass(frozen=True, slots=True)
class Bands:
    """The header of a many-band image: pixels, bands, and whether its values are 8-bit."""

    height: int
    width: int
    channels: int
    bytes: bool


def bands_header(file: IO[bytes]) -> Bands | None:
    """The header of a TIFF's first image, or None where it is none with bands of numbers.

    Raises: MissingExtra where tifffile is not installed.
    """
    page = _first_page(file)
    if page is None:
        return None
    shape = _rows_columns_bands(page.axes, page.shape)
    dtype = page.dtype
    if shape is None or dtype is None or dtype.kind not in "uif" or not 1 <= shape[2] <= MAX_CHANNELS:
        return None
    return Bands(shape[0], shape[1], shape[2], dtype == np.uint8)


def read_bands(file: IO[bytes]) -> npt.NDArray[Any]:
    """The first image of a TIFF, (H, W, bands): uint8 as it is, anything else as float32, unscaled.

    Raises: what tifffile raises; ValueError where the pixels are not as the header says; Unreadable where
    a value is not finite.
    """
    header = bands_header(file)
    file.seek(0)
    page = _first_page(file)
    array = page.asarray(maxworkers=1)
    if page.axes == "SYX":
        array = np.moveaxis(array, 0, -1)
    if array.ndim == 2:
        array = array[..., None]
    if header is None or array.shape != (header.height, header.width, header.channels):
        raise ValueError(f"the pixels have the shape {array.shape}, which is not what the header says")
    return finite(array)


def _rows_columns_bands(axes: str, shape: tuple[int, ...]) -> tuple[int, int, int] | None:
    sizes = dict(zip(axes, shape, strict=False))
    if sorted(axes) not in (["X", "Y"], ["S", "X", "Y"]):
        return None
    return sizes["Y"], sizes["X"], sizes.get("S", 1)


def _first_page(file: IO[bytes]) -> Any:
    try:
        import tifffile
    except ImportError:
        raise MissingExtra(
            "this TIFF has a layout that only tifffile reads, and it is not installed",
            cure='pip install "striate[train]"',
        ) from None
    # It logs what it dislikes in a file, and without any handler that goes to the terminal.
    log = logging.getLogger("tifffile")
    if not log.handlers:
        log.addHandler(logging.NullHandler())
    try:
        return tifffile.TiffFile(file).pages[0]
    except (tifffile.TiffFileError, ValueError, IndexError, KeyError, TypeError, ArithmeticError):
        return None
