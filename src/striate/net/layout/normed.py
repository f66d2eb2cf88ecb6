"""Layers whose output goes to a bn: neither the length of their weights nor their bias tells anything."""

from __future__ import annotations

from collections.abc import Iterator

from striate.net.layers.convolution import Conv
from striate.net.layers.linear import Fc
from striate.net.layers.normalization import BatchNorm
from striate.net.layers.pooling import AvgPool, MaxPool
from striate.net.layout.layout import Chain, Join, Layout, Part, Placed, Side

# A pooling hands on what is added to a whole map, and what it is multiplied with.
_HANDS_ON = (MaxPool, AvgPool)


def before_norm(layout: Layout) -> list[Placed]:
    """The convolutions and fully connected layers straight before a bn, or with a pooling between.

    bn(a * y + b) = bn(y) for each channel's a > 0 and b, but for eps.
    """
    return list(_in(layout.root))


def needs_two(layout: Layout) -> bool:
    """Whether a bn has one place only, as behind an fc: one image alone has no variance there."""
    return any(
        isinstance(placed.layer, BatchNorm) and placed.input.elements == placed.input.channels
        for placed in layout.layers()
    )


def normalizes(layout: Layout) -> bool:
    """Whether a layer of it brings activations to one scale, so that higher learning rates train."""
    return any(placed.layer.word in ("bn", "ln") for placed in layout.layers())


def _in(part: Part) -> Iterator[Placed]:
    if isinstance(part, Join):
        for chain in part.chains:
            yield from _in(chain)
    elif isinstance(part, Side):
        yield from _in(part.chain)
    elif isinstance(part, Chain):
        for index, each in enumerate(part.parts):
            if not isinstance(each, Placed):
                yield from _in(each)
            elif isinstance(each.layer, Conv | Fc) and _goes_to_norm(part.parts[index + 1 :]):
                yield each


def _goes_to_norm(behind: tuple[Part, ...]) -> bool:
    for part in behind:
        if not (isinstance(part, Placed) and isinstance(part.layer, _HANDS_ON)):
            return isinstance(part, Placed) and isinstance(part.layer, BatchNorm)
    return False
