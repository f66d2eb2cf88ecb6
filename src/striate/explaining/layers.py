"""Which layers of a network are looked at: found in its graph, or named by the user."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from striate.errors import StriateError, counted, nearest
from striate.net.layers.dropout import Dropout, Dropout2d
from striate.net.layers.linear import Fc, Flatten, Identity
from striate.net.layers.pooling import AvgPool, MaxPool, Pool
from striate.net.layout.layout import Chain, Join, Layout, Part, Placed, Side
from striate.net.plan.receptive_field import Fields, trace_fields
from striate.net.shape import Map

_NAMED = 12


@dataclass(frozen=True, slots=True)
class At:
    """A part of a network that gives feature maps.

    path: its label or place.  shape: of its maps.  fields: what each of its units can see; None where each sees
    the whole image.
    """

    path: str
    shape: Map
    fields: Fields | None

    def __str__(self) -> str:
        """`stage4, 512x7x7`."""
        return f"{self.path}, {self.shape}"

    def center(self, row: int, column: int) -> tuple[float, float]:
        """The middle of what a unit can see, in rows and columns of the image; of its padding where it lies there."""
        assert self.fields is not None
        rows, columns = self.fields
        return (
            rows.start + row * rows.step + (rows.size - 1) / 2,
            columns.start + column * columns.step + (columns.size - 1) / 2,
        )


@dataclass(frozen=True, slots=True)
class Head:
    """A closing part of which the answer can be taken apart exactly, place by place.

    at: the last maps.  consumer: the path of what reads them, the pool or the fc.
    fc: the path of the closing fc, or None where the maps themselves are pooled into logits.
    pool: avg or max, what becomes of each map; None where the fc reads the maps themselves.
    """

    at: At
    consumer: str
    fc: str | None
    pool: str | None

    @property
    def averages(self) -> bool:
        """Whether the logit is the mean of the class map plus the bias; else it is its sum plus the bias."""
        return self.pool == "avg"


def main_path(part: Part) -> Iterator[Placed | Join]:
    """The parts that every image goes through, one behind the other; a join is one of them, an aux head none."""
    if isinstance(part, Placed | Join):
        yield part
    elif isinstance(part, Chain):
        for each in part.parts:
            yield from main_path(each)


def stages(layout: Layout) -> list[At]:
    """The last part of each size of map, from the image on: what comes before the next pool or stride.

    Pools and what changes nothing at inference are not counted: the maps before a pool are finer.
    """
    fields = trace_fields(layout)
    found: dict[tuple[int, int], At] = {}
    for part in main_path(layout.root):
        shape = part.output
        if not isinstance(shape, Map) or shape.height * shape.width < 2 or _only_passes(part):
            continue
        found[shape[1:]] = At(part.path, shape, fields.get(part.path))
    return list(found.values())


def find_at(layout: Layout, name: str) -> At:
    """The part of that label or path.

    Raises StriateError where there is none, the nearest one suggested, and where it gives no maps.
    """
    parts = dict(_parts(layout.root))
    maps = [each.path for each in stages(layout)]
    if name not in parts:
        labels = list(dict.fromkeys(_label(path) for path in parts))
        raise StriateError(
            f"there is no layer `{name}`",
            place="--at",
            expected="one of " + ", ".join(labels[:_NAMED]) + (", ..." if len(labels) > _NAMED else ""),
            cure=f"--at {nearest(name, parts) or (maps or labels)[-1]}",
        )
    shape = parts[name].output
    if not isinstance(shape, Map) or shape.height * shape.width < 2:
        gives = (
            f"maps of a single place, {shape}"
            if isinstance(shape, Map)
            else counted(shape.features, "plain number")
        )
        raise StriateError(
            f"`{name}` gives {gives}: there is nothing to see in it",
            place="--at",
            expected="a layer that gives feature maps of several places"
            if maps
            else "a network with feature maps",
            cure=f"--at {maps[-1]}" if maps else "leave out --at",
        )
    return At(name, shape, trace_fields(layout).get(name))


def find_head(layout: Layout) -> Head | None:
    """The closing part as the exact class map needs it, or None where the network ends otherwise.

    Exact are `... -> pool avg -> fc` and the same with `pool max`, both without an fc, and an fc that reads the maps
    themselves.
    """
    parts = [
        part for part in main_path(layout.root) if not (isinstance(part, Placed) and _changes_nothing(part))
    ]
    if parts and isinstance(parts[-1], Placed) and parts[-1].layer.word == "softmax":
        parts.pop()
    fc = None
    if parts and isinstance(last := parts[-1], Placed) and isinstance(last.layer, Fc):
        fc = last.path
        parts.pop()
    if not parts:
        return None
    last = parts[-1]
    pool = _pool_of_all(last)
    consumer = fc if pool is None else last.path
    if consumer is None or (pool is not None and len(parts) == 1):
        return None
    source = last if pool is None else parts[-2]
    shape = source.output
    if not isinstance(shape, Map) or shape.height * shape.width < 2:
        return None
    return Head(At(source.path, shape, trace_fields(layout).get(source.path)), consumer, fc, pool)


def _pool_of_all(part: Placed | Join) -> str | None:
    """avg or max, where it makes one number of each map; else None."""
    if not isinstance(part, Placed) or not isinstance(part.input, Map) or not isinstance(part.output, Map):
        return None
    layer = part.layer
    if part.output.height * part.output.width > 1:
        return None
    if isinstance(layer, Pool):
        return layer.kind
    if isinstance(layer, AvgPool | MaxPool) and layer.kernel == part.input[1:] and not any(layer.pad or ()):
        return "avg" if isinstance(layer, AvgPool) else "max"
    return None


def _changes_nothing(part: Placed) -> bool:
    """At inference."""
    return isinstance(part.layer, Dropout | Dropout2d | Identity | Flatten)


def _only_passes(part: Placed | Join) -> bool:
    return isinstance(part, Placed) and (
        _changes_nothing(part) or isinstance(part.layer, MaxPool | AvgPool | Pool)
    )


def _parts(part: Part) -> Iterator[tuple[str, Part]]:
    """Every part by its path, aux heads left out."""
    if isinstance(part, Side):
        return
    if part.path:
        yield part.path, part
    if isinstance(part, Chain):
        for each in part.parts:
            yield from _parts(each)
    elif isinstance(part, Join):
        for chain in part.chains:
            yield from _parts(chain)


def _label(path: str) -> str:
    """The path up to its last name that is no number: what a user gave a label."""
    names = path.split(".")
    while names and names[-1].isdigit():
        names.pop()
    return ".".join(names) or path
