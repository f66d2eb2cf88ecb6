"""What a laid-out network costs, layer by layer and in all."""

from __future__ import annotations

from dataclasses import dataclass

from striate.errors import FitError
from striate.net.layers.words import write_layer
from striate.net.layout.initial import default_initials
from striate.net.layout.layout import Layout
from striate.net.plan.design import Note
from striate.net.plan.memory import StepMemory, Thrift, walk
from striate.net.plan.notes import notes, unread_rows
from striate.net.plan.receptive_field import Fields, trace_fields
from striate.net.plan.tape import kept_bytes, tape
from striate.net.shape import Map, Shape


@dataclass(frozen=True, slots=True)
class Row:
    """One layer of the table.

    path: the labels and places that lead to it.  text: the layer as it is written.
    output: its shape for one image.  weights: trained numbers.  multiply_adds: for one image.
    field: its receptive field along height and width, or None where it sees the whole image.
    saved_bytes: what the backward pass keeps because of it, for the whole batch, the images themselves not
    counted.
    side: it belongs to an auxiliary classifier, which is absent at inference.
    initial: the first weights that `auto` draws, `he` or `xavier`; None for layers without a matrix.
    """

    path: str
    text: str
    output: Shape
    weights: int
    multiply_adds: int
    field: Fields | None
    saved_bytes: int
    side: bool
    initial: str | None


@dataclass(frozen=True, slots=True)
class Plan:
    """The table of a network and its sums.

    weights, multiply_adds: at inference, auxiliary classifiers left out; `side_weights` are theirs.
    saved_bytes: activations that a training step keeps, for a batch of `batch`.
    step: the memory at the peak of that step.
    notes: what is legal but hardly meant.
    """

    input: Map
    classes: int | None
    batch: int
    rows: tuple[Row, ...]
    weights: int
    side_weights: int
    multiply_adds: int
    saved_bytes: int
    step: StepMemory
    notes: tuple[Note, ...]


def plan(
    layout: Layout,
    *,
    batch: int = 1,
    strict: bool = False,
    precision: str = "fp32",
    optimizer: str = "adamw",
) -> Plan:
    """The plan of a laid-out network.

    batch: images in one training step.  precision: its arithmetic, fp32 or bf16.  optimizer: as in a recipe.
    strict: raise FitError where a stride does not divide, which is otherwise a warning.
    """
    if strict:
        _refuse_unread(layout)
    fields = trace_fields(layout)
    made = tape(layout, precision)
    saved = kept_bytes(made, batch)
    initials = default_initials(layout)
    rows = tuple(
        Row(
            path=placed.path,
            text=write_layer(placed.layer),
            output=placed.output,
            weights=placed.layer.weights(placed.input),
            multiply_adds=placed.layer.multiply_adds(placed.input),
            field=fields[placed.path],
            saved_bytes=saved.get(placed.path, 0),
            side=side is not None,
            initial=initials.get(placed.path),
        )
        for placed, side in layout.places()
    )
    return Plan(
        input=layout.input,
        classes=layout.classes,
        batch=batch,
        rows=rows,
        weights=sum(row.weights for row in rows if not row.side),
        side_weights=sum(row.weights for row in rows if row.side),
        multiply_adds=sum(row.multiply_adds for row in rows if not row.side),
        saved_bytes=sum(row.saved_bytes for row in rows),
        step=walk(
            made, layout, batch, precision=precision, optimizer=optimizer, average=False, thrift=Thrift()
        ),
        notes=notes(layout, fields),
    )


def _refuse_unread(layout: Layout) -> None:
    for placed in layout.layers():
        left = unread_rows(placed)
        if left is None:
            continue
        place, excerpt = placed.path, ""
        source = layout.network.source
        if source is not None and placed.at is not None:
            place, excerpt = source.place(placed.at), source.excerpt(placed.at)
        raise FitError(
            f"the stride does not divide: it leaves {left} at the far end of the {placed.input} map unread, "
            "padding counted",
            place=place,
            excerpt=excerpt,
            expected="(N + 2P - F) / S whole",
            cure="another pad, window or input size, or leave out --strict",
        )
