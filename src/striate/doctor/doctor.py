"""All families of diagnoses on one run."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from pathlib import Path

from striate.doctor import activations, clock, first_look, learning, optimization, probed, results, text
from striate.doctor.facts import RunFacts, read_facts
from striate.doctor.finding import POOR, UNHARMED, Diagnosis, Finding, NotApplicable, Rule, diagnosis_of
from striate.errors import StriateError, nearest
from striate.runs.folder import find_run, is_there

Diagnose = Callable[[RunFacts], Iterator[Finding | NotApplicable]]

# A cause comes before what follows from it.
FAMILIES: tuple[tuple[str, Diagnose, tuple[Rule, ...]], ...] = (
    ("The text", text.diagnose, text.RULES),
    ("The learning rate", optimization.diagnose_rate, optimization.RATE_RULES),
    ("The layers", activations.diagnose, activations.RULES),
    ("Gradients and weights", optimization.diagnose_gradients, optimization.GRADIENT_RULES),
    ("Learning", learning.diagnose, learning.RULES),
    ("Data and results", results.diagnose, results.RULES),
    ("The clock", clock.diagnose, clock.RULES),
)

# And those of the experiments, which `striate.training` makes.
EXPERIMENTS: tuple[tuple[str, tuple[Rule, ...]], ...] = (
    ("The probe", probed.RULES),
    ("A data set by itself", first_look.RULES),
)


_CAUSES = frozenset(rule.code for _, _, rules in FAMILIES for rule in rules if rule.cause)


def examine(facts: RunFacts) -> Diagnosis:
    """What is wrong with a run, the gravest first, and causes before what follows from them."""
    found = [_weighed(each, facts) for _, diagnose, _ in FAMILIES for each in diagnose(facts)]
    if not any(isinstance(each, Finding) and each.severity != "note" for each in found):
        found += optimization.nothing_else(facts)
    return diagnosis_of(sorted(found, key=lambda each: each.code not in _CAUSES))


def _weighed(found: Finding | NotApplicable, facts: RunFacts) -> Finding | NotApplicable:
    """A cause as grave as what came of it: an error where the run came to nothing, a note where it learned well."""
    if found.code not in _CAUSES or not isinstance(found, Finding) or not facts.judged or not facts.epochs:
        return found
    if facts.gain >= UNHARMED:
        return replace(found, severity="note")
    return replace(found, severity="error") if facts.gain < POOR else found


def diagnose_run(run: str | Path, *, mute: Collection[str] = ()) -> tuple[RunFacts, Diagnosis]:
    """What is known of a run, and what is wrong with it.

    run: as for `find_run`; it may be running, killed or diverged.  mute: codes that are left out.
    Raises RunError where there is no run or its record cannot be read, StriateError for an unknown code.
    """
    require_codes(mute)
    facts = read_facts(find_run(run, is_there))
    return facts, examine(facts).without(mute)


def require_codes(mute: Collection[str]) -> None:
    """Raise StriateError for a code that there is not."""
    for code in mute:
        if code not in known_codes():
            raise StriateError(
                f"there is no code `{code}`",
                place="--mute",
                expected="a code of docs/doctor.md",
                cure=f"--mute {nearest(code, known_codes())}" if nearest(code, known_codes()) else "",
            )


def known_codes() -> frozenset[str]:
    """Every code that there is."""
    families = [*(rules for _, _, rules in FAMILIES), *(rules for _, rules in EXPERIMENTS)]
    return frozenset(rule.code for rules in families for rule in rules)
