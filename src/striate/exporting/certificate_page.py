"""The page of a certificate: what was proven, in one file without a script."""

from __future__ import annotations

from collections.abc import Iterator

from striate.bundle.certificate import Certificate, Int8
from striate.bundle.manifest import Calibration
from striate.bundle.verify import Agreement
from striate.errors import counted
from striate.exporting.quantize import described
from striate.report.element import Html, joined, tag
from striate.report.head import figure
from striate.report.page import framed
from striate.report.table import Column, bar, pairs_table, table
from striate.text.figures import NONE, count, decimal, percent


def certificate_page(made: Certificate) -> Html:
    """The whole page."""
    top = tag(
        "header",
        tag("p", joined([tag("span", "striate export"), tag("span", made.created)], " "), css="above"),
        tag("h1", made.name),
        tag("p", _lede(made), css="lede"),
        tag("div", joined(_figures(made)), css="figures"),
    )
    return framed(f"{made.name}, certificate", top, list(_sections(made)))


def _lede(made: Certificate) -> str:
    kind = "in int8" if made.precision == "int8" else "in float32"
    return (
        f"This bundle was proven: its network, {kind}, was asked about {made.validation} beside the trained one. "
        "`striate verify BUNDLE` proves it again, where it will run."
    ).replace("`", "")


def _figures(made: Certificate) -> Iterator[Html]:
    low, high = made.after.interval
    digits = 1 if made.after.images < 2000 else 2
    yield figure(
        percent(made.after.accuracy, digits),
        "accuracy of the bundle",
        f"95% interval {percent(low, digits)} to {percent(high, digits)}",
        css="answer",
    )
    yield figure(
        percent(made.before.accuracy, digits), "before the export", count(made.before.images) + " images"
    )
    worst = max(made.checks, key=lambda each: each.share)
    yield figure(decimal(worst.share), "largest difference", "of the largest logit, in float32")
    if made.int8 is not None:
        yield figure(percent(made.int8.agreement, 2), "labels as in float32", "int8")
    timing = next(
        (each for each in made.timings if each.precision == made.precision and each.runtime != "torch"), None
    )
    if timing is not None and timing.single_ms is not None:
        yield figure(f"{timing.single_ms:.3g} ms", "an image", timing.runtime)


def _sections(made: Certificate) -> Iterator[tuple[str, str, Html]]:
    """Key, title and content of each section."""
    yield "proof", "Proof", _proof(made)
    if made.int8 is not None:
        yield "int8", "int8", _int8(made.int8)
    yield "sure", "Sure of itself", _sure(made)
    if made.timings:
        yield "speed", "Speed", _speed(made)
    yield (
        "source",
        "What it was made from",
        pairs_table(
            [("run", made.run), *((f"{name}, SHA-256", digest) for name, digest in made.hashes.items())]
            + [(name.replace("_", " "), str(value)) for name, value in made.data.items()]
        ),
    )
    yield (
        "machine",
        "Versions and machine",
        pairs_table(
            [(name, str(value)) for part in (made.versions, made.machine) for name, value in part.items()]
        ),
    )


def _proof(made: Certificate) -> Html:
    columns = [
        Column("asked about"),
        Column("images", figures=True),
        Column("largest difference", figures=True),
        Column("of the largest logit", figures=True),
        Column("labels equal", figures=True),
        Column("decided labels equal", figures=True),
    ]
    note = (
        f"Allowed is a difference of {made.tolerance:g} of the largest logit. A label is decided where its logit leads by "
        "more than twice that."
    )
    parts = [table(columns, map(_check, made.checks)), tag("p", note, css="soft")]
    if made.class_map is not None:
        said = (
            "The mean of the class map plus the bias is the logit: the largest difference is "
            f"{decimal(made.class_map)} of the largest logit."
        )
        parts.append(tag("p", said))
    return joined(parts)


def _check(each: Agreement) -> list[str]:
    return [
        each.what,
        count(each.images),
        decimal(each.difference),
        decimal(each.share),
        percent(each.labels_equal, 2),
        f"{each.decided_equal:,} of {each.decided:,}",
    ]


