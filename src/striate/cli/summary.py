"""What a training printed at its end."""

from __future__ import annotations

from rich.table import Table

from striate.cli.console import prose, tabular
from striate.errors import counted
from striate.predict.score import METRICS
from striate.runs.folder import RunFolder
from striate.runs.record import RunRecord, Score

# More classes than this are not printed one by one; the report has them all.
MOST_CLASSES = 30
MOST_CONFUSED = 12
LONGEST_TITLE = 8

# From so many times as many images in the largest class as in the smallest, means over classes are shown.
IMBALANCED = 3


def print_summary(run: RunFolder, record: RunRecord) -> None:
    """Accuracy with its interval, per-class figures, the confusion matrix, and where the report lies."""
    console = prose()
    score = record.result
    assert score is not None
    low, high = score.interval
    console.print()
    console.print(
        f"{score.split} accuracy {score.accuracy:.2%} of {counted(score.images, 'image')} "
        f"(95 % interval {low:.2%} to {high:.2%}), loss {score.loss:.3f}"
    )
    if _imbalanced(score) or score.metric != "accuracy":
        console.print(
            f"balanced accuracy {score.balanced_accuracy:.2%}, F1 {score.f1:.2%} (means over the classes)"
        )
    metric = "" if score.metric == "accuracy" else f" {METRICS[score.metric]}"
    best = f"{score.best_epoch + 1}" + (", before the run went back" if score.best_undone else "")
    if score.split == "test":
        console.print(
            f"chosen on validation: {score.validation_metric:.2%}{metric} after epoch {best}; tested once"
        )
    else:
        console.print(f"there is no test split: these images also chose the best epoch ({best})")
    if record.symptom is not None:
        console.print(f"{record.symptom.said}\n  try: {record.symptom.cure}")
    print_tables(score)
    console.print()
    steps = f", a step took {1000 * record.step_s:,.3g} ms" if record.step_s else ""
    console.print(f"run     {run.path}   ({record.seconds:.1f} s{steps})")
    console.print(f"report  {run.report}")


def print_tables(score: Score) -> None:
    """Per-class figures and the confusion matrix, where they are not too long to read."""
    if len(score.classes) <= MOST_CLASSES:
        _print_classes(score)
    if score.confusion and len(score.classes) <= MOST_CONFUSED:
        _print_confusion(score)


def _imbalanced(score: Score) -> bool:
    """Whether one class has so many more images than another that the accuracy says little of it."""
    counts = [each.count for each in score.classes if each.count]
    return max(counts) >= IMBALANCED * min(counts)


def _print_classes(score: Score) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column("class")
    for title in ("images", "precision", "recall"):
        table.add_column(title, justify="right")
    for each in score.classes:
        table.add_row(each.name, f"{each.count:,}", f"{each.precision:.1%}", f"{each.recall:.1%}")
    _print(table)


def _print_confusion(score: Score) -> None:
    names = [each.name for each in score.classes]
    # Long names would make the columns wide: those are numbered instead.
    numbered = any(len(name) > LONGEST_TITLE for name in names)
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for number, name in enumerate(names, 1):
        table.add_column(str(number) if numbered else name, justify="right")
    for number, (name, row) in enumerate(zip(names, score.confusion, strict=True), 1):
        title = f"{number:2} {name}" if numbered else name
        table.add_row(title, *(str(count) if count else "." for count in row))
    _print(table, "row: true class, column: answer")


def _print(table: Table, *title: str) -> None:
    prose().print()
    for line in title:
        prose().print(line)
    tabular().print(table)
