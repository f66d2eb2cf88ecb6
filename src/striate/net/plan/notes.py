"""What is legal in a network but hardly meant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from striate.errors import counted
from striate.net.layers.axis import POINT, Axis
from striate.net.layers.convolution import Conv
from striate.net.layers.linear import Fc
from striate.net.layers.pooling import Pool
from striate.net.layers.words import write_layer
from striate.net.layout.layout import Join, Layout, Part, Placed, Side
from striate.net.layout.normed import before_norm
from striate.net.plan.design import Note, design_notes
from striate.net.plan.receptive_field import Fields
from striate.net.shape import Map, Shape

_WINDOWS = ("conv", "local", "maxpool", "avgpool")

# Rows and columns of a map, counted from 0.
Places = tuple[frozenset[int], frozenset[int]]


def notes(layout: Layout, fields: Mapping[str, Fields | None]) -> tuple[Note, ...]:
    """What is legal in a network but hardly meant, the most telling first."""
    return (
        *design_notes(layout, fields),
        *_never_seen(layout),
        *_undivided(layout),
        *_heavy_fc(layout),
        *_bias_before_bn(layout),
        *_field_too_large(layout, fields),
    )


def unread_rows(placed: Placed) -> str | None:
    """`1 row and 1 column` where the stride of a layer does not divide, else None.

    These lie at the far end of the padded map.
    """
    if placed.layer.word not in _WINDOWS or not isinstance(placed.input, Map):
        return None
    left = [
        axis.unread(length)
        for axis, length in zip(placed.layer.axes(placed.input), placed.input[1:], strict=True)
    ]
    said = [counted(number, what) for number, what in zip(left, ("row", "column"), strict=True) if number]
    return " and ".join(said) or None


def _never_seen(layout: Layout) -> Iterator[Note]:
    """Rows and columns of the image that no path leads from to the output, found by walking back."""
    read = _read(layout.root, _all(layout.root.output))
    if read is None:
        return
    said = []
    for what, length, seen in zip(("row", "column"), layout.input[1:], read, strict=True):
        missed = [place for place in range(length) if place not in seen]
        if missed:
            said.append(_which(what, missed))
    if said:
        size = f"{layout.input.height}x{layout.input.width}"
        yield Note(
            "unseen-pixels",
            f"the output never sees {' and '.join(said)} of the {size} images, counted from 0",
        )


def _which(what: str, places: list[int]) -> str:
    """`row 27`, `rows 24 to 27`, `14 rows (1, 3, 5 ...)`."""
    first, last = places[0], places[-1]
    if len(places) == 1:
        return f"{what} {first}"
    if last - first == len(places) - 1:
        return f"{what}s {first} {'and' if len(places) == 2 else 'to'} {last}"
    shown = ", ".join(map(str, places[:3])) + (" ..." if len(places) > 3 else "")
    return f"{counted(len(places), what)} ({shown})"


def _read(part: Part, wanted: Places | None) -> Places | None:
    """Places of a part's input that the `wanted` ones of its output need; None for a vector."""
    if isinstance(part, Placed):
        return _read_by(part, wanted)
    if isinstance(part, Side):
        return wanted
    if isinstance(part, Join):
        reads = [_read(chain, wanted) for chain in part.chains]
        maps = [each for each in reads if each is not None]
        if not maps:
            return None
        return frozenset().union(*(each[0] for each in maps)), frozenset().union(*(each[1] for each in maps))
    for each in reversed(part.parts):
        wanted = _read(each, wanted)
    return wanted


def _read_by(placed: Placed, wanted: Places | None) -> Places | None:
    shape = placed.input
    if not isinstance(shape, Map):
        return None
    if wanted is None:
        return _all(shape)
    if isinstance(placed.layer, Pool):
        windows = placed.layer.windows(shape)
        rows, columns = (
            frozenset(place for index in kept for place in side[index])
            for side, kept in zip(windows, wanted, strict=True)
        )
        return rows, columns
    axes = placed.layer.axes(shape)
    if axes == (POINT, POINT):
        return wanted
    return axes[0].reads(shape.height, wanted[0]), axes[1].reads(shape.width, wanted[1])


def _all(shape: Shape) -> Places | None:
    if not isinstance(shape, Map):
        return None
    return frozenset(range(shape.height)), frozenset(range(shape.width))


def _undivided(layout: Layout) -> Iterator[Note]:
    found = [(placed, left) for placed in layout.layers() if (left := unread_rows(placed))]
    if not found:
        return
    placed, left = found[0]
    shape = placed.input
    assert isinstance(shape, Map)
    sides = list(zip(placed.layer.axes(shape), shape[1:], strict=True))
    axis, length = next(side for side in sides if side[0].unread(side[1]))
    padding = all(axis.unread(length) <= axis.after for axis, length in sides)
    more = f", as in {counted(len(found) - 1, 'more layer')}" if len(found) > 1 else ""
    yield Note(
        "undivided-stride",
        f"the stride of `{write_layer(placed.layer)}` at {placed.path} does not divide {_room(axis, length)}: "
        f"it leaves {left}{' of padding' if padding else ''} at the far end unread{more}",
        layer=placed.path,
    )


def _room(axis: Axis, length: int) -> str:
    """(N + 2P - F) / S with its numbers."""
    padding = f" + {axis.before + axis.after}" if axis.before + axis.after else ""
    return f"({length}{padding} - {axis.extent}) / {axis.stride}"


def _heavy_fc(layout: Layout) -> Iterator[Note]:
    weights = [(placed, placed.layer.weights(placed.input)) for placed in layout.layers(sides=False)]
    total = sum(number for _, number in weights)
    for placed, number in weights:
        if placed.layer.word == "fc" and total > 10_000 and number > total / 2 and len(weights) > 1:
            large = isinstance(placed.input, Map) and placed.input.height * placed.input.width > 1
            cure = "`pool avg` before it" if large else "fewer features before it"
            yield Note(
                "heavy-fc",
                f"`{write_layer(placed.layer)}` at {placed.path} holds {number:,} of the {total:,} weights "
                f"({number / total:.0%}); {cure} would save most of them",
                layer=placed.path,
            )


def _bias_before_bn(layout: Layout) -> Iterator[Note]:
    found = [
        placed
        for placed in before_norm(layout)
        if isinstance(placed.layer, Conv | Fc) and not placed.layer.nobias
    ]
    if found:
        first = found[0]
        biases = first.output.channels
        more = f", as in {counted(len(found) - 1, 'more layer')}" if len(found) > 1 else ""
        yield Note(
            "bias-before-bn",
            f"the {'bias' if biases == 1 else f'{biases:,} biases'} of `{write_layer(first.layer)}` at "
            f"{first.path} can do nothing, as the bn behind it takes the mean out: `nobias` saves "
            f"{'it' if biases == 1 else 'them'}{more}",
            layer=first.path,
        )


def _field_too_large(layout: Layout, fields: Mapping[str, Fields | None]) -> Iterator[Note]:
    for placed in layout.layers(sides=False):
        field = fields[placed.path]
        if field is None or placed.layer.word not in _WINDOWS:
            continue
        if field.rows.size > layout.input.height and field.columns.size > layout.input.width:
            yield Note(
                "receptive-field-large",
                f"from `{write_layer(placed.layer)}` at {placed.path} on, the receptive field, "
                f"{field.rows.size}x{field.columns.size}, is larger than the {layout.input.height}x"
                f"{layout.input.width} image",
                layer=placed.path,
            )
            return
