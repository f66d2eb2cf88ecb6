"""Diagnoses of the steps: learning rate, gradients, weight decay."""

from __future__ import annotations

import re
from collections.abc import Iterator
from statistics import median

from striate.doctor.facts import RunFacts, Seen
from striate.doctor.finding import MEASURED, POOR, WELL, Finding, NotApplicable, Rule, Threshold
from striate.doctor.remedy import (
    HEAVY_MOMENTUM,
    RATE_FAR,
    TIGHT_CLIP,
    again,
    frozen_as_drawn,
    meant_for_adam,
    next_step,
)
from striate.errors import counted
from striate.text.figures import percent

RATIO_HIGH = Threshold(
    0.04,
    reason="a healthy step changes a weight by about 0.001 of its length, 0.03 at most; ten times that undoes what was learned",
    source=f"CS231n, Neural Networks Part 3, ratio of weights and updates; {MEASURED}",
)
RATIO_HIGH_MUON = Threshold(
    0.8,
    reason="muon holds weights before a norm at one length and changes 0.24 of it in a step at its usual rate",
    source=f"striate's muon; {MEASURED}",
)
RATIO_LOW = Threshold(
    0.0001,
    reason="a tenth of the usual 0.001; the smallest peak of a healthy run was 0.0002",
    source=f"CS231n, Neural Networks Part 3; {MEASURED}",
)
RATE_ABSURD = Threshold(
    50,
    reason="times the usual rate, momentum counted: no schedule or norm makes up for that much",
    source=f"Smith 2018, section 4; {MEASURED}",
)
HIGH_FOR_NORMS = Threshold(
    5,
    reason="times the usual rate of a network with norms, which a network without them was given",
    source=MEASURED,
)
UNSTABLE = Threshold(
    0.25,
    reason="share of the steps of the last half whose loss is 1.5 times the median of those around it",
    source=MEASURED,
)
JUMP = Threshold(
    1.5,
    reason="times the median of the losses around it: batches of 16 and more scatter less",
    source=MEASURED,
)
VANISHING = Threshold(
    1e-3,
    reason="gradient over weight of the first layer against the last: each sigmoid takes 1/4 or less",
    source=f"Glorot and Bengio 2010, section 4.2; {MEASURED}",
)
EXPLODING = Threshold(
    100.0,
    reason="median length of the gradient before clipping; healthy runs stay below 20",
    source=f"Pascanu, Mikolov and Bengio 2013, section 3.2; {MEASURED}",
)
STILL = Threshold(
    1e-6,
    reason="a weight that no step changes by a millionth of its length stays at its initialization",
    source="float32 has 7 digits: smaller changes are rounded away",
)
DECAYED = Threshold(
    0.5,
    reason="weights of a healthy run end between 0.9 and 6 times the length that they were drawn with",
    source=MEASURED,
)
DECAYED_NORMED = Threshold(
    0.1,
    reason="before a norm the length of weights tells nothing, and shrinks in long healthy runs, too",
    source=f"van Laarhoven 2017, section 3; {MEASURED}",
)

