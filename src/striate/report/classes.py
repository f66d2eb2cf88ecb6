"""How each class fared."""

from __future__ import annotations

from striate.report.element import Html, joined, tag
from striate.report.table import Column, bar, name_cell, table
from striate.runs.record import ClassScore, DataRecord, Score
from striate.text.figures import count, percent, wilson

# Classes that are shown at once; the others are folded away.
SHOWN = 40
MOST = 2000


def class_table(score: Score, split: str, data: DataRecord | None) -> Html:
    """A row for each class, worst recall first; classes without an image to judge them by come last.

    data: what data.json says, for the images of the training split.
    """
    if not score.classes:
        return tag("p", "The figures of the classes are not in the run's record.", css="soft")
    ordered = sorted(
        enumerate(score.classes, 1),
        key=lambda each: (each[1].count == 0, each[1].recall, each[1].f1, each[0]),
    )
    columns = [
        Column("", figures=True, css="soft"),
        Column("class"),
        Column("recall", figures=True),
        Column("", css="bars"),
        Column("precision", figures=True),
        Column("F1", figures=True),
        Column(split, figures=True),
        Column("training", figures=True),
    ]
    train = data.splits.get("train") if data else None
    known = train.per_class if train else {}
    rows = [_row(number, each, known.get(each.name)) for number, each in ordered[:MOST]]
    note = tag(
        "p",
        "Worst recall first. Recall is the share of a class that was found, precision the share of its "
        "answers that were right. The thin line is the 95% interval of the recall: with few images it is "
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


def _row(number: int, each: ClassScore, trained: int | None) -> list[str]:
    recall = each.recall if each.count else None
    return [
        str(number),
        name_cell(each.name),
        percent(recall),
        bar(recall, interval=wilson(each.recall, each.count)),
        percent(each.precision),
        percent(each.f1),
        count(each.count),
        count(trained),
    ]
