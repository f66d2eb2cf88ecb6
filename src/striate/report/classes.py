"""How each class fared."""

from __future__ import annotations

from striate.report.element import Html, joined, tag
from striate.report.figures import count, percent
from striate.report.result import ClassResult, Result
from striate.report.table import Column, bar, name_cell, table
from striate.report.value import at, whole

# Classes that are shown at once; the others are folded away.
SHOWN = 40
MOST = 2000


def class_table(result: Result, data: object) -> Html:
    """A row for each class, worst recall first; classes without a picture to judge them by come last.

    data: what data.json says, for the pictures of the training split.
    """
    if not result.classes:
        return tag("p", "The figures of the classes are not in the run's record.", css="soft")
    ordered = sorted(
        result.classes,
        key=lambda each: (each.recall is None, each.recall or 0.0, each.f1 or 0.0, each.number),
    )
    columns = [
        Column("", figures=True, css="soft"),
        Column("class"),
        Column("recall", figures=True),
        Column("", css="bars"),
        Column("precision", figures=True),
        Column("F1", figures=True),
        Column(result.split, figures=True),
        Column("training", figures=True),
    ]
    rows = [_row(each, data) for each in ordered[:MOST]]
    note = tag(
        "p",
        "Worst recall first. Recall is the share of a class that was found, precision the share of its "
        "answers that were right. The thin line is the 95% interval of the recall: with few pictures it is "
        "wide.",
        css="soft",
    )
    parts = [note, table(columns, rows[:SHOWN], css="fit")]
    if len(rows) > SHOWN:
        said = tag("summary", f"The other {len(rows) - SHOWN:,} classes")
        parts.append(tag("details", said, table(columns, rows[SHOWN:], css="fit")))
    if len(ordered) > MOST:
        parts.append(tag("p", f"And {len(ordered) - MOST:,} more in run.json.", css="soft"))
    return joined(parts)


def _row(each: ClassResult, data: object) -> list[str]:
    return [
        str(each.number),
        name_cell(each.name),
        percent(each.recall),
        bar(each.recall, interval=each.interval),
        percent(each.precision),
        percent(each.f1),
        count(each.count),
        count(whole(at(data, "splits", "train", "per_class", each.name))),
    ]
