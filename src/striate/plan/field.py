"""Receptive fields: what each unit sees of the input picture."""

from __future__ import annotations

from typing import NamedTuple

from striate.spec.axis import Field
from striate.spec.layout import Join, Layout, Part, Placed, Side
from striate.spec.shape import Map


class Fields(NamedTuple):
    """The receptive field along height and along width."""

    rows: Field
    columns: Field


def trace_fields(layout: Layout) -> dict[str, Fields | None]:
    """The receptive field behind each layer, by path; None where every unit sees the whole picture.

    Batch norm counts as it is at inference, point by point.
    """
    found: dict[str, Fields | None] = {}
    _trace(layout.root, Fields(Field(), Field()), found)
    return found


def _trace(part: Part, now: Fields | None, found: dict[str, Fields | None]) -> Fields | None:
    if isinstance(part, Placed):
        found[part.path] = _behind(part, now)
        return found[part.path]
    if isinstance(part, Join):
        ends = [_trace(chain, now, found) for chain in part.chains]
        return _joined(ends)
    if isinstance(part, Side):
        _trace(part.chain, now, found)
        return now
    for each in part.parts:
        now = _trace(each, now, found)
    return now


def _behind(placed: Placed, now: Fields | None) -> Fields | None:
    if now is None:
        return None
    shape = placed.input
    if not isinstance(shape, Map):
        # A vector of features: fc mixes all of them, anything else keeps what each one sees.
        return None if placed.layer.word == "fc" else now
    rows, columns = placed.layer.axes(shape)
    if rows.kernel >= shape.height and columns.kernel >= shape.width and placed.layer.word in ("fc", "pool"):
        return None
    if placed.layer.word == "flatten":
        return now
    return Fields(now.rows.through(rows), now.columns.through(columns))


def _joined(ends: list[Fields | None]) -> Fields | None:
    total = ends[0]
    for end in ends[1:]:
        if total is None or end is None:
            return None
        total = Fields(total.rows.joined(end.rows), total.columns.joined(end.columns))
    return total
