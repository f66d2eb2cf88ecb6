"""The page of a search: who came how far, what mattered, what it costs, and the words of each stage."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from striate.errors import counted
from striate.report.drawing import thinned
from striate.report.element import LINE, SOFT, TRAINING, VALIDATION, Html, joined, svg, tag, verbatim
from striate.report.head import figure
from striate.report.page import framed
from striate.report.table import Column, bar, pairs_table, table
from striate.runs.search import SearchRecord, TrialRecord
from striate.text.figures import NONE, duration, percent, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Trials in the table, the best first.
MOST_TRIALS = 100


def search_page(record: SearchRecord) -> Html:
    """The whole page, from the record alone."""
    return framed(f"{record.name}, searched", _head(record), list(_parts(record)))


def _head(record: SearchRecord) -> Html:
    diverged = sum(each.diverged for each in record.trials)
    said = (
        f"{counted(len(record.trials), 'trial')} for the work of {record.whole:.1f} whole trainings, in "
        f"{duration(record.seconds)}. {counted(diverged, 'trial')} diverged."
    )
    figures = [
        figure(percent(record.validation), f"validation {record.metric.replace('_', ' ')}", f"trial {record.best}"),
        figure(
            percent(record.test), "test accuracy, looked at once",
            f"95 % interval {percent(record.test_interval[0])} to {percent(record.test_interval[1])}"
            if record.test_interval else "there is no test split",
        ),
        figure(f"{100 * record.drop:.1f} points", "expected drop", "as it was chosen by its validation"),
    ]  # fmt: skip
    return tag(
        "header",
        tag("p", joined([tag("span", "striate search"), tag("span", record.source)], " "), css="above"),
        tag("h1", record.name),
        tag("p", said, css="lede"),
        tag("div", joined(figures), css="figures"),
    )


def _parts(record: SearchRecord) -> Iterator[tuple[str, str, Html]]:
    yield "rungs", "Rungs", _rungs(record)
    yield "words", "What each stage found", _words(record)
    yield "parameters", "Parameters", _parameters(record)
    if any(each.cost for each in record.trials):
        yield "front", "Accuracy and cost", _front(record)
    yield "trials", "Trials", _trials(record)
    yield "how", "How to read it", _how(record)
    yield "on", "How to go on", _on(record)


def _plot(
    name: str, title: str, across: str, told: str, draw: Callable[[Axes], None], *, log: bool = False
) -> Html:
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter

    made = Figure(figsize=(5.0, 2.9))
    axes = made.add_axes((0.115, 0.18, 0.865, 0.7))
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(LINE)
    axes.grid(axis="y", color=LINE, linewidth=0.7)
    axes.set_axisbelow(True)
    if log:
        axes.set_xscale("log")
    draw(axes)
    axes.tick_params(colors=SOFT, length=0, pad=5, which="both")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{100 * y:.3g}"))
    if log:
        axes.xaxis.set_major_formatter(
            FuncFormatter(
                lambda x, _: f"{x:.3g}" if 0.001 <= x < 1000 else short(x) if x >= 1 else f"{x:.0e}"
            )
        )
        axes.xaxis.set_minor_formatter(FuncFormatter(lambda x, _: ""))
    axes.set_xlabel(across, color=SOFT, labelpad=4)
    made.text(0, 0.94, "validation %", color=SOFT, ha="left", va="bottom")
    return tag(
        "figure", tag("figcaption", tag("strong", title)), svg(made, f"search-{name}", told), css="curve"
    )


def _rungs(record: SearchRecord) -> Html:
    alive = [each for each in record.trials if each.metrics]

    def draw(axes: Axes) -> None:
        for each in alive:
            best = each.trial == record.best
            line = thinned(
                [(steps / record.epoch, y) for steps, y in zip(each.steps, each.metrics, strict=True)]
            )
            axes.plot(
                [x for x, _ in line], [y for _, y in line], color=VALIDATION if best else SOFT, marker="o",
                markersize=3.5 if best else 2.2, linewidth=1.8 if best else 0.8, alpha=1.0 if best else 0.6,
                zorder=3 if best else 2, clip_on=False,
            )  # fmt: skip

    told = f"{counted(len(alive), 'trial')} on rungs; the best came from {percent(_first(record))} to {percent(record.validation)}"
    shown = _plot(
        "rungs", "Each line is a trial; it ends where it was stopped", "epochs", told, draw, log=True
    )
    rows = [
        [
            str(each.round + 1), str(each.rung + 1), f"{each.steps / record.epoch:.2g}", str(each.trials), str(len(each.on)),
            str(len(each.hopeless)) if each.hopeless else NONE, f"{each.wrong:.1%}" if each.hopeless else NONE,
        ]
        for each in record.stages
    ]  # fmt: skip
    heads = ("round", "rung", "epochs", "trials", "went on", "ended by the curve", "chance of a wrong stop")
    return joined(
        [
            tag("div", shown, css="curves"),
            table([Column(each, figures=True) for each in heads], rows, css="fit"),
        ]
    )


def _first(record: SearchRecord) -> float | None:
    return next(
        (each.metrics[0] for each in record.trials if each.trial == record.best and each.metrics), None
    )


def _words(record: SearchRecord) -> Html:
    parts = []
    for stage in record.stages:
        title = f"Round {stage.round + 1}, rung {stage.rung + 1}: {counted(stage.trials, 'trial')} at {stage.steps / record.epoch:.2g} epochs"
        parts.append(tag("h3", title))
        parts.append(tag("ul", joined(tag("li", f"{each[:1].upper()}{each[1:]}.") for each in stage.said)))
        if stage.space:
            parts.append(
                tag("details", tag("summary", "The space that is left"), verbatim("\n".join(stage.space)))
            )
    if record.refused:
        many = sum(record.refused.values())
        reasons = ", ".join(
            f"{each} {number:,}" for each, number in sorted(record.refused.items(), key=lambda e: -e[1])[:6]
        )
        parts.append(
            tag("p", f"{counted(many, 'draw')} did not fit and were never built: {reasons}.", css="soft")
        )
    return joined(parts)


def _parameters(record: SearchRecord) -> Html:
    best = _best(record)
    ordered = sorted(record.parameters, key=lambda each: -each.importance)
    rows = [
        [
            each.name,
            each.domain,
            str(best.written[each.name]),
            joined([bar(min(1.0, each.importance)), f" {each.importance:.0%}"]),
        ]
        for each in ordered
    ]
    columns = [Column("parameter"), Column("searched"), Column("best"), Column("importance")]
    parts = [
        table(columns, rows, css="fit"),
        tag(
            "p",
            "Importance is the share of the variance of the trials' ranks on the first rung that a parameter "
            "explains by itself; what two explain only together is not in it.",
            css="soft",
        ),
    ]
    drawn = []
    for parameter in [each for each in ordered if not each.options][:2]:
        name = parameter.name
        points = [(float(each.values[name]), each.metrics[0], each) for each in record.trials if each.metrics]  # type: ignore[arg-type]

        def draw(axes: Axes, points: Sequence[tuple[float, float, TrialRecord]] = points) -> None:
            axes.scatter(
                [x for x, _, _ in points], [y for _, y, _ in points], s=14, color=TRAINING, alpha=0.8
            )
            for x, y, each in points:
                if each.trial == record.best:
                    axes.scatter([x], [y], s=60, facecolors="none", edgecolors=VALIDATION, linewidths=1.6)

        title = f"{name.replace('_', ' ')} on the first rung; the ring is the winner"
        told = f"{counted(len(points), 'trial')} by their {name}"
        drawn.append(_plot(f"by-{name}", title, name.replace("_", " "), told, draw, log=parameter.log))
    return joined([*parts, tag("div", joined(drawn), css="curves")])


def _best(record: SearchRecord) -> TrialRecord:
    return next(each for each in record.trials if each.trial == record.best)


def front(trials: Sequence[TrialRecord], cost: str) -> list[TrialRecord]:
    """The trials to which no other is at least as cheap and better; the cheapest first."""
    found: list[TrialRecord] = []
    for each in sorted(
        (e for e in trials if e.metrics and cost in e.cost), key=lambda e: (e.cost[cost], -e.metrics[-1])
    ):
        if not found or each.metrics[-1] > found[-1].metrics[-1]:
            found.append(each)
    return found


def _front(record: SearchRecord) -> Html:
    kept = front(record.trials, "multiply_adds")
    points = [
        (each.cost["multiply_adds"], each.metrics[-1])
        for each in record.trials
        if each.metrics and "multiply_adds" in each.cost
    ]

    def draw(axes: Axes) -> None:
        axes.scatter([x for x, _ in points], [y for _, y in points], s=12, color=SOFT, alpha=0.6)
        axes.step(
            [each.cost["multiply_adds"] for each in kept], [each.metrics[-1] for each in kept], where="post",
            color=VALIDATION, marker="o", markersize=4,
        )  # fmt: skip

    rows = [
        [
            str(each.trial),
            short(each.cost["multiply_adds"]),
            short(each.cost["weights"]),
            percent(each.metrics[-1]),
            f"{each.steps[-1] / record.epoch:.2g}",
        ]
        for each in kept
    ]
    columns = [
        Column(each, figures=True)
        for each in ("trial", "multiply-adds", "weights", "validation", "after epochs")
    ]
    drawn = _plot(
        "front",
        "No trial on the line is beaten by a cheaper one",
        "multiply-adds of an image",
        f"a front of {counted(len(kept), 'trial')}",
        draw,
        log=True,
    )
    note = tag("p", "Trials that were stopped early are drawn with what they had come to.", css="soft")
    return joined([tag("div", drawn, css="curves"), table(columns, rows, css="fit"), note])


def _trials(record: SearchRecord) -> Html:
    ordered = sorted(
        record.trials, key=lambda each: (-len(each.metrics), -(each.metrics[-1] if each.metrics else -1.0))
    )
    names = [each.name for each in record.parameters]
    columns = [
        Column("trial", figures=True),
        *(Column(each.removeprefix("net.")) for each in names),
        Column("epochs", figures=True),
        Column("validation", figures=True),
        Column("note"),
    ]
    rows = [
        [
            str(each.trial), *(str(each.written.get(name, NONE)) for name in names),
            f"{each.steps[-1] / record.epoch:.2g}" if each.steps else NONE,
            "diverged" if each.diverged else percent(each.metrics[-1] if each.metrics else None), each.note or "",
        ]
        for each in ordered[:MOST_TRIALS]
    ]  # fmt: skip
    shown = table(columns, rows, css="fit")
    if len(ordered) > MOST_TRIALS:
        shown = joined(
            [
                shown,
                tag("p", f"And {len(ordered) - MOST_TRIALS:,} more: search.json has them all.", css="soft"),
            ]
        )
    return shown


def _how(record: SearchRecord) -> Html:
    return joined(
        [
            tag(
                "p",
                f"Everything was chosen on {counted(record.images, 'validation image')}; the test images were looked at once, "
                "by the winner. The validation of the best of many is too optimistic, as it was chosen for being "
                f"high: about {100 * record.drop:.1f} points here, from the spread of the trials that it was compared "
                "with and the number of images.",
            ),
            pairs_table([(key.replace("_", " "), str(value)) for key, value in record.machine.items()]),
        ]
    )


def _on(record: SearchRecord) -> Html:
    source = shlex.quote(record.source)
    lines = [
        "striate predict best image.jpg          # the winner, in the folder of the search",
        f"striate train {source} --net best/net.txt --recipe best.toml",
        f"striate train {source} --net best/net.txt --recipe best.toml --folds 5",
    ]
    return verbatim("\n".join(lines))
