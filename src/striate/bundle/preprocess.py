"""From an image to what the network reads, by Pillow and numpy: what a bundle's preprocessing says, executed."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.data.decode.image import ImageSource, prepare_image
from striate.data.images import Images, center
from striate.runs.record import PreparationRecord


class Preprocessing:
    """The record executed, the same to the bit as in training.

    y[c] = (x[c] - mean[c]) * (1 / std[c]) in float32, x being the middle of the stored image
    """

    def __init__(self, record: PreparationRecord) -> None:
        self.record = record
        self.mean = np.array(record.mean, dtype=np.float32)
        if record.mean_image:
            values = np.frombuffer(base64.b64decode(record.mean_image), "<f4").astype(np.float32)
            self.mean = values.reshape(*record.size, record.channels)
        self.scale = np.float32(1) / np.array(record.deviation, dtype=np.float32)

    @property
    def input(self) -> tuple[int, int, int]:
        """Channels, height and width of what the network reads."""
        return self.record.channels, *self.record.size

    def store(self, image: ImageSource) -> NDArray[Any]:
        """One image, decoded, resized and cropped: H x W x C at the stored size.

        image: a path, a file's bytes, an array (H, W) or (H, W, C), or a PIL image.
        Raises Unreadable, a DataError, where it cannot be read.
        """
        known = self.record
        return prepare_image(
            image,
            stored_size=known.stored_size,
            channels=known.channels,
            dtype=known.dtype,
            fit=known.fit,
            values=known.values,
        )

    def normalize(self, stored: Images) -> NDArray[np.float32]:
        """Stored images N x H x W x C -> N x C x height x width, float32, as the network reads them."""
        middle = center(stored, self.record.size)
        x = np.empty((*middle.shape[:3], self.record.channels), dtype=np.float32)
        # Gray images for a network that reads colors have one channel here.
        np.subtract(middle, self.mean, out=x, dtype=np.float32)
        np.multiply(x, self.scale, out=x)
        return np.ascontiguousarray(x.transpose(0, 3, 1, 2))
