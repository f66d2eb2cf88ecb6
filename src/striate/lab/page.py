"""The page of a claim: its words, its falsifier, its figures and its verdict, made from its receipt alone."""

from __future__ import annotations

import math
import textwrap
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

from striate.lab.bench import BASE
from striate.lab.claim import Chart, Claim, Comparison, Picture, Row
from striate.lab.receipt import Receipt
from striate.report.element import INK, LINE, SOFT, Html, joined, svg, tag
from striate.report.head import figure
from striate.report.page import framed
from striate.report.table import Column, pairs_table, table
from striate.text.figures import count, duration

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Seen on light and on dark paper alike; each series has its dash as well, for who sees no colors.
COLORS = ("#2f86c9", "#d9702a", "#2a9d74", "#a868c8", "#b08c10", "#d1495b", "#7c8791", "#4f6bd8", "#8a5a3c")
_DASHES = ("-", "--", "-.", ":")

_STYLE = """
.verdict { font-weight: 600; }
.verdict.no { color: var(--validation); }
.chart { margin: 0 0 2rem; max-width: 46rem; }
.chart svg { display: block; width: 100%; height: auto; overflow: visible; }
.chart figcaption { display: flex; flex-wrap: wrap; gap: 0 1.125rem; font-size: 0.875rem; margin-bottom: 0.25rem; }
.chart strong { font-weight: 600; flex-basis: 100%; }
.chart .dot { margin-right: 0.35rem; }
.squares { display: flex; flex-wrap: wrap; gap: 1.25rem; margin-bottom: 2rem; }
.squares figure { margin: 0; width: 8.5rem; font-size: 0.8125rem; color: var(--soft); }
.squares svg { display: block; width: 100%; height: auto; margin-bottom: 0.35rem; }
td.wide { white-space: normal; min-width: 14rem; max-width: 26rem; }
"""

_DRAWING = threading.Lock()

Given = TypeVar("Given")

_NO = ("does not hold", "not settled")


def claim_page(claim: Claim, receipt: Receipt) -> Html:
    """The whole page."""
    return framed(claim.name, _head(claim, receipt), list(_sections(claim, receipt)), _STYLE)


def _head(claim: Claim, receipt: Receipt) -> Html:
    train, _, test = receipt.images
    above = joined([tag("span", "striate lab"), tag("span", claim.name), tag("span", receipt.date)], " ")
    figures = [
        figure(receipt.verdict, "the verdict", _why(receipt), css="answer said"),
        figure(
            count(receipt.seeds),
            "seeds",
            f"{receipt.trainings:,} trainings" if receipt.trainings else "nothing is trained",
        ),
        figure(receipt.data, "images", f"{train:,} to train on, {test:,} to test"),
    ]
    quick = (
        [
            tag(
                "p",
                "A quick run: two seeds, few learning rates, short trainings. It settles nothing; leave out --quick.",
                css="notice",
            )
        ]
        if receipt.quick
        else []
    )
    return tag(
        "header",
        tag("p", above, css="above"),
        tag("h1", claim.line),
        tag("p", claim.words, css="lede"),
        *quick,
        tag("div", joined(figures), css="figures"),
    )


def _why(receipt: Receipt) -> str:
    counted = [each for each in receipt.finding.comparisons if each.verdict is not None]
    return "; ".join(
        dict.fromkeys(
            f"{sum(c.verdict == each.verdict for c in counted)} of {len(counted)} comparisons: {each.verdict}"
            for each in counted
        )
    )


def _sections(claim: Claim, receipt: Receipt) -> Iterator[tuple[str, str, Html]]:
    """Key, title and content of each section."""
    finding = receipt.finding
    yield "protocol", "How it was measured", _protocol(claim, receipt)
    yield "compared", "What was compared", _compared(finding.comparisons)
    if finding.charts or finding.pictures:
        yield "pictures", "Pictures", _pictures(finding.charts, finding.pictures)
    if finding.rows:
        yield "figures", "Figures", _figures(finding.rows)
    yield (
        "source",
        "Source, and what would change it",
        pairs_table(
            [("Source", claim.source), ("What would change it", claim.changes)]
            + ([("What notes get wrong", claim.correction)] if claim.correction else [])
        ),
    )
    yield "again", "Do it again", _again(claim, receipt)


