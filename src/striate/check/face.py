"""A picture made small: what is compared to find pictures that are nearly the same."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from striate.data.decode import Pixels
from striate.data.picture import TURNS

SIDE = 32
"""A face is as many grey values high and wide, whatever the picture's shape."""

TINT_SIDE = 4
"""Its colours are kept as a grid of so many fields a side."""


@dataclass(frozen=True, eq=False, slots=True)
class Face:
    """grey: (32, 32) uint8, ITU-R 601.  tint: (4, 4, 3) uint8, the mean colour of each field."""

    grey: npt.NDArray[np.uint8]
    tint: npt.NDArray[np.uint8]


def is_comparable(height: int, width: int) -> bool:
    """Whether a picture is large enough to be compared; small digits all look the same."""
    return min(height, width) >= SIDE


def face_of(pixels: Pixels, orientation: int) -> Face | None:
    """The face of a decoded picture, brought upright; None where it is neither grey nor coloured bytes."""
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
    colours = np.asarray(small.convert("RGB"), dtype=np.float32)
    fields = colours.reshape(TINT_SIDE, SIDE // TINT_SIDE, TINT_SIDE, SIDE // TINT_SIDE, 3)
    return Face(np.asarray(small.convert("L")), np.round(fields.mean(axis=(1, 3))).astype(np.uint8))
