"""Small pictures, to be shown beside what is said of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from striate.data.decode import Pixels, decode
from striate.data.file import Source
from striate.data.picture import TURNS
from striate.data.trouble import Unreadable
from striate.errors import MissingExtra

SIDE = 160


def small_file(source: Source, max_pixels: int) -> npt.NDArray[np.uint8] | None:
    """The picture in a file, upright, within 160 x 160 pixels, (H, W, 3); None where it cannot be read."""
    try:
        return small(decode(source, (SIDE, SIDE), max_pixels))
    except (Unreadable, MissingExtra):
        return None


def small(pixels: Pixels) -> npt.NDArray[np.uint8]:
    """Decoded pixels, upright, within 160 x 160 pixels and never enlarged, (H, W, 3).

    Of an array the first three channels are shown; real numbers are stretched to 0..255.
    """
    content = pixels.content
    if not isinstance(content, Image.Image):
        content = _as_image(content)
    scale = min(1.0, SIDE / content.width, SIDE / content.height)
    size = (max(1, round(scale * content.width)), max(1, round(scale * content.height)))
    made = content.convert("RGB").resize(size, Image.Resampling.BILINEAR, reducing_gap=3.0)
    if pixels.orientation in TURNS:
        made = made.transpose(TURNS[pixels.orientation])
    return np.asarray(made)


def _as_image(array: npt.NDArray[Any]) -> Image.Image:
    shown = array[..., :3] if array.shape[2] >= 3 else array[..., 0]
    if shown.dtype != np.uint8:
        low, high = float(shown.min()), float(shown.max())
        shown = ((shown - low) * (255 / (high - low) if high > low else 0)).astype(np.uint8)
    return Image.fromarray(np.ascontiguousarray(shown))