def _protocol(claim: Claim, receipt: Receipt) -> Html:
    rows = [("Protocol", claim.protocol), ("Written before the run: falsified when", claim.falsifier)]
    if claim.arms:
        ladder = sorted({learning_rate for arm in claim.arms for learning_rate in arm.learning_rates})
        rows += [
            (
                "Learning rates",
                f"Chosen for each arm by short trainings of one seed, a third of the epochs; tried are {len(claim.arms[0].learning_rates)} "
                f"or more, here of {ladder[0]:g} to {ladder[-1]:g}, and others beyond where the first or the last was best. "
                "Then every seed trains at the best; arms are compared seed by seed.",
            ),
            ("Recipe", _recipe(claim)),
        ]
    drawn = [tag("p", note) for note in receipt.finding.notes]
    return joined([pairs_table(rows), *drawn])


def _recipe(claim: Claim) -> str:
    """What all arms share, what each may have of its own, and the images."""
    shown = {key: BASE[key] for key in ("optimizer", "schedule", "batch", "weight_decay", "clip", "augment")}
    keys = [shown | dict(arm.keys) for arm in claim.arms]
    same = [
        f"{key} {value}" for key, value in keys[0].items() if all(each.get(key) == value for each in keys)
    ]
    other = sorted({key for each in keys for key in each} - {each.split(" ")[0] for each in same})
    epochs = sorted({arm.epochs for arm in claim.arms})
    said = f"{', '.join(same)}; {epochs[0]:,} epochs" + (
        f"; of its own has each arm: {', '.join(other)}" if other else ""
    )
    images = sorted({arm.images.said() for arm in claim.arms})
    return f"{said}. Images: {'; '.join(images)}."


def _compared(comparisons: Sequence[Comparison]) -> Html:
    columns = [
        Column("comparison", css="wide"), Column("mean", figures=True), Column("95 % interval", figures=True),
        Column("verdict"), Column("reads", css="wide"), Column("each seed", figures=True),
    ]  # fmt: skip
    rows = [
        [
            each.name,
            _number(each.middle, each.unit),
            f"{_bare(each.low, each.unit)} to {_bare(each.high, each.unit)}"
            if len(each.values) > 1
            else "exact",
            tag(
                "span",
                each.verdict or "for information",
                css=f"verdict{' no' if each.verdict in _NO else ''}" if each.verdict else "soft",
            ),
            each.reads,
            " ".join(_bare(one, each.unit) for one in each.values) if len(each.values) > 1 else "counted",
        ]
        for each in comparisons
    ]
    return joined([*_drawn(_forests, comparisons), table(columns, rows)])


def _figures(rows: Sequence[Row]) -> Html:
    columns = [
        Column("arm"), Column("figure", css="wide"), Column("mean", figures=True), Column("spread", figures=True),
        Column("each seed", figures=True), Column("learning rate", figures=True),
    ]  # fmt: skip
    cells = []
    for row in rows:
        mean = sum(row.values) / len(row.values)
        spread = math.sqrt(sum((each - mean) ** 2 for each in row.values) / max(1, len(row.values) - 1))
        cells.append(
            [
                row.arm,
                row.what,
                _number(mean, row.unit),
                f"±{_bare(spread, row.unit)}" if len(row.values) > 1 else "–",
                " ".join(_bare(each, row.unit) for each in row.values) if len(row.values) > 1 else "counted",
                f"{row.learning_rate:g}" if row.learning_rate is not None else "–",
            ]
        )
    return joined(
        [table(columns, cells), tag("p", "Spread is the standard deviation over the seeds.", css="soft")]
    )


def _number(value: float, unit: str = "") -> str:
    """A figure in three digits or so, and its unit."""
    return f"{_bare(value, unit)} {unit}".rstrip()


