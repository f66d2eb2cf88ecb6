"""Pictures of any number of channels through Pillow."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image

from striate.data.pictures import Picture


def resampled(picture: Picture, change: Callable[[Image.Image], Image.Image], into: Picture) -> None:
    """Write into `into` what `change` makes of a picture.

    Colour goes through as one image of three channels, all else channel by channel, so that no channel is
    ever taken for transparency.  picture: H x W x C.  into: h x w x C.
    """
    if picture.dtype == np.uint8 and picture.shape[2] == 3:
        into[...] = np.asarray(change(Image.fromarray(picture)))
        return
    for channel in range(picture.shape[2]):
        into[..., channel] = np.asarray(change(Image.fromarray(picture[..., channel])))
