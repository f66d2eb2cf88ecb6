"""The shape of one image on its way through a network; the batch is never part of it."""

from __future__ import annotations

from typing import NamedTuple


class Map(NamedTuple):
    """A stack of feature maps, channels x height x width."""

    channels: int
    height: int
    width: int

    @property
    def elements(self) -> int:
        """How many numbers it holds."""
        return self.channels * self.height * self.width

    def __str__(self) -> str:
        return f"{self.channels}x{self.height}x{self.width}"


class Flat(NamedTuple):
    """A plain vector of features, as after `flatten` and `fc`."""

    features: int

    @property
    def channels(self) -> int:
        """What a layer that works per channel sees: one channel a feature."""
        return self.features

    @property
    def elements(self) -> int:
        """How many numbers it holds."""
        return self.features

    def __str__(self) -> str:
        return str(self.features)


Shape = Map | Flat
