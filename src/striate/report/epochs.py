"""The epochs of a training in figures."""

from __future__ import annotations

from striate.report.element import Html, tag
from striate.report.table import Column, table
from striate.report.trace import Epoch, Trace
from striate.text.figures import NONE, count, decimal, duration, percent

# Epochs in the table; of more, every second, third and so on.
MOST = 200


def epoch_table(trace: Trace) -> Html:
    """A folded table, the epoch whose weights were kept in bold; nothing where no epoch ended."""
    if not trace.epochs:
        return Html("")
    every = -(-len(trace.epochs) // MOST)
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
        _row(each, each is trace.best)
        for each in trace.epochs
        if each.epoch % every == 0 or each is trace.best or each is trace.epochs[-1]
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
