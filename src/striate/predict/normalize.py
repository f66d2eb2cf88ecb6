"""From stored images to what the network reads: zero-centerd, unit variance, on its device."""

from __future__ import annotations

import base64
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from striate.data.decode.size import Fit
from striate.data.gather import Data
from striate.data.images import Images, center
from striate.recipe.keys import Recipe
from striate.runs.record import PreparationRecord

# Images that the mean and standard deviation are taken over, evenly spread: enough for three digits.
MOST_MEASURED = 10_000

# Images that first weights are measured on.
MOST_LOOKED_AT = 256

# And values in all of them, twice as many at most: large images are fewer.
MOST_VALUES = 25_000_000


@dataclass(frozen=True, slots=True)
class Normalization:
    """How an image becomes numbers.

    y[c] = (x[c] - mean[c]) / deviation[c], in units of the stored values (0 to 255 for images)

    size: height and width that the network sees.  stored_size: what an image is resized and cropped to
    before the middle of it is taken.  dtype: of the stored values, uint8 or float32.
    mean_image: where it is not empty, its value at each pixel is subtracted instead of the channel's mean;
    float32, little-endian, height x width x channels.
    fit: how images of another shape are brought to the stored size.  values: of float32, the least and the
    largest in training; None for bytes, and where an earlier striate did not note it.
    Source: LeCun et al. 1998b (Efficient BackProp), section 4.3; Krizhevsky et al. 2012, section 2.
    """

    size: tuple[int, int]
    stored_size: tuple[int, int]
    channels: int
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    dtype: str
    mean_image: bytes = b""
    fit: Fit = "crop"
    values: tuple[float, float] | None = None

    def to_record(self) -> PreparationRecord:
        """For data.json."""
        return PreparationRecord.model_validate(
            {
                "size": self.size,
                "stored_size": self.stored_size,
                "channels": self.channels,
                "mean": list(self.mean),
                "deviation": list(self.deviation),
                "dtype": self.dtype,
                "fit": self.fit,
                "values": self.values,
                "mean_image": base64.b64encode(self.mean_image).decode(),
            }
        )

    @classmethod
    def from_record(cls, record: PreparationRecord) -> Normalization:
        """From that of a run."""
        return cls(
            size=record.size,
            stored_size=record.stored_size,
            channels=record.channels,
            mean=tuple(record.mean),
            deviation=tuple(record.deviation),
            dtype=record.dtype,
            fit=record.fit,
            values=record.values,
            mean_image=base64.b64decode(record.mean_image),
        )


def default_normalization(data: Data, recipe: Recipe) -> Normalization:
    """How the images of `data` become numbers, as the recipe's `center` and `scale` say.

    Mean and deviation are those of the training images; without centering the mean is 0, without scaling
    the deviation 1, and with a mean image the deviation is that from it.
    """
    images, channels = data.train.images, recipe.channels or data.channels
    mean, deviation = measure(images)
    if channels != data.channels:
        # Grey images for a network that reads colors.
        mean, deviation = mean * channels, deviation * channels
    image = b""
    if recipe.center == "image":
        at_each, deviation = measure_image(center(images, data.size))
        if channels != data.channels:
            at_each, deviation = at_each.repeat(channels, axis=2), deviation * channels
        mean = tuple(at_each.mean(axis=(0, 1)).tolist())
        image = at_each.astype("<f4").tobytes()
    elif recipe.center == "none":
        mean = (0.0,) * channels
    if recipe.scale == "none":
        deviation = (1.0,) * channels
    dtype = images.dtype.name
    return Normalization(
        data.size,
        data.stored_size,
        channels,
        mean,
        deviation,
        dtype,
        image,
        data.fit,
        value_range(images),
    )


