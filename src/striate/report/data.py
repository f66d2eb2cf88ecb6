"""What the images were and how they were prepared."""

from __future__ import annotations

from striate.report.element import Html, joined, tag
from striate.report.table import Column, pairs_table, table
from striate.runs.record import DataRecord, PreparationRecord, RunRecord, Split, Validation
from striate.text.figures import count, decimal, percent

_SPLITS: dict[Split, str] = {"train": "training", "val": "validation", "test": "test"}
# Class names that are written out; the table of classes has all of them.
MOST_NAMED = 60


def origin(record: RunRecord, data: DataRecord | None) -> Html:
    """Source, splits, classes, findings and preparation."""
    if data is None:
        return tag("p", "The description of the data is not in the run folder.", css="soft")
    facts = [
        ("source", record.source or data.source),
        ("kind", data.kind.replace("-", " ")),
        ("validation", _validation(data.validation)),
        ("classes", _names(data.classes)),
        ("findings", _findings(data.findings)),
        ("preparation", _preparation(data.preparation)),
    ]
    return joined(
        [_splits(data), pairs_table([each for each in facts if each[1]]), _channels(data.preparation)]
    )


def _splits(data: DataRecord) -> Html:
    columns = [
        Column("split"),
        Column("images", figures=True),
        Column("smallest class", figures=True),
        Column("largest class", figures=True),
        Column("sha256", css="soft"),
    ]
    rows = []
    for split, name in _SPLITS.items():
        if (found := data.splits.get(split)) is not None:
            each = found.per_class.values()
            ends = (min(each), max(each)) if each else (None, None)
            code = tag("code", found.sha256[:12])
            rows.append([name, count(found.count), count(ends[0]), count(ends[1]), code])
    return table(columns, rows, css="fit") if rows else Html("")


def _validation(validation: Validation) -> str:
    if not validation.made:
        return "as the data have it"
    how = [f"{percent(validation.share, 0)} of the training images, held out before training"]
    if validation.stratified:
        how.append("every class in proportion")
    if validation.grouped:
        how.append("groups kept together")
    if validation.seed is not None:
        how.append(f"drawn with seed {validation.seed}")
    return ", ".join(how)


def _names(classes: list[str]) -> str:
    named = joined((tag("span", each, css="class") for each in classes[:MOST_NAMED]), " ")
    more = f" and {len(classes) - MOST_NAMED:,} more" if len(classes) > MOST_NAMED else ""
    return joined([f"{len(classes):,}: ", named, more])


def _findings(findings: dict[str, int]) -> str:
    if not findings:
        return "none: every file could be used"
    return joined(
        (joined([tag("code", code), f" {count(number)}"]) for code, number in findings.items()), ", "
    )


def _preparation(known: PreparationRecord) -> str:
    stored, size = ("x".join(map(str, sides)) for sides in (known.stored_size, known.size))
    if stored == size:
        seen = f"every image is {size} pixels"
    else:
        seen = (
            f"every image is kept at {stored} pixels; training sees random crops of {size}, "
            "everything else the middle"
        )
    seen += {
        "crop": "",
        "pad": ", of another shape with black beside it",
        "stretch": ", stretched where it is of another shape",
    }[known.fit]
    done = []
    if any(known.mean):
        done.append("less the mean image" if known.mean_image else "less the channel's mean")
    if any(each != 1 for each in known.deviation):
        done.append("over the channel's deviation")
    return f"{seen}; each value {', '.join(done) or 'as it is stored'}"


def _channels(known: PreparationRecord) -> Html:
    names = {1: ["grey"], 3: ["red", "green", "blue"]}.get(
        known.channels, [str(each + 1) for each in range(known.channels)]
    )
    columns = [Column("channel"), Column("mean", figures=True), Column("deviation", figures=True)]
    rows = [
        [name, decimal(mean, 2), decimal(deviation, 2)]
        for name, mean, deviation in zip(names, known.mean, known.deviation, strict=True)
    ][:64]
    return table(columns, rows, css="fit")
