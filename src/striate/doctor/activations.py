"""Diagnoses of the layers: what they give for the probe, at the beginning and at the end."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from statistics import median

from striate.doctor.facts import Layer, RunFacts, Seen
from striate.doctor.finding import MEASURED, POOR, Finding, NotApplicable, Rule, Threshold
from striate.doctor.remedy import again, known
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
SMALL = Threshold(
    0.25,
    reason="length of the first weights against that of He's, in the median of the layers; usual ones have 0.7 to 1.4",
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

LARGE = Threshold(
    3.0,
    reason="length of the first weights against that of He's, in the median of the layers: a norm hides the signal that "
    "grows, and the steps are small against such weights all the same; usual first weights have 0.7 to 1.4",
    source=f"van Laarhoven 2017, section 3; {MEASURED}",
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
    (("SHRINKS", SHRINKS), ("SMALL", SMALL)),
    cause=True,
)  # fmt: skip
INIT_GROWS = Rule(
    "init-grows", "error", "With the first weights the signal grows from layer to layer.",
    "The first losses are huge, and steps that suit usual weights hardly change such large ones.",
    (("GROWS", GROWS), ("LARGE", LARGE)),
    cause=True,
)  # fmt: skip
INPUTS_NOT_CENTRED = Rule(
    "inputs-not-centred", "warning", "What the network reads is far from mean 0 and standard deviation 1.",
    "All gradients of the first layer get one sign, and its outputs a size that no learning rate suits.",
    (("OFF_CENTER", OFF_CENTER), ("OFF_SCALE", OFF_SCALE)),
    cause=True,
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
    if _normed_first(facts):
        yield INPUTS_NOT_CENTRED.not_applicable("the norm behind the first weights takes mean and size out")
        return
    if std <= 0:
        yield INPUTS_NOT_CENTRED.not_applicable("all images of the probe are alike")
        return
    if abs(mean) > OFF_CENTER * std or not 1 / OFF_SCALE <= std <= OFF_SCALE:
        yield INPUTS_NOT_CENTRED.finding(
            f"what the network reads has mean {mean:.3g} and standard deviation {std:.3g}",
            again(facts, "center=channel", "scale=unit"),
        )


def _normed_first(facts: RunFacts) -> bool:
    """Whether a norm follows the first layer with weights."""
    words = [each.layer.word for each in facts.layout.layers()] if facts.layout else []
    first = next((place for place, word in enumerate(words) if word in _MATRICES), len(words))
    return words[first + 1 : first + 2] in (["bn"], ["ln"])


def _initial(facts: RunFacts) -> Iterator[Finding | NotApplicable]:
    first = facts.stages[0]
    if facts.recipe.get("weights") or not first.looks or first.looks[0].step > 1:
        for rule in (INIT_SHRINKS, INIT_GROWS):
            yield rule.not_applicable("the run did not begin with drawn weights")
        return
    look = first.looks[0]
    inner, std, size = _inner(look), _std(facts), _size(facts, look)
    if not inner or not std or size is None:
        for rule in (INIT_SHRINKS, INIT_GROWS):
            yield rule.not_applicable("it takes two layers with weights")
        return
    sized = (
        f"the first weights are {size:.2g} times as long as those of He's rule, in the median of the layers"
    )
    cure = again(facts, "initial=auto")
    last = max(inner[-1], list(look.layers.values())[-1], key=lambda each: each.std)
    if size > LARGE:
        yield INIT_GROWS.finding(sized, cure, last.path)
    elif last.std > GROWS * std and facts.gain < POOR:
        yield INIT_GROWS.finding(_signal(last, std), cure, last.path)
    if first.normed or any(
        each.layer.word in ("bn", "ln", "lrn") for each in (facts.layout.layers() if facts.layout else ())
    ):
        yield INIT_SHRINKS.not_applicable("the network has norms, which bring its signal back to size")
    elif inner[-1].std < SHRINKS * std:
        yield INIT_SHRINKS.finding(_signal(inner[-1], std), cure, inner[-1].path)
    elif size < SMALL:
        yield INIT_SHRINKS.finding(sized, cure, inner[-1].path)


def _size(facts: RunFacts, look: Seen) -> float | None:
    """Length of the weights against those of He's rule, sqrt(2 * units), in the median of the layers."""
    units = {each.path: each.output.channels for each in facts.layout.layers()} if facts.layout else {}
    sizes = [
        each.length / math.sqrt(2 * units[path]) for path, each in look.weights.items() if units.get(path)
    ]
    return median(sizes) if len(sizes) > 1 else None


def _inner(look: Seen) -> list[Layer]:
    """Layers with weights but for the head, which may begin small on purpose."""
    return [each for each in look.layers.values() if each.word in _MATRICES][:-1]


def _std(facts: RunFacts) -> float | None:
    read = facts.stages[0].input
    return read[1] if len(read) > 1 else None


def _signal(layer: Layer, std: float) -> str:
    return f"behind {layer.path} the standard deviation is {layer.std:.2g} with the first weights, and {std:.2g} in the input"


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
    if keys or known(facts):
        return again(facts, *keys)
    return again(facts, change=lambda text: re.sub(r"\brelu6?\b", "leaky", text))


def _saturated(facts: RunFacts) -> Iterator[Finding | NotApplicable]:
    look = facts.looks[-1]
    flat = [each for each in look.layers.values() if each.word in _FLAT]
    if not flat:
        yield SATURATED_RULE.not_applicable("the network has no tanh or sigmoid")
        return
    worst = max(flat, key=lambda each: each.saturated)
    if worst.saturated >= SATURATED and facts.gain < POOR:
        keys = [] if facts.word("initial", "auto") == "auto" else ["initial=auto"]
        if facts.learning_rate is not None and facts.learning_rate > facts.usual_rate:
            keys.append(f"learning_rate={facts.usual_rate:g}")
        without = not keys and not known(facts)
        yield SATURATED_RULE.finding(
            f"{percent(worst.saturated)} of what `{worst.word}` at {worst.path} gives is at the ends of its range, at step "
            f"{look.step}",
            again(
                facts,
                *keys,
                change=(lambda text: re.sub(r"\b(sigmoid|tanh)\b", "relu", text)) if without else None,
            ),
            worst.path,
        )
