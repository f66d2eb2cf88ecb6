"""Whether a training learnt nothing, what that looks like, and the command to try."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from striate.errors import counted
from striate.text.figures import percent, wilson

SAME = "the same command with "

# A learning rate is low or high where it is so many times less or more than what suits the optimizer and network.
LOW, HIGH = 1 / 30, 10

# Answers that are better by less than this are no better.
NEAR = 0.01

# Activations that are flat at both ends, and how many of them, one behind the other, hardly let a gradient through.
SATURATING, DEEP = ("tanh", "sigmoid"), 3


@dataclass(frozen=True, slots=True)
class Symptom:
    """What was seen.  code: short and stable.  said: a sentence.  cure: what to try."""

    code: str
    said: str
    cure: str

    def to_record(self) -> dict[str, Any]:
        """As plain values, for the record of a run."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a training beside its epochs.

    images: that an epoch trains on.  most_common: share of the largest class among them.
    rate, default_learning_rate: the highest learning rate, and the one that suits the optimizer and network.
    initial: of the first weights.  saturating: how many activations of the network are flat at both ends.
    """

    images: int
    most_common: float
    learning_rate: float
    default_learning_rate: float
    initial: str
    saturating: int


def too_short(budget_s: float, epochs: float, steps: int, least: float, enough: str) -> Symptom | None:
    """The symptom of a budget that was enough for less than `least` epochs; else None.

    enough: the budget that would do, as it is typed.
    """
    if epochs >= least:
        return None
    return Symptom(
        "too-short",
        f"{budget_s:g} s were enough for {counted(steps, 'step')}, {epochs:.1f} epochs: the network has hardly "
        "begun to learn" if epochs < 1 else
        f"{budget_s:g} s were enough for {epochs:.1f} epochs, and the network can learn more in {least:g}",
        SAME + f"`--budget {enough}`",
    )  # fmt: skip


def nothing_learnt(right: Sequence[float], known: Known) -> Symptom | None:
    """The symptom of a training that answers no better than always the most common class; else None.

    right: the share of the training images that was right in each epoch.
    No better: the 95 % interval of the better half of the epochs reaches down to the share of the most common
    class, or nearly so.  Those are the answers in training; a small validation split tells less.
    """
    half = -(-len(right) // 2)
    best = max((fmean(part) for part in (right[:half], right[half:]) if part), default=1.0)
    if wilson(best, known.images)[0] > known.most_common + NEAR:
        return None
    seen = f"it answers no better than always the most common class ({percent(known.most_common)}), and "
    if known.learning_rate < LOW * known.default_learning_rate:
        return Symptom(
            "rate-too-low",
            f"nothing was learnt: {seen}a learning rate of {known.learning_rate:g} hardly moves the weights",
            SAME + f"`--set rate={known.default_learning_rate:g}`",
        )
    if known.learning_rate > HIGH * known.default_learning_rate:
        return Symptom(
            "rate-too-high",
            f"nothing was learnt: {seen}a learning rate of {known.learning_rate:g} throws the weights about",
            SAME + f"`--set rate={known.default_learning_rate:g}`",
        )
    if known.saturating >= DEEP or "large" in known.initial:
        what = (
            f"{known.saturating} activations that are flat at both ends"
            if known.saturating
            else "the network"
        )
        begin = f", begun with `{known.initial}` weights," if known.initial != "auto" else ""
        relu = "relu in place of tanh and sigmoid, or bn before them"
        cure = SAME + "`--set initial=auto`" if known.initial != "auto" else relu
        return Symptom(
            "saturated", f"nothing was learnt: {seen}{what}{begin} let hardly any gradient through", cure
        )
    return Symptom(
        "loss-not-moving",
        f"nothing was learnt: {seen}a learning rate of {known.learning_rate:g} is usual here",
        "more epochs; or `striate lr` with the same data and network, which shows the rates that learn",
    )
