"""What is extreme in the recipe and in the text of a run, and the command that trains once more without it.

A finding names one thing; its command sets back everything that is extreme, as a symptom is seldom cured while its cause
stays.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import pairwise

from striate.doctor.facts import RunFacts
from striate.doctor.finding import MEASURED, UNHARMED, Threshold
from striate.errors import StriateError
from striate.net.layers.convolution import Conv, Local
from striate.net.layers.linear import Fc
from striate.net.layout.layout import Layout, Placed, lay
from striate.net.notation.reader import read_text
from striate.net.plan.design import NOTES, Note

RATE_FAR = Threshold(
    20,
    reason="rates that train well span a factor of 10 around the usual one for an optimizer and network",
    source=f"Smith 2018, section 4; {MEASURED}",
)
LONG_WARMUP = Threshold(
    0.5, reason="share of the steps; 0.05 to 0.3 is usual", source="Goyal et al. 2017, section 2.2"
)
HEAVY_MOMENTUM = Threshold(
    0.95,
    reason="a step goes 1 / (1 - momentum) times as far; 0.9 is usual",
    source="Sutskever et al. 2013, section 3",
)
TIGHT_CLIP = Threshold(
    0.01, reason="length of the gradient; healthy ones have 0.1 to 20, and 1 is usual", source=MEASURED
)
HEAVY_DECAY = Threshold(
    20,
    reason="times the usual weight decay of the optimizer",
    source=f"Loshchilov and Hutter 2019, figure 1; {MEASURED}",
)
STRONG_DROPOUT = Threshold(
    0.75,
    reason="0.5 is the usual share for fc and 0.2 for maps",
    source="Srivastava et al. 2014, section 7.3",
)
STALE = Threshold(
    0.1,
    reason="share of the running statistics that is still that of the first step, (1 - momentum)^steps",
    source="Ioffe and Szegedy 2015, section 3.1: the average has to have forgotten the beginning",
)
TURNED = Threshold(
    60,
    reason="degrees either way: from there on a 6 is a 9 and a landscape stands on end",
    source="the images",
)
NOISY = Threshold(
    0.3, reason="standard deviation of what is added, in shares of the range of a pixel", source=MEASURED
)
CUT = Threshold(
    0.4,
    reason="side of what is cut out over that of the image; DeVries and Taylor take 0.25 to 0.5",
    source=f"DeVries and Taylor 2017, figure 3; {MEASURED}",
)

MILD_DROPOUT = 0.2
WIDE_CONV, WIDE_FC = 16, 64

_MATRICES = ("conv", "local", "fc")


def again(
    facts: RunFacts, *keys: str, net: str | None = None, change: Callable[[str], str] | None = None
) -> str:
    """The command that trains once more, in `backticks`.

    keys: as `learning_rate=0.01` or `--epochs 50`; they win over what is set back because it is extreme.  net: the text
    of the network, or else change: of its text on one line, on top of what is mended in it.
    """
    settings = dict(_pair(each) for each in (*extreme(facts), *keys))
    if net is None:
        text = remedied(facts)
        net = (_stands(facts, change(text)) if change else None) or text
    told = facts.run.net if net == facts.one_line else net
    flags = "".join(
        f" {name} {value}" if name.startswith("--") else f" --set {shlex.quote(f'{name}={value}')}"
        for name, value in settings.items()
    )
    recipe = f" --recipe {shlex.quote(str(facts.run.recipe))}" if facts.recipe else ""
    return f"`striate train {facts.quoted_source} --net {shlex.quote(str(told))}{recipe}{flags}`"


def _pair(key: str) -> tuple[str, str]:
    name, _, value = key.partition(" " if key.startswith("--") else "=")
    return name, value


def extreme(facts: RunFacts) -> tuple[str, ...]:
    """Settings of the recipe that lie far from the usual ones, each as it usually is."""
    return () if _unharmed(facts) else tuple(_extreme(facts))


def _unharmed(facts: RunFacts) -> bool:
    return facts.judged and facts.gain >= UNHARMED


def known(facts: RunFacts) -> bool:
    """Whether something extreme is there to be set back."""
    return bool(extreme(facts)) or remedied(facts) != facts.one_line


def next_step(facts: RunFacts) -> str:
    """What to try for a symptom: what is extreme set back, or else the probe."""
    return again(facts) if known(facts) else facts.probe


def _extreme(facts: RunFacts) -> Iterator[str]:
    trained_before = bool(facts.recipe.get("weights"))
    times = facts.times_usual
    if meant_for_adam(facts):
        yield "optimizer=adamw"
        yield f"learning_rate={facts.usual_rate_of('adamw'):g}"
        yield f"weight_decay={facts.usual_decay_of('adamw'):g}"
    elif times is not None and (times >= RATE_FAR or (times <= 1 / RATE_FAR and not trained_before)):
        yield f"learning_rate={facts.usual_rate:g}"
    if facts.number("warmup", 0.1) > LONG_WARMUP:
        yield "warmup=0.1"
    if facts.number("momentum", 0.9) > HEAVY_MOMENTUM:
        yield "momentum=0.9"
    if 0 < facts.number("clip", 1.0) < TIGHT_CLIP:
        yield "clip=1"
    if not meant_for_adam(facts) and facts.number("weight_decay", 0.0) > HEAVY_DECAY * max(
        facts.usual_decay, 5e-4
    ):
        yield f"weight_decay={facts.usual_decay:g}"
    if facts.word("initial", "auto") in ("small", "large") and not trained_before:
        yield "initial=auto"
    if facts.word("center", "channel") == "none" and facts.word("scale", "unit") == "none":
        yield "center=channel"
        yield "scale=unit"
    if frozen_as_drawn(facts):
        yield "freeze=none"
    if destructive(facts):
        yield "augment=none"


def meant_for_adam(facts: RunFacts) -> bool:
    """Whether sgd runs at a rate that only optimizers take that scale each weight's step by itself."""
    learning_rate = facts.learning_rate
    adam = facts.usual_rate_of("adamw")
    return (
        facts.optimizer_kind.plain
        and not facts.optimizer_kind.momentum
        and learning_rate is not None
        and learning_rate <= facts.usual_rate / RATE_FAR
        and adam / 10 <= learning_rate <= 2 * adam
    )


