"""A run again, from its folder alone, and whether the weights come out equal."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

from striate.errors import RunError
from striate.machine.device import describe_machine, versions
from striate.progress import Watch
from striate.recipe.keys import read_run_recipe
from striate.runs.folder import RunFolder, create_run, require_free
from striate.runs.record import Facts, RunRecord, to_json
from striate.training.job import restore_job, run_job


@dataclass(frozen=True, slots=True)
class Replay:
    """What came out.

    run: the folder of the second training.  equal: whether the last weights are the same to the bit.
    differences: versions and properties of the machine that are others now, as sentences.
    """

    run: RunFolder
    equal: bool
    differences: tuple[str, ...]


def replay(run: RunFolder, *, out: Path | None, device: str | None, started: float, watch: Watch) -> Replay:
    """Train again what a finished run trained, into a folder of its own, and compare the last weights.

    Raises RunError where the run is not finished, had a budget (its schedule followed the clock, so no second
    run is the same), or its data are not what they were.
    """
    record = run.read_record()
    if record.status != "done":
        raise RunError("this run is not finished", place=str(run.path), cure=f"striate resume {run.quoted}")
    if read_run_recipe(run, record).budget_s is not None:
        raise RunError(
            "this run had a budget, and its schedule followed the clock",
            place=str(run.path),
            expected="a run with a number of epochs",
            cure="striate train DATA --epochs N",
        )
    if out is not None:
        require_free(out)
    job = restore_job(run, record, device=device, started=started, watch=watch)
    where = job.prepared.device
    differences = compare(record, versions(), describe_machine(where))
    anew = record.model_copy(
        update={"versions": versions(), "machine": describe_machine(where), "status": "stopped", "result": None,
                "seconds": None, "memory": None}
    )  # fmt: skip
    first = run.net, run.recipe, run.data, run.start_weights, run.start_optimizer
    files = {file.name: file.read_bytes() for file in first if file.is_file()}
    second = create_run(f"{run.path.name}-replay", out, {**files, "run.json": to_json(anew)})
    run_job(replace(job, run=second, record=anew), watch, resume=False)
    return Replay(second, _sum(run.last_weights) == _sum(second.last_weights), differences)


def compare(record: RunRecord, now: Facts, machine: Facts) -> tuple[str, ...]:
    """What is different from when a run was made, a sentence each."""
    found = []
    for what, then, today in (
        ("versions", record.versions, now),
        ("machine", record.machine, machine),
    ):
        for key in sorted({*then, *today}):
            if then.get(key) != today.get(key):
                found.append(
                    f"{what}: {key} was {then.get(key, 'unknown')} and is {today.get(key, 'unknown')}"
                )
    return tuple(found)


def _sum(path: Path) -> str:
    if not path.is_file():
        raise RunError("the last weights are missing", place=str(path))
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise RunError(f"the last weights cannot be read: {error}", place=str(path)) from None
