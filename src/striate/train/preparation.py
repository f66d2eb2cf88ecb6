"""From stored pictures to what the network reads: zero-centred, unit variance, on its device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from striate.data.augment import Pictures

# Pictures that the mean and deviation are taken over, evenly spread: enough for three digits.
MOST_MEASURED = 10_000


@dataclass(frozen=True, slots=True)
class Preparation:
    """How a picture becomes numbers.

    y[c] = (x[c] - mean[c]) / deviation[c], in units of the stored values (0 to 255 for pictures)

    size: height and width that the network sees.  stored_size: what a picture is resized and cropped to
    before the middle of it is taken.  dtype: of the stored values, uint8 or float32.  Source: LeCun et al. 1998b (Efficient BackProp), section 4.3.
    """

    size: tuple[int, int]
    stored_size: tuple[int, int]
    channels: int
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    dtype: str

    def to_record(self) -> dict[str, Any]:
        """As plain values, for data.json."""
        return {
            "size": list(self.size),
            "stored_size": list(self.stored_size),
            "channels": self.channels,
            "mean": list(self.mean),
            "deviation": list(self.deviation),
            "dtype": self.dtype,
        }

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Preparation:
        """From what `to_record` gave."""
        return cls(
            size=(int(record["size"][0]), int(record["size"][1])),
            stored_size=(int(record["stored_size"][0]), int(record["stored_size"][1])),
            channels=int(record["channels"]),
            mean=tuple(float(x) for x in record["mean"]),
            deviation=tuple(float(x) for x in record["deviation"]),
            dtype=str(record["dtype"]),
        )


def measure(pictures: Pictures) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel over the training pictures.

    A channel that never changes has deviation 1, so that it is only centred.
    """
    some = pictures[:: max(1, len(pictures) // MOST_MEASURED)]
    total = np.zeros(pictures.shape[3])
    squares = np.zeros(pictures.shape[3])
    count = 0
    for start in range(0, len(some), 256):
        chunk = some[start : start + 256].astype(np.float64)
        total += chunk.sum(axis=(0, 1, 2))
        squares += (chunk**2).sum(axis=(0, 1, 2))
        count += chunk.shape[0] * chunk.shape[1] * chunk.shape[2]
    mean = total / count
    deviation = np.sqrt(np.maximum(squares / count - mean**2, 0))
    deviation[deviation < 1e-6] = 1.0
    return tuple(mean.tolist()), tuple(deviation.tolist())


class Feeder:
    """Moves batches to a device and normalises them there.

    layout: channels_last or contiguous, of what the network reads.

    The stored order N x H x W x C, seen as N x C x H x W, is torch's channels_last already: no copy.
    """

    def __init__(self, preparation: Preparation, device: torch.device, layout: str = "channels_last") -> None:
        self.device = device
        self.layout = layout
        shape = (1, preparation.channels, 1, 1)
        self.mean = torch.tensor(preparation.mean, dtype=torch.float32, device=device).reshape(shape)
        deviation = torch.tensor(preparation.deviation, dtype=torch.float32, device=device)
        self.scale = deviation.reciprocal().reshape(shape)

    def pictures(self, stored: Pictures) -> Tensor:
        """N x H x W x C as stored -> N x C x H x W float32, normalised."""
        x = torch.from_numpy(np.require(stored, requirements=["C", "W"])).to(self.device, non_blocking=True)
        x = x.permute(0, 3, 1, 2)
        if x.shape[1] == 1 and self.mean.shape[1] > 1:
            # Grey pictures for a network that reads colours.
            x = x.expand(-1, self.mean.shape[1], -1, -1)
        if self.layout == "contiguous":
            x = x.contiguous()
        if x.dtype != torch.float32:
            x = x.float()
            return x.sub_(self.mean).mul_(self.scale)
        return (x - self.mean) * self.scale

    def labels(self, labels: NDArray[np.int64]) -> Tensor:
        """N labels on the device."""
        return torch.from_numpy(np.require(labels, requirements=["C", "W"])).to(
            self.device, non_blocking=True
        )
