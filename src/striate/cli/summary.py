"""What a training printed at its end."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from striate.runs.folder import RunFolder
from striate.train.score import Score

# More classes than this are not printed one by one; the report has them all.
MOST_CLASSES = 30
MOST_CONFUSED = 12


def print_summary(run: RunFolder, record: dict[str, Any], score: Score) -> None:
    """Accuracy with its interval, per-class figures, the confusion matrix, and where the report lies."""
    console = Console(highlight=False, markup=False, soft_wrap=True)
    result = record["result"]
    low, high = score.interval
    console.print()
    console.print(
        f"{result['split']} accuracy {score.accuracy:.2%} of {score.pictures:,} pictures "
        f"(95 % interval {low:.2%} to {high:.2%}), loss {score.loss:.3f}"
    )
    if result["split"] == "test":
        console.print(
            f"chosen on validation: {result['validation_accuracy']:.2%} after epoch {result['best_epoch'] + 1}; "
            "tested once"
        )
    else:
        console.print(
            f"there is no test split: these pictures also chose the best epoch ({result['best_epoch'] + 1})"
        )
    if len(score.classes) <= MOST_CLASSES:
        _print_classes(console, score)
    if len(score.classes) <= MOST_CONFUSED:
        _print_confusion(console, score)
    console.print()
    console.print(f"run     {run.path}   ({record['seconds']:.1f} s)")
    console.print(f"report  {run.report}")


def _print_classes(console: Console, score: Score) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column("class")
    for title in ("pictures", "precision", "recall"):
        table.add_column(title, justify="right")
    for each in score.classes:
        table.add_row(each.name, f"{each.count:,}", f"{each.precision:.1%}", f"{each.recall:.1%}")
    console.print()
    console.print(table)


def _print_confusion(console: Console, score: Score) -> None:
    table = Table(box=None, pad_edge=False, title="row: true class, column: answer", title_justify="left")
    table.add_column("")
    for each in score.classes:
        table.add_column(each.name[:8], justify="right")
    for each, row in zip(score.classes, score.confusion, strict=True):
        table.add_row(each.name, *(str(number) if number else "." for number in row))
    console.print()
    console.print(table)