def value_range(images: Images) -> tuple[float, float] | None:
    """The least and the largest value of images of real numbers; None for bytes.

    Over as many images as mean and standard deviation are taken of.
    """
    if images.dtype == np.uint8:
        return None
    some = images[:: max(1, len(images) // MOST_MEASURED)]
    return float(min(each.min() for each in some)), float(max(each.max() for each in some))


def first_images(images: Images, preparation: Normalization) -> Tensor:
    """A few of the images, evenly spread, as the network reads them: N x C x H x W on the CPU."""
    values = preparation.channels * preparation.size[0] * preparation.size[1]
    most = max(1, min(MOST_LOOKED_AT, MOST_VALUES // values))
    some: Images = images[:: max(1, len(images) // most)]
    return Feeder(preparation, torch.device("cpu")).images(center(some, preparation.size))


def measure(images: Images) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel over the training images.

    A channel that never changes has deviation 1, so that it is only centerd.
    """
    total, squares, count = _sums(images)
    values = count * total.shape[0] * total.shape[1]
    mean = total.sum(axis=(0, 1)) / values
    return tuple(mean.tolist()), _deviation(squares.sum(axis=(0, 1)) / values - mean**2)


def measure_image(images: Images) -> tuple[NDArray[np.float64], tuple[float, ...]]:
    """Mean of the training images at each pixel, H x W x C, and the standard deviation of each channel from it.

    A channel that never changes at any pixel has deviation 1.
    """
    total, squares, count = _sums(images)
    mean = total / count
    values = count * mean.shape[0] * mean.shape[1]
    return mean, _deviation(squares.sum(axis=(0, 1)) / values - (mean**2).mean(axis=(0, 1)))


def _sums(images: Images) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    """Sums of the values and of their squares at each pixel, H x W x C, over so many of the images."""
    some = images[:: max(1, len(images) // MOST_MEASURED)]
    total, squares = np.zeros((2, *some.shape[1:]))
    # Squares of bytes are exact in float32.
    exact = np.float32 if some.dtype == np.uint8 else np.float64
    for start in range(0, len(some), 16):
        # Image upon image: numpy is twenty times as fast as when it adds the channels of an image's pixels.
        chunk = some[start : start + 16].astype(exact)
        total += chunk.sum(axis=0, dtype=np.float64)
        squares += np.square(chunk).sum(axis=0, dtype=np.float64)
    return total, squares, len(some)


def _deviation(variance: NDArray[np.float64]) -> tuple[float, ...]:
    deviation = np.sqrt(np.maximum(variance, 0))
    deviation[deviation < 1e-6] = 1.0
    return tuple(deviation.tolist())


class Feeder:
    """Moves batches to a device and normalizes them there.

    layout: channels_last or contiguous, of what the network reads.

    The stored order N x H x W x C, seen as N x C x H x W, is torch's channels_last already: no copy.
    """

    def __init__(
        self, preparation: Normalization, device: torch.device, layout: str = "channels_last"
    ) -> None:
        self.device = device
        self.layout = layout
        shape = (1, preparation.channels, 1, 1)
        self.mean = torch.tensor(preparation.mean, dtype=torch.float32, device=device).reshape(shape)
        if preparation.mean_image:
            image = np.frombuffer(preparation.mean_image, "<f4").astype(np.float32)
            image = image.reshape(1, *preparation.size, preparation.channels)
            self.mean = torch.from_numpy(image).to(device).permute(0, 3, 1, 2)
        deviation = torch.tensor(preparation.deviation, dtype=torch.float32, device=device)
        self.scale = deviation.reciprocal().reshape(shape)
        self._by_width: dict[int, tuple[Tensor, Tensor]] = {}

    def images(self, stored: Images) -> Tensor:
        """N x H x W x C as stored -> N x C x H x W float32, normalized."""
        x = torch.from_numpy(np.require(stored, requirements=["C", "W"])).to(self.device, non_blocking=True)
        # Grey images for a network that reads colors.
        x = x.expand(-1, -1, -1, self.mean.shape[1])
        # Row by row: torch is six times as fast over a whole row as over the channels of a pixel.
        mean, scale = self._rows(x.shape[2])
        rows = x.flatten(2).to(torch.float32, copy=True).sub_(mean).mul_(scale)
        x = rows.view(x.shape).permute(0, 3, 1, 2)
        return x.contiguous() if self.layout == "contiguous" else x

    def _rows(self, width: int) -> tuple[Tensor, Tensor]:
        """Mean and scale as the rows of N x H x W x C have them: W*C, or H x W*C for a mean image."""
        if width not in self._by_width:
            mean, scale = (
                each.flatten().repeat(width)
                if each.shape[2:] == (1, 1)
                else each[0].permute(1, 2, 0).flatten(1)
                for each in (self.mean, self.scale)
            )
            self._by_width[width] = mean, scale
        return self._by_width[width]

    def labels(self, labels: NDArray[np.int64]) -> Tensor:
        """N labels on the device."""
        return torch.from_numpy(np.require(labels, requirements=["C", "W"])).to(
            self.device, non_blocking=True
        )
