"""What the pictures were and how they were prepared."""

from __future__ import annotations

from striate.report.element import Html, joined, tag
from striate.report.figures import count, decimal, percent
from striate.report.table import Column, pairs_table, table
from striate.report.value import at, items, number, pairs, share, text, texts, whole

_SPLITS = {"train": "training", "val": "validation", "test": "test"}
# Class names that are written out; the table of classes has all of them.
MOST_NAMED = 60


def origin(record: object, data: object) -> Html:
    """Source, splits, classes, findings and preparation.  record, data: of run.json and data.json."""
    if not data:
        return tag("p", "The description of the data is not in the run folder.", css="soft")
    classes = texts(at(data, "classes"))
    facts = [
        ("source", text(at(record, "source")) or text(at(data, "source"))),
        ("kind", text(at(data, "kind")).replace("-", " ")),
        ("validation", _validation(at(data, "validation"))),
        ("classes", _names(classes)),
        ("findings", _findings(at(data, "findings"))),
        ("preparation", _preparation(at(data, "preparation"))),
    ]
    return joined([_splits(data), pairs_table([each for each in facts if each[1]]), _channels(data)])


def _splits(data: object) -> Html:
    columns = [
        Column("split"),
        Column("pictures", figures=True),
        Column("smallest class", figures=True),
        Column("largest class", figures=True),
        Column("sha256", css="soft"),
    ]
    rows = []
    for split, name in _SPLITS.items():
        found = at(data, "splits", split)
        if found is None:
            continue
        each = [n for _, value in pairs(at(found, "per_class")) if (n := whole(value)) is not None]
        ends = (min(each), max(each)) if each else (None, None)
        code = tag("code", text(at(found, "sha256"))[:12])
        rows.append([name, count(whole(at(found, "count"))), count(ends[0]), count(ends[1]), code])
    return table(columns, rows, css="fit") if rows else Html("")


def _validation(validation: object) -> str:
    made = at(validation, "made")
    if made is None:
        return ""
    if made is not True:
        return "as the data have it"
    part, seed = share(at(validation, "share")), whole(at(validation, "seed"))
    how = [f"{percent(part, 0)} of the training pictures, held out before training"]
    if at(validation, "stratified") is True:
        how.append("every class in proportion")
    if at(validation, "grouped") is True:
        how.append("groups kept together")
    if seed is not None:
        how.append(f"drawn with seed {seed}")
    return ", ".join(how)


def _names(classes: tuple[str, ...]) -> str:
    if not classes:
        return ""
    named = joined((tag("span", each, css="class") for each in classes[:MOST_NAMED]), " ")
    more = f" and {len(classes) - MOST_NAMED:,} more" if len(classes) > MOST_NAMED else ""
    return joined([f"{len(classes):,}: ", named, more])


def _findings(findings: object) -> str:
    found = [(code, whole(number)) for code, number in pairs(findings)]
    if not found:
        return "none: every file could be used"
    return joined((joined([tag("code", code), f" {count(number)}"]) for code, number in found), ", ")


def _preparation(preparation: object) -> str:
    sides = [_sides(at(preparation, key)) for key in ("stored_size", "size")]
    if not all(sides):
        return ""
    if sides[0] == sides[1]:
        seen = f"every picture is {sides[1]} pixels"
    else:
        seen = (
            f"every picture is kept at {sides[0]} pixels; training sees random crops of {sides[1]}, "
            "everything else the middle"
        )
    seen += {
        "pad": ", of another shape with black beside it",
        "stretch": ", stretched where it is of another shape",
    }.get(text(at(preparation, "fit")), "")
    centred = "the mean picture" if text(at(preparation, "mean_picture")) else "the channel's mean"
    if not any(map(number, items(at(preparation, "mean")))):
        centred = ""
    scaled = any(number(each) != 1 for each in items(at(preparation, "deviation")))
    done = [f"less {centred}"] * bool(centred) + ["over the channel's deviation"] * scaled
    return f"{seen}; each value {', '.join(done) or 'as it is stored'}"


def _sides(value: object) -> str:
    """Height and width as `28x28`."""
    sides = [whole(each) for each in items(value)]
    return f"{sides[0]}x{sides[1]}" if len(sides) == 2 and None not in sides else ""


def _channels(data: object) -> Html:
    means = items(at(data, "preparation", "mean"))
    deviations = items(at(data, "preparation", "deviation"))
    if not means or len(means) != len(deviations):
        return Html("")
    names = {1: ("grey",), 3: ("red", "green", "blue")}.get(
        len(means), tuple(str(each + 1) for each in range(len(means)))
    )
    columns = [Column("channel"), Column("mean", figures=True), Column("deviation", figures=True)]
    rows = [
        [name, decimal(number(mean), 2), decimal(number(deviation), 2)]
        for name, mean, deviation in zip(names, means, deviations, strict=True)
    ][:64]
    return table(columns, rows, css="fit")
