"""Scores: by hand, and against scikit-learn."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import (
    balanced_accuracy_score,
    f1_score,
    log_loss,
    precision_recall_fscore_support,
    top_k_accuracy_score,
)

from striate.predict.score import score
from striate.runs.record import to_json
from striate.text.figures import wilson


def test_by_hand() -> None:
    found = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.3, 0.6, 0.1], [0.5, 0.3, 0.2]], dtype=np.float32)
    result = score(found, np.array([0, 1, 0, 2]), ("cat", "dog", "emu"))
    assert result.images == 4
    assert result.accuracy == 0.5
    assert result.top5 == 1.0
    assert result.confusion == [[1, 1, 0], [0, 1, 0], [1, 0, 0]]
    assert result.loss == pytest.approx(-np.log([0.7, 0.8, 0.3, 0.2]).mean(), rel=1e-6)
    cat, dog, emu = result.classes
    assert (cat.name, cat.count, cat.precision, cat.recall, cat.f1) == ("cat", 2, 0.5, 0.5, 0.5)
    assert (dog.count, dog.precision, dog.recall) == (1, 0.5, 1.0)
    # It was never answered.
    assert (emu.count, emu.precision, emu.recall, emu.f1) == (1, 0.0, 0.0, 0.0)
    assert json.loads(to_json(result))["confusion"] == [[1, 1, 0], [0, 1, 0], [1, 0, 0]]


@pytest.mark.parametrize("classes", [2, 5, 9])
def test_against_scikit_learn(classes: int) -> None:
    chance = np.random.default_rng(classes)
    found = chance.dirichlet(np.ones(classes), 200).astype(np.float32)
    labels = chance.integers(0, classes, 200)
    labels[:classes] = np.arange(classes)
    result = score(found, labels, tuple(map(str, range(classes))))
    answers = found.argmax(axis=1)
    precision, recall, f1, count = precision_recall_fscore_support(labels, answers)
    assert [c.precision for c in result.classes] == pytest.approx(precision.tolist())
    assert [c.recall for c in result.classes] == pytest.approx(recall.tolist())
    assert [c.f1 for c in result.classes] == pytest.approx(f1.tolist())
    assert [c.count for c in result.classes] == count.tolist()
    assert result.accuracy == pytest.approx((answers == labels).mean())
    assert result.balanced_accuracy == pytest.approx(balanced_accuracy_score(labels, answers))
    assert result.f1 == pytest.approx(f1_score(labels, answers, average="macro"))
    assert result.loss == pytest.approx(log_loss(labels, found), rel=1e-4)
    if classes > 5:
        assert result.top5 == pytest.approx(top_k_accuracy_score(labels, found, k=5))
    else:
        assert result.top5 == 1


def test_a_split_that_lacks_a_class() -> None:
    found = np.array([[0.9, 0.05, 0.05]] * 3, dtype=np.float32)
    result = score(found, np.array([0, 0, 1]), ("a", "b", "c"))
    assert [c.count for c in result.classes] == [2, 1, 0]
    assert result.classes[2].recall == 0
    # Means over the classes that are there, as scikit-learn has them.
    assert (result.balanced_accuracy, result.f1) == (0.5, pytest.approx(0.4))


def test_certainty_that_is_wrong_has_a_finite_loss() -> None:
    result = score(np.array([[1.0, 0.0]], dtype=np.float32), np.array([1]), ("a", "b"))
    assert np.isfinite(result.loss)
    assert result.loss > 10


@pytest.mark.parametrize(
    ("right", "total", "low", "high"),
    [
        # With z^2 = 3.841459: 10 of 10 is 10 / 13.841459 to 1, 5 of 10 is 0.5 +- 1.959964 sqrt(3.460365) / 13.841459.
        (10, 10, 0.722467, 1.0),
        (0, 10, 0.0, 0.277533),
        (5, 10, 0.236593, 0.763407),
        (95, 100, 0.888250, 0.978457),
    ],
)
def test_wilson(right: int, total: int, low: float, high: float) -> None:
    assert wilson(right / total, total) == pytest.approx((low, high), abs=2e-6)


@pytest.mark.parametrize(("right", "total"), [(1, 1), (37, 80), (9_876, 10_000), (3, 10_000)])
def test_wilson_against_scipy(right: int, total: int) -> None:
    wanted = binomtest(right, total).proportion_ci(0.95, method="wilson")
    assert wilson(right / total, total) == pytest.approx((wanted.low, wanted.high), abs=1e-6)


def test_wilson_of_nothing() -> None:
    assert wilson(0, 0) == (0.0, 1.0)


def test_wilson_solves_its_equation() -> None:
    """The bounds are the p at which the share seen is z standard standard deviations away."""
    z = 1.959964
    for bound in wilson(37 / 80, 80):
        assert abs(37 / 80 - bound) == pytest.approx(z * (bound * (1 - bound) / 80) ** 0.5, rel=1e-9)
