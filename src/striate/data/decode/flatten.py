"""Every mode of an image becomes plain grey, plain color, or an array of real numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

_GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "F"})


def flatten(image: Image.Image) -> Image.Image | npt.NDArray[Any]:
    """A loaded image without transparency, palette or unusual colors.

    grey (1, L, LA, I;16)          -> mode L
    color (P, RGB, RGBA, YCbCr, LAB, HSV, CMYK) -> mode RGB
    32-bit (I, F)                  -> array (H, W, 1) of float32 or a wider kind, unscaled

    Transparency is laid on white: out = (v * a + 255 * (255 - a)) / 255.
    16-bit grey becomes round(v * 255 / 65535) where its largest value is above 255; where it is not,
    it is 8-bit data in a 16-bit file and kept.  (Pillow itself takes the high byte of 16-bit color.)
    CMYK is turned as R = 255 * (1 - C) * (1 - K); color profiles are not applied.
    """
    if image.mode.startswith("I;16"):
        return Image.fromarray(_from_16_bits(np.asarray(image)))
    if image.mode in ("I", "F"):
        return np.asarray(image)[..., None]
    if image.mode in ("LA", "La"):
        return _on_white(image.convert("LA"), "L", 255)
    if image.mode in ("RGBA", "RGBa", "PA") or image.info.get("transparency") is not None:
        return _on_white(image.convert("RGBA"), "RGB", (255, 255, 255))
    if image.mode in ("L", "RGB"):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def is_grey(image: Image.Image) -> bool:
    """Whether `flatten` will give no color: by its mode, or by a palette of greys only."""
    if image.mode in _GREY_MODES or image.mode.startswith("I;16"):
        return True
    palette = image.palette
    if image.mode != "P" or palette is None:
        return False
    rawmode, colors = palette.getdata()
    return rawmode == "RGB" and colors[0::3] == colors[1::3] == colors[2::3]


def _on_white(image: Image.Image, mode: str, white: int | tuple[int, int, int]) -> Image.Image:
    ground = Image.new(mode, image.size, white)
    ground.paste(image.convert(mode), mask=image.getchannel("A"))
    return ground


def _from_16_bits(values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    if values.size and int(values.max()) > 255:
        # v * 255 / 65535 = v / 257, and 257 is odd: adding 128 before the division rounds exactly.
        return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
    return values.astype(np.uint8)
