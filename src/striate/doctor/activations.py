"""Diagnoses of the layers: what they give for the probe, at the beginning and at the end."""

from __future__ import annotations

import re
from collections.abc import Iterator

from striate.doctor.facts import RunFacts
from striate.doctor.finding import Finding, NotApplicable, Rule, Threshold
from striate.doctor.optimization import MEASURED, POOR, WELL
from striate.errors import counted
from striate.text.figures import percent

DEAD = Threshold(
    0.9,
    reason="of the units of a ReLU layer, 0 for every image of the probe; healthy layers stay below 0.75",
    source=f"Lu, Shin, Su and Karniadakis 2020 (dying ReLU); {MEASURED}",
)
SATURATED = Threshold(
    0.6,
    reason="of the outputs of a tanh or sigmoid layer, beyond 0.98 or 0.99 of its range; healthy layers stay below 0.3",
    source=f"Glorot and Bengio 2010, section 3; {MEASURED}",
)
SHRINKS = Threshold(
    0.01,
    reason="standard deviation behind the first weights against that of the input: less tells no image from another",
    source=f"He, Zhang, Ren and Sun 2015, section 2.2; {MEASURED}",
)
GROWS = Threshold(
    30.0,
    reason="standard deviation behind the first weights against that of the input; fitted first weights keep it near 1",
    source=f"He, Zhang, Ren and Sun 2015, section 2.2; {MEASURED}",
)
OFF_CENTER = Threshold(
    1.5,
    reason="mean of the input in units of its standard deviation; centered inputs have 0, single channels 0.3 at most",
    source=f"LeCun, Bottou, Orr and Muller 1998, section 4.3; {MEASURED}",
)
OFF_SCALE = Threshold(
    8.0,
    reason="standard deviation of the input, or 1 over it: first weights are drawn for 1",
    source=f"LeCun, Bottou, Orr and Muller 1998, section 4.3; {MEASURED}",
)

DEAD_RELU = Rule(
    "dead-relu", "error", "Nearly all units of a ReLU layer are 0 for every image.",
    "A unit that is always 0 has no gradient: it never comes back, and what is behind it sees nothing.",
    (("DEAD", DEAD),),
)  # fmt: skip
SATURATED_RULE = Rule(
    "saturated", "error", "Most outputs of a tanh or sigmoid layer are at the ends of its range.",
    "There its slope is nearly 0: no gradient comes through.",
    (("SATURATED", SATURATED),),
)  # fmt: skip
INIT_SHRINKS = Rule(
    "init-shrinks", "error", "With the first weights the signal fades from layer to layer.",
    "All images look alike to the last layers, and the gradient fades on its way back likewise.",
    (("SHRINKS", SHRINKS),),
)  # fmt: skip
INIT_GROWS = Rule(
    "init-grows", "error", "With the first weights the signal grows from layer to layer.",
    "The first losses are huge, and so are the first steps.",
    (("GROWS", GROWS),),
)  # fmt: skip
INPUTS_NOT_CENTRED = Rule(
    "inputs-not-centred", "warning", "What the network reads is far from mean 0 and standard deviation 1.",
    "All gradients of the first layer get one sign, and its outputs a size that no learning rate suits.",
    (("OFF_CENTER", OFF_CENTER), ("OFF_SCALE", OFF_SCALE)),
)  # fmt: skip

RULES = (DEAD_RELU, SATURATED_RULE, INIT_SHRINKS, INIT_GROWS, INPUTS_NOT_CENTRED)

_RELUS, _FLAT = ("relu", "relu6"), ("tanh", "sigmoid")
_MATRICES = ("conv", "local", "fc")


def diagnose(facts: RunFacts) -> Iterator[Finding | NotApplicable]:
    """All of this family."""
    if not facts.looks:
        for rule in RULES:
            yield rule.not_applicable("the run has no vitals")
        return
    yield from _inputs(facts)
    yield from _initial(facts)
    yield from _dead(facts)
    yield from _saturated(facts)


def _inputs(facts: RunFacts) -> Iterator[Finding | NotApplicable]:
    stage = facts.stages[0]
    mean, std = (each if each is not None else 0.0 for each in (*stage.input, None, None)[:2])
    if stage.stage == 0 and facts.recipe.get("freeze"):
        yield INPUTS_NOT_CENTRED.not_applicable("what is trained reads features, not images")
        return
    if std <= 0:
        yield INPUTS_NOT_CENTRED.not_applicable("all images of the probe are alike")
        return
    if facts.gain >= WELL and facts.judged:
        return
    if abs(mean) > OFF_CENTER * std or not 1 / OFF_SCALE <= std <= OFF_SCALE:
        yield INPUTS_NOT_CENTRED.finding(
            f"what the network reads has mean {mean:.3g} and standard deviation {std:.3g}",
            facts.again("center=channel", "scale=unit"),
        )


