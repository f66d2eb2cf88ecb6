"""Every mode of a picture becomes plain grey, plain colour, or an array of real numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

_GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "F"})


def flatten(picture: Image.Image) -> Image.Image | npt.NDArray[Any]:
    """A loaded picture without transparency, palette or unusual colours.

    grey (1, L, LA, I;16)          -> mode L
    colour (P, RGB, RGBA, YCbCr, LAB, HSV, CMYK) -> mode RGB
    32-bit (I, F)                  -> array (H, W, 1) of float32 or a wider kind, unscaled

    Transparency is laid on white: out = (v * a + 255 * (255 - a)) / 255.
    16-bit grey becomes round(v * 255 / 65535) where its largest value is above 255; where it is not,
    it is 8-bit data in a 16-bit file and kept.  (Pillow itself takes the high byte of 16-bit colour.)
    CMYK is turned as R = 255 * (1 - C) * (1 - K); colour profiles are not applied.
    """
    if picture.mode.startswith("I;16"):
        return Image.fromarray(_from_16_bits(np.asarray(picture)))
    if picture.mode in ("I", "F"):
        return np.asarray(picture)[..., None]
    if picture.mode in ("LA", "La"):
        return _on_white(picture.convert("LA"), "L", 255)
    if picture.mode in ("RGBA", "RGBa", "PA") or picture.info.get("transparency") is not None:
        return _on_white(picture.convert("RGBA"), "RGB", (255, 255, 255))
    if picture.mode in ("L", "RGB"):
        return picture
    return picture.convert("L" if picture.mode == "1" else "RGB")


def is_grey(picture: Image.Image) -> bool:
    """Whether `flatten` will give no colour: by its mode, or by a palette of greys only."""
    if picture.mode in _GREY_MODES or picture.mode.startswith("I;16"):
        return True
    palette = picture.palette
    if picture.mode != "P" or palette is None:
        return False
    rawmode, colours = palette.getdata()
    return rawmode == "RGB" and colours[0::3] == colours[1::3] == colours[2::3]


def _on_white(picture: Image.Image, mode: str, white: int | tuple[int, int, int]) -> Image.Image:
    ground = Image.new(mode, picture.size, white)
    ground.paste(picture.convert(mode), mask=picture.getchannel("A"))
    return ground


def _from_16_bits(values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    if values.size and int(values.max()) > 255:
        # v * 255 / 65535 = v / 257, and 257 is odd: adding 128 before the division rounds exactly.
        return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
    return values.astype(np.uint8)
