"""`striate doctor`."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from typing import Annotated

from cyclopts import Parameter

from striate.api.diagnosis import is_data, look_at
from striate.cli.console import print_json, prose
from striate.cli.process import set_up_process
from striate.cli.screen import Screen
from striate.cli.values import asked_size
from striate.doctor.doctor import diagnose_run, require_codes
from striate.doctor.facts import RunFacts
from striate.doctor.finding import Diagnosis
from striate.doctor.first_look import judge
from striate.errors import StriateError, counted, require_train
from striate.text.figures import percent


def doctor(
    target: str | None = None,
    /,
    *,
    probe: bool = False,
    net: str | None = None,
    size: str | None = None,
    mute: Sequence[str] = (),
    all_: Annotated[bool, Parameter(name="--all")] = False,
    json_: Annotated[bool, Parameter(name="--json")] = False,
    device: str | None = None,
) -> None:
    """Why a training learned or did not, in words, with the command to try; or a minute's look at a data set.

    Of a run it reads the folder alone, and changes nothing. A run that is still training, was killed or diverged can be
    asked, too. Of DATA it says whether the labels look right, what always the most frequent class, nearest neighbors
    and a linear model answer, and whether the network fits one batch and ten images. docs/doctor.md lists the codes and
    what each stands on. The exit code is 0 where nothing but notes is found, and 1 for warnings or errors.

    For example:

      striate doctor runs/latest
      striate doctor runs/latest --probe
      striate doctor runs/latest --json
      striate doctor runs/latest --mute heavy-fc --mute overfitting
      striate doctor photos/

    Parameters
    ----------
    target
        A run folder, or its name; or data, as for `striate train`. A folder with a run.json is a run.
    probe
        Make experiments with the run's network and images as well; 10 to 60 s.
    net
        With data: the network to try, as for `striate train`; chosen by the images if left out.
    size
        With data: side of the images in pixels, or HEIGHTxWIDTH as 60x180; chosen by the images if left out.
    mute
        A code to leave out; may stand many times.
    all_
        Say also which checks could not be made, and why.
    json_
        Print findings, and what is not applicable, as JSON.
    device
        With data or --probe: cpu, cuda, cuda:1 or mps; the best there is if left out.
    """
    if target is None:
        raise StriateError(
            "no run and no data were given",
            place="doctor",
            expected="striate doctor RUN, or striate doctor DATA",
            cure="striate doctor runs/latest",
        )
    require_codes(mute)
    if is_data(target):
        if probe:
            raise StriateError(
                f"{target} is no run",
                place="--probe",
                expected="a folder with a run.json; of data, the experiments are all there is",
                cure=f"striate doctor {shlex.quote(target)}",
            )
        found = _look(target, net=net, size=size, mute=mute, every=all_, json_=json_, device=device)
    else:
        for flag, given in (("--net", net), ("--size", size)):
            if given is not None:
                raise StriateError(
                    f"{flag} is given beside a run, which has its own",
                    place=flag,
                    expected="data",
                    cure=f"leave out {flag}",
                )
        found = _examine(target, probe=probe, mute=mute, every=all_, json_=json_, device=device)
    if any(each.severity != "note" for each in found.findings):
        sys.exit(1)


def _examine(
    run: str, *, probe: bool, mute: Sequence[str], every: bool, json_: bool, device: str | None
) -> Diagnosis:
    facts, found = diagnose_run(run, mute=mute)
    if probe:
        require_train("striate doctor --probe")
        set_up_process()
        from striate.training.probe import probe_run

        screen = Screen(quiet=json_)
        with screen.stoppable():
            found = found.joined(probe_run(facts.run, device=device, watch=screen).without(mute))
    if json_:
        plain = found.to_record()
        del plain["version"]
        print_json(
            {"run": str(facts.run.path), "status": facts.record.status, **plain, "gaps": list(facts.gaps)},
            indent=2,
        )
    else:
        print_diagnosis(described(facts), found, facts.gaps, every=every)
    return found


def _look(
    data: str,
    *,
    net: str | None,
    size: str | None,
    mute: Sequence[str],
    every: bool,
    json_: bool,
    device: str | None,
) -> Diagnosis:
    require_train("striate doctor DATA")
    set_up_process()
    screen = Screen(quiet=json_)
    with screen.stoppable():
        look = look_at(
            data, net=net, size=None if size is None else asked_size(size), device=device, watch=screen
        )
    found = judge(look).without(mute)
    if json_:
        plain = found.to_record()
        del plain["version"]
        print_json({"data": look.source, **plain, "measured": look.to_record()}, indent=2)
        return found
    told = ", ".join(f"{count:,} {split}" for split, count in look.counts.items())
    print_diagnosis(f"{look.source}: {told} images", found, (), every=every, steps=tuple(look.steps()))
    return found


def described(facts: RunFacts) -> str:
    """The run in one line: its folder, status and how far it came."""
    parts = [
        f"{facts.run.path}: {'running' if facts.held else facts.record.status}",
        counted(len(facts.epochs), "epoch"),
    ]
    if facts.best_accuracy is not None:
        parts.append(f"{percent(facts.best_accuracy)} on validation at best")
    return ", ".join(parts)


def print_diagnosis(
    title: str, found: Diagnosis, gaps: Sequence[str], *, every: bool, steps: Sequence[tuple[str, str]] = ()
) -> None:
    """What was looked at, and what was found.  steps: what was measured, by name."""
    console = prose()
    console.print(title)
    width = max((len(name) for name, _ in steps), default=0)
    for name, said in steps:
        console.print(f"  {name:{width}}  {said}")
    for gap in gaps:
        console.print(f"gap       {gap}")
    console.print()
    console.print(found.text(every=every))
