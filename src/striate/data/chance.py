"""Chance that depends on what it is drawn for and on nothing else.

A number is drawn for (seed, epoch, picture, stream), so the order of work, the size of the batches and the
number of threads change nothing, and a resumed run draws what the unbroken one would have drawn.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def uniform(seed: int, epoch: int, pictures: NDArray[np.int64], stream: int) -> NDArray[np.float64]:
    """A number in [0, 1) for each picture, by the splitmix64 generator (Steele, Lea and Flood 2014).

    pictures: their places in the split, shape N.  stream: one for each use.  Returns shape N.
    """
    with np.errstate(over="ignore"):
        key = _mix(_mix(np.uint64(seed) + _GOLDEN) ^ np.uint64(epoch)) + np.uint64(stream) * _GOLDEN
        bits = _mix(_mix(pictures.astype(np.uint64) + key))
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53


def below(limit: int, seed: int, epoch: int, pictures: NDArray[np.int64], stream: int) -> NDArray[np.int64]:
    """A whole number from 0 up to but without `limit` for each picture."""
    return (uniform(seed, epoch, pictures, stream) * limit).astype(np.int64)


def shuffled(count: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """The order of pictures in an epoch: all of 0 .. count - 1, sorted by a number drawn for each."""
    return np.argsort(uniform(seed, epoch, np.arange(count), stream=0), kind="stable")


def _mix(x: NDArray[np.uint64] | np.uint64) -> NDArray[np.uint64]:
    z = np.asarray(x, dtype=np.uint64) + _GOLDEN
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
