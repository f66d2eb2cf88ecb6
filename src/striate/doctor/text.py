"""Diagnoses of the text of the network: the notes of its plan, each with the text that it should have been."""

from __future__ import annotations

from collections.abc import Iterator

from striate.doctor.facts import RunFacts
from striate.doctor.finding import Finding, NotApplicable, Rule
from striate.doctor.remedy import again, mended
from striate.net.plan.design import NOTES

RULES = tuple(
    Rule(
        code,
        kind.severity,
        kind.meaning,
        kind.why,
        cause=kind.severity == "warning",
    )
    for code, kind in NOTES.items()
)

_BY_CODE = {rule.code: rule for rule in RULES}


def diagnose(facts: RunFacts) -> Iterator[Finding | NotApplicable]:
    """A finding for each note."""
    if facts.plan is None or facts.layout is None:
        yield from (rule.not_applicable("the network or its data cannot be read") for rule in RULES)
        return
    for note in facts.plan.notes:
        better = mended(facts.layout, note)
        cure = note.cure or f"`striate plan {facts.quoted_net}`"
        if better:
            cure = again(facts) if note.severity == "warning" else again(facts, net=better)
        yield _BY_CODE[note.code].finding(note.text, cure, note.layer)
