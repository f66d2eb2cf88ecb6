"""Bytes that the backward pass keeps, each tensor counted once."""

from __future__ import annotations

from striate.spec.layout import Join, Layout, Part, Placed, Side

FLOAT_BYTES = 4

# These hand their input on as it is: no new tensor.
_VIEWS = ("flatten", "identity")


def trace_saved(layout: Layout, batch: int) -> dict[str, int]:
    """Bytes kept because of each layer, by path, for a float32 training step of `batch` pictures.

    A tensor that several layers keep is counted at the first of them.  Parameters and running statistics
    are not counted: they are there anyway.
    """
    found: dict[str, int] = {}
    _trace(layout.root, "", found, set(), batch)
    return found


def _trace(part: Part, tensor: str, found: dict[str, int], kept: set[str], batch: int) -> str:
    """Walk a part that reads the tensor named `tensor`; the name of what it gives."""
    if isinstance(part, Placed):
        saves = part.layer.saves(part.input)
        output = tensor if part.layer.word in _VIEWS else part.path
        total = saves.batch_bytes + batch * saves.picture_bytes
        for name, shape, wanted in ((tensor, part.input, saves.input), (output, part.output, saves.output)):
            if wanted and name not in kept:
                kept.add(name)
                total += batch * FLOAT_BYTES * shape.elements
        found[part.path] = total
        return output
    if isinstance(part, Join):
        for chain in part.chains:
            _trace(chain, tensor, found, kept, batch)
        return part.path
    if isinstance(part, Side):
        _trace(part.chain, tensor, found, kept, batch)
        return tensor
    for each in part.parts:
        tensor = _trace(each, tensor, found, kept, batch)
    return tensor