def frozen_as_drawn(facts: RunFacts) -> bool:
    """Whether layers are kept as they were drawn: frozen, and no trained weights were loaded."""
    recipe = facts.recipe
    return recipe.get("freeze") not in (None, "none") and not recipe.get("weights") and not recipe.get("thaw")


def destructive(facts: RunFacts) -> tuple[str, ...]:
    """Words of the augmentation that may take away what a label means."""
    side = min(facts.data.preparation.size) if facts.data else 0
    found = []
    for word, number in re.findall(r"([a-z0-9]*[a-z])(?: +([0-9.e-]+))?", facts.word("augment", "none")):
        value = float(number or 0)
        if (
            word == "vflip"
            or (word == "rotate" and value > TURNED)
            or (word == "noise" and value > NOISY)
            or (word == "cutout" and side and value > CUT * side)
        ):
            found.append(f"{word} {number}".strip())
    return tuple(found)


def stale_share(facts: RunFacts) -> float:
    """The largest share of a running statistic that is still that of the first step."""
    momenta = [
        getattr(each.layer, "momentum", 0.1) for each in _layers(facts.layout) if each.layer.word == "bn"
    ]
    return (1 - float(min(momenta))) ** facts.steps if momenta else 0.0


def narrow(layout: Layout | None, classes: int) -> list[Placed]:
    """Layers with weights, the last one apart, that give one or two channels, or too few numbers for the classes."""
    inner = [each for each in _layers(layout, sides=False) if each.layer.word in _MATRICES][:-1]
    return [
        each
        for each in inner
        if each.output.elements < classes / 2 or (isinstance(each.layer, Conv) and each.output.channels <= 2)
    ]


@lru_cache(maxsize=4)
def remedied(facts: RunFacts) -> str:
    """The text of the network on one line, without what the notes warn of and without what is extreme."""
    text = facts.one_line
    if facts.layout is None or facts.plan is None or _unharmed(facts):
        return text
    notes = [note for note in facts.plan.notes if NOTES[note.code].severity == "warning"]
    windows = [each.layer for each in facts.layout.layers() if isinstance(each.layer, Conv)]
    if windows and all(max(each.kernel) == 1 for each in windows):
        # An fc behind them sees all places, so there is no note of it.
        notes.append(Note("only-1x1", ""))
    if pixels := any(note.code == "only-1x1" for note in notes):
        notes = [note for note in notes if note.code != "receptive-field-small"]
    text = mended(facts.layout, *notes) or text
    if pixels:
        # What has windows now is seen where it is, and not averaged over the image.
        text = _stands(facts, re.sub(r"\bpool avg\b(?! \d)", "maxpool 2", text)) or text
    text = _stands(facts, weaker_dropout(text)) or text
    if stale_share(facts) > STALE:
        text = _stands(facts, following(text)) or text
    return _stands(facts, _wider(text, facts)) or text


def weaker_dropout(text: str) -> str:
    """The text with mild dropouts where there are strong ones."""

    def milder(found: re.Match[str]) -> str:
        return found[0] if float(found[2]) < STRONG_DROPOUT else f"{found[1]} {MILD_DROPOUT:g}"

    return re.sub(r"\b(dropout|dropout2d) +(0?\.\d+)", milder, text)