NAN = Rule(
    "nan", "error", "The loss, a gradient or a weight became infinite or NaN.",
    "Nothing can be learned from a step that is no number; the steps before it were thrown about already.",
)  # fmt: skip
RATE_TOO_HIGH = Rule(
    "rate-too-high", "error", "Steps are so large that they undo what was learned.",
    "The weights jump over every minimum; ReLUs die on the way, and stay dead.",
    (("RATIO_HIGH", RATIO_HIGH), ("RATIO_HIGH_MUON", RATIO_HIGH_MUON), ("RATE_FAR", RATE_FAR), ("RATE_ABSURD", RATE_ABSURD)),
    cause=True,
)  # fmt: skip
RATE_TOO_LOW = Rule(
    "rate-too-low", "error", "Steps are so small that hardly anything is learned.",
    "The loss barely changes: the weights stay where they were drawn.",
    (("RATIO_LOW", RATIO_LOW), ("RATE_FAR", RATE_FAR)),
    cause=True,
)  # fmt: skip
LOSS_NOT_MOVING = Rule(
    "loss-not-moving", "error", "Nothing was learned, and no other check says why.",
    "The answers are no better than always the most common class.",
)  # fmt: skip
UNSTABLE_LOSS = Rule(
    "unstable-loss", "warning", "The loss jumps up again and again.",
    "Each jump throws away what the steps before it learned: the learning rate or a part of the data is extreme.",
    (("UNSTABLE", UNSTABLE), ("JUMP", JUMP)),
)  # fmt: skip
VANISHING_GRADIENTS = Rule(
    "vanishing-gradients", "error", "The gradient hardly reaches the first layers.",
    "The first layers stay as they were drawn, and the last ones learn on noise.",
    (("VANISHING", VANISHING),),
)  # fmt: skip
EXPLODING_GRADIENTS = Rule(
    "exploding-gradients", "error", "The gradient grows without bound on its way to the first layers.",
    "One step goes as far as a thousand, in a direction that holds for a tiny step only.",
    (("EXPLODING", EXPLODING),),
)  # fmt: skip
LAYER_NOT_MOVING = Rule(
    "layer-not-moving", "warning", "A layer stays at its initialization.",
    "It gets no gradient, or one that is rounded away: its weights are noise.",
    (("STILL", STILL),),
    cause=True,
)  # fmt: skip
DECAY_OVERWHELMS = Rule(
    "decay-overwhelms", "error", "Weight decay shrinks the weights faster than they learn.",
    "The gradient says where to go, the decay pulls to 0, and the decay wins.",
    (("DECAYED", DECAYED), ("DECAYED_NORMED", DECAYED_NORMED)),
    cause=True,
)  # fmt: skip

RATE_RULES = (NAN, RATE_TOO_HIGH, RATE_TOO_LOW, UNSTABLE_LOSS, LOSS_NOT_MOVING)
GRADIENT_RULES = (VANISHING_GRADIENTS, EXPLODING_GRADIENTS, LAYER_NOT_MOVING, DECAY_OVERWHELMS)

# Fewer steps say nothing of how a training goes.
LEAST_STEPS = 20


def diagnose_rate(facts: RunFacts) -> Iterator[Finding | NotApplicable]:
    """Of the learning rate; loss-not-moving is what is left at the end (see `nothing_else`)."""
    yield from _nan(facts)
    learning_rate = facts.learning_rate
    searches = facts.optimizer_kind.line_search
    if searches or learning_rate is None:
        why = f"{facts.optimizer} searches along a line" if searches else "the recipe cannot be read"
        for rule in (RATE_TOO_HIGH, RATE_TOO_LOW):
            yield rule.not_applicable(why)
    else:
        yield from _rate(facts, learning_rate)
    yield from _unstable(facts)


def diagnose_gradients(facts: RunFacts) -> Iterator[Finding | NotApplicable]:
    """Of gradients and weights."""
    if not facts.looks:
        for rule in GRADIENT_RULES:
            yield rule.not_applicable("the run has no vitals")
        return
    yield from _vanishing(facts)
    yield from _exploding(facts)
    yield from _still(facts)
    yield from _decay(facts)


def nothing_else(facts: RunFacts) -> Iterator[Finding]:
    """loss-not-moving, where nothing else was found but notes."""
    if facts.judged and not facts.learned:
        yield LOSS_NOT_MOVING.finding(
            f"{percent(facts.best_accuracy)} right on validation after {counted(len(facts.epochs), 'epoch')}, and always "
            f"the most common class gives {percent(facts.most_common('val'))}; learning rate, gradients and layers look "
            "usual",
            next_step(facts),
        )


def _nan(facts: RunFacts) -> Iterator[Finding]:
    if facts.record.status != "diverged" and not facts.rollbacks:
        return
    learning_rate = facts.learning_rate
    lower = again(
        facts, _rate_key(min(facts.usual_rate, 0.1 * learning_rate) if learning_rate else facts.usual_rate)
    )
    if facts.record.status == "diverged":
        said = facts.record.error or f"the run diverged at step {facts.steps}"
        yield NAN.finding(said, lower)
    else:
        last = facts.rollbacks[-1]
        said = last.problem or f"step {last.failed_step} was lost"
        yield NAN.finding(
            f"{said}; rolled back {counted(len(facts.rollbacks), 'time')}, the learning rate is {learning_rate:.2g} since"
            if learning_rate
            else said,
            lower,
        )


