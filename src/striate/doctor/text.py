"""Diagnoses of the text of the network: the notes of its plan, each with the text that it should have been."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from striate.doctor.facts import RunFacts
from striate.doctor.finding import Finding, NotApplicable, Rule, Threshold
from striate.errors import StriateError
from striate.net.layers.convolution import Conv, Local
from striate.net.layout.layout import Layout, Placed, lay
from striate.net.notation.reader import read_text
from striate.net.plan.design import NOTES, Note

UNHARMED = Threshold(
    0.95,
    reason="of the way from the most common class to all right: what learned so much was not kept from learning, and is told "
    "in a note",
    source="measured: benchmarks/doctor, mutants that are no worse than their parents",
)

RULES = tuple(
    Rule(
        code,
        kind.severity,
        kind.meaning,
        kind.why,
        () if kind.severity == "note" else (("UNHARMED", UNHARMED),),
    )
    for code, kind in NOTES.items()
)

_BY_CODE = {rule.code: rule for rule in RULES}

_MATRICES = ("conv", "local", "fc")


def diagnose(facts: RunFacts) -> Iterator[Finding | NotApplicable]:
    """A finding for each note; a note, too, where the network learned well all the same."""
    if facts.plan is None or facts.layout is None:
        yield from (rule.not_applicable("the network or its data cannot be read") for rule in RULES)
        return
    well = facts.judged and facts.gain >= UNHARMED
    for note in facts.plan.notes:
        better = mended(facts.layout, note)
        cure = note.cure or f"`striate plan {facts.quoted_net}`"
        found = _BY_CODE[note.code].finding(
            note.text, facts.again(net=better) if better else cure, note.layer
        )
        yield replace(found, severity="note") if well else found


def mended(layout: Layout, note: Note) -> str | None:
    """The text as the note would have it, on one line; None where it says no more than what is odd.

    What is repeated or defined once is mended once, for all of its copies.
    """
    source = layout.network.source
    if source is None:
        return None
    layers = [each for each in layout.layers() if each.at is not None]
    here = [each for each in layers if each.path == note.layer]
    edits = dict(_edits(note.code, here, layers))
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


def _edits(code: str, here: list[Placed], layers: list[Placed]) -> Iterator[tuple[tuple[int, int], str]]:
    """Spans of the text, and what is to stand there; {} is what stood there."""
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
        case "activation-on-output" | "dropout-before-bn" | "repeated-bn":
            yield from ((_span(each), "") for each in here)
        case "saturating-depth":
            flat = (each for each in layers if each.layer.word in ("sigmoid", "tanh"))
            yield from ((_span(each), "relu") for each in flat)
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