def following(text: str) -> str:
    """The text with bns that follow what they read as fast as usual."""
    return re.sub(r"\bbn\b((?: eps [0-9.e-]+)?) momentum [0-9.e-]+", r"bn\1", text)


def _wider(text: str, facts: RunFacts) -> str:
    """The text with narrow layers widened."""
    layout = _laid(facts, text)
    edits = {}
    for each in narrow(layout, facts.classes):
        if each.at is not None and isinstance(each.layer, Conv | Fc):
            word, wide = (
                ("conv", WIDE_CONV)
                if isinstance(each.layer, Conv)
                else ("fc", max(WIDE_FC, 4 * facts.classes))
            )
            old = text[each.at.start : each.at.end]
            edits[each.at.start, each.at.end] = re.sub(rf"\b{word} \d+", f"{word} {wide}", old, count=1)
    for (start, end), new in sorted(edits.items(), reverse=True):
        text = text[:start] + new + text[end:]
    return text


def _stands(facts: RunFacts, text: str) -> str | None:
    """The text, or None where it is no network for the run's images."""
    if text == facts.one_line and facts.layout is not None:
        return text
    return text if _laid(facts, text) is not None else None


def _laid(facts: RunFacts, text: str) -> Layout | None:
    if facts.layout is None:
        return None
    try:
        found = lay(read_text(text), facts.layout.input, facts.layout.classes)
        found.require_classes(facts.layout.classes or 0)
    except StriateError:
        return None
    return found


def _layers(layout: Layout | None, *, sides: bool = True) -> list[Placed]:
    return list(layout.layers(sides=sides)) if layout is not None else []


def mended(layout: Layout, *notes: Note) -> str | None:
    """The text as the notes would have it, on one line; None where they say no more than what is odd.

    What is repeated or defined once is mended once, for all of its copies.
    """
    source = layout.network.source
    if source is None:
        return None
    layers = [each for each in layout.layers() if each.at is not None]
    edits: dict[tuple[int, int], str] = {}
    for note in notes:
        edits |= _edits(note.code, [each for each in layers if each.path == note.layer], layers)
    text = source.text
    for (start, end), new in sorted(edits.items(), reverse=True):
        old = text[start:end]
        text = text[:start] + new.replace("{}", old) + text[end:]
    line = " ".join(" ".join(each.split("#")[0] for each in text.splitlines()).split())
    # A step that goes takes its arrow along.
    line = re.sub(r"-> *(?=->|\]|\}|\||;|$)", "", re.sub(r"(^|\[|\{|\|) *->", r"\1", line)).strip()
    if not edits:
        return None
    try:
        lay(read_text(line), layout.input, layout.classes).require_classes(layout.classes or 0)
    except StriateError:
        return None
    return line


def _edits(code: str, here: list[Placed], layers: list[Placed]) -> dict[tuple[int, int], str]:
    """Spans of the text, and what is to stand there; {} is what stood there."""
    return dict(_spans(code, here, layers))


def _spans(code: str, here: list[Placed], layers: list[Placed]) -> Iterator[tuple[tuple[int, int], str]]:
    matrices = [each for each in layers if each.layer.word in _MATRICES]
    match code:
        case "no-nonlinearity":
            for each in here or matrices[:-1]:
                if each.at != matrices[-1].at:
                    # Behind the norm where there is one.
                    behind = layers[layers.index(each) + 1]
                    yield _span(behind if behind.layer.word in ("bn", "ln") else each), "{} -> relu"
        case "softmax-inside":
            yield from ((_span(each), "relu") for each in here)
        case "dropout-before-bn":
            # The note is on the first of them.
            for each, behind in pairwise(layers):
                if each.layer.word.startswith("dropout") and behind.layer.word == "bn":
                    yield _span(each), ""
        case "activation-on-output" | "repeated-bn":
            yield from ((_span(each), "") for each in here)
        case "saturating-depth":
            flat = (each for each in layers if each.layer.word in ("sigmoid", "tanh"))
            yield from ((_span(each), "bn -> relu") for each in flat)
        case "receptive-field-small":
            yield from (
                (_span(each), f"{{}} -> relu -> maxpool 2 -> conv {each.output.channels} 3x3")
                for each in here
            )
        case "only-1x1" | "conv-without-size":
            some = here if code == "conv-without-size" else layers
            for each in some:
                if isinstance(each.layer, Conv | Local) and max(each.layer.kernel) == 1:
                    yield _span(each), f"{each.layer.word} {each.layer.channels} 3x3"


def _span(placed: Placed) -> tuple[int, int]:
    assert placed.at is not None
    return placed.at.start, placed.at.end