def _bare(value: float, unit: str = "") -> str:
    """A figure without its unit: shares and points have two decimals where these say anything."""
    if not math.isfinite(value) or abs(value) >= 1e300:
        return "unbounded"
    if unit in ("%", "points") and (value == 0 or abs(value) >= 0.01):
        return f"{value:.2f}"
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 1 else f"{value:.2f}"


def _again(claim: Claim, receipt: Receipt) -> Html:
    machine = [
        (key.replace("_", " "), str(value))
        for part in (receipt.machine, receipt.versions)
        for key, value in part.items()
    ]
    data = "" if receipt.data == "digits" else f" --data {receipt.data} --images {receipt.images[0]}"
    command = (
        f"striate lab {claim.name}{data} --seeds {receipt.seeds}"
        if not receipt.quick
        else f"striate lab {claim.name}{data} --quick"
    )
    took = (
        [("took", duration(receipt.seconds)), ("commit", receipt.commit)]
        if receipt.commit
        else [("took", duration(receipt.seconds))]
    )
    said = tag(
        "p",
        "Trainings that were kept are not done again. Every one is a run of its own, with its report.",
        css="soft",
    )
    return joined([tag("pre", command), said, pairs_table(took + machine)])


# ---- drawings -----------------------------------------------------------------------------------------


def _pictures(charts: Sequence[Chart], pictures: Sequence[Picture]) -> Html:
    parts: list[Html] = []
    if pictures:
        parts.append(tag("div", joined(_squares(each) for each in pictures), css="squares"))
    return joined([*parts, *_drawn(_charts, charts)])


def _charts(charts: Sequence[Chart]) -> list[Html]:
    return [_chart(chart, f"chart-{number}") for number, chart in enumerate(charts)]


def _drawn(draw: Callable[[Sequence[Given]], list[Html]], given: Sequence[Given]) -> list[Html]:
    """Drawings of matplotlib, whatever style the user set; a sentence where it is not installed."""
    try:
        import matplotlib
    except ImportError:
        return [tag("p", "The charts need matplotlib: pip install 'striate[train]'.", css="soft")]
    style = {key: each for key, each in matplotlib.rcParamsDefault.items() if "backend" not in key}
    style |= {"svg.fonttype": "none", "svg.hashsalt": "striate", "font.size": 10.0}
    with _DRAWING, matplotlib.rc_context(style):
        return draw(given)


def _forests(comparisons: Sequence[Comparison]) -> list[Html]:
    """For each unit a drawing of its comparisons: each seed as a dot, the mean and its interval."""
    found = []
    several = [each for each in comparisons if len(each.values) > 1]
    for number, unit in enumerate(dict.fromkeys(each.unit for each in several)):
        mine = [each for each in several if each.unit == unit]
        told = "; ".join(f"{each.name}: {_bare(each.low)} to {_bare(each.high)}" for each in mine)
        image = _figure(
            0.7 + 0.5 * len(mine), _intervals(mine), True, f"lab-interval-{number}", f"Intervals. {told}."
        )
        caption = tag(
            "figcaption",
            tag("strong", unit or "exact"),
            "each seed a dot; the mean and its 95 % interval a line",
        )
        found.append(tag("figure", caption, image, css="chart"))
    return found


def _intervals(comparisons: Sequence[Comparison]) -> Callable[[Axes], None]:
    def draw(axes: Axes) -> None:
        for place, each in enumerate(comparisons):
            color = INK if each.verdict is not None else SOFT
            axes.plot([each.low, each.high], [place, place], color=color, linewidth=1.6)
            axes.plot([each.middle], [place], color=color, marker="|", markersize=12, markeredgewidth=1.6)
            axes.plot(
                each.values,
                [place + 0.22] * len(each.values),
                color=COLORS[0],
                marker="o",
                markersize=3,
                linestyle="",
            )
        ratios = comparisons[0].unit.startswith("times")
        axes.axvline(1 if ratios else 0, color=SOFT, linewidth=0.8, linestyle="--")
        names = ["\n".join(textwrap.wrap(each.name, 44)) for each in comparisons]
        axes.set_yticks(range(len(names)), names, fontsize=8)
        axes.set_ylim(len(names) - 0.5, -0.5)

    return draw


