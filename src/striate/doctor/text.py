"""Diagnoses of the text of the network: the notes of its plan, each with the text that does without."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from striate.doctor.facts import RunFacts
from striate.doctor.finding import Finding, NotApplicable, Rule, Threshold
from striate.errors import StriateError
from striate.net.layout.layout import lay
from striate.net.notation.reader import read_text
from striate.net.plan.design import NOTES

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

_FLAT = r"(?:relu6?|leaky(?: [\d.]+)?|prelu|elu|sigmoid|tanh|gelu|silu|softmax)"
_MATRIX = r"(?:conv|local|fc) [^\[\]{}|>]*?"

# What is replaced by what, from the text that a note is about to one that does without.
_MENDED = {
    "activation-on-output": ((rf" -> {_FLAT}\s*$", ""),),
    "softmax-inside": ((r"\bsoftmax\b(?= ->)", "relu"),),
    "saturating-depth": ((r"\b(?:sigmoid|tanh)\b", "relu"),),
    "dropout-before-bn": ((r"\bdropout(?:2d)? [\d.]+ -> (?=bn\b)", ""),),
    "repeated-bn": ((r"\bbn\b([^\[\]{}|>]*?) -> bn\b[^\[\]{}|>]*?(?= ->|\]|\s*$)", r"bn\1"),),
    "only-1x1": ((r"\bconv (\d+)( 1x1)?(?= ->|\])", r"conv \1 3x3"),),
    # Behind the bn where there is one, and never behind the last.
    "no-nonlinearity": (
        (rf"({_MATRIX}) -> (?=(?:{_MATRIX}|maxpool|avgpool|pool|dropout)\b)", r"\1 -> relu -> "),
        (r"(\bbn\b[^\[\]{}|>]*?) -> (?=(?:conv|local|fc|maxpool|avgpool|pool|dropout)\b)", r"\1 -> relu -> "),
        (rf"(\[{_MATRIX}(?: -> bn)?)\]", r"\1 -> relu]"),
    ),
}


def diagnose(facts: RunFacts) -> Iterator[Finding | NotApplicable]:
    """A finding for each note; a note, too, where the network learned well all the same."""
    if facts.plan is None:
        yield from (rule.not_applicable("the network or its data cannot be read") for rule in RULES)
        return
    well = facts.judged and facts.gain >= UNHARMED
    for note in facts.plan.notes:
        mended = mend(note.code, facts)
        cure = note.cure or f"`striate plan {facts.quoted_net}`"
        if mended is not None:
            cure = facts.again(net=mended)
        found = _BY_CODE[note.code].finding(note.text, cure, note.layer)
        yield replace(found, severity="note") if well else found


def mend(code: str, facts: RunFacts) -> str | None:
    """The text of the network without what a note is about; None where no simple change of it does that."""
    text = facts.one_line
    for pattern, better in _MENDED.get(code, ()):
        text = re.sub(pattern, better, text)
    if text == facts.one_line or facts.layout is None:
        return None
    try:
        lay(read_text(text), facts.layout.input, facts.classes)
    except StriateError:
        return None
    return text
