"""What a laid-out network costs, layer by layer and in all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape

from striate.errors import FitError, counted
from striate.net.layers.words import write_layer
from striate.net.layout.initial import default_initials
from striate.net.layout.layout import Layout
from striate.net.plan.design import Note
from striate.net.plan.memory import StepMemory, Thrift, walk
from striate.net.plan.notes import notes, unread_rows
from striate.net.plan.receptive_field import trace_fields
from striate.net.plan.tape import kept_bytes, tape
from striate.net.plan.tree import Node, Row, table_lines, tree
from striate.net.shape import Map
from striate.text.figures import size


@dataclass(frozen=True, slots=True, repr=False)
class Plan:
    """The table of a network and its sums; printed, it is what `striate plan` says.

    layout: what it is of.
    weights, multiply_adds: at inference, auxiliary classifiers left out; `side_weights` are theirs.
    saved_bytes: activations that a training step keeps, for a batch of `batch`.
    step: the memory at the peak of that step.
    precision, optimizer: of that step.
    notes: what is legal but hardly meant.
    """

    layout: Layout = field(repr=False)
    input: Map
    classes: int | None
    batch: int
    rows: tuple[Row, ...]
    weights: int
    side_weights: int
    multiply_adds: int
    saved_bytes: int
    step: StepMemory
    precision: str
    optimizer: str
    notes: tuple[Note, ...]

    @property
    def nodes(self) -> tuple[Node, ...]:
        """Its tree: norms and activations with the layer before them, repeats folded."""
        return tree(self.layout, self.rows)

    def lines(self, *, every: bool = False) -> Iterator[str]:
        """What `striate plan` prints.  every: each layer in a row of its own, not the tree."""
        yield from table_lines(() if every else self.nodes, self.rows, self.input)
        yield ""
        classes = f", {self.classes} classes" if self.classes is not None else ""
        yield f"{self.weights:,} weights, {self.multiply_adds:,} multiply-adds an image{classes}"
        if self.side_weights:
            yield f"{self.weights + self.side_weights:,} weights in training, with the auxiliary classifiers"
        images = "one image" if self.batch == 1 else f"{self.batch} images"
        yield (
            f"a training step on {images} keeps {size(self.saved_bytes)} of activations and needs about "
            f"{size(self.step.total)} in all ({self.precision}, {self.optimizer})"
        )
        initials = Counter(row.initial for row in self.rows if row.initial)
        said = ", ".join(f"{word} in {counted(number, 'layer')}" for word, number in initials.most_common())
        yield f"first weights by `auto`: {said or 'there are none'}"
        for note in self.notes:
            yield f"{note.severity}: {note} [{note.code}]"

    def __str__(self) -> str:
        """What `striate plan` prints."""
        return "\n".join(self.lines())

    # At the prompt, too: not a line of all its fields.
    __repr__ = __str__

    def _repr_html_(self) -> str:
        """The same in a notebook."""
        return f'<pre style="line-height:1.35">{escape(str(self))}</pre>'


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
        layout=layout,
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
        precision=precision,
        optimizer=optimizer,
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