def _rate(facts: RunFacts, learning_rate: float) -> Iterator[Finding | NotApplicable]:
    ratio = facts.peak_ratio
    usual, times = facts.usual_rate, facts.times_usual or 0.0
    cure = again(facts) if meant_for_adam(facts) else again(facts, _rate_key(usual))
    suits = facts.optimizer_kind.learning_rate
    if usual < suits <= learning_rate <= HIGH_FOR_NORMS * suits and times < RATE_FAR and "conv" in facts.text:
        # Such a rate is taken with norms, which learn faster: they are missing rather than that it is wrong.
        cure = again(facts, _rate_key(suits), change=with_norms)
    seen = f"the learning rate is {learning_rate:g}, and {usual:g} suits {facts.optimizer} and this network"
    if facts.number("momentum", 0.9) > HEAVY_MOMENTUM and times > learning_rate / usual:
        seen += f"; momentum {facts.number('momentum', 0.9):g} makes a step go {times * usual / learning_rate:.0f} times as far"
    if ratio is not None:
        seen += f"; a step changes the weights by {ratio:.1g} of their length in the median, at its highest"
    limit = RATIO_HIGH_MUON if facts.optimizer_kind.orthogonal else RATIO_HIGH
    high = (ratio is not None and ratio > limit) or times >= RATE_FAR
    if facts.record.status == "diverged" or facts.rollbacks:
        if times >= RATE_FAR:
            yield RATE_TOO_HIGH.finding(seen, cure)
        return
    if not facts.judged:
        for rule in (RATE_TOO_HIGH, RATE_TOO_LOW):
            yield rule.not_applicable(facts.too_early)
        return
    thrown = times >= RATE_ABSURD or (times >= RATE_FAR and ratio is not None and ratio > 2 * limit)
    if (high and times > 1 and facts.gain < POOR) or thrown:
        yield RATE_TOO_HIGH.finding(f"{_outcome(facts)}; {seen}", cure)
    if facts.recipe.get("weights") or facts.recipe.get("freeze"):
        yield RATE_TOO_LOW.not_applicable("the weights were trained before")
        return
    clip = facts.number("clip", 1.0)
    if 0 < clip < TIGHT_CLIP and facts.optimizer_kind.plain and facts.gain < WELL:
        yield RATE_TOO_LOW.finding(
            f"{_outcome(facts)}; each gradient is clipped to the length {clip:g}, and a step is the learning rate times that",
            cure,
        )
        return
    low = ratio is not None and ratio < RATIO_LOW
    if (times <= 1 / RATE_FAR and facts.gain < WELL) or (low and times < 1 and facts.gain < POOR):
        yield RATE_TOO_LOW.finding(f"{_outcome(facts)}; {seen}", cure)


def _outcome(facts: RunFacts) -> str:
    baseline = facts.most_common("val")
    return f"{percent(facts.best_accuracy)} right on validation at best, {percent(baseline)} by the most common class"


def _rate_key(learning_rate: float) -> str:
    return f"learning_rate={float(f'{learning_rate:.1g}'):g}"


