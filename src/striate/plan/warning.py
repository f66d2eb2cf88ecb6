"""What is legal in a network but hardly meant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from striate.errors import counted
from striate.plan.field import Fields
from striate.spec.axis import Axis
from striate.spec.layout import Chain, Join, Layout, Part, Placed, Side
from striate.spec.shape import Map
from striate.spec.words import write_layer

_WINDOWS = ("conv", "local", "maxpool", "avgpool")
Wanted = tuple[frozenset[int], frozenset[int]]


def warnings(layout: Layout, fields: Mapping[str, Fields | None]) -> tuple[str, ...]:
    """The warnings of a network, a sentence each, the most telling first."""
    return (
        *_never_looked_at(layout),
        *_undivided(layout),
        *_heavy_fc(layout),
        *_bias_before_bn(layout),
        *_field_too_large(layout, fields),
    )


def unread_rows(placed: Placed) -> str | None:
    """`1 row and 1 column` where the stride of a layer does not divide, else None."""
    if placed.layer.word not in _WINDOWS or not isinstance(placed.input, Map):
        return None
    rows, columns = placed.layer.axes(placed.input)
    return _rows_and_columns(rows.unread(placed.input.height), columns.unread(placed.input.width))


def _rows_and_columns(rows: int, columns: int) -> str | None:
    said = [counted(n, what) for n, what in ((rows, "row"), (columns, "column")) if n]
    return " and ".join(said) or None


def _never_looked_at(layout: Layout) -> Iterator[str]:
    """Rows of the input picture that no path leads from to the output, found by walking back."""
    end = layout.root.output
    whole = (frozenset(range(end.height)), frozenset(range(end.width))) if isinstance(end, Map) else None
    wanted = _read(layout.root, whole)
    if wanted is None:
        return
    rows = layout.input.height - len(wanted[0])
    columns = layout.input.width - len(wanted[1])
    said = _rows_and_columns(rows, columns)
    if said:
        yield f"{said} of the {layout.input.height}x{layout.input.width} input are never looked at"


def _read(part: Part, wanted: Wanted | None) -> Wanted | None:
    """Rows and columns of a part's input that the `wanted` ones of its output need; None for all."""
    if isinstance(part, Placed):
        return _read_layer(part, wanted)
    if isinstance(part, Side):
        return wanted
    if isinstance(part, Join):
        reads = [_read(chain, wanted) for chain in part.chains]
        if any(each is None for each in reads):
            return None
        both = [each for each in reads if each is not None]
        return frozenset().union(*(each[0] for each in both)), frozenset().union(*(each[1] for each in both))
    for each in reversed(part.parts):
        wanted = _read(each, wanted)
    return wanted


def _read_layer(placed: Placed, wanted: Wanted | None) -> Wanted | None:
    shape = placed.input
    if not isinstance(shape, Map):
        return None
    if placed.layer.word in ("fc", "flatten", "pool") or wanted is None:
        every = frozenset(range(shape.height)), frozenset(range(shape.width))
        if placed.layer.word in ("fc", "flatten", "pool"):
            return every
        output = placed.output
        assert isinstance(output, Map)
        wanted = frozenset(range(output.height)), frozenset(range(output.width))
    rows, columns = placed.layer.axes(shape)
    return rows.reads(shape.height, wanted[0]), columns.reads(shape.width, wanted[1])


def _undivided(layout: Layout) -> Iterator[str]:
    found = [(placed, left) for placed in layout.layers() if (left := unread_rows(placed))]
    if not found:
        return
    placed, left = found[0]
    rows, _ = placed.layer.axes(placed.input)
    more = f", and in {counted(len(found) - 1, 'more layer')}" if len(found) > 1 else ""
    yield (
        f"the stride of `{write_layer(placed.layer)}` does not divide {_formula(placed, rows)}: "
        f"{left} at the far end, padding counted, not read{more}"
    )


def _formula(placed: Placed, rows: Axis) -> str:
    shape = placed.input
    assert isinstance(shape, Map)
    return f"({shape.height} + {rows.before + rows.after} - {rows.extent}) / {rows.stride}"


def _heavy_fc(layout: Layout) -> Iterator[str]:
    weights = {placed: placed.layer.weights(placed.input) for placed in layout.layers(sides=False)}
    total = sum(weights.values())
    for placed, number in weights.items():
        if placed.layer.word == "fc" and total > 10_000 and number > total / 2 and len(weights) > 1:
            where = "`pool avg` before it" if isinstance(placed.input, Map) else "fewer features before it"
            yield (
                f"`{write_layer(placed.layer)}` at {placed.path} holds {number:,} of the {total:,} weights "
                f"({number / total:.0%}); {where} would save most of them"
            )


def _bias_before_bn(layout: Layout) -> Iterator[str]:
    found = list(_before_bn(layout.root))
    if found:
        biases = sum(placed.output.channels for placed in found)
        yield (
            f"{counted(biases, 'bias', 'biases')} before bn, the first in `{write_layer(found[0].layer)}` at "
            f"{found[0].path}: bn takes them out again, so `nobias` does the same"
        )


def _before_bn(part: Part) -> Iterator[Placed]:
    if isinstance(part, Join):
        for chain in part.chains:
            yield from _before_bn(chain)
    elif isinstance(part, Side):
        yield from _before_bn(part.chain)
    elif isinstance(part, Chain):
        for first, second in zip(part.parts, part.parts[1:], strict=False):
            if isinstance(first, Placed) and isinstance(second, Placed) and second.layer.word == "bn":
                plain = not getattr(first.layer, "nobias", True)
                if plain and first.layer.word in ("conv", "fc"):
                    yield first
        for each in part.parts:
            yield from _before_bn(each)


def _field_too_large(layout: Layout, fields: Mapping[str, Fields | None]) -> Iterator[str]:
    for placed in layout.layers(sides=False):
        field = fields[placed.path]
        if field is None or placed.layer.word not in _WINDOWS:
            continue
        if field.rows.size > layout.input.height and field.columns.size > layout.input.width:
            yield (
                f"from `{write_layer(placed.layer)}` at {placed.path} on, the receptive field "
                f"({field.rows.size}x{field.columns.size}) is larger than the picture "
                f"({layout.input.height}x{layout.input.width})"
            )
            return
