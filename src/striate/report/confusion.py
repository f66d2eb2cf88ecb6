"""How each class fared, and which was taken for which: as a table for a few, as a map for many, and as a list."""

from __future__ import annotations

import base64
import io
import math

import numpy as np
from PIL import Image

from striate.report.element import Html, joined, tag, void
from striate.report.table import Column, bar, name_cell, scrolling, table
from striate.runs.record import ClassScore, DataRecord, Score
from striate.text.figures import count, percent, wilson

# Classes whose counts can still be read in a table, and those that a map still shows apart.
MOST_COUNTED = 30
MOST_MAPPED = 1000
# A map of more classes takes the whole width.
MOST_BESIDE = 150
# The list of confusions begins to tell more than the matrix above this many classes.
FEW = 5
MOST_LISTED = 20

# As in style.css: the hue of what was right, and of what was wrong.
_RIGHT, _WRONG = (0, 114, 178), (213, 94, 0)

# Classes that are shown at once; the others are folded away.
SHOWN_CLASSES = 40
MOST_CLASSES = 2000


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
    rows = [_class_row(number, each, known.get(each.name)) for number, each in ordered[:MOST_CLASSES]]
    note = tag(
        "p",
        "Worst recall first. Recall is the share of a class that was found, precision the share of its "
        "answers that were right. The thin line is the 95% interval of the recall: with few images it is "
        "wide.",
        css="soft",
    )
    parts = [note, table(columns, rows[:SHOWN_CLASSES], css="fit")]
    if len(rows) > SHOWN_CLASSES:
        said = tag("summary", f"The other {len(rows) - SHOWN_CLASSES:,} classes")
        parts.append(tag("details", said, table(columns, rows[SHOWN_CLASSES:], css="fit")))
    if len(ordered) > MOST_CLASSES:
        parts.append(tag("p", f"And {len(ordered) - MOST_CLASSES:,} more in run.json.", css="soft"))
    return joined(parts)


def _class_row(number: int, each: ClassScore, trained: int | None) -> list[str]:
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


def confusion(result: Score) -> Html:
    """The confusion of a result in the form that suits its number of classes."""
    if not result.confusion:
        return tag("p", "The confusion matrix is not in the run's record.", css="soft")
    many = len(result.classes) > MOST_COUNTED
    note = tag(
        "p",
        "A row is a true class, a column an answer",
        ", by their numbers in the table of classes" if many else "",
        ". Color is the share of the row, ",
        tag("span", "right", css="swatch right"),
        " or ",
        tag("span", "wrong", css="swatch wrong"),
        "; of wrong answers its square root, so that few of them show.",
        css="soft",
    )
    drawn = _map(result) if many else _matrix(result)
    listed = _list(result) if len(result.classes) > FEW else Html("")
    return joined([note, tag("div", drawn, listed, css="beside")])


def _depth(cell: int, total: int, right: bool) -> float:
    """How deep a cell is colored; a wrong answer shows early, by the root of its share."""
    part = cell / total if total else 0.0
    return part if right else math.sqrt(part)


def _matrix(result: Score) -> Html:
    names = [each.name for each in result.classes]
    corner = tag("td", tag("span", "true class ↓"), css="corner")
    heads = joined(tag("th", name_cell(name), attributes={"scope": "col", "title": name}) for name in names)
    rows = []
    for i, row in enumerate(result.confusion):
        total = sum(row)
        cells = [_cell(names, i, j, cell, total) for j, cell in enumerate(row)]
        rows.append(tag("tr", tag("th", name_cell(names[i]), attributes={"scope": "row"}), *cells))
    above = tag("tr", corner, tag("td", "answer →", css="answer", attributes={"colspan": str(len(names))}))
    head = tag("thead", above, tag("tr", tag("td", css="corner"), heads))
    longest = max(len(name) for name in names)
    if len(names) <= FEW and longest <= 12:
        size = "roomy"
    else:
        size = ("upright" if longest > 3 else "") + (" dense" if len(names) > 20 else "")
    return scrolling(tag("table", head, tag("tbody", *rows), css=f"matrix {size}".strip()))


def _cell(names: list[str], i: int, j: int, cell: int, total: int) -> Html:
    if cell == 0:
        return tag("td", "·", css="none")
    depth = _depth(cell, total, i == j)
    css = ("right" if i == j else "wrong") + (" deepest" if depth > 0.8 else " deep" if depth > 0.65 else "")
    title = f"{names[i]}, answered {names[j]}: {cell:,} of {total:,} ({percent(cell / total)})"
    return tag("td", f"{cell:,}", css=css, attributes={"style": f"--d:{depth:.2f}", "title": title})


def _map(result: Score) -> Html:
    classes = len(result.classes)
    if classes > MOST_MAPPED:
        return tag("p", f"{classes:,} classes are too many for a map; the confusions follow.", css="soft")
    depths = np.zeros((classes, classes, 4), dtype=np.uint8)
    depths[..., :3] = _WRONG
    counts = np.asarray(result.confusion, dtype=np.float64)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    depths[..., 3] = np.rint(255 * np.sqrt(shares))
    diagonal = np.arange(classes)
    depths[diagonal, diagonal, :3] = _RIGHT
    depths[diagonal, diagonal, 3] = np.rint(255 * shares[diagonal, diagonal])
    buffer = io.BytesIO()
    Image.fromarray(depths).save(buffer, "PNG", optimize=True)
    code = base64.b64encode(buffer.getvalue()).decode("ascii")
    told = f"Confusion of {classes} classes: a bright diagonal is what was right."
    image = void("img", attributes={"src": f"data:image/png;base64,{code}", "alt": told})
    down, across = _ticks(classes, "top"), _ticks(classes, "left")
    square = tag("div", image, down, across, css="square")
    return tag("div", square, css="map large" if classes > MOST_BESIDE else "map")


def _ticks(classes: int, side: str) -> Html:
    """Class numbers along one side of the map, about ten of them."""
    every = next(each for each in (5, 10, 20, 50, 100) if classes / each <= 12 or each == 100)
    return joined(
        tag(
            "span",
            str(number),
            css=f"tick {side}",
            attributes={"style": f"{side}:{100 * (number - 0.5) / classes:.2f}%"},
        )
        for number in (1, *range(every, classes + 1, every))
    )


def _list(result: Score) -> Html:
    found = [
        (cell, i, j)
        for i, row in enumerate(result.confusion)
        for j, cell in enumerate(row)
        if i != j and cell > 0
    ]
    found.sort(key=lambda each: (-each[0], each[1], each[2]))
    if not found:
        return tag("p", "Not one image was taken for another class.", css="soft")
    columns = [
        Column("true class"),
        Column("answered"),
        Column("images", figures=True),
        Column("of the class", figures=True),
        Column("", css="bars short"),
    ]
    rows = []
    for cell, i, j in found[:MOST_LISTED]:
        part = cell / sum(result.confusion[i])
        names = name_cell(result.classes[i].name), name_cell(result.classes[j].name)
        rows.append([*names, count(cell), percent(part), bar(part, css="wrong")])
    more = f", the {MOST_LISTED} most frequent of {len(found):,}" if len(found) > MOST_LISTED else ""
    return tag("div", tag("h3", f"Confusions{more}"), table(columns, rows, css="fit"))
