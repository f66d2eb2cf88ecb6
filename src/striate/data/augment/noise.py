"""Gaussian noise."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from striate.data.augment.argument import Argument, written
from striate.data.augment.chance import Chance, Stream
from striate.data.images import Images

# Steps of the distribution that noise is drawn from: one for each number of 16 bits.
STEPS = 2**16

_MOST = float(np.finfo(np.float32).max)

ARGUMENT = Argument("S", 0, 1, 0.05, above=True)


@dataclass(frozen=True, slots=True)
class Noise:
    """Gaussian noise on every value, independent of all others:

        y = x + deviation * R * z,   z ~ N(0, 1)

    R is 255 for bytes, which are rounded and kept in 0 to 255, and the image's own range, largest less
    smallest value, for real numbers, which are kept among the finite ones of float32.  z is one of the
    65,536 quantiles (k + 1/2) / 65536 of the normal distribution, so it never exceeds 4.33.
    Source: Bishop 1995 (Training with Noise is Equivalent to Tikhonov Regularization).
    """

    deviation: float
    word: ClassVar[str] = "noise"
    argument: ClassVar[Argument | None] = ARGUMENT

    def __post_init__(self) -> None:
        ARGUMENT.require(self.word, self.deviation)

    def __str__(self) -> str:
        return f"{self.word} {written(self.deviation)}"

    def change(self, windows: Images, chance: Chance) -> None:
        """Change N x H x W x C in place."""
        shape = windows.shape
        values = shape[1] * shape[2] * shape[3]
        drawn = chance.sequences((values + 3) // 4, Stream.NOISE).view(np.uint16)[:, :values].reshape(shape)
        if windows.dtype == np.uint8:
            # A whole number plus a rounded one is their rounded sum.
            noisy = _levels(self.deviation)[drawn]
            np.add(noisy, windows, out=noisy)
            windows[...] = np.clip(noisy, 0, 255, out=noisy)
            return
        # In float64 the difference of two values of float32 cannot overflow, and rounds to the same one.
        span = np.array([float(each.max()) - float(each.min()) for each in windows])
        span = np.minimum(span, _MOST).astype(np.float32)
        with np.errstate(over="ignore"):
            windows += quantiles()[drawn] * (np.float32(self.deviation) * span).reshape(-1, 1, 1, 1)
        np.clip(windows, -_MOST, _MOST, out=windows)


@lru_cache(maxsize=1)
def quantiles() -> NDArray[np.float32]:
    """The quantiles (k + 1/2) / STEPS of the normal distribution, smallest first."""
    half = [NormalDist().inv_cdf((k + 0.5) / STEPS) for k in range(STEPS // 2)]
    found = np.array(half + [-each for each in reversed(half)], dtype=np.float32)
    found.flags.writeable = False
    return found


@lru_cache(maxsize=4)
def _levels(deviation: float) -> NDArray[np.int16]:
    """The same as steps of a byte."""
    levels: NDArray[np.int16] = np.rint(quantiles() * np.float32(255 * deviation)).astype(np.int16)
    return levels
