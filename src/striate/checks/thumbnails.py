"""Images made small: to be shown beside what is said of them, and to be compared with one another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from striate.data.decode.decode import Pixels, decode
from striate.data.decode.image import TURNS
from striate.data.files.file import Source
from striate.data.files.finding import Unreadable
from striate.errors import MissingExtra

PREVIEW_SIDE = 160


def preview_file(source: Source, max_pixels: int) -> npt.NDArray[np.uint8] | None:
    """The image in a file, upright, within 160 x 160 pixels, (H, W, 3); None where it cannot be read."""
    try:
        return preview(decode(source, (PREVIEW_SIDE, PREVIEW_SIDE), max_pixels))
    except (Unreadable, MissingExtra):
        return None


def preview(pixels: Pixels) -> npt.NDArray[np.uint8]:
    """Decoded pixels, upright, within 160 x 160 pixels and never enlarged, (H, W, 3).

    Of an array the first three channels are shown; real numbers are stretched to 0..255.
    """
    content = pixels.content
    if not isinstance(content, Image.Image):
        content = _as_image(content)
    scale = min(1.0, PREVIEW_SIDE / content.width, PREVIEW_SIDE / content.height)
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


SIDE = 32
"""A thumbnail is as many grey values high and wide, whatever the image's shape."""

TINT_SIDE = 4
"""Its colors are kept as a grid of so many fields a side."""


@dataclass(frozen=True, eq=False, slots=True)
class Thumbnail:
    """grey: (32, 32) uint8, ITU-R 601.  tint: (4, 4, 3) uint8, the mean color of each field."""

    grey: npt.NDArray[np.uint8]
    tint: npt.NDArray[np.uint8]


def is_comparable(height: int, width: int) -> bool:
    """Whether an image is large enough to be compared; small digits all look the same."""
    return min(height, width) >= SIDE


def thumbnail_of(pixels: Pixels, orientation: int) -> Thumbnail | None:
    """The thumbnail of a decoded image, brought upright; None where it is neither grey nor colored bytes."""
    content = pixels.content
    if not isinstance(content, Image.Image):
        if content.dtype != np.uint8 or content.shape[2] not in (1, 3):
            return None
        content = Image.fromarray(content if content.shape[2] == 3 else content[..., 0])
    small = content.resize(
        (SIDE, SIDE), Image.Resampling.BILINEAR, (0, 0, pixels.width, pixels.height), reducing_gap=3.0
    )
    if orientation in TURNS:
        small = small.transpose(TURNS[orientation])
    colors = np.asarray(small.convert("RGB"), dtype=np.float32)
    fields = colors.reshape(TINT_SIDE, SIDE // TINT_SIDE, TINT_SIDE, SIDE // TINT_SIDE, 3)
    return Thumbnail(np.asarray(small.convert("L")), np.round(fields.mean(axis=(1, 3))).astype(np.uint8))
