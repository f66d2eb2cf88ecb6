"""`python killing.py FOLDER KILLS SEED`: kill trainings without warning, resume them, compare what comes out.

Prints what happened as JSON.  Every training is forked off this process, which has imported all and computed
nothing: a fork behind a backward pass is refused by torch.

A trial is three kills, fewer where it ends before, and a resume to the end.  A kill is one of
    timed    SIGKILL from outside, at any moment
    within   SIGKILL by its own hand at a chosen instant of a write, half of the content written
    power    as `within`, and what was not synced by then is lost
"""

from __future__ import annotations

import functools
import json
import math
import os
import random
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from striate.report.page import write_report
from striate.runs.folder import RunFolder
from striate.training.loop import loop
from survival.instants import Instant, instants
from survival.tiny import ALWAYS, differing, left_over, make, resume, train
from training.drawn import write_arrays


def forked(work: Callable[[], None], kill_after_s: float | None = None) -> int:
    """Work in a process of its own, ended after some seconds; what the system says of its end, 0 if it was good."""
    child = os.fork()
    if child == 0:
        try:
            torch.set_num_threads(1)
            work()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    if kill_after_s is not None:
        time.sleep(kill_after_s)
        os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1]


def go_on(source: Path, run: Path) -> None:
    """Resume a run, or begin it where it was killed before it was one."""
    if (run / "run.json").exists():
        resume(run)
    else:
        shutil.rmtree(run, ignore_errors=True)
        train(source, run)


def die_at(number: int, *, power: bool) -> Callable[[Instant], None]:
    """End without a word at an instant."""
    synced: dict[Path, int] = {}

    def happens(instant: Instant) -> None:
        path = instant.path
        if instant.number == number:
            if power:
                # What was appended since it was synced is gone; a file that was not synced is empty.
                for events, length in synced.items():
                    os.truncate(events, min(length, events.stat().st_size))
                if instant.kind in ("write", "fsync"):
                    os.truncate(path, 0)
            else:
                instant.partly()
            os.kill(os.getpid(), signal.SIGKILL)
        if instant.kind == "sync":
            synced[path] = path.stat().st_size
        elif instant.kind == "append" and path.name == "events.jsonl":
            synced.setdefault(path, 0 if not path.exists() else path.stat().st_size)

    return happens


def warm_up(source: Path, run: Path) -> None:
    """Have all imported that a training imports, without a backward pass."""
    job = make(source, run.with_name("warm"))
    weights = list(job.prepared.net.parameters())
    for each in weights:
        each.grad = torch.zeros_like(each)
    torch.optim.AdamW(weights).step()
    write_report(RunFolder(run))


def kill(source: Path, run: Path, chance: random.Random, takes_s: float, most: int) -> dict[str, object]:
    """Begin or resume a run and kill it; how, where, and what the system says of its end."""
    kind = chance.choice(["timed", "timed", "within", "power"])
    if kind == "timed":
        after_s = round(chance.uniform(0, takes_s * 0.5), 4)
        return {"kind": kind, "at": after_s, "end": forked(lambda: go_on(source, run), kill_after_s=after_s)}
    number = chance.randint(1, most // 2)

    def work() -> None:
        with instants(die_at(number, power=kind == "power")):
            go_on(source, run)

    return {"kind": kind, "at": number, "end": forked(work)}


def main(folder: Path, wanted: int, seed: int) -> None:
    """Print what happened."""
    os.environ["STRIATE_CACHE"] = str(folder / "cache")
    source = write_arrays(folder / "bars.npz", train=60, test=15)
    counted, unbroken, again = folder / "count", folder / "unbroken", folder / "again"

    def count() -> None:
        with instants(lambda instant: counted.write_text(str(instant.number))):
            go_on(source, again)

    loop.CHECKPOINT_SHARE = ALWAYS
    assert forked(lambda: go_on(source, unbroken)) == 0
    warm_up(source, unbroken)
    assert forked(count) == 0
    assert differing(again, unbroken) == []
    most, chance = int(counted.read_text()), random.Random(seed)
    kills: list[dict[str, object]] = []
    failed: list[dict[str, object]] = []
    trial, takes_s = 0, math.inf
    while len(kills) < wanted and trial < wanted:
        trial += 1
        if trial % 10 == 1:
            # Beside other work a run takes longer, and later less again.
            began = time.monotonic()
            assert forked(functools.partial(go_on, source, folder / f"timed{trial}")) == 0
            takes_s = time.monotonic() - began
        run = folder / f"run{trial}"
        how = [
            kill(source, run, chance, takes_s, most) for _ in range(3) if not (run / "report.html").exists()
        ]
        finished = (run / "report.html").exists()
        end = 0 if finished else forked(functools.partial(go_on, source, run))
        unlike, left = differing(run, unbroken), left_over(run)
        if end or unlike or left or {each["end"] for each in how} - {0, signal.SIGKILL}:
            failed.append({"trial": trial, "how": how, "end": end, "unlike": unlike, "left": left})
        else:
            shutil.rmtree(run)
        kills += [each for each in how if each["end"] == signal.SIGKILL]
    sys.stdout.write(json.dumps({"instants": most, "takes_s": takes_s, "kills": kills, "failed": failed}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
