"""Diagnoses of the text of the network: the notes of its plan."""

from __future__ import annotations

from collections.abc import Iterator

from striate.doctor.facts import RunFacts
from striate.doctor.finding import Finding, NotApplicable, Rule
from striate.net.plan.design import NOTES

RULES = tuple(Rule(code, kind.severity, kind.meaning, kind.why) for code, kind in NOTES.items())

_BY_CODE = {rule.code: rule for rule in RULES}


def diagnose(facts: RunFacts) -> Iterator[Finding | NotApplicable]:
    """A finding for each note."""
    if facts.plan is None:
        yield from (rule.not_applicable("the network or its data cannot be read") for rule in RULES)
        return
    for note in facts.plan.notes:
        yield _BY_CODE[note.code].finding(
            note.text, note.cure or f"`striate plan {facts.quoted_net}`", note.layer
        )
