"""Train the cases of the doctor's benchmark, one line a run, as long as there is time; go on where it stopped.

python benchmarks/doctor/collect.py --work FOLDER --data FOLDER [--seconds N]

--work holds runs.jsonl, what was measured, and runs/CASE/SEED, what the doctor reads (no weights).  --data holds
mnist/ and cifar-10-batches-bin/.  One thread; a run takes one to three seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import torch
from cases import Case, cases
from subsets import data_file

SEEDS = 5
# With three seeds against five, all of them lower by chance is 1 in 56; with this distance it is far less.
FAR_BELOW, AS_GOOD = 0.05, 0.01
# What a run folder keeps.
KEPT = {"net.txt", "recipe.toml", "data.json", "run.json", "events.jsonl", "times.jsonl", "vitals.jsonl"}


def main() -> None:
    """Read the call, and train."""
    reader = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    reader.add_argument("--work", type=Path, required=True)
    reader.add_argument("--data", type=Path, required=True)
    reader.add_argument("--seconds", type=float, default=3600.0)
    reader.add_argument("--only", default="", help="cases whose name this expression finds")
    asked = reader.parse_args()
    torch.set_num_threads(1)
    began = time.monotonic()
    done: dict[str, dict[int, float]] = {}
    for each in read_lines(asked.work / "runs.jsonl"):
        done.setdefault(each["case"], {})[each["seed"]] = each["accuracy"] or 0.0
    for case in cases():
        if asked.only and not re.search(asked.only, case.name):
            continue
        mine = done.setdefault(case.name, {})
        for seed in range(SEEDS):
            if seed in mine or (
                case.mutation and clear(list(mine.values()), list(done[case.parent].values()))
            ):
                continue
            if time.monotonic() - began > asked.seconds:
                return
            line = train(case, seed, asked.work, asked.data)
            with open(asked.work / "runs.jsonl", "a") as file:
                file.write(json.dumps(line) + "\n")
            mine[seed] = line["accuracy"] or 0.0


def clear(mine: list[float], parent: list[float]) -> bool:
    """Whether three seeds are enough: all far below the worst of the parent's five, or all as good as its mean."""
    if len(mine) < 3 or len(parent) < SEEDS:
        return False
    return max(mine) < min(parent) - FAR_BELOW or min(mine) > sum(parent) / len(parent) - AS_GOOD


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a file, or none; a last one that is interrupted is left out."""
    if not path.exists():
        return []
    found = []
    for line in path.read_text().splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def folder_of(name: str) -> str:
    """A case's folder."""
    return re.sub(r"[^A-Za-z0-9.-]+", "_", name)


def train(case: Case, seed: int, work: Path, sources: Path) -> dict[str, Any]:
    """One run; what it came to."""
    out = work / "runs" / folder_of(case.name) / str(seed)
    shutil.rmtree(out, ignore_errors=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    data = data_file(case.data, work / "data", sources)
    began = time.monotonic()
    accuracy, status, why = run(data, case.net, {**case.recipe, "seed": seed}, out)
    for each in out.iterdir() if out.exists() else ():
        if each.name not in KEPT:
            shutil.rmtree(each) if each.is_dir() else each.unlink()
    return {
        "case": case.name, "parent": case.parent, "mutation": case.mutation, "codes": list(case.codes), "data": case.data,
        "seed": seed, "status": status, "accuracy": accuracy, "why": why, "seconds": round(time.monotonic() - began, 2),
    }  # fmt: skip


class Inline:
    """A pool without threads: the batches are the same."""

    def __init__(self, *args: Any, **keys: Any) -> None:
        pass

    def __enter__(self) -> Inline:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def submit(self, work: Callable[..., Any], *given: Any) -> Future[Any]:
        """Done at once."""
        found: Future[Any] = Future()
        found.set_result(work(*given))
        return found


def run(data: Path, net: str, recipe: dict[str, Any], out: Path) -> tuple[float | None, str, str]:
    """Train; the accuracy on test images, the status, and what was said where it failed."""
    import striate.data.augment.batches as batches
    import striate.training.finish as finish
    from striate.api.trainings import train as striate_train
    from striate.errors import StriateError

    # The page takes a third of so short a run, and beside other jobs, waiting for a thread and the disk another.
    finish.write_report = lambda *args, **keys: None  # type: ignore[assignment]
    batches.ThreadPoolExecutor = Inline  # type: ignore[misc, assignment]
    os.fsync = lambda file: None
    try:
        trained = striate_train(data, net=net, out=out, **recipe)
    except StriateError as error:
        record = out / "run.json"
        status = json.loads(record.read_text())["status"] if record.exists() else "refused"
        return None, status, str(error)
    result = trained.record.result
    assert result is not None
    return result.accuracy, "done", ""


if __name__ == "__main__":
    main()
