"""How good the answers of a network are."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.report.interval import wilson


@dataclass(frozen=True, slots=True)
class ClassScore:
    """One class.  precision: share of the answers `name` that were right.  recall: share of it found."""

    name: str
    count: int
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, slots=True)
class Score:
    """The answers over one split.

    interval: 95 % interval of the accuracy by Wilson's formula, from the number of pictures alone.
    confusion: row = true class, column = answer.
    """

    pictures: int
    accuracy: float
    interval: tuple[float, float]
    top5: float
    loss: float
    classes: tuple[ClassScore, ...]
    confusion: tuple[tuple[int, ...], ...]

    def to_record(self) -> dict[str, Any]:
        """As plain values, for the record of a run."""
        return {
            "pictures": self.pictures,
            "accuracy": self.accuracy,
            "interval": list(self.interval),
            "top5": self.top5,
            "loss": self.loss,
            "classes": [
                {"name": c.name, "count": c.count, "precision": c.precision, "recall": c.recall, "f1": c.f1}
                for c in self.classes
            ],
            "confusion": [list(row) for row in self.confusion],
        }


def load_ahead() -> None:
    """Load scikit-learn while others compute; `score` needs it at the end."""

    def load() -> None:
        import sklearn.metrics  # noqa: F401

    threading.Thread(target=load, daemon=True).start()


def score(probabilities: NDArray[np.float32], labels: NDArray[np.int64], classes: tuple[str, ...]) -> Score:
    """Score N x K probabilities against N labels.  A class that was never answered has precision 0."""
    # Here, not above: it takes as long to load as torch (see `load_ahead`).
    from sklearn.metrics import confusion_matrix, log_loss, precision_recall_fscore_support

    numbers = np.arange(len(classes))
    answers = probabilities.argmax(axis=1)
    right = int((answers == labels).sum())
    precision, recall, f1, count = precision_recall_fscore_support(
        labels, answers, labels=numbers, zero_division=0.0
    )
    best5 = np.argsort(-probabilities, axis=1)[:, :5]
    exact = probabilities.astype(np.float64)
    return Score(
        pictures=len(labels),
        accuracy=right / len(labels),
        interval=wilson(right / len(labels), len(labels)),
        top5=float((best5 == labels[:, None]).any(axis=1).mean()),
        loss=float(log_loss(labels, exact / exact.sum(axis=1, keepdims=True), labels=numbers)),
        classes=tuple(
            ClassScore(name, int(count[i]), float(precision[i]), float(recall[i]), float(f1[i]))
            for i, name in enumerate(classes)
        ),
        confusion=tuple(
            tuple(int(x) for x in row) for row in confusion_matrix(labels, answers, labels=numbers)
        ),
    )
