"""What a picture was before it became plain pixels, and what was done with it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from PIL import ImageFile
from PIL.TiffImagePlugin import TiffImageFile

HIDDEN_SHARE = 0.01
"""Colours under full transparency are told of where they make up this share of the pixels."""

_HIDDEN_RANGE = 32
"""They are one colour, as most programs leave there, where no channel varies by more."""

_ORIENTATION_TAG = 274


class Traits:
    """Sees a picture while it is decoded (a `Witness`), and tells what was special about it."""

    def __init__(self) -> None:
        self.orientation = 1
        self.frames = False
        self._mode = ""
        self._sixteen = False
        self._transparent = False
        self._hidden = False

    def opened(self, picture: ImageFile.ImageFile, kind: str) -> None:
        """Notes what decoding would lose."""
        self._mode = picture.mode
        raw = [each if isinstance(each, str) else str(each[0]) for *_, each in picture.tile if each]
        self._sixteen = picture.mode.startswith("I;16") or any(";16" in each for each in raw)
        if kind != "GIF":  # there Pillow would have to go to the second frame and back
            self.frames = bool(getattr(picture, "is_animated", False))
        if isinstance(picture, TiffImageFile):
            turned = picture.tag_v2.get(_ORIENTATION_TAG, 1)
            self.orientation = turned if turned in range(1, 9) else 1

    def loaded(self, picture: ImageFile.ImageFile) -> None:
        """Notes what is transparent."""
        if not picture.has_transparency_data:
            return
        pixels = np.asarray(picture.convert("RGBA"))
        alpha = pixels[..., 3]
        self._transparent = bool((alpha < 255).any())
        under = pixels[..., :3][alpha == 0]
        if len(under) >= max(2, HIDDEN_SHARE * alpha.size):
            self._hidden = bool(np.ptp(under, axis=0).max() > _HIDDEN_RANGE)

    def remarks(self) -> Iterator[tuple[str, str]]:
        """The code and the reason of each finding."""
        if self.frames:
            yield "animated", "it has several frames or pages, of which the first is used"
        if self.orientation > 1:
            yield "exif-rotated", f"turned as its EXIF orientation {self.orientation} says"
        if self._mode == "CMYK":
            yield (
                "cmyk-converted",
                "its inks were made into red, green and blue; colour profiles are not applied",
            )
        if self._sixteen:
            yield "sixteen-bit", "its 16-bit values were brought to 8 bits: 0 to 65535 became 0 to 255"
        if self._transparent:
            what = "a palette with transparency" if self._mode in ("P", "PA") else "partly transparent"
            yield "transparent", f"{what}, laid on white"
        if self._hidden:
            yield "hidden-colour", "colours under its fully transparent pixels are neither seen nor used"
