"""Receptive fields: what each unit sees of the input image."""

from __future__ import annotations

from typing import NamedTuple

from striate.net.layers.axis import Field
from striate.net.layout.layout import Join, Layout, Part, Placed, Side
from striate.net.shape import Map, Shape

# Where every unit sees all of the map before it; `pool` only with one window.
_MIXES = ("fc", "flatten", "pool")


class Fields(NamedTuple):
    """The receptive field along height and along width."""

    rows: Field
    columns: Field


def trace_fields(layout: Layout) -> dict[str, Fields | None]:
    """The receptive field behind each layer and part, by path; None where every unit sees the whole image.

    Norms count as at inference, point by point.  A flattened vector sees what all of it sees together.
    Rows that strides leave out, between the first and the last that a unit sees or at the far end, are not
    taken off: the warnings tell of those.
    """
    found: dict[str, Fields | None] = {}
    _trace(layout.root, Fields(Field(), Field()), layout.input, found)
    return found


def _trace(part: Part, now: Fields | None, image: Map, found: dict[str, Fields | None]) -> Fields | None:
    if isinstance(part, Placed):
        found[part.path] = _behind(part, now, image)
        return found[part.path]
    if isinstance(part, Join):
        ends = [_trace(chain, now, image, found) for chain in part.chains]
        found[part.path] = _joined(ends, part.output)
        return found[part.path]
    if isinstance(part, Side):
        _trace(part.chain, now, image, found)
        return now
    for each in part.parts:
        now = _trace(each, now, image, found)
    if part.path:
        found[part.path] = now
    return now


def _behind(placed: Placed, now: Fields | None, image: Map) -> Fields | None:
    shape = placed.input
    if now is None or not isinstance(shape, Map):
        return now
    rows, columns = placed.layer.axes(shape)
    behind = Fields(now.rows.through(rows), now.columns.through(columns))
    mixes = placed.layer.word in _MIXES and rows.kernel >= shape.height and columns.kernel >= shape.width
    covers = _covers(behind.rows, image.height) and _covers(behind.columns, image.width)
    return None if mixes and covers else behind


def _covers(field: Field, length: int) -> bool:
    return field.start <= 0 and field.start + field.size >= length


def _joined(ends: list[Fields | None], output: Shape) -> Fields | None:
    rows, columns = output[1:] if isinstance(output, Map) else (1, 1)
    total = ends[0]
    for end in ends[1:]:
        if total is None or end is None:
            return None
        total = Fields(total.rows.joined(end.rows, rows), total.columns.joined(end.columns, columns))
    return total