def _int8(made: Int8) -> Html:
    low, high = made.interval
    rows = [
        (
            "lost",
            f"{made.lost:.2f} percentage points, 95% interval {low:.2f} to {high:.2f}; {made.allowed:g} allowed",
        ),
        ("labels as in float32", f"{percent(made.agreement, 2)} of {counted(made.measured_on, 'image')}"),
        ("ranges", f"{made.method}, found on {counted(made.calibrated_on, 'other image')}"),
        ("error of the logits", ", ".join(f"{name} {value:.2g}" for name, value in made.methods.items())),
        ("in float32", ", ".join(made.in_float) or "no layer with weights"),
        ("16-bit pairs", described(made.layers)),
    ]
    if len(made.tried) > 1:
        rows.append(("tried", "; ".join(made.tried)))
    columns = [
        Column("layer"),
        Column("weights", figures=True),
        Column("largest, of 127", figures=True),
        Column("largest pair, of 128", figures=True),
        Column("sums simulated", figures=True),
        Column("differ by", figures=True),
    ]
    layers = [
        [each.layer, count(each.weights), count(each.largest), count(each.pair), count(each.simulated), count(each.difference)]
        for each in made.layers
    ]  # fmt: skip
    why = (
        "A processor without VNNI adds two products of bytes in 16 bits. Where no two weights of one sign in an output "
        "channel sum to more than 128 they cannot saturate, whatever the activations are and however a kernel pairs them."
    )
    return joined(
        [
            pairs_table(rows),
            tag("p", why),
            tag("details", tag("summary", counted(len(layers), "layer")), table(columns, layers)),
        ]
    )


def _sure(made: Certificate) -> Html:
    known = made.calibration
    rows = [
        ("temperature", decimal(known.temperature)),
        (
            "calibration error",
            f"{percent(known.ece_before, 2)} before, {percent(known.ece_after, 2)} after (cross-fitted)",
        ),
        ("I don't know", _rejects(known)),
    ]
    if known.outliers is not None:
        said = f"energy above {decimal(known.outliers.threshold)}; {percent(known.outliers.kept)} of the validation images are below"
        rows.append(("unlike the training images", said))
    if known.sets:
        rows.append(
            (
                "sets",
                ", ".join(
                    f"{100 * each.level:g}%: probability from {decimal(each.least)}" for each in known.sets
                ),
            )
        )
    parts = [pairs_table(rows)]
    if known.promises:
        columns = [
            Column("wrong at most", figures=True),
            Column("probability from", figures=True),
            Column("answered", figures=True),
            Column("", css="bars"),
            Column("wrong here", figures=True),
        ]
        shown = [
            [f"{100 * each.risk:g}%", decimal(each.threshold), percent(each.coverage), bar(each.coverage), percent(each.wrong, 2)]
            for each in known.promises
        ]  # fmt: skip
        parts += [
            tag("h3", "What can be promised"),
            table(columns, shown, css="fit"),
            tag("p", "Each holds with 95% confidence on images like these.", css="soft"),
        ]
    if made.others:
        columns = [Column("other images"), Column("images", figures=True), Column("AUROC", figures=True), Column("refused", figures=True)]  # fmt: skip
        shown = [
            [each.source, count(each.images), decimal(each.auroc), percent(each.refused)]
            for each in made.others
        ]
        parts += [tag("h3", "Images of other data sets"), table(columns, shown, css="fit")]
    return joined(parts)


def _rejects(known: Calibration) -> str:
    if known.wrong_at_most is None:
        return "every answer stands, however improbable; --wrong-at-most sets a limit"
    found = known.promise(known.wrong_at_most)
    assert found is not None
    return (
        f"where the probability is below {decimal(found.threshold)}: at most {100 * found.risk:g}% of the answers are wrong, "
        f"{percent(found.coverage)} of the images are answered"
    )


def _speed(made: Certificate) -> Html:
    columns = [
        Column("runtime"),
        Column("precision"),
        Column("an image", figures=True),
        Column("quartiles", figures=True),
        Column("images a second, by 16", figures=True),
        Column("peak memory", figures=True),
        Column("file", figures=True),
    ]
    threads = made.machine.get("threads", NONE)
    note = f"Each in a process of its own with {threads} threads on this machine; memory is that of the whole process."
    return joined(
        [
            table(columns, [each.cells(each.why_not or NONE) for each in made.timings]),
            tag("p", note, css="soft"),
        ]
    )
