"""One image made ready for a network: the same way for the store and for a single prediction."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from striate.data.decode.decode import MAX_PIXELS, Pixels, decode, decode_opened
from striate.data.decode.npy import finite
from striate.data.decode.size import Fit
from striate.data.files.finding import Unreadable
from striate.text.visible import visible

ImageSource = str | Path | bytes | npt.NDArray[Any] | Image.Image

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What brings an image upright, by its EXIF orientation; 1 is upright."""

_REDUCING_GAP = 3.0
"""Pillow: at 3 or more the result is indistinguishable from fair resampling, and much faster."""


def prepare_image(
    image: ImageSource,
    *,
    stored_size: tuple[int, int],
    channels: int,
    dtype: str = "uint8",
    max_pixels: int = MAX_PIXELS,
    fit: Fit = "crop",
    values: tuple[float, float] | None = None,
) -> npt.NDArray[Any]:
    """`image` as a network's data: (H, W, C), C-contiguous.

    decode -> flatten (no palette, no transparency) -> resize, so that it just covers `stored_size`, and
    crop the center (or as `fit` says) -> turn as EXIF says -> channels.  Resizing is bilinear over the whole footprint of a
    pixel (antialiased).  The crop is taken as a box of the source, so no image, however long, becomes
    larger than `stored_size` on the way.  An image that has the size already keeps its values.

    image: a path, a file's bytes, an array (H, W) or (H, W, C), or a PIL image.
    stored_size: height and width.
    channels: 1 (color becomes ITU-R 601 grey), 3 (grey becomes three equal channels), or the array's.
    dtype: "uint8", or "float32" for data made of arrays of real numbers.
    fit: crop; or pad, so that it just fits in, with zeros beside it; or stretch, each side by itself.
    values: the least and the largest value that a network was trained on, for `on_scale`.
    Raises: Unreadable, a DataError, at the image's name; MissingExtra where a TIFF needs tifffile.
    """
    try:
        if isinstance(image, np.ndarray):
            pixels = _pixels_of_array(image)
        elif isinstance(image, Image.Image):
            pixels = decode_opened(image, max_pixels)
        else:
            pixels = decode(Path(image) if isinstance(image, str) else image, stored_size, max_pixels)
        made = fitted(pixels, stored_size, channels, np.dtype(dtype), fit)
        if values is None:
            return made
        content = pixels.content
        return on_scale(made, values, in_bytes=isinstance(content, Image.Image) or content.dtype == np.uint8)
    except Unreadable as problem:
        if isinstance(image, str | Path):
            problem.place = visible(str(image))
        raise


def on_scale(array: npt.NDArray[Any], values: tuple[float, float], *, in_bytes: bool) -> npt.NDArray[Any]:
    """An array of float32 on the scale that a network was trained on.

    8-bit values become v / 255 where training knew 0..1 only, and v / 127.5 - 1 where it knew -1..1.

    values: the least and the largest value in training.  in_bytes: whether it was 8-bit.
    Raises: Unreadable ("values-differ") where a value lies further outside than the whole range is wide, and
    where all lie within 1 of zero though training knew a range of 50 and more.
    """
    low, high = values
    if in_bytes and -1 <= low <= high <= 1:
        return array / 255 if low >= 0 else array / 127.5 - 1
    least, most = float(array.min()), float(array.max())
    width = max(high - low, 1e-6)
    far = least < low - width or most > high + width
    small = width >= _WIDE and -1 <= least <= most <= 1 and not np.array_equal(array, np.round(array))
    if not far and not small:
        return array
    cure = "scale it as the images in training were scaled"
    if far and least >= 0 and most <= 255 and -1 <= low <= high <= 1:
        cure = "divide it by 255" if low >= 0 else "divide it by 127.5, and subtract 1"
    elif small and low >= 0 and high <= 255 and least >= 0:
        cure = "multiply it by 255"
    problem = Unreadable("values-differ", f"its values go from {least:.4g} to {most:.4g}", cure)
    problem.place, problem.expected = "predict", f"values as in training, {low:.4g} to {high:.4g}"
    raise problem


_WIDE = 50


