"""The network: what each layer makes, costs and sees."""

from __future__ import annotations

from striate.net.plan.table import Plan
from striate.net.plan.tree import Row
from striate.report.element import Html, joined, spoken, tag, verbatim
from striate.report.table import Column, bar, pairs_table, table
from striate.runs.record import Memory
from striate.text.figures import NONE, count, size

# Layers that are shown at once, and at all.
SHOWN = 60
MOST = 1200


def network(plan: Plan | None, net: str, memory: Memory | None = None) -> Html:
    """The table of layers, the warnings and the text.  memory: the record of the run's memory."""
    written = tag("details", tag("summary", "The text of the network"), verbatim(net.rstrip()))
    if len(net.splitlines()) <= 30:
        written = joined([tag("h3", "Text"), verbatim(net.rstrip())])
    if not net.strip():
        return tag("p", "The text of the network is not in the run folder.", css="soft")
    if plan is None:
        return joined([tag("p", "The network could not be laid out on its images.", css="soft"), written])
    return joined([_sums(plan, memory), _warnings(plan), _layers(plan), written])


def _sums(plan: Plan, memory: Memory | None) -> Html:
    side = f" and {count(plan.side_weights)} in auxiliary classifiers" if plan.side_weights else ""
    images = "1 image" if plan.batch == 1 else f"{count(plan.batch)} images"
    return pairs_table(
        [
            ("input", f"{plan.input}, channels x height x width"),
            ("weights", f"{count(plan.weights)}{side}, {size(4 * plan.weights)} as float32"),
            ("multiply-adds", f"{count(plan.multiply_adds)} an image"),
            (
                "kept for the backward pass",
                f"{size(plan.saved_bytes)} for a batch of {images}, plain float32",
            ),
            *_peak(memory),
        ]
    )


def _peak(memory: Memory | None) -> list[tuple[str, str]]:
    """Predicted against measured; what it means where only one is known is left out."""
    if memory is None or not memory.predicted_bytes or not memory.measured_bytes:
        return []
    predicted, measured = memory.predicted_bytes, memory.measured_bytes
    apart = f"{predicted / measured - 1:+.1%}"
    return [("peak of a training step", f"{size(measured)} measured, {size(predicted)} predicted ({apart})")]


def _warnings(plan: Plan) -> Html:
    if not plan.notes:
        return Html("")
    return tag("ul", joined(tag("li", spoken(str(each))) for each in plan.notes), css="warnings")


def _layers(plan: Plan) -> Html:
    columns = [
        Column("place", css="soft"),
        Column("layer"),
        Column("output", figures=True),
        Column("weights", figures=True),
        Column("multiply-adds", figures=True),
        Column("", css="bars short"),
        Column("sees", figures=True),
        Column("kept", figures=True),
    ]
    rows = [_row(plan, each) for each in plan.rows[:MOST]]
    foot = ["", "sum", "", *(count(each) for each in (plan.weights, plan.multiply_adds)), "", ""]
    foot.append(size(plan.saved_bytes))
    note = tag(
        "p",
        "Sees is the receptive field, how many rows and columns of the image one unit reads; the bars "
        "are shares of the multiply-adds; kept is what a plain step in float32 holds in memory for the whole "
        "batch, before bf16, recomputing or micro-batches.",
        css="soft",
    )
    if len(rows) <= SHOWN:
        return joined([note, table(columns, rows, css="layers", foot=foot)])
    more = f", the first {MOST:,}" if len(plan.rows) > MOST else ""
    said = tag("summary", f"All {len(plan.rows):,} layers{more}")
    return joined([note, tag("details", said, table(columns, rows, css="layers", foot=foot))])


def _row(plan: Plan, row: Row) -> list[str]:
    sees = f"{row.field.rows.size}x{row.field.columns.size}" if row.field else "all"
    costs = row.multiply_adds and not row.side
    return [
        row.path,
        tag("code", row.text),
        str(row.output),
        count(row.weights) if row.weights else NONE,
        count(row.multiply_adds) if row.multiply_adds else NONE,
        bar(row.multiply_adds / plan.multiply_adds) if costs else "",
        sees,
        size(row.saved_bytes) if row.saved_bytes else NONE,
    ]
