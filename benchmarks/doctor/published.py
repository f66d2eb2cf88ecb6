"""The rules of three published detectors, with their default thresholds, on the signals that striate records.

UMLAUT (Schoop, Huang and Hartmann 2021; umlaut/heuristics.py of its repository), AutoTrainer (Zhang, Zhai, Ma and Shen
2021; utils/monitor.py), and SageMaker Debugger (Rauschmayr et al. 2021; its list of built-in rules).  What a rule reads
and striate does not record is replaced by the nearest signal, and where there is a choice the one that fires less.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

from striate.doctor.facts import RunFacts


def umlaut(facts: RunFacts) -> set[str]:
    """Bounds of the input, NaN, overfitting between two epochs, validation that is too good.

    Its bounds are those of the least and the largest value; standardized images would always exceed them, so here mean
    and standard deviation have to.
    """
    found = set()
    stage = facts.stages[0] if facts.stages else None
    if stage and None not in stage.input:
        mean, std = (float(each or 0) for each in stage.input)
        if mean + std > 1.1 or mean - std < -1.1:
            found.add("input-not-normalized")
    if lost(facts):
        found.add("nan-in-loss")
    epochs = facts.epochs
    for before, after in pairwise(epochs):
        if _or(after.val_loss) > _or(before.val_loss) and _or(after.train_loss) <= _or(before.train_loss):
            found.add("overfitting")
    if any(each.val_accuracy > 0.95 or each.val_accuracy > each.train_accuracy for each in epochs):
        found.add("overconfident-val-accuracy")
    return found


def autotrainer(facts: RunFacts) -> set[str]:
    """Explosion, dying ReLU, vanishing, slow convergence, oscillation.

    beta 1e-3, 1e-4 and 70, gamma 0.7, zeta 0.03, eta 0.2, delta 0.01, Theta 0.7.  The share of gradients that are 0 is
    taken to be the share of dead units.
    """
    if lost(facts):
        return {"explode"}
    epochs = facts.epochs
    if not epochs:
        return set()
    train, val = [each.train_accuracy for each in epochs], [each.val_accuracy for each in epochs]
    unstable = _oscillates(train, 0.03, 0.2)
    not_converged = max(val) < 0.7 or max(train) < 0.7
    slow = _largest_gain(val) < 0.01 and _largest_gain(train) < 0.01
    if not (not_converged or slow):
        return {"unstable"} if unstable else set()
    for look in facts.looks:
        dead = [each.dead for each in look.layers.values() if each.word == "relu"]
        if dead and sum(dead) / len(dead) >= 0.7:
            return {"relu"}
        lengths = [each.gradient for each in look.weights.values()]
        if len(lengths) > 1 and lengths[-1] > 0:
            if lengths[0] / lengths[-1] > 70:
                return {"explode"}
            if lengths[0] / lengths[-1] < 1e-3 and lengths[0] < 1e-4:
                return {"vanish"}
    return {"not-converge"} if slow else set()


def sagemaker(facts: RunFacts) -> set[str]:
    """The built-in rules for deep learning frameworks, with their defaults."""
    found = set()
    if lost(facts):
        found.add("ExplodingTensor")
    counts = {}
    if facts.layout is not None:
        counts = {each.path: each.layer.weights(each.input) for each in facts.layout.layers()}
    looks = facts.looks
    for look in looks:
        for path, weight in look.weights.items():
            if weight.gradient / math.sqrt(counts.get(path) or 1) < 1e-7:
                found.add("VanishingGradient")
            ratio = weight.change / weight.length if weight.length else math.inf
            if ratio > 10 or ratio < 1e-8:
                found.add("WeightUpdateRatio")
            if ratio < 1e-5:
                found.add("UnchangedTensor")
        for layer in look.layers.values():
            if layer.word == "relu" and layer.dead > 0.5:
                found.add("DeadRelu")
            if layer.word in ("tanh", "sigmoid") and layer.saturated > 0.999:
                found.add("SaturatedActivation")
    if looks and facts.layout is not None:
        first = [each.length / math.sqrt(counts.get(path) or 1) for path, each in looks[0].weights.items()]
        if first and max(first) ** 2 > 10 * max(min(first), 1e-12) ** 2:
            found.add("PoorWeightInitialization")
    losses = facts.losses()
    # Means over several steps; of single steps it fires on every run.
    if any(after > before * (1 - 0.001) for before, after in pairwise(losses)):
        found.add("LossNotDecreasing")
    epochs = facts.epochs
    if any(_or(each.val_loss) - _or(each.train_loss) > 0.1 * _or(each.train_loss) for each in epochs):
        found.add("Overfit")
    if _stale([_or(each.train_loss) for each in epochs], 5) or _stale(
        [_or(each.val_loss) for each in epochs], 10
    ):
        found.add("Overtraining")
    per = facts.per_class("train")
    if per and max(per.values()) > 10 * max(1, min(per.values())):
        found.add("ClassImbalance")
    return found


RULES = {"UMLAUT": umlaut, "AutoTrainer": autotrainer, "SageMaker Debugger": sagemaker}


def lost(facts: RunFacts) -> bool:
    """Whether the loss became NaN or infinite."""
    return facts.record.status == "diverged" or bool(facts.rollbacks)


def _or(loss: float | None) -> float:
    return math.inf if loss is None else loss


def _largest_gain(accuracies: list[float]) -> float:
    return max((after - before for before, after in pairwise(accuracies)), default=0.0)


def _oscillates(accuracies: list[float], threshold: float, share: float) -> bool:
    high, low = [], []
    for before, now, after in _threes(accuracies):
        if now >= before and now >= after:
            high.append(now)
        if now <= before and now <= after:
            low.append(now)
    count = sum(top - bottom >= threshold for top, bottom in zip(high, low, strict=False))
    return count >= share * len(accuracies)


def _threes(values: list[float]) -> Iterator[tuple[float, float, float]]:
    yield from zip(values, values[1:], values[2:], strict=False)


def _stale(losses: list[float], patience: int) -> bool:
    """Whether the loss got no better by 0.01 for so many epochs."""
    best, since = math.inf, 0
    for loss in losses:
        if loss < best - 0.01:
            best, since = loss, 0
        else:
            since += 1
        if since > patience:
            return True
    return False
