"""What the doctor finds: a typed finding, the rule that it comes from, and the threshold that it stands on."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal, Self, final

from striate.errors import counted

VERSION = 1
"""Of the JSON; a key is added within a version, never renamed or removed."""

Severity = Literal["error", "warning", "note"]

_ORDER: dict[Severity, int] = {"error": 0, "warning": 1, "note": 2}


@final
class Threshold(float):
    """A number that a rule compares with; a plain float in arithmetic.

    reason: why it is this number and no other, a sentence.  source: a paper with its section, or what was measured
    on how many runs.
    """

    __slots__ = ("reason", "source")

    reason: str
    source: str

    def __new__(cls, value: float, *, reason: str, source: str) -> Self:
        made = super().__new__(cls, value)
        made.reason = reason
        made.source = source
        return made


MEASURED = "runs on digits, MNIST and CIFAR-10: benchmarks/doctor"

# How far the best validation came from always the most common class (0) to all right (1).
POOR = Threshold(
    0.6,
    reason="of the way from the most common class to all right: a run that came that far is not said to be broken by its "
    "symptoms",
    source=MEASURED,
)
WELL = Threshold(
    0.8, reason="of the way from the most common class to all right: no harm is seen there", source=MEASURED
)
UNHARMED = Threshold(
    0.93,
    reason="of the way from the most common class to all right: what learned so much was not kept from learning, not even by "
    "what usually does, and is told in a note at most",
    source=f"mutants that are no worse than their parents, {MEASURED}",
)


@final
@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, or hardly meant.

    code: short and stable.  severity: error, the run came to nothing or its score is not to be believed; warning, it
    costs accuracy or time; note, a hint on the design.  layer: the path of the layer or the name of the class, empty
    where it is about the whole.  evidence: what was seen, with its numbers.  why: why that matters.
    cure: one next step; what stands in `backticks` is a command to paste.
    """

    code: str
    severity: Severity
    evidence: str
    why: str
    cure: str
    layer: str = ""

    def to_record(self) -> dict[str, Any]:
        """As plain values, by the names of the JSON."""
        return {
            "code": self.code,
            "severity": self.severity,
            "layer": self.layer or None,
            "evidence": self.evidence,
            "why": self.why,
            "try": self.cure,
        }


@final
@dataclass(frozen=True, slots=True)
class NotApplicable:
    """A check that could not be made.  reason: a clause that follows "not applicable because"."""

    code: str
    reason: str

    def to_record(self) -> dict[str, Any]:
        """As plain values, by the names of the JSON."""
        return {"code": self.code, "reason": self.reason}


@final
@dataclass(frozen=True, slots=True)
class Rule:
    """A check, as its findings and docs/doctor.md describe it.

    code, severity, why: of its findings.  meaning: what it says, a sentence.  thresholds: the names and values of the
    constants that it compares with.  cause: whether it names what was done, and not what came of it; how grave that is,
    the outcome says.
    """

    code: str
    severity: Severity
    meaning: str
    why: str
    thresholds: tuple[tuple[str, Threshold], ...] = ()
    cause: bool = False

    def finding(self, evidence: str, cure: str, layer: str = "") -> Finding:
        """A finding of this rule."""
        return Finding(self.code, self.severity, evidence, self.why, cure, layer)

    def not_applicable(self, reason: str) -> NotApplicable:
        """This rule, where what it needs is not there."""
        return NotApplicable(self.code, reason)


@final
@dataclass(frozen=True, slots=True, repr=False)
class Diagnosis:
    """All that was found of one run or data set, the gravest first."""

    findings: tuple[Finding, ...]
    not_applicable: tuple[NotApplicable, ...]

    def without(self, muted: Collection[str]) -> Diagnosis:
        """Less the findings and checks of the codes that are muted."""
        return replace(
            self,
            findings=tuple(each for each in self.findings if each.code not in muted),
            not_applicable=tuple(each for each in self.not_applicable if each.code not in muted),
        )

    def joined(self, other: Diagnosis) -> Diagnosis:
        """With the findings of another one, as of the probe.  What one of them could check is applicable; what neither
        could, the other one says why.
        """
        checked = [*self.findings, *other.findings]
        codes = {each.code for each in checked}
        rest = {each.code: each for each in (*self.not_applicable, *other.not_applicable)}
        return diagnosis_of([*checked, *(each for code, each in rest.items() if code not in codes)])

    def text(self, *, every: bool = False) -> str:
        """Findings, the gravest first, each with its evidence, why it matters and what to try; and how many.

        every: what could not be checked as well, and why.
        """
        lines = []
        for each in self.findings:
            where = f" at {each.layer}" if each.layer else ""
            lines += [f"{each.severity:8}  {each.code}{where}", f"          {each.evidence}"]
            lines += [f"          why: {each.why}", f"          try: {each.cure}", ""]
        if every and self.not_applicable:
            lines += [f"not applicable  {each.code}, because {each.reason}" for each in self.not_applicable]
            lines.append("")
        told = ", ".join(
            counted(sum(each.severity == which for each in self.findings), which) for which in _ORDER
        )
        hidden = f"; {counted(len(self.not_applicable), 'check')} not applicable"
        lines.append(
            f"found     {told if self.findings else 'nothing wrong'}"
            + (hidden + ("" if every else " (--all says why)") if self.not_applicable else "")
        )
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.text()

    # At the prompt, too: not a line of all its fields.
    __repr__ = __str__

    def to_record(self) -> dict[str, Any]:
        """The JSON of `striate doctor --json`, as plain values."""
        return {
            "version": VERSION,
            "findings": [each.to_record() for each in self.findings],
            "not_applicable": [each.to_record() for each in self.not_applicable],
        }


def diagnosis_of(found: Iterable[Finding | NotApplicable]) -> Diagnosis:
    """What the rules gave, sorted: errors, warnings, notes, each in the order in which they were found."""
    every = list(found)
    findings = sorted(
        (each for each in every if isinstance(each, Finding)), key=lambda each: _ORDER[each.severity]
    )
    return Diagnosis(tuple(findings), tuple(each for each in every if isinstance(each, NotApplicable)))
