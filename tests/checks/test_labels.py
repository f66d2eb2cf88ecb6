"""Likely wrong labels: by hand, and as cleanlab finds them."""

from __future__ import annotations

import numpy as np
import pytest

from striate.checks.labels import confident_classes, label_findings, likely_wrong, thresholds
from striate.errors import DataError

# Four images labelled 0 and two labelled 1: t0 = (.9+.8+.7+.2)/4 = .65, t1 = (.6+.8)/2 = .7
BY_HAND = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.2, 0.8], [0.4, 0.6], [0.2, 0.8]])
LABELS = np.array([0, 0, 0, 0, 1, 1])


def noisy(
    seed: int, images: int, classes: int, share: float, sure: float = 5.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities of a fair network, labels of which a share is wrong, and which those are."""
    draw = np.random.default_rng(seed)
    true = draw.integers(0, classes, images)
    logits = draw.normal(0, 1, (images, classes))
    logits[np.arange(images), true] += draw.uniform(1, 1 + sure, images)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    wrong = draw.random(images) < share
    labels = np.where(wrong, (true + draw.integers(1, classes, images)) % classes, true)
    return probabilities, labels, wrong


def test_by_hand() -> None:
    assert thresholds(BY_HAND, LABELS).tolist() == pytest.approx([0.65, 0.7])
    assert confident_classes(BY_HAND, LABELS).tolist() == [0, 0, 0, 1, -1, 1]
    assert likely_wrong(BY_HAND, LABELS).tolist() == [3]
    (finding,) = label_findings("abcdef", LABELS, BY_HAND, ("cat", "dog"))
    assert (finding.code, finding.name) == ("likely-wrong-label", "d")
    assert finding.reason == (
        "labelled cat (20.0% by a network that did not train on it), and rather dog (80.0%)"
    )


def test_a_class_without_labels() -> None:
    probabilities = np.array([[0.0, 0.1, 0.9], [0.1, 0.8, 0.1], [0.0, 0.0, 1.0]])
    labels = np.array([1, 1, 1])
    assert thresholds(probabilities, labels)[[0, 2]].tolist() == [np.inf, np.inf]
    assert likely_wrong(probabilities, labels).tolist() == []


def test_the_likeliest_first() -> None:
    probabilities, labels, wrong = noisy(1, 3000, 5, 0.1)
    found = likely_wrong(probabilities, labels)
    own = probabilities[found, labels[found]]
    assert (np.diff(own) >= 0).all()
    assert wrong[found[:100]].all()
    assert wrong[found].mean() > 0.8
    assert len(set(found) & set(np.flatnonzero(wrong))) > 0.6 * wrong.sum()


@pytest.mark.parametrize("seed", range(6))
def test_as_cleanlab(seed: int) -> None:
    pytest.importorskip("cleanlab")
    from cleanlab.count import get_confident_thresholds
    from cleanlab.filter import find_label_issues

    probabilities, labels, _ = noisy(seed, 1500, 2 + 3 * seed, 0.05 * (seed + 1), sure=1 + seed % 3)
    assert thresholds(probabilities, labels) == pytest.approx(get_confident_thresholds(labels, probabilities))
    # Where several classes are confident cleanlab takes the most probable of all, the paper of those.
    sure = probabilities >= thresholds(probabilities, labels) - 1e-6
    odd = set(np.flatnonzero((sure.sum(axis=1) > 1) & ~sure[np.arange(1500), probabilities.argmax(axis=1)]))
    assert len(odd) < 15
    ranked = find_label_issues(
        labels,
        probabilities,
        filter_by="confident_learning",
        return_indices_ranked_by="self_confidence",
        n_jobs=1,
    )
    found = likely_wrong(probabilities, labels)
    assert [each for each in found if each not in odd] == [each for each in ranked if each not in odd]
    assert len(found) > 20


@pytest.mark.parametrize(
    ("probabilities", "labels", "problem"),
    [
        (np.ones((3, 2)) / 2, np.zeros(2, int), "probabilities of the shape (3, 2) and labels of (2,)"),
        (np.ones((0, 2)), np.zeros(0, int), "probabilities of the shape (0, 2) and labels of (0,)"),
        (np.ones((2, 2)) / 2, np.array([0, 2]), "the labels go from 0 to 2"),
        (np.ones((2, 2)), np.array([0, 1]), "these are no probabilities"),
        (np.array([[np.nan, 1.0]]), np.array([0]), "these are no probabilities"),
        (np.array([[-1.0, 2.0]]), np.array([0]), "these are no probabilities"),
    ],
)
def test_what_is_no_such(probabilities: np.ndarray, labels: np.ndarray, problem: str) -> None:
    with pytest.raises(DataError) as error:
        likely_wrong(probabilities, labels)
    assert error.value.problem == problem
