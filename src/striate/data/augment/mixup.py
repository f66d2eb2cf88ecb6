"""Mixtures of two images and of their labels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from striate.data.augment.argument import Argument, written
from striate.data.augment.chance import Chance, Stream

_POINTS = 4096


@dataclass(frozen=True, slots=True, eq=False)
class Mix:
    """How the images of a batch are mixed: y[i] = weights[i] x[i] + (1 - weights[i]) x[partners[i]].

    partners: N places in the batch.  weights: N, from 0 to 1.
    """

    partners: NDArray[np.int64]
    weights: NDArray[np.float32]


ARGUMENT = Argument("A", 0.01, 10, 0.2)


@dataclass(frozen=True, slots=True)
class Mixup:
    """Each image mixed with the next one of its batch, and the loss of its answer with that for the other label:

        w ~ Beta(alpha, alpha)
        y = w x + (1 - w) x',   loss = w L(label) + (1 - w) L(label')

    The last image is mixed with the first.  Batches are shuffled, so the next one is any other one.
    Source: Zhang et al. 2018 (mixup: Beyond Empirical Risk Minimization), section 2.
    """

    alpha: float
    word: ClassVar[str] = "mixup"
    argument: ClassVar[Argument | None] = ARGUMENT

    def __post_init__(self) -> None:
        ARGUMENT.require(self.word, self.alpha)

    def __str__(self) -> str:
        return f"{self.word} {written(self.alpha)}"

    def mix(self, chance: Chance) -> Mix:
        """What the N images of a batch are mixed with, in its order."""
        places = np.arange(len(chance.images))
        weights = symmetric_beta(self.alpha, chance.uniform(Stream.MIXUP))
        return Mix(np.roll(places, -1), weights.astype(np.float32))


def symmetric_beta(alpha: float, shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where the distribution Beta(alpha, alpha) reaches each of `shares`, in [0, 1): its inverse.

        F(x) = integral of (t (1 - t))^(alpha - 1) from 0 to x, over that from 0 to 1

    To about 1e-4 of the distribution, by a table of 4,096 points of one half; the other is its mirror image.
    """
    reached, places = _half_beta(alpha)
    lower = np.interp(np.minimum(shares, 1 - shares), reached, places)
    x = lower ** (1 / min(alpha, 1.0))
    return np.where(shares <= 0.5, x, 1 - x)


@lru_cache(maxsize=4)
def _half_beta(alpha: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The shares 0 .. 1/2 reached at places u = x^min(alpha, 1), by the trapezoid rule.

    In u the density has no pole at 0:  (x (1 - x))^(alpha - 1) dx = (1 - x)^(alpha - 1) du / alpha for alpha < 1.
    """
    power = min(alpha, 1.0)
    u = np.linspace(0, 0.5**power, _POINTS)
    x = u ** (1 / power)
    density = (1 - x) ** (alpha - 1) * x ** (alpha - power)
    reached = np.concatenate([[0.0], np.cumsum((density[1:] + density[:-1]) / 2)])
    return reached * (0.5 / reached[-1]), u