def _squares(picture: Picture) -> Html:
    """A picture as an svg of squares, white where 1."""
    height, width = len(picture.values), len(picture.values[0])
    cells = joined(
        tag(
            "rect",
            attributes={
                "x": str(column), "y": str(row), "width": "1.02", "height": "1.02",
                "fill": "#{0:02x}{0:02x}{0:02x}".format(round(255 * min(max(value, 0.0), 1.0))),
            },
        )
        for row, line in enumerate(picture.values)
        for column, value in enumerate(line)
    )  # fmt: skip
    drawn = tag(
        "svg",
        cells,
        attributes={
            "viewBox": f"0 0 {width} {height}",
            "role": "img",
            "aria-label": picture.caption,
            "shape-rendering": "crispEdges",
        },
    )
    return tag("figure", drawn, tag("figcaption", picture.caption))


def _chart(chart: Chart, name: str) -> Html:
    single = bool(chart.ticks) and all(len(each.points) == 1 for each in chart.series)
    draw = _points if single else _lines
    told = "; ".join(
        f"{each.name}: {_number(each.points[0][1])} to {_number(each.points[-1][1])}" for each in chart.series
    )
    if single:
        told = "; ".join(f"{each.name}: {_number(each.points[0][1])}" for each in chart.series)
    keys = (
        Html("")
        if single
        else joined(
            tag(
                "span",
                tag("span", "●", css="dot", attributes={"style": f"color:{COLORS[place % len(COLORS)]}"}),
                each.name,
            )
            for place, each in enumerate(chart.series)
        )
    )
    height = 0.7 + 0.32 * len(chart.series) if single else 3.4
    image = _figure(height, draw(chart), single, f"lab-{name}", f"{chart.title}. {told}.")
    unit = "" if single else f" · {chart.y}"
    return tag("figure", tag("figcaption", tag("strong", f"{chart.title}{unit}"), keys), image, css="chart")


def _figure(height: float, draw: Callable[[Axes], None], single: bool, name: str, told: str) -> Html:
    from matplotlib.figure import Figure

    drawn = Figure(figsize=(6.4, height), layout="constrained")
    axes = drawn.add_subplot()
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(LINE)
    axes.grid(axis="x" if single else "y", color=LINE, linewidth=0.7)
    axes.set_axisbelow(True)
    draw(axes)
    axes.tick_params(colors=SOFT, length=0, pad=5, which="both")
    return svg(drawn, name, told)


def _lines(chart: Chart) -> Callable[[Axes], None]:
    def draw(axes: Axes) -> None:
        for place, each in enumerate(chart.series):
            color = COLORS[place % len(COLORS)]
            x, middle, low, high = zip(*each.points, strict=True)
            axes.fill_between(x, low, high, color=color, alpha=0.14, linewidth=0)
            dots = "o" if len(x) <= 30 else ""
            axes.plot(
                x, middle, color=color, linestyle=_DASHES[place % 4], linewidth=1.6, marker=dots, markersize=3
            )
        if chart.log_x:
            axes.set_xscale("log")
            shown = sorted({point[0] for each in chart.series for point in each.points})
            axes.set_xticks(
                shown[:: 1 + len(shown) // 9], [f"{each:g}" for each in shown[:: 1 + len(shown) // 9]]
            )
            axes.minorticks_off()
        if chart.log_y:
            axes.set_yscale("log")
        if chart.ticks:
            axes.set_xticks(range(len(chart.ticks)), chart.ticks)
        axes.set_xlabel(chart.x, color=SOFT, labelpad=4)

    return draw


def _points(chart: Chart) -> Callable[[Axes], None]:
    def draw(axes: Axes) -> None:
        names = [each.name for each in chart.series]
        for place, each in enumerate(chart.series):
            _, middle, low, high = each.points[0]
            axes.plot([low, high], [place, place], color=SOFT, linewidth=2.5, alpha=0.6)
            axes.plot([middle], [place], color=INK, marker="o", markersize=5)
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_xlabel(chart.y, color=SOFT, labelpad=4)

    return draw
