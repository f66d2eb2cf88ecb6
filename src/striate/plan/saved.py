"""Bytes that the backward pass keeps, each tensor counted once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from striate.spec.layer import Layer
from striate.spec.layout import Join, Layout, Part, Placed, Side
from striate.spec.linear import Softmax

FLOAT_BYTES = 4


class _Tensor(NamedTuple):
    """name: the path of what made it, empty for the pictures.  learns: a gradient flows back into it."""

    name: str
    learns: bool


@dataclass(frozen=True, slots=True)
class _Kept:
    """What is kept so far.  bytes: by path.  tensors: the names of those already counted."""

    batch: int
    bytes: dict[str, int] = field(default_factory=dict)
    tensors: set[str] = field(default_factory=set)


def trace_saved(layout: Layout, batch: int) -> dict[str, int]:
    """Bytes kept because of each layer, by path, for a float32 training step of `batch` pictures.

    A tensor that several layers keep is counted at the first of them.  Parameters and running statistics
    are not counted: they are there anyway.  Layers before the first weights keep nothing, and neither
    does a closing `softmax`, which training leaves out.

    It is what torch keeps on a CPU, to the byte, for maps stored channel by channel.  Where they are
    stored with the channels last, as those behind `ln` are, `flatten`, or the first `fc`, copies the maps
    and that copy comes on top.
    """
    kept = _Kept(batch)
    _trace(layout.root, _Tensor("", False), kept, closing=True)
    return kept.bytes


def _trace(part: Part, tensor: _Tensor, kept: _Kept, *, closing: bool) -> _Tensor:
    """Walk a part that reads `tensor`; what it gives.  closing: logits are wanted at its end."""
    if isinstance(part, Placed):
        return _trace_layer(part, tensor, kept, closing)
    if isinstance(part, Join):
        ends = [_trace(chain, tensor, kept, closing=False) for chain in part.chains]
        return _Tensor(part.path, any(end.learns for end in ends))
    if isinstance(part, Side):
        _trace(part.chain, tensor, kept, closing=True)
        return tensor
    for each in part.parts:
        tensor = _trace(each, tensor, kept, closing=closing and each is part.parts[-1])
    return tensor


def _trace_layer(placed: Placed, tensor: _Tensor, kept: _Kept, closing: bool) -> _Tensor:
    layer = placed.layer
    if _hands_on(layer) or (closing and isinstance(layer, Softmax)):
        kept.bytes[placed.path] = 0
        return tensor
    output = _Tensor(placed.path, tensor.learns or layer.weights(placed.input) > 0)
    total = 0
    if output.learns:
        saves = layer.saves(placed.input)
        total = saves.batch_bytes + kept.batch * saves.picture_bytes
        for name, shape, wanted in (
            (tensor.name, placed.input, saves.input),
            (output.name, placed.output, saves.output),
        ):
            if wanted and name not in kept.tensors:
                kept.tensors.add(name)
                total += kept.batch * FLOAT_BYTES * shape.elements
    kept.bytes[placed.path] = total
    return output


def _hands_on(layer: Layer) -> bool:
    """Whether the output is the input itself, no new tensor."""
    return layer.word in ("flatten", "identity") or getattr(layer, "share", None) == 0