def fitted(
    pixels: Pixels, stored_size: tuple[int, int], channels: int, dtype: np.dtype[Any], fit: Fit = "crop"
) -> npt.NDArray[Any]:
    """Decoded pixels as `prepare_image` gives them.

    Raises: Unreadable ("channels-differ") where they cannot be given that many channels, and
    ("unreadable") where they are real numbers and bytes are wanted.
    """
    height, width = stored_size if pixels.orientation < 5 else (stored_size[1], stored_size[0])
    box = (0.0, 0.0, pixels.width, pixels.height)
    beside = 0, 0
    if fit == "crop":
        box = center_box(pixels.width, pixels.height, width, height)
    elif fit == "pad":
        scale = min(width / pixels.width, height / pixels.height)
        inner = max(1, round(scale * pixels.width)), max(1, round(scale * pixels.height))
        beside = width - inner[0], height - inner[1]
        width, height = inner
    content = pixels.content
    if isinstance(content, Image.Image):
        small = _padded(_resized(content, width, height, box), beside)
        if pixels.orientation in TURNS:
            small = small.transpose(TURNS[pixels.orientation])
        if channels in (1, 3):
            small = small.convert("L" if channels == 1 else "RGB")
        array = np.asarray(small)
        array = array if array.ndim == 3 else array[..., None]
    else:
        bands = (
            Image.fromarray(np.ascontiguousarray(content[..., band])) for band in range(content.shape[2])
        )
        array = np.stack(
            [np.asarray(_padded(_resized(band, width, height, box), beside)) for band in bands], axis=-1
        )
    if array.dtype != dtype and dtype == np.uint8:
        raise Unreadable(
            "unreadable",
            f"its values are {array.dtype}, where 8-bit images are wanted",
            "save it as uint8, 0 to 255",
        )
    return np.ascontiguousarray(_with_channels(array, channels), dtype=dtype)


def center_box(
    width: float, height: float, target_width: int, target_height: int
) -> tuple[float, float, float, float]:
    """The largest box in the center of width x height of the target's shape: left, top, right, bottom."""
    scale = min(width / target_width, height / target_height)
    across, down = scale * target_width, scale * target_height
    # Rounded, half a difference may come out just below zero, which Pillow refuses.
    left, top = max(0.0, (width - across) / 2), max(0.0, (height - down) / 2)
    return left, top, min(left + across, width), min(top + down, height)


def _resized(
    image: Image.Image, width: int, height: int, box: tuple[float, float, float, float]
) -> Image.Image:
    # A reduced JPEG's extent may end a fraction before its last pixel; never behind it.
    return image.resize((width, height), Image.Resampling.BILINEAR, box, _REDUCING_GAP)


def _padded(image: Image.Image, beside: tuple[int, int]) -> Image.Image:
    """The image in the middle of one that is so much wider and higher, zero elsewhere."""
    if beside == (0, 0):
        return image
    ground = Image.new(image.mode, (image.width + beside[0], image.height + beside[1]))
    ground.paste(image, (beside[0] // 2, beside[1] // 2))
    return ground


def _pixels_of_array(array: npt.NDArray[Any]) -> Pixels:
    if array.ndim not in (2, 3) or not array.size:
        raise Unreadable("unreadable", f"its shape is {array.shape}", "give it as (H, W) or (H, W, C)")
    if array.dtype.kind not in "uifb":
        raise Unreadable("unreadable", f"its values are {array.dtype}, not numbers", "give uint8 or float32")
    if array.dtype.kind in "ui" and array.min() >= 0 and array.max() <= 255:
        array = array.astype(np.uint8)  # as in an .npz
    content = finite(array if array.ndim == 3 else array[..., None])
    return Pixels(content, content.shape[1], content.shape[0], 1)


def _with_channels(array: npt.NDArray[Any], channels: int) -> npt.NDArray[Any]:
    there = array.shape[2]
    if there == channels:
        return array
    if there == 1 and channels == 3:
        return np.repeat(array, 3, axis=2)
    if there == 3 and channels == 1:
        if array.dtype == np.uint8:
            return np.asarray(Image.fromarray(array).convert("L"))[..., None]
        weights = np.array([0.299, 0.587, 0.114], dtype=array.dtype)
        grey: npt.NDArray[Any] = (array @ weights)[..., None]
        return grey
    raise Unreadable(
        "channels-differ",
        f"it has {there} {'channel' if there == 1 else 'channels'}, and {channels} are wanted",
        "give images with equally many channels",
    )
