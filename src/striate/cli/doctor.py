"""`striate doctor`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

from cyclopts import Parameter

from striate.cli.console import print_json, prose
from striate.doctor.doctor import diagnose_run
from striate.doctor.facts import RunFacts
from striate.doctor.finding import Diagnosis
from striate.errors import StriateError, counted
from striate.text.figures import percent


def doctor(
    run: str | None = None,
    /,
    *,
    mute: Sequence[str] = (),
    all_: Annotated[bool, Parameter(name="--all")] = False,
    json_: Annotated[bool, Parameter(name="--json")] = False,
) -> None:
    """Why a training learned or did not, in words, with the command to try.

    It reads the run folder alone, and changes nothing. A run that is still training, was killed or diverged can be
    asked, too. docs/doctor.md lists the codes and what each stands on. The exit code is 0 where nothing but notes is
    found, and 1 for warnings or errors.

    For example:

      striate doctor runs/latest
      striate doctor runs/latest --json
      striate doctor runs/latest --mute heavy-fc --mute overfitting

    Parameters
    ----------
    run
        A run folder, or its name.
    mute
        A code to leave out; may stand many times.
    all_
        Say also which checks could not be made, and why.
    json_
        Print findings, and what is not applicable, as JSON.
    """
    if run is None:
        raise StriateError(
            "no run was given",
            place="doctor",
            expected="striate doctor RUN",
            cure="striate doctor runs/latest",
        )
    facts, found = diagnose_run(run, mute=mute)
    if json_:
        plain = found.to_record()
        del plain["version"]
        print_json(
            {"run": str(facts.run.path), "status": facts.record.status, **plain, "gaps": list(facts.gaps)},
            indent=2,
        )
    else:
        print_diagnosis(described(facts), found, facts.gaps, every=all_)
    if any(each.severity != "note" for each in found.findings):
        sys.exit(1)


def described(facts: RunFacts) -> str:
    """The run in one line: its folder, status and how far it came."""
    parts = [
        f"{facts.run.path}: {'running' if facts.held else facts.record.status}",
        counted(len(facts.epochs), "epoch"),
    ]
    if facts.best_accuracy is not None:
        parts.append(f"{percent(facts.best_accuracy)} on validation at best")
    return ", ".join(parts)


def print_diagnosis(title: str, found: Diagnosis, gaps: Sequence[str], *, every: bool) -> None:
    """Findings, the gravest first, each with its evidence, why it matters and what to try."""
    console = prose()
    console.print(title)
    for gap in gaps:
        console.print(f"gap       {gap}")
    for each in found.findings:
        where = f" at {each.layer}" if each.layer else ""
        console.print(f"\n{each.severity:8}  {each.code}{where}")
        console.print(f"          {each.evidence}")
        console.print(f"          why: {each.why}")
        console.print(f"          try: {each.cure}")
    if every and found.not_applicable:
        console.print()
        for skipped in found.not_applicable:
            console.print(f"not applicable  {skipped.code}, because {skipped.reason}")
    console.print()
    counts = [
        sum(each.severity == which for each in found.findings) for which in ("error", "warning", "note")
    ]
    told = ", ".join(
        counted(number, which) for number, which in zip(counts, ("error", "warning", "note"), strict=True)
    )
    hidden = f"; {counted(len(found.not_applicable), 'check')} not applicable" + (
        "" if every else " (--all says why)"
    )
    console.print(
        f"found     {told if found.findings else 'nothing wrong'}{hidden if found.not_applicable else ''}"
    )
