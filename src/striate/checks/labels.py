"""Labels that are likely wrong, by confident learning."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from striate.data.files.finding import Finding
from striate.errors import DataError

_SURE_LEAST = 1e-6


def thresholds(
    probabilities: npt.NDArray[np.floating], labels: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """How sure a network is of a class on average, where it is right to be.

    t_j = mean of p(j | x) over the images x that are labelled j; infinite for a class that no label names.

    probabilities: (N, K), out-of-fold: of a network that did not train on these images; each row
    sums to 1.  labels: (N,), 0..K-1.  Returns (K,).
    Raises: DataError where the shapes or values are no such.
    Source: Northcutt, Jiang, Chuang 2021, Confident learning, section 3.1.
    """
    _require(probabilities, labels)
    classes = probabilities.shape[1]
    found = np.full(classes, np.inf)
    for each in np.unique(labels):
        found[each] = probabilities[labels == each, each].mean(dtype=np.float64)
    return np.asarray(np.maximum(found, _SURE_LEAST))


def confident_classes(
    probabilities: npt.NDArray[np.floating], labels: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """The class that each image confidently is, or -1 where it is confidently none: (N,).

    Of the classes j with p(j | x) >= t_j the most probable, as in the paper; cleanlab 2.9 takes the most
    probable of all classes where several are confident.
    """
    sure = probabilities >= thresholds(probabilities, labels) - _SURE_LEAST
    best = np.where(sure, probabilities, -1.0).argmax(axis=1)
    return np.where(sure.any(axis=1), best, -1).astype(np.int64)


def likely_wrong(
    probabilities: npt.NDArray[np.floating], labels: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """The positions of the images whose labels are likely wrong, the likeliest first.

    Those that are confidently another class (off the diagonal of the paper's confident joint) and whose most
    probable class is not their label either, by p(label | x), the smallest first.
    """
    confident = confident_classes(probabilities, labels)
    wrong = (confident >= 0) & (confident != labels) & (probabilities.argmax(axis=1) != labels)
    positions = np.flatnonzero(wrong)
    own = probabilities[positions, labels[positions]]
    return positions[np.argsort(own, kind="stable")].astype(np.int64)


def label_findings(
    names: Sequence[str],
    labels: npt.NDArray[np.int64],
    probabilities: npt.NDArray[np.floating],
    classes: Sequence[str],
) -> list[Finding]:
    """A finding for each image whose label is likely wrong, the likeliest first."""
    findings = []
    for each in likely_wrong(probabilities, labels):
        given, said = labels[each], probabilities[each].argmax()
        findings.append(
            Finding(
                "likely-wrong-label",
                names[each],
                f"labelled {classes[given]} ({probabilities[each, given]:.1%} by a network that did not train "
                f"on it), and rather {classes[said]} ({probabilities[each, said]:.1%})",
                "look at it, and correct its label if it is wrong",
            )
        )
    return findings


def _require(probabilities: npt.NDArray[np.floating], labels: npt.NDArray[np.int64]) -> None:
    if probabilities.ndim != 2 or labels.shape != probabilities.shape[:1] or not len(labels):
        raise DataError(
            f"probabilities of the shape {probabilities.shape} and labels of {labels.shape}",
            expected="(N, K) and (N,), N at least 1",
        )
    if labels.min() < 0 or labels.max() >= probabilities.shape[1]:
        raise DataError(
            f"the labels go from {labels.min()} to {labels.max()}",
            expected=f"0 to {probabilities.shape[1] - 1}, one for each column of the probabilities",
        )
    sums = probabilities.sum(axis=1, dtype=np.float64)
    if not (np.isfinite(probabilities).all() and (probabilities >= 0).all() and (abs(sums - 1) < 1e-3).all()):
        raise DataError("these are no probabilities", expected="rows from 0 to 1 that sum to 1")
