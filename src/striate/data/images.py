"""Stored images, N x H x W x C, and the middle of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.uint8] | NDArray[np.float32]
"""N x H x W x C: uint8, or float32 where the source holds arrays of other numbers."""

ImageArray = NDArray[np.uint8] | NDArray[np.float32]
"""One of them, H x W x C."""


def center(images: Images, size: tuple[int, int]) -> Images:
    """The middle `size` of stored images, N x H x W x C -> N x height x width x C, a view of them."""
    top, left = middle((images.shape[1], images.shape[2]), size)
    return images[:, top : top + size[0], left : left + size[1]]


def middle(stored: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    """The first row and column of the middle `size` of an image of the size `stored`."""
    return (stored[0] - size[0]) // 2, (stored[1] - size[1]) // 2
