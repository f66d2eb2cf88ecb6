"""Runs set beside each other: on the same images, in their curves, their recipes and their networks."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from striate.errors import StriateError, counted
from striate.net.notation.reader import read_text
from striate.net.notation.writer import write_text
from striate.net.plan.table import Plan
from striate.report.curves import drawn_alike, logarithmic_axis
from striate.report.drawing import Points, drawing, line
from striate.report.element import SERIES, Html, joined, tag, void
from striate.report.facts import Facts
from striate.report.head import figure
from striate.report.mistakes import image_source
from striate.report.page import framed, notebook_frame
from striate.report.table import Column, name_cell, table
from striate.runs.history import Epoch
from striate.runs.record import Score
from striate.text.figures import NONE, count, decimal, duration, percent, size

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# A difference is called more than chance where its p-value is below.
LEVEL = 0.05

_STYLE = """
.mistakes.both .line { grid-column: 1 / -1; }
.mistakes .was-right::before { content: "✓ "; color: rgb(var(--right)); }
.mistakes .was-wrong::before { content: "✗ "; color: rgb(var(--wrong)); }
pre .gone { color: rgb(var(--wrong)); } pre .new { color: rgb(var(--right)); }
.figures.several .figure .value { font-size: clamp(2rem, 6vw, 3rem); font-weight: 600; }
"""


@dataclass(frozen=True, slots=True)
class Compared:
    """A run of a comparison.  name: short, and of no other run here.  facts: what its folder says.  score: on the
    images that all of them answered."""

    name: str
    facts: Facts
    score: Score


@dataclass(frozen=True, slots=True)
class Answer:
    """What a run says of an image: a class, and its probability."""

    answer: str
    probability: float


@dataclass(frozen=True, slots=True)
class Example:
    """An image that one of two runs answered rightly.  png: in base64.  answers: of the first and the second."""

    name: str
    label: str
    png: str
    answers: tuple[Answer, Answer]


@dataclass(frozen=True, slots=True)
class Difference:
    """The second of two runs against the first.

    both, first_only, second_only, neither: how many images they answered rightly.
    interval: 95 % interval of the difference of the accuracies, by paired bootstrap.
    p: of McNemar's exact test; adjusted: the same where several runs are compared with the first (Holm).
    examples: images that only the first had right, and only the second.
    """

    first: str
    second: str
    both: int
    first_only: int
    second_only: int
    neither: int
    interval: tuple[float, float]
    p: float
    adjusted: float
    examples: tuple[tuple[Example, ...], tuple[Example, ...]]

    @property
    def images(self) -> int:
        """How many there are."""
        return self.both + self.first_only + self.second_only + self.neither

    @property
    def difference(self) -> float:
        """Accuracy of the second less that of the first."""
        return (self.second_only - self.first_only) / self.images

    def sentence(self) -> str:
        """What it means."""
        low, high = self.interval
        said = (
            f"{self.second} against {self.first}: {100 * self.difference:+.2f} points (95 % interval {100 * low:+.2f} to "
            f"{100 * high:+.2f}; McNemar's test p {p_value(self.adjusted)})"
        )
        if self.first_only == self.second_only:
            return f"{said}: no difference"
        if self.adjusted < LEVEL:
            return f"{said}: more than chance"
        return f"{said}: it may be chance"

    def to_record(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "first": self.first,
            "second": self.second,
            "both_right": self.both,
            "first_only": self.first_only,
            "second_only": self.second_only,
            "both_wrong": self.neither,
            "difference": self.difference,
            "interval": list(self.interval),
            "p": self.p,
            "p_adjusted": self.adjusted,
        }


@dataclass(frozen=True, slots=True, repr=False)
class Comparison:
    """What came out.  data: as the user named it.  split: whose images these are; notes: a sentence each."""

    data: str
    split: str
    runs: tuple[Compared, ...]
    differences: tuple[Difference, ...]
    notes: tuple[str, ...] = ()

    def page(self) -> str:
        """All of it as one self-contained page of HTML."""
        return str(comparison_page(self))

    def to_record(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "data": self.data,
            "split": self.split,
            "images": self.runs[0].score.images,
            "runs": [
                {"name": each.name, "run": str(each.facts.run.path), "accuracy": each.score.accuracy,
                 "interval": list(each.score.interval), "loss": each.score.loss}
                for each in self.runs
            ],
            "differences": [each.to_record() for each in self.differences],
            "recipe": {key: list(values) for key, values in recipe_differences(self.runs)},
            "notes": list(self.notes),
        }  # fmt: skip

    def _repr_html_(self) -> str:
        """The page, in a notebook."""
        return notebook_frame(self.page())

    def __str__(self) -> str:
        """What `striate compare` prints."""
        return "\n".join(_lines(self))

    # At the prompt, too: not a line of all its fields.
    __repr__ = __str__


def p_value(p: float) -> str:
    """As papers print it."""
    return "< 0.0001" if p < 1e-4 else f"= {p:.2g}"


def recipe_differences(runs: Sequence[Compared]) -> list[tuple[str, tuple[object, ...]]]:
    """The keys of the recipe in which the runs differ, with the value of each run; None where it is not set."""
    by_run = [{each.key: each.value for each in run.facts.recipe} for run in runs]
    keys = dict.fromkeys(key for values in by_run for key in values)
    found = [(key, tuple(values.get(key) for values in by_run)) for key in keys]
    return [(key, values) for key, values in found if any(each != values[0] for each in values)]


def _lines(found: Comparison) -> Iterator[str]:
    images = found.runs[0].score.images
    yield f"{counted(images, 'image')} of {found.data}, {found.split}"
    width = max(len(each.name) for each in found.runs)
    for each in found.runs:
        low, high = each.score.interval
        yield (
            f"  {each.name:{width}}  {each.score.accuracy:7.2%}  (95 % interval {low:.2%} to {high:.2%}), "
            f"loss {each.score.loss:.3f}"
        )
    for difference in found.differences:
        yield ""
        yield difference.sentence()
        yield (
            f"  both right {difference.both:,}, only {difference.first} {difference.first_only:,}, "
            f"only {difference.second} {difference.second_only:,}, both wrong {difference.neither:,}"
        )
    changed = recipe_differences(found.runs)
    if changed:
        yield ""
        yield "the recipes differ in"
        long = max(len(key) for key, _ in changed)
        for key, values in changed:
            yield f"  {key:{long}}  " + "  |  ".join(_value(each) for each in values)
    texts = {_canonical(each.facts.net) for each in found.runs}
    if len(texts) > 1:
        yield ""
        yield "the networks differ: " + ", ".join(
            f"{each.name} has {count(plan.weights)} weights" if (plan := each.facts.plan) else each.name
            for each in found.runs
        )
    for note in found.notes:
        yield f"note: {note}"


def comparison_page(found: Comparison) -> Html:
    """The whole page."""
    names = [each.name for each in found.runs]
    title = " and ".join(names) if len(names) < 3 else f"{counted(len(names), 'run')} compared"
    images = found.runs[0].score.images
    figures = [
        figure(percent(each.score.accuracy, 2), each.name, _interval(each.score)) for each in found.runs
    ]
    top = tag(
        "header",
        tag("p", joined([tag("span", "striate compare"), tag("span", found.data)], " "), css="above"),
        tag("h1", title),
        tag("p", f"The same {counted(images, 'image')} for all, {found.split}.", css="lede"),
        *(tag("p", f"{each[:1].upper()}{each[1:]}.", css="notice") for each in found.notes),
        tag("div", joined(figures), css="figures several"),
        *(tag("p", f"{each.sentence()}.") for each in found.differences),
    )
    return framed(f"{title}, compared", top, list(_parts(found)), _STYLE)


def _interval(score: Score) -> str:
    low, high = score.interval
    return f"95% interval {percent(low)} to {percent(high)}"


def _parts(found: Comparison) -> Iterator[tuple[str, str, Html]]:
    yield "answers", "Answers", joined([_runs(found.runs), _pairs(found.differences)])
    yield "curves", "Training", _curves(found.runs)
    for number, each in enumerate(found.differences):
        title = "One right, the other wrong"
        title += f": {each.first} and {each.second}" if len(found.differences) > 1 else ""
        yield f"examples-{number}", title, _examples(each)
    yield "recipe", "Recipe", _recipe(found.runs)
    yield "network", "Network", _network(found.runs)


def _runs(runs: Sequence[Compared]) -> Html:
    heads = ("accuracy", "balanced", "loss", "weights", "multiply-adds", "epochs", "training")
    columns = [Column("run"), *(Column(each, figures=True) for each in heads)]
    rows = []
    for each in runs:
        plan, score = each.facts.plan, each.score
        rows.append(
            [
                name_cell(each.name),
                percent(score.accuracy, 2),
                percent(score.balanced_accuracy, 2),
                decimal(score.loss, 4),
                count(plan.weights if plan else None),
                count(plan.multiply_adds if plan else None),
                count(len(each.facts.history.epochs)),
                duration(each.facts.record.seconds),
            ]
        )
    return table(columns, rows)


def _pairs(differences: Sequence[Difference]) -> Html:
    heads = (
        "both right",
        "only the first",
        "only the second",
        "both wrong",
        "points",
        "95% interval",
        "p",
    )
    columns = [Column("first"), Column("second"), *(Column(each, figures=True) for each in heads)]
    rows = [
        [
            name_cell(each.first),
            name_cell(each.second),
            *(count(number) for number in (each.both, each.first_only, each.second_only, each.neither)),
            f"{100 * each.difference:+.2f}",
            f"{100 * each.interval[0]:+.2f} to {100 * each.interval[1]:+.2f}",
            p_value(each.adjusted).removeprefix("= "),
        ]
        for each in differences
    ]
    several = " p is adjusted for the number of comparisons (Holm 1979)." if len(differences) > 1 else ""
    note = (
        "The interval is that of the difference in percentage points, from 10,000 paired bootstrap samples of the images; "
        f"p is McNemar's exact test on the images that only one of the two has right.{several} Both say how far other "
        "images would change it, not other seeds: a second training of the same recipe differs, too."
    )
    return joined([table(columns, rows), tag("p", note, css="soft")])


def _curves(runs: Sequence[Compared]) -> Html:
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        return tag("p", "The curves need matplotlib: pip install 'striate[train]'.", css="soft")
    with drawn_alike():
        drawn = [
            _chart(runs, "loss", "Validation loss", "cross-entropy, nats", lambda each: each.val_loss),
            _chart(runs, "right", "Validation accuracy", "right, %", lambda each: 100 * each.val_accuracy),
            _chart(runs, "train", "Training loss", "cross-entropy, nats", lambda each: each.train_loss),
            _chart(
                runs, "clock", "Validation accuracy over time", "right, %", lambda each: 100 * each.val_accuracy, clock=True
            ),
        ]  # fmt: skip
    return tag("div", joined(drawn), css="curves")


def _chart(
    runs: Sequence[Compared],
    name: str,
    title: str,
    unit: str,
    value: Callable[[Epoch], float | None],
    *,
    clock: bool = False,
) -> Html:
    def place(epoch: Epoch) -> float | None:
        return epoch.elapsed_s if clock else float(epoch.epoch)

    lines: list[Points] = [
        [
            (x, y)
            for each in run.facts.history.epochs
            if (x := place(each)) is not None and (y := value(each)) is not None
        ]
        for run in runs
    ]
    values = [y for each in lines for _, y in each]
    if not values:
        return Html("")

    def draw(axes: Axes) -> None:
        for number, each in enumerate(lines):
            line(axes, each, SERIES[number % len(SERIES)], dashed=number >= len(SERIES))
        if unit.startswith("cross") and min(values) > 0 and max(values) > 30 * min(values):
            logarithmic_axis(axes, min(values) / 1.2, max(values) * 1.2)

    keys = [
        (f"series-{number % len(SERIES) + 1}" + " dashed" * (number >= len(SERIES)), run.name, shown)
        for number, (run, shown) in enumerate(zip(runs, lines, strict=True))
    ]
    told = "; ".join(
        f"{run.name} {shown[0][1]:.3g} to {shown[-1][1]:.3g}"
        for run, shown in zip(runs, lines, strict=True)
        if shown
    )
    across = ("seconds" if clock else "epochs", max(x for each in lines for x, _ in each))
    return drawing(name, title, unit, across=across, keys=keys, told=f"{title}: {told}.", draw=draw)


def _examples(difference: Difference) -> Html:
    parts: list[str] = []
    numbers = (difference.first_only, difference.second_only)
    names = (difference.first, difference.second)
    for place, (right, wrong) in enumerate(((0, 1), (1, 0))):
        shown = difference.examples[place]
        more = f", the {len(shown)} clearest" if len(shown) < numbers[place] else ""
        parts.append(
            tag("h3", f"{names[right]} right, {names[wrong]} wrong: {counted(numbers[place], 'image')}{more}")
        )
        if shown:
            cards = joined(_card(each, names, right) for each in shown)
            parts.append(tag("div", cards, css="mistakes both"))
        else:
            parts.append(tag("p", "There is none.", css="soft"))
    return joined(parts)


def _card(example: Example, names: tuple[str, str], right: int) -> Html:
    source = image_source(example.png)
    shown = (
        void("img", attributes={"src": source, "alt": f"{example.name}: {example.label}", "loading": "lazy"})
        if source
        else tag("span", "no image", css="soft")
    )
    lines = [tag("span", tag("b", example.label), css="line true")]
    for place, (name, each) in enumerate(zip(names, example.answers, strict=True)):
        said = f"{name}: {each.answer} {percent(each.probability, 0)}"
        lines.append(
            tag(
                "span",
                said,
                css="line was-right" if place == right else "line was-wrong",
                attributes={"title": said},
            )
        )
    lines.append(tag("span", example.name, css="line soft", attributes={"title": example.name}))
    return tag("figure", tag("div", shown, css="frame"), tag("figcaption", *lines))


def _recipe(runs: Sequence[Compared]) -> Html:
    changed = recipe_differences(runs)
    if not changed:
        return tag("p", "The recipes are the same.", css="soft")
    columns = [Column("key"), *(Column(each.name, css="value") for each in runs)]
    rows = [[tag("code", key), *(_value(each) for each in values)] for key, values in changed]
    return table(columns, rows, css="recipe")


def _value(value: object) -> str:
    if value is None:
        return NONE
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _network(runs: Sequence[Compared]) -> Html:
    texts = [_canonical(each.facts.net) for each in runs]
    if len(set(texts)) == 1:
        return tag("p", "The networks are the same.", css="soft")
    sums: list[tuple[str, Callable[[Plan], str]]] = [
        ("input", lambda plan: str(plan.input)),
        ("layers", lambda plan: count(len([row for row in plan.rows if not row.side]))),
        ("weights", lambda plan: count(plan.weights)),
        ("multiply-adds", lambda plan: count(plan.multiply_adds)),
        ("kept for the backward pass", lambda plan: size(plan.saved_bytes)),
    ]
    columns = [Column(""), *(Column(each.name, figures=True) for each in runs)]
    rows = [
        [name, *(written(plan) if (plan := each.facts.plan) else NONE for each in runs)]
        for name, written in sums
    ]
    parts: list[str] = [table(columns, rows, css="fit")]
    for run, text in zip(runs[1:], texts[1:], strict=True):
        if text != texts[0]:
            parts += [tag("h3", f"{runs[0].name} and {run.name}"), _diff(texts[0], text)]
    return joined(parts)


def _canonical(net: str) -> str:
    """The text of a network, a step a line, so that what differs can be seen."""
    try:
        net = write_text(read_text(net))
    except StriateError:
        return net.strip()
    return net.replace(" -> ", "\n-> ")


def _diff(first: str, second: str) -> Html:
    lines = difflib.ndiff(first.splitlines(), second.splitlines())
    marks = {"- ": "gone", "+ ": "new"}
    return tag(
        "pre",
        joined(
            (tag("span", each.rstrip(), css=marks.get(each[:2], "")) for each in lines if each[:2] != "? "),
            Html("\n"),
        ),
    )
