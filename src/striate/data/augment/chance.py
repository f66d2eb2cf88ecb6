"""Chance that depends on what it is drawn for and on nothing else.

A number is drawn for (seed, epoch, image, stream), so the order of work, the size of the batches and the
number of threads change nothing, and a resumed run draws what the unbroken one would have drawn.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


class Stream(IntEnum):
    """What a number is drawn for.  Each use has one of its own; a new use gets a new number at the end."""

    ORDER = 0
    TOP = 1
    LEFT = 2
    FLIP = 3
    VFLIP = 4
    ANGLE = 5
    AREA = 6
    ASPECT = 7
    BRIGHTNESS = 8
    CONTRAST = 9
    SATURATION = 10
    GREY = 11
    NOISE = 12
    CUTOUT_ROW = 13
    CUTOUT_COLUMN = 14
    MIXUP = 15
    ASIDE = 16


class Chance:
    """What is drawn for some images in one epoch.

    images: their places in the split, shape N; the second time in one epoch the place plus the length of the
    split, the third plus twice the length, so that each time something else is drawn (`balanced`).
    """

    def __init__(self, seed: int, epoch: int, images: NDArray[np.int64]) -> None:
        self.seed, self.epoch, self.images = seed, epoch, images
        self._drawn: dict[Stream, NDArray[np.uint64]] = {}
        self._once: dict[Stream, NDArray[np.float64]] = {}

    def uniform(self, stream: Stream, low: float = 0.0, high: float = 1.0) -> NDArray[np.float64]:
        """A number in [low, high) for each image, shape N."""
        return low + (high - low) * _unit(self._bits(stream))

    def once(self, stream: Stream) -> NDArray[np.float64]:
        """A number in [0, 1) for each image that is the same in every epoch, shape N."""
        if stream not in self._once:
            self._once[stream] = uniform(self.seed, 0, self.images, stream)
        return self._once[stream]

    def below(self, limit: int, stream: Stream) -> NDArray[np.int64]:
        """A whole number from 0 up to but without `limit` for each image, shape N."""
        return (self.uniform(stream) * limit).astype(np.int64)

    def sequences(self, count: int, stream: Stream) -> NDArray[np.uint64]:
        """For each image `count` numbers of 64 bits, shape N x count: splitmix64, begun anew for each."""
        steps = np.arange(count, dtype=np.uint64) * _GOLDEN
        return _mix(self._bits(stream)[:, None] + steps)

    def parts(self, count: int) -> Iterator[tuple[slice, Chance]]:
        """The same for `count` images after the other, and which they are.

        What a part asks for is drawn for all at once: a call of numpy costs as much as drawing a thousand.
        """
        for start in range(0, len(self.images), count):
            part = slice(start, start + count)
            yield part, _Part(self, part)

    def _bits(self, stream: Stream) -> NDArray[np.uint64]:
        if stream not in self._drawn:
            self._drawn[stream] = _drawn(self.seed, self.epoch, self.images, stream)
        return self._drawn[stream]


class _Part(Chance):
    def __init__(self, whole: Chance, part: slice) -> None:
        super().__init__(whole.seed, whole.epoch, whole.images[part])
        self._whole, self._part = whole, part

    def once(self, stream: Stream) -> NDArray[np.float64]:
        return self._whole.once(stream)[self._part]

    def _bits(self, stream: Stream) -> NDArray[np.uint64]:
        return self._whole._bits(stream)[self._part]


def uniform(seed: int, epoch: int, images: NDArray[np.int64], stream: int) -> NDArray[np.float64]:
    """A number in [0, 1) for each image, by the splitmix64 generator (Steele, Lea and Flood 2014).

    images: their places in the split, shape N.  stream: one for each use.  Returns shape N.
    """
    return _unit(_drawn(seed, epoch, images, stream))


def shuffled(count: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """The order of images in an epoch: all of 0 .. count - 1, sorted by a number drawn for each."""
    return np.argsort(uniform(seed, epoch, np.arange(count), Stream.ORDER), kind="stable")


def balanced(labels: NDArray[np.int64], seed: int, epoch: int) -> NDArray[np.int64]:
    """The order of images in an epoch in which all classes come equally often: as many as there are, N.

    Of a class with fewer than N / classes images, each comes several times; of a larger one some are left out,
    others in each epoch.  An image that comes for the k-th time is `place + (k - 1) * N`, as `Chance` has it.
    """
    count = len(labels)
    order = shuffled(count, seed, epoch)
    classes = np.unique(labels)
    draws = []
    for number, label in enumerate(classes):
        members = order[labels[order] == label]
        # The rest of the division goes to other classes in each epoch.
        extra = (number + epoch) % len(classes) < count % len(classes)
        turns = np.arange(count // len(classes) + extra)
        draws.append(members[turns % len(members)] + count * (turns // len(members)))
    drawn = np.concatenate(draws)
    return drawn[np.argsort(uniform(seed, epoch, drawn, Stream.ORDER), kind="stable")]


def _drawn(seed: int, epoch: int, images: NDArray[np.int64], stream: int) -> NDArray[np.uint64]:
    """64 bits for each image, shape N."""
    with np.errstate(over="ignore"):
        key = _mix(_mix(np.uint64(seed) + _GOLDEN) ^ np.uint64(epoch)) + np.uint64(stream) * _GOLDEN
        return _mix(_mix(images.astype(np.uint64) + key))


def _unit(bits: NDArray[np.uint64]) -> NDArray[np.float64]:
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mix(x: NDArray[np.uint64] | np.uint64) -> NDArray[np.uint64]:
    z = np.asarray(x, dtype=np.uint64) + _GOLDEN
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
