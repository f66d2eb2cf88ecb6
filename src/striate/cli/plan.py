"""`striate plan`."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from itertools import zip_longest
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from striate.api.networks import CLASSES, NetText, read
from striate.cli.console import print_json, prose
from striate.cli.values import input_shape
from striate.errors import MissingExtra, StriateError, counted, nearest, require_train
from striate.net.plan.memory import StepMemory
from striate.net.plan.table import Plan
from striate.net.plan.tree import Node, Row, number, written
from striate.net.plan.tree import lines as tree_lines
from striate.net.zoo.list import zoo_net
from striate.optimizers import OPTIMIZERS
from striate.text.figures import aligned, size

if TYPE_CHECKING:
    from striate.bundle.certificate import Timing

# Of a network's text in the head of a column.
LONGEST_NAME = 24

PRECISIONS = ("fp32", "bf16")


def plan(
    net: str,
    /,
    *,
    input: Annotated[str | None, Parameter(name="--input")] = None,
    classes: int | None = None,
    batch: int = 1,
    strict: bool = False,
    train: bool = False,
    precision: str = "fp32",
    optimizer: str = "adamw",
    all_: Annotated[bool, Parameter(name="--all")] = False,
    against: str | None = None,
    device_sheet: bool = False,
    json_: Annotated[bool, Parameter(name="--json")] = False,
) -> None:
    """What a network costs before it runs: shapes, weights, multiply-adds, receptive fields, memory.

    For example:

      striate plan "conv 6 5x5 -> relu -> maxpool 2 -> fc classes" --input 1x28x28
      striate plan mine.net --input 3x128x128 --classes 5 --batch 32
      striate plan resnet50
      striate plan resnet18 --against plain18
      striate plan resnet18 --train --batch 64 --precision bf16
      striate plan mobilenet_v2 --device-sheet

    Parameters
    ----------
    net
        A text, a .net or .txt file, or the name of a network of the zoo.
    input
        Shape of the images, as 3x224x224; a network of the zoo knows its own.
    classes
        What the word `classes` stands for; 10, or what the zoo says.
    batch
        Images in a training step, for the memory that it keeps.
    strict
        Refuse a stride that does not divide instead of warning.
    train
        The peak memory of a training step, by its parts.
    precision
        Arithmetic of that step, fp32 or bf16.
    optimizer
        Of that step, as in a recipe: sgd, momentum, adamw and the others.
    all_
        Each layer in a row of its own; else norms and activations stand with the layer before them, and
        blocks that come several times one behind the other stand once.
    against
        A second network on the same images, set beside the first.
    device_sheet
        What a device needs to answer with it: bytes on disk, peak memory and milliseconds measured here, in
        float and in int8; the time needs the extra `train`, and random weights are as fast as trained ones.
    json_
        Print the plan as JSON.
    """
    if batch < 1 or (classes is not None and classes < 1):
        raise StriateError("a batch and a number of classes are at least 1", place="plan")
    for flag, value, words in (
        ("precision", precision, PRECISIONS),
        ("optimizer", optimizer, tuple(OPTIMIZERS)),
    ):
        if value not in words:
            raise StriateError(
                f"{flag} cannot be `{value}`",
                place=f"--{flag}",
                expected="one of " + ", ".join(words),
                cure=f"--{flag} {nearest(value, words) or words[0]}",
            )
    text = read(net)
    if input is not None:
        shape = input_shape(input)
    elif text.zoo is not None:
        shape = zoo_net(text.zoo).input
    else:
        raise StriateError("the shape of the images is not known", place="plan", cure="--input 3x224x224")
    if classes is None and text.zoo is not None:
        classes = zoo_net(text.zoo).classes
    classes = CLASSES if classes is None else classes

    def planned(network: NetText) -> Plan:
        return network.plan(
            shape, classes, batch=batch, strict=strict, precision=precision, optimizer=optimizer
        )

    made = planned(text)
    if against is not None:
        if json_:
            raise StriateError("--json prints one network", place="--against", cure="leave out --json")
        other = read(against)
        both = [(text, made), (other, planned(other))]
        named = [_name(said, each.zoo) for said, each in ((net, text), (against, other))]
        _print_both(named, [(found.nodes, found) for _, found in both])
        return
    if device_sheet:
        _print_device_sheet(text, shape, classes, json_=json_)
        return
    if json_:
        print(json.dumps(_plain(made), indent=2))
        return
    for line in made.lines(every=all_):
        prose().print(line)
    if train:
        prose().print(f"peak of a training step on {counted(batch, 'image')} in {precision}, {optimizer}:")
        for line in aligned([list(each) for each in _parts(made.step)], left=1):
            prose().print(f"  {line}")


def _print_device_sheet(text: NetText, shape: tuple[int, int, int], classes: int, *, json_: bool) -> None:
    """What a network needs at inference, and where torch is installed how long it takes here."""
    from striate.net.plan.device import device_sheet

    sheet = device_sheet(text.lay(shape, classes))
    timings: list[Timing] = []
    why_not = ""
    try:
        require_train("the time of --device-sheet")
    except MissingExtra as missing:
        why_not = missing.problem
    else:
        from striate.exporting.bench import net_timings

        timings = net_timings(text.build(shape, classes))
    if json_:
        print_json(
            {
                **dataclasses.asdict(sheet),
                "memory_float": sheet.memory_float,
                "memory_int8": sheet.memory_int8,
                "timings": [each.model_dump() for each in timings],
            },
            indent=2,
        )
        return
    rows = [["", "float32", "int8"]]
    rows.append(["weights on disk", size(sheet.weights_float), size(sheet.weights_int8)])
    rows.append(["feature maps at the peak", size(sheet.activations_float), size(sheet.activations_int8)])
    rows.append(["memory at the peak", size(sheet.memory_float), size(sheet.memory_int8)])
    for runtime in dict.fromkeys(each.runtime for each in timings):
        by = {each.precision: each for each in timings if each.runtime == runtime}
        rows.append([f"{runtime}, an image", *(_milliseconds(by.get(each)) for each in ("fp32", "int8"))])
        rows.append([f"{runtime}, a second by 16", *(_a_second(by.get(each)) for each in ("fp32", "int8"))])
        rows.append([f"{runtime}, process", *(_process(by.get(each)) for each in ("fp32", "int8"))])
    for line in aligned(rows, left=1):
        prose().print(line)
    prose().print(f"{sheet.multiply_adds:,} multiply-adds an image; the peak is at `{sheet.moment}`")
    if why_not:
        prose().print(f"note: no time was measured: {why_not}")


def _milliseconds(each: Timing | None) -> str:
    return "" if each is None or each.single_ms is None else f"{each.single_ms:.3g} ms"


def _a_second(each: Timing | None) -> str:
    return "" if each is None or each.images_per_s is None else f"{each.images_per_s:,.0f}"


def _process(each: Timing | None) -> str:
    return "" if each is None or each.peak_bytes is None else size(each.peak_bytes)


def _name(said: str, zoo: str | None) -> str:
    """A network in the head of a column: its name, or as much of its text as fits there."""
    return zoo or (said if len(said) <= LONGEST_NAME else said[: LONGEST_NAME - 3] + "...")


def _print_both(names: list[str], made: list[tuple[tuple[Node, ...], Plan]]) -> None:
    """Two networks: their sums and what the second has of the first, then their trees beside each other."""
    one, other = (table for _, table in made)
    sums: list[tuple[str, Callable[[Plan], float], Callable[[float], str]]] = [
        ("weights", lambda table: table.weights, lambda number: f"{number:,.0f}"),
        ("multiply-adds an image", lambda table: table.multiply_adds, lambda number: f"{number:,.0f}"),
        ("layers with weights", lambda table: sum(row.multiply_adds > 0 for row in table.rows if not row.side), lambda n: f"{n:,.0f}"),
        ("activations kept", lambda table: table.saved_bytes, size),
        ("a training step in all", lambda table: table.step.total, size),
    ]  # fmt: skip
    lines = [["", *names, "times"]]
    for title, figure, write in sums:
        a, b = figure(one), figure(other)
        lines.append([title, write(a), write(b), f"x{b / a:.3g}" if a else ""])
    for line in aligned(lines, left=1):
        prose().print(line)
    prose().print()
    halves = []
    for name, (nodes, _) in zip(names, made, strict=True):
        rows = [
            [written(mark, node), str(node.output), number(node.weights)] for mark, node in tree_lines(nodes)
        ]
        halves.append(aligned([[name, "output", "weights"], *rows], left=1))
    width = max(len(line) for line in halves[0])
    for left, right in zip_longest(*halves, fillvalue=""):
        prose().print(f"{left.ljust(width)}  |  {right}".rstrip())


def _parts(step: StepMemory) -> list[tuple[str, str]]:
    return [
        ("weights and running statistics", size(step.weights)),
        ("gradients there at the peak", size(step.gradients)),
        ("optimizer", size(step.optimizer)),
        ("activations still kept there", size(step.kept)),
        (f"images, and what `{step.moment}` needs meanwhile", size(step.transient)),
        ("total, over the process without a network", size(step.total)),
    ]


def _plain(made: Plan) -> dict[str, object]:
    return {
        "input": list(made.input),
        "classes": made.classes,
        "batch": made.batch,
        "weights": made.weights,
        "side_weights": made.side_weights,
        "multiply_adds": made.multiply_adds,
        "saved_bytes": made.saved_bytes,
        "training_step": {**dataclasses.asdict(made.step), "total": made.step.total},
        "notes": [
            {
                "code": each.code,
                "severity": each.severity,
                "layer": each.layer or None,
                "text": each.text,
                "try": each.cure,
            }
            for each in made.notes
        ],
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
