"""What was measured at the end of a run."""

from __future__ import annotations

from dataclasses import dataclass

from striate.report.interval import wilson
from striate.report.value import at, items, number, share, text, whole


@dataclass(frozen=True, slots=True)
class ClassResult:
    """One class.  number: its place among the classes, from 1.  interval: of its recall, 95 %."""

    number: int
    name: str
    count: int
    precision: float | None
    recall: float | None
    f1: float | None
    interval: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Result:
    """The answers over one split.

    split: `test` or `validation`.  best_epoch: counted from 1.
    confusion: row = true class, column = answer; empty where it is missing or does not fit the classes.
    """

    split: str
    pictures: int
    accuracy: float
    interval: tuple[float, float]
    top5: float | None
    loss: float | None
    classes: tuple[ClassResult, ...]
    confusion: tuple[tuple[int, ...], ...]
    best_epoch: int | None
    validation_metric: float | None
    epochs: int | None
    steps: int | None

    @property
    def wrong(self) -> int:
        """Pictures that were answered wrongly."""
        return self.pictures - round(self.accuracy * self.pictures)

    @property
    def most_common(self) -> ClassResult | None:
        """The class with most pictures, which always answering would find."""
        return max(self.classes, key=lambda each: each.count, default=None)


def read_result(record: object, classes: tuple[str, ...]) -> Result | None:
    """The result of a run's record; None where there is none, or not even an accuracy in it."""
    accuracy, pictures = share(at(record, "accuracy")), whole(at(record, "pictures"))
    if accuracy is None or pictures is None:
        return None
    scores = _classes(at(record, "classes"), classes)
    ends = [share(each) for each in items(at(record, "interval"))]
    low, high = ends if len(ends) == 2 else (None, None)
    best = whole(at(record, "best_epoch"))
    return Result(
        split=text(at(record, "split")) or "validation",
        pictures=pictures,
        accuracy=accuracy,
        interval=(low, high) if low is not None and high is not None else wilson(accuracy, pictures),
        top5=share(at(record, "top5")),
        loss=number(at(record, "loss")),
        classes=scores,
        confusion=_confusion(at(record, "confusion"), len(scores)),
        best_epoch=None if best is None else best + 1,
        validation_metric=share(at(record, "validation_metric")),
        epochs=whole(at(record, "epochs")),
        steps=whole(at(record, "steps")),
    )


def _classes(record: object, names: tuple[str, ...]) -> tuple[ClassResult, ...]:
    found = []
    for index, each in enumerate(items(record)):
        count, recall = whole(at(each, "count")) or 0, share(at(each, "recall"))
        found.append(
            ClassResult(
                number=index + 1,
                name=text(at(each, "name")) or (names[index] if index < len(names) else f"class {index + 1}"),
                count=count,
                precision=share(at(each, "precision")),
                recall=recall if count else None,
                f1=share(at(each, "f1")),
                interval=wilson(recall or 0.0, count),
            )
        )
    return tuple(found)


def _confusion(record: object, classes: int) -> tuple[tuple[int, ...], ...]:
    rows = []
    for row in items(record):
        counts = [each for each in map(whole, items(row)) if each is not None]
        if len(counts) != classes:
            return ()
        rows.append(tuple(counts))
    return tuple(rows) if len(rows) == classes else ()
