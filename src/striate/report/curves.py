"""How the training went, as curves."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from striate.disk.atomic import write_atomic
from striate.report.drawing import Points, drawing, line, thinned
from striate.report.element import INK, SOFT, TRAINING, VALIDATION, Html, joined, tag
from striate.report.table import Column, table
from striate.runs.history import Epoch, History
from striate.text.figures import NONE, count, decimal, duration, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Epochs in the table; of more, every second, third and so on.
MOST = 200


def epoch_table(history: History) -> Html:
    """A folded table, the epoch whose weights were kept in bold; nothing where no epoch ended."""
    if not history.epochs:
        return Html("")
    every = -(-len(history.epochs) // MOST)
    said = "Epochs in figures" if every == 1 else f"Epochs in figures, one in {every}"
    heads = (
        "epoch",
        "steps",
        "training loss",
        "validation loss",
        "training right",
        "validation right",
        "a step",
        "time",
    )
    rows = [
        _row(each, each is history.best)
        for each in history.epochs
        if each.epoch % every == 0 or each is history.best or each is history.epochs[-1]
    ]
    shown = table([Column(each, figures=True) for each in heads], rows, css="fit")
    return tag("details", tag("summary", said), shown)


def _row(each: Epoch, best: bool) -> list[str]:
    return [
        tag("strong", f"{each.epoch}") if best else f"{each.epoch}",
        count(each.step),
        decimal(each.train_loss, 4),
        decimal(each.val_loss, 4),
        percent(each.train_accuracy, 2),
        percent(each.val_accuracy, 2),
        NONE if each.step_s is None else f"{1000 * each.step_s:,.3g} ms",
        duration(each.elapsed_s),
    ]


# From this ratio of largest to smallest on, a loss is drawn on a logarithmic axis.
LOGARITHMIC = 30

_DRAWING = threading.Lock()


def curves(history: History) -> Html:
    """Loss, accuracy, learning rate and time, each in a drawing, and the same as a table."""
    if not history.steps and not history.epochs:
        return tag("p", "No step was noted before the run ended.", css="soft")
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        drawn = tag("p", "The curves need matplotlib: pip install 'striate[train]'.", css="soft")
        return joined([drawn, epoch_table(history)])
    with drawn_alike():
        drawn = joined([_loss(history), _accuracy(history), _rate(history), _time(history)])
    return joined([tag("div", drawn, css="curves"), _note(history), epoch_table(history)])


@contextmanager
def drawn_alike() -> Iterator[None]:
    """Whatever style the user set, drawings of matplotlib look the same inside; his settings are put back."""
    import matplotlib

    style = {key: each for key, each in matplotlib.rcParamsDefault.items() if "backend" not in key}
    style |= {"svg.fonttype": "none", "svg.hashsalt": "striate", "font.size": 10.0}
    with _DRAWING, matplotlib.rc_context(style):
        yield


def _loss(history: History) -> Html:
    batches = thinned(
        [(_place(history, each.step), each.loss) for each in history.steps if each.loss is not None]
    )
    training = _means(history, lambda each: each.train_loss)
    validation = _ends(history, lambda each: each.val_loss)
    values = [y for _, y in (*training, *validation)] or [y for _, y in batches]
    if not values:
        return Html("")

    def draw(axes: Axes) -> None:
        axes.plot([x for x, _ in batches], [y for _, y in batches], color=SOFT, linewidth=0.6, alpha=0.7)
        line(axes, training, TRAINING, dashed=True)
        line(axes, validation, VALIDATION)
        _ring(axes, history, lambda each: each.val_loss)
        top = max(*values, _most(batches))
        if min(values) > 0 and top > LOGARITHMIC * min(values):
            logarithmic_axis(axes, 0.8 * min(values), 1.25 * top)
        else:
            axes.set_ylim(1.06 * min(0.0, *values), 1.06 * top or 1)

    return drawing(
        "loss",
        "Loss",
        "cross-entropy, nats",
        across=_across(history),
        keys=[("batch", "a step", batches), *_keys(training, validation)],
        told=f"Loss: training {_told(training, decimal)}; validation {_told(validation, decimal)}.",
        draw=draw,
    )


def _accuracy(history: History) -> Html:
    training = _means(history, lambda each: each.train_accuracy)
    validation = _ends(history, lambda each: each.val_accuracy)
    if not training and not validation:
        return Html("")

    def draw(axes: Axes) -> None:
        from matplotlib.ticker import FuncFormatter

        line(axes, training, TRAINING, dashed=True)
        line(axes, validation, VALIDATION)
        _ring(axes, history, lambda each: each.val_accuracy)
        low, high = axes.get_ylim()
        axes.set_ylim(max(0.0, low), min(1.0, high))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{100 * y:.4g}"))

    return drawing(
        "accuracy",
        "Accuracy",
        "right, %",
        across=_across(history),
        keys=_keys(training, validation),
        told=f"Accuracy: training {_told(training, percent)}; validation {_told(validation, percent)}.",
        draw=draw,
    )


def _rate(history: History) -> Html:
    rates = [
        (_place(history, each.step), each.learning_rate)
        for each in history.steps
        if each.learning_rate is not None
    ]
    if not rates:
        return Html("")

    def draw(axes: Axes) -> None:
        from matplotlib.ticker import FuncFormatter, MaxNLocator

        line(axes, rates, INK)
        axes.set_ylim(0, 1.06 * max(y for _, y in rates) or 1)
        axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:.3g}"))

    told = f"Learning rate: {_told(rates, decimal)}."
    across = _across(history)
    return drawing(
        "learning_rate",
        "Learning rate",
        "factor on the gradient",
        across=across,
        keys=[],
        told=told,
        draw=draw,
    )


def _time(history: History) -> Html:
    times = [(each.epoch, each.elapsed_s) for each in history.epochs if each.elapsed_s is not None]
    paces: list[tuple[float, float]] = [
        (float(now[0]), now[1] - before[1])
        for before, now in pairwise(times)
        if now[0] == before[0] + 1 and now[1] >= before[1]
    ]
    if not paces:
        return Html("")

    def draw(axes: Axes) -> None:
        line(axes, paces, INK)
        axes.set_ylim(0, 1.15 * max(y for _, y in paces) or 1)

    told = f"Time of an epoch: {_told(paces, duration)}."
    unit = "seconds, validation included"
    across = _across(history)
    return drawing("time", "Time of an epoch", unit, across=across, keys=[], told=told, draw=draw)


def _keys(training: Points, validation: Points) -> list[tuple[str, str, Points]]:
    return [("training", "training", training), ("validation", "validation", validation)]


def _across(history: History) -> tuple[str, float]:
    return "epochs" if history.epochs else "steps", _place(history, history.last_step)


def _place(history: History, step: int) -> float:
    """Where a step lies on the axis: in epochs, or in steps before the first epoch ended."""
    return step / (history.steps_an_epoch or 1)


def _means(history: History, value: Callable[[Epoch], float | None]) -> Points:
    """A mean over each epoch, which belongs to the middle of it."""
    starts = [0, *(each.step for each in history.epochs)]
    return [
        (_place(history, start + each.step) / 2, y)
        for start, each in zip(starts, history.epochs, strict=False)
        if (y := value(each)) is not None
    ]


def _ends(history: History, value: Callable[[Epoch], float | None]) -> Points:
    """What was measured at the end of each epoch."""
    return [(_place(history, each.step), y) for each in history.epochs if (y := value(each)) is not None]


def logarithmic_axis(axes: Axes, low: float, high: float) -> None:
    """A logarithmic axis that is read in plain figures, 0.1, 0.2, 0.5, 1."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axes.set_yscale("log")
    axes.set_ylim(low, high)
    few = high < 1000 * low
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if few else (1.0,), numticks=8))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:.3g}"))


