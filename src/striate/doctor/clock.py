"""Diagnoses by the clock and by the precision: what a run waits for, and what it rounds away."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import pairwise

from striate.doctor.facts import RunFacts
from striate.doctor.finding import Finding, NotApplicable, Rule, Threshold
from striate.doctor.remedy import again
from striate.text.figures import duration, percent

WAITING = Threshold(
    0.3, reason="of the time of the steps in which their images were waited for; 0.05 where nothing hinders",
    source="SageMaker Debugger, rule CPUBottleneck; measured: benchmarks/doctor",
)  # fmt: skip
LEAST_WAITED_S = Threshold(
    5.0, reason="seconds: what is shorter is not worth a change", source="a person's patience"
)
STALLED_S = Threshold(
    600.0,
    reason="seconds without a step, or ten epochs if that is more",
    source="a validation or a swap takes minutes",
)
ROUNDED = Threshold(
    0.1, reason="of the loss on the probe that bf16 adds to it; 0.02 at most in healthy runs",
    source="Kalamkar et al. 2019, section 4: training in bfloat16 follows that in float32",
)  # fmt: skip

DATA_BOUND = Rule(
    "data-bound", "warning", "The training waits for its images.",
    "The processor that trains is idle meanwhile.",
    (("WAITING", WAITING), ("LEAST_WAITED_S", LEAST_WAITED_S)),
)  # fmt: skip
STALLED = Rule(
    "stalled", "error", "The run says that it is training, and nothing happens.",
    "Its process was killed or hangs: it will not come to an end by itself.",
    (("STALLED_S", STALLED_S),),
)  # fmt: skip
PRECISION_LOSS = Rule(
    "precision-loss", "warning", "In bf16 the network answers noticeably worse than in fp32.",
    "Small differences between logits are rounded away.",
    (("ROUNDED", ROUNDED),),
)  # fmt: skip

RULES = (DATA_BOUND, STALLED, PRECISION_LOSS)


def diagnose(facts: RunFacts) -> Iterator[Finding | NotApplicable]:
    """All of this family."""
    yield from _stalled(facts)
    yield from _data_bound(facts)
    yield from _precision(facts)


def _stalled(facts: RunFacts) -> Iterator[Finding | NotApplicable]:
    if facts.record.status != "running":
        yield STALLED.not_applicable(f"the run is {facts.record.status}")
        return
    resume = f"`striate resume {facts.run.quoted}`"
    if not facts.held:
        yield STALLED.finding(
            f"no process works on it; the last step that was noted is {facts.steps:,}", resume
        )
        return
    written = max(
        (each.stat().st_mtime for each in (facts.run.events.path, facts.run.record) if each.exists()),
        default=0.0,
    )
    epochs_s = [each.elapsed_s for each in facts.times]
    epoch_s = max((b - a for a, b in pairwise(epochs_s)), default=0.0)
    since_s = time.time() - written
    if since_s > max(STALLED_S, 10 * epoch_s):
        yield STALLED.finding(
            f"a process holds it, and nothing was written for {duration(since_s)}",
            f"Ctrl-C there, and then {resume}",
        )


def _data_bound(facts: RunFacts) -> Iterator[Finding | NotApplicable]:
    known = [each for each in facts.times if each.wait_s is not None and each.step_s]
    if not known:
        yield DATA_BOUND.not_applicable("the run did not note what it waited for")
        return
    steps = [b.step - a for a, b in zip([0, *(each.step for each in known)], known, strict=False)]
    whole_s = sum((each.step_s or 0.0) * count for each, count in zip(known, steps, strict=True))
    waited_s = sum(each.wait_s or 0.0 for each in known)
    if whole_s > 0 and waited_s > LEAST_WAITED_S and waited_s > WAITING * whole_s:
        augment = facts.word("augment", "none")
        lighter = again(facts, "augment=flip") if augment not in ("none", "flip") else again(facts, "size=64")
        yield DATA_BOUND.finding(
            f"{duration(waited_s)} of {duration(whole_s)}, {percent(waited_s / whole_s)}, were spent waiting for batches; "
            f"augment is `{augment}`",
            lighter,
        )


def _precision(facts: RunFacts) -> Iterator[Finding | NotApplicable]:
    if facts.word("precision", "fp32") != "bf16":
        yield PRECISION_LOSS.not_applicable("the run computes in fp32")
        return
    look = facts.looks[-1] if facts.looks else None
    if look is None or look.exact is None or look.probe[0] is None or look.exact[0] is None:
        yield PRECISION_LOSS.not_applicable("the run has no vitals of it")
        return
    more = look.probe[0] - look.exact[0]
    if more > ROUNDED * max(0.1, look.exact[0]):
        yield PRECISION_LOSS.finding(
            f"on the same images the loss is {look.probe[0]:.3g} in bf16 and {look.exact[0]:.3g} in fp32",
            again(facts, "precision=fp32", "evaluation_precision=fp32"),
        )