def _unstable(facts: RunFacts) -> Iterator[Finding | NotApplicable]:
    batch = facts.number("batch", 0)
    losses = facts.losses()
    if batch < 16:
        yield UNSTABLE_LOSS.not_applicable(f"the losses of batches of {batch:.0f} scatter by themselves")
        return
    if len(losses) < 2 * LEAST_STEPS:
        yield UNSTABLE_LOSS.not_applicable(f"only {counted(len(losses), 'loss', 'losses')} were noted")
        return
    half = losses[len(losses) // 2 :]
    jumps = sum(
        loss > JUMP * (around := median(half[max(0, i - 4) : i + 5])) and loss > around + 0.2
        for i, loss in enumerate(half)
    )
    if jumps > UNSTABLE * len(half):
        learning_rate = facts.learning_rate
        yield UNSTABLE_LOSS.finding(
            f"{jumps} of the last {len(half)} losses are 1.5 times the median of those around them, up to {max(half):.3g}",
            again(facts, _rate_key((learning_rate or facts.usual_rate) / 10)),
        )


def _spread(look: Seen) -> tuple[str, str, float] | None:
    """The first and the last weight that has a gradient, and how much less the first has for its length."""
    some = [each for each in look.weights.values() if each.length > 0]
    if len(some) < 3 or some[-1].gradient == 0:
        return None
    first, last = some[0], some[-1]
    return first.path, last.path, (first.gradient / first.length) / (last.gradient / last.length)


def _vanishing(facts: RunFacts) -> Iterator[Finding | NotApplicable]:
    if facts.recipe.get("freeze"):
        yield VANISHING_GRADIENTS.not_applicable("parts of the network are frozen")
        return
    first = _spread(facts.looks[0])
    if first is None:
        yield VANISHING_GRADIENTS.not_applicable(
            "it takes three layers with weights, and a gradient at the last"
        )
        return
    path, last, share = first
    if share < VANISHING and facts.gain < POOR and facts.judged:
        yield VANISHING_GRADIENTS.finding(
            f"for its length, {path} gets {share:.1g} of the gradient that {last} gets",
            _with_relu(facts),
            path,
        )


def _with_relu(facts: RunFacts) -> str:
    def change(text: str) -> str:
        return with_norms(re.sub(r"\b(sigmoid|tanh)\b", "relu", text))

    return again(facts, "initial=auto", change=change)


def with_norms(text: str) -> str:
    """The text with a bn before each activation that has none."""
    return re.sub(r"(?<!\bbn) -> (relu|leaky 0?\.\d+|leaky|gelu|elu|silu)\b", r" -> bn -> \1", text)


def _exploding(facts: RunFacts) -> Iterator[Finding]:
    lengths = [each for look in facts.looks for each in look.lengths]
    known = [each for each in lengths if each is not None]
    if not known:
        return
    middle = median(known)
    if middle > EXPLODING and facts.gain < POOR:
        yield EXPLODING_GRADIENTS.finding(
            f"the gradient of a step has the length {middle:.3g} in the median, before it is clipped, and {max(known):.3g} "
            "at most",
            again(facts, "clip=1", _rate_key(facts.usual_rate), "initial=auto"),
        )


def _still(facts: RunFacts) -> Iterator[Finding | NotApplicable]:
    looks = facts.looks[1:] or facts.looks
    if frozen_as_drawn(facts):
        yield LAYER_NOT_MOVING.finding(
            f"`freeze = {facts.recipe['freeze']}` keeps layers as they were drawn: no trained weights were loaded into them",
            again(facts),
        )
        return
    if facts.recipe.get("freeze"):
        yield LAYER_NOT_MOVING.not_applicable("parts of the network are frozen")
        return
    most = {path: max(look.weights[path].most for look in looks) for path in looks[-1].weights}
    still = [path for path, ratio in most.items() if ratio < STILL]
    if still and len(still) < len(most) and (facts.peak_ratio or 0.0) > 10 * STILL:
        yield LAYER_NOT_MOVING.finding(
            f"no step changes the weights of {still[0]} by {STILL:g} of their length; others change by "
            f"{max(most.values()):.1g}"
            + (f"; so it is with {counted(len(still) - 1, 'more layer')}" if len(still) > 1 else ""),
            f"`striate plan {facts.quoted_net}`, and look what stands behind {still[0]}",
            still[0],
        )


def _decay(facts: RunFacts) -> Iterator[Finding | NotApplicable]:
    decay = facts.number("weight_decay", 0.0)
    if decay == 0 or len(facts.looks) < 2:
        why = "there is no weight decay" if decay == 0 else "there was one look at the weights only"
        yield DECAY_OVERWHELMS.not_applicable(why)
        return
    first, last = facts.looks[0].weights, facts.looks[-1].weights
    shares = [
        last[path].length / first[path].length for path in last if path in first and first[path].length > 0
    ]
    normed = facts.stage is not None and facts.stage.normed
    limit, poor = (DECAYED_NORMED, POOR) if normed else (DECAYED, WELL)
    if shares and median(shares) < limit and facts.gain < poor:
        yield DECAY_OVERWHELMS.finding(
            f"with weight_decay = {decay:g} the weights end at {percent(median(shares))} of the length that they were drawn "
            "with, in the median of the layers",
            again(facts, f"weight_decay={facts.usual_decay:g}"),
        )