def _ring(axes: Axes, history: History, value: Callable[[Epoch], float | None]) -> None:
    best = history.best
    height = value(best) if best else None
    if best and height is not None:
        place = [_place(history, best.step)], [height]
        axes.plot(
            *place, "o", markersize=9, markerfacecolor="none", markeredgecolor=VALIDATION, clip_on=False
        )


def _most(batches: Points) -> float:
    """The loss that one batch in fifty passes: a few wild ones do not flatten the rest."""
    ordered = sorted(y for _, y in batches)
    return ordered[len(ordered) * 49 // 50] if ordered else 0.0


def _told(points: Points, written: Callable[[float], str]) -> str:
    return f"from {written(points[0][1])} to {written(points[-1][1])}" if points else "not noted"


def _note(history: History) -> Html:
    if not history.epochs:
        return tag(
            "p", f"No epoch ended; the last step that was noted is {count(history.last_step)}.", css="soft"
        )
    ring = f"The ring is epoch {history.best.epoch}, whose weights were kept. " if history.best else ""
    if history.undone:
        ring = "The weights that were kept are of an epoch from which the run went back; it is not drawn. "
    return tag(
        "p",
        f"{ring}Training is the mean over an epoch while it ran, with its dropout and augmentation, and is "
        "drawn at the middle of it; validation is measured at the end.",
        css="soft",
    )


def draw_rates(rates: Sequence[float], losses: Sequence[float], suggested: float, path: Path) -> None:
    """Write a PNG of the smoothed loss over the learning rate, the suggested learning rate marked."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.2), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    axes.semilogx(rates, losses, color="#0072B2", linewidth=1.8)
    axes.axvline(suggested, color="#D55E00", linewidth=1.2, linestyle="--")
    axes.annotate(
        f"suggested {suggested:.2g}", (suggested, max(losses)), xytext=(4, -4), textcoords="offset points",
        color="#D55E00", va="top",
    )  # fmt: skip
    axes.set_xlabel("learning rate")
    axes.set_ylabel("training loss, smoothed")
    # Where the loss explodes it would flatten everything before it.
    start = losses[0]
    axes.set_ylim(top=min(max(losses), 1.6 * start) * 1.02)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)  # type: ignore[no-untyped-call]
    write_atomic(path, buffer.getvalue())
