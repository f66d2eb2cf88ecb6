"""A training and a score in the lines of a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from striate.errors import counted
from striate.predict.score import METRICS
from striate.runs.folder import RunFolder
from striate.runs.record import Result, RunRecord, Score
from striate.text.figures import aligned

# More classes than this are not printed one by one; the report has them all.
MOST_CLASSES = 30
MOST_CONFUSED = 12
LONGEST_TITLE = 8

# From so many times as many images in the largest class as in the smallest, means over classes are shown.
IMBALANCED = 3


def summary_lines(run: RunFolder, record: RunRecord) -> Iterator[str]:
    """Accuracy with its interval, figures of each class, the confusion matrix, and where the report lies.

    Of a run that is not finished, its state and the command that goes on with it.
    """
    score = record.result
    if score is None:
        yield f"this run is {record.status}" + (f", trained on {record.name}" if record.name else "")
    else:
        yield from _result(score)
    if record.symptom is not None:
        yield record.symptom.said
        yield f"  try: {record.symptom.cure}"
    if score is not None:
        yield from score_lines(score)
    yield ""
    steps = f", a step took {1000 * record.step_s:,.3g} ms" if record.step_s else ""
    took = "" if record.seconds is None else f"   ({record.seconds:.1f} s{steps})"
    yield f"run     {run.path}{took}"
    if run.report.exists():
        yield f"report  {run.report}"


def _result(score: Result) -> Iterator[str]:
    low, high = score.interval
    yield (
        f"{score.split} accuracy {score.accuracy:.2%} of {counted(score.images, 'image')} "
        f"(95 % interval {low:.2%} to {high:.2%}), loss {score.loss:.3f}"
    )
    if _imbalanced(score) or score.metric != "accuracy":
        yield f"balanced accuracy {score.balanced_accuracy:.2%}, F1 {score.f1:.2%} (means over the classes)"
    metric = "" if score.metric == "accuracy" else f" {METRICS[score.metric]}"
    best = f"{score.best_epoch + 1}" + (", before the run went back" if score.best_undone else "")
    if score.split == "test":
        yield f"chosen on validation: {score.validation_metric:.2%}{metric} after epoch {best}; tested once"
    else:
        yield f"there is no test split: these images also chose the best epoch ({best})"


def score_lines(score: Score) -> Iterator[str]:
    """Figures of each class and the confusion matrix, where they are not too long to read."""
    if len(score.classes) <= MOST_CLASSES:
        yield ""
        heads = ["class", "images", "precision", "recall"]
        rows = [
            [each.name, f"{each.count:,}", f"{each.precision:.1%}", f"{each.recall:.1%}"]
            for each in score.classes
        ]
        yield from aligned([heads, *rows], left=1)
    if score.confusion and len(score.classes) <= MOST_CONFUSED:
        yield ""
        yield "row: true class, column: answer"
        yield from _confusion(score)


def _imbalanced(score: Score) -> bool:
    """Whether one class has so many more images than another that the accuracy says little of it."""
    counts = [each.count for each in score.classes if each.count]
    return max(counts) >= IMBALANCED * min(counts)


def _confusion(score: Score) -> list[str]:
    names = [each.name for each in score.classes]
    # Long names would make the columns wide: those are numbered instead.
    numbered = any(len(name) > LONGEST_TITLE for name in names)
    heads = ["", *(str(number) if numbered else name for number, name in enumerate(names, 1))]
    rows = [
        [f"{number:2} {name}" if numbered else name, *(str(count) if count else "." for count in row)]
        for number, (name, row) in enumerate(zip(names, score.confusion, strict=True), 1)
    ]
    return aligned([heads, *rows], left=1)
