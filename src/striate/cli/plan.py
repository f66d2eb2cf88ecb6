"""`striate plan`."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from typing import Annotated

from cyclopts import Parameter
from rich.table import Table

from striate.api import read
from striate.cli.console import tabular
from striate.cli.values import input_shape
from striate.errors import StriateError, counted
from striate.plan.field import Fields
from striate.plan.plan import Plan, Row
from striate.zoo.list import zoo_net

# What `classes` stands for where nobody says: as many as there are digits.
CLASSES = 10


def plan(
    net: str,
    /,
    *,
    input: Annotated[str | None, Parameter(name="--input")] = None,
    classes: int | None = None,
    batch: int = 1,
    strict: bool = False,
    json_: Annotated[bool, Parameter(name="--json")] = False,
) -> None:
    """What a network costs before it runs: shapes, weights, multiply-adds, receptive fields, memory.

    For example:

      striate plan "conv 6 5x5 -> relu -> maxpool 2 -> fc classes" --input 1x28x28
      striate plan mine.net --input 3x128x128 --classes 5 --batch 32
      striate plan resnet50

    Parameters
    ----------
    net
        A text, a .net file, or the name of a network of the zoo.
    input
        Shape of the pictures, as 3x224x224; a network of the zoo knows its own.
    classes
        What the word `classes` stands for; 10, or what the zoo says.
    batch
        Pictures in a training step, for the memory that it keeps.
    strict
        Refuse a stride that does not divide instead of warning.
    json_
        Print the plan as JSON.
    """
    if batch < 1 or (classes is not None and classes < 1):
        raise StriateError("a batch and a number of classes are at least 1", place="plan")
    text = read(net)
    if input is not None:
        shape = input_shape(input)
    elif text.zoo is not None:
        shape = zoo_net(text.zoo).input
    else:
        raise StriateError("the shape of the pictures is not known", place="plan", cure="--input 3x224x224")
    if classes is None and text.zoo is not None:
        classes = zoo_net(text.zoo).classes
    made = text.plan(shape, CLASSES if classes is None else classes, batch=batch, strict=strict)
    if json_:
        print(json.dumps(_plain(made), indent=2))
    else:
        _print(made)


def _print(made: Plan) -> None:
    console = tabular()
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("layer", overflow="fold")
    for title in ("output", "weights", "multiply-adds", "sees", "step", "saved"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_row("input", str(made.input), "", "", "", "", "")
    for row in made.rows:
        sees, step = _field(row.field)
        layer = ("aux  " if row.side else "") + row.text
        cells = (_number(row.weights), _number(row.multiply_adds), sees, step, _bytes(row.saved_bytes))
        table.add_row(layer, str(row.output), *cells)
    console.print(table)
    console.print()
    classes = f", {made.classes} classes" if made.classes is not None else ""
    console.print(f"{made.weights:,} weights, {made.multiply_adds:,} multiply-adds a picture{classes}")
    if made.side_weights:
        console.print(f"{made.weights + made.side_weights:,} weights in training, with the side classifiers")
    pictures = "picture" if made.batch == 1 else f"{made.batch} pictures"
    console.print(
        f"a training step on {'one ' if made.batch == 1 else ''}{pictures} keeps {_bytes(made.saved_bytes)} of "
        f"activations and needs about {_bytes(made.training_bytes(2))} in all (float32, Adam)"
    )
    initials = Counter(row.initial for row in made.rows if row.initial)
    told = ", ".join(f"{word} in {counted(number, 'layer')}" for word, number in initials.most_common())
    console.print(f"first weights by `auto`: {told or 'there are none'}")
    for warning in made.warnings:
        console.print(f"note: {warning}", soft_wrap=True)


def _field(field: Fields | None) -> tuple[str, str]:
    if field is None:
        return "all", ""
    rows, columns = field
    step = str(rows.step) if rows.step == columns.step else f"{rows.step}x{columns.step}"
    return f"{rows.size}x{columns.size}", step


def _number(number: int) -> str:
    return f"{number:,}" if number else ""


def _bytes(count: float) -> str:
    if not count:
        return ""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:,.0f} TB"


def _plain(made: Plan) -> dict[str, object]:
    return {
        "input": list(made.input),
        "classes": made.classes,
        "batch": made.batch,
        "weights": made.weights,
        "side_weights": made.side_weights,
        "multiply_adds": made.multiply_adds,
        "saved_bytes": made.saved_bytes,
        "warnings": list(made.warnings),
        "layers": [_plain_row(row) for row in made.rows],
    }


def _plain_row(row: Row) -> dict[str, object]:
    field = None if row.field is None else [dataclasses.asdict(axis) for axis in row.field]
    return {
        "path": row.path,
        "layer": row.text,
        "output": list(row.output),
        "weights": row.weights,
        "multiply_adds": row.multiply_adds,
        "receptive_field": field,
        "saved_bytes": row.saved_bytes,
        "initial": row.initial,
        "side": row.side,
    }