def _initial(facts: RunFacts) -> Iterator[Finding | NotApplicable]:
    first = facts.stages[0]
    if first.normed or any(
        each.layer.word in ("bn", "ln", "lrn") for each in (facts.layout.layers() if facts.layout else ())
    ):
        for rule in (INIT_SHRINKS, INIT_GROWS):
            yield rule.not_applicable("the network has norms, which bring its signal back to size")
        return
    if facts.recipe.get("weights") or not first.looks or first.looks[0].step > 1:
        for rule in (INIT_SHRINKS, INIT_GROWS):
            yield rule.not_applicable("the run did not begin with drawn weights")
        return
    look = first.looks[0]
    matrices = [each for each in look.layers.values() if each.word in _MATRICES]
    # The head may begin small on purpose.
    inner = matrices[:-1]
    std = first.input[1] if len(first.input) > 1 else None
    if not inner or not std:
        for rule in (INIT_SHRINKS, INIT_GROWS):
            yield rule.not_applicable("it takes two layers with weights")
        return
    last = inner[-1]
    share = last.std / std
    seen = f"behind {last.path} the standard deviation is {last.std:.2g} with the first weights, and {std:.2g} in the input"
    if share < SHRINKS and facts.gain < POOR:
        yield INIT_SHRINKS.finding(seen, facts.again("initial=auto"), last.path)
    if max(share, matrices[-1].std / std) > GROWS and facts.gain < POOR:
        yield INIT_GROWS.finding(seen, facts.again("initial=auto"), last.path)


def _dead(facts: RunFacts) -> Iterator[Finding | NotApplicable]:
    look = facts.looks[-1]
    relus = [each for each in look.layers.values() if each.word in _RELUS]
    if not relus:
        yield DEAD_RELU.not_applicable("the network has no relu")
        return
    dead = [each for each in relus if each.dead >= DEAD]
    if not dead:
        return
    worst = max(dead, key=lambda each: each.dead)
    more = f"; so it is in {counted(len(dead) - 1, 'more layer')}" if len(dead) > 1 else ""
    yield DEAD_RELU.finding(
        f"{percent(worst.dead)} of the units of `{worst.word}` at {worst.path} are 0 for each of "
        f"{facts.stage.images if facts.stage else 0} images at step {look.step}{more}",
        _alive(facts, worst.path),
        worst.path,
    )


def _alive(facts: RunFacts, path: str) -> str:
    """What brings units back: a usual learning rate, usual first weights, or else an activation that cannot die."""
    learning_rate, usual = facts.learning_rate, facts.usual_rate
    keys = []
    if learning_rate is not None and learning_rate > usual:
        keys.append(f"learning_rate={usual:g}")
    first = facts.stages[0].looks[0].layers.get(path)
    if first is not None and first.dead >= DEAD and facts.word("initial", "auto") != "auto":
        keys.append("initial=auto")
    if facts.recipe.get("clip") in (None, "none"):
        keys.append("clip=1")
    if keys:
        return facts.again(*keys)
    return facts.again(net=re.sub(r"\brelu6?\b", "leaky", facts.one_line))


def _saturated(facts: RunFacts) -> Iterator[Finding | NotApplicable]:
    look = facts.looks[-1]
    flat = [each for each in look.layers.values() if each.word in _FLAT]
    if not flat:
        yield SATURATED_RULE.not_applicable("the network has no tanh or sigmoid")
        return
    worst = max(flat, key=lambda each: each.saturated)
    if worst.saturated >= SATURATED and facts.gain < POOR:
        initial = facts.word("initial", "auto")
        keys = ["initial=auto"] if initial != "auto" else []
        if facts.learning_rate is not None and facts.learning_rate > facts.usual_rate:
            keys.append(f"learning_rate={facts.usual_rate:g}")
        if facts.word("center", "channel") == "none":
            keys += ["center=channel", "scale=unit"]
        net = None if keys else re.sub(r"\b(sigmoid|tanh)\b", "relu", facts.one_line)
        yield SATURATED_RULE.finding(
            f"{percent(worst.saturated)} of what `{worst.word}` at {worst.path} gives is at the ends of its range, at step "
            f"{look.step}",
            facts.again(*keys, net=net),
            worst.path,
        )
