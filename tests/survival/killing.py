"""`python killing.py FOLDER TRIALS SEED`: kill trainings without warning, resume them, compare what comes out.

Prints what happened as JSON.  Every training is forked off this process, which has imported all and computed
nothing: a fork behind a backward pass is refused by torch.

A trial is three kills and a resume to the end.  A kill is one of
    timed    SIGKILL from outside, at any moment
    within   SIGKILL by its own hand at a chosen instant of a write, half of the content written
    power    as `within`, and what was not synced by then is lost
"""

from __future__ import annotations

import json
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

from survival.instants import Instant, instants
from survival.tiny import differing, left_over, resume, train
from train.drawn import write_arrays


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


def main(folder: Path, trials: int, seed: int) -> None:
    """Print what happened."""
    os.environ["STRIATE_CACHE"] = str(folder / "cache")
    source = write_arrays(folder / "bars.npz", train=60, test=15)
    counted, unbroken = folder / "count", folder / "unbroken"

    def count() -> None:
        def happens(instant: Instant) -> None:
            counted.write_text(str(instant.number))

        with instants(happens):
            go_on(source, folder / "first")

    assert forked(count) == 0
    began = time.monotonic()
    assert forked(lambda: go_on(source, unbroken)) == 0
    takes_s = time.monotonic() - began
    most = int(counted.read_text())
    chance = random.Random(seed)
    kills: list[dict[str, object]] = []
    failed: list[dict[str, object]] = []
    for trial in range(trials):
        run = folder / f"run{trial}"
        how: list[dict[str, object]] = []
        for _ in range(3):
            kind = chance.choice(["timed", "timed", "within", "power"])
            if kind == "timed":
                at: float = round(chance.uniform(0, takes_s * 0.6), 4)
                end = forked(lambda: go_on(source, run), kill_after_s=at)
            else:
                at = chance.randint(1, most // 2)

                def work(number: int = at, power: bool = kind == "power") -> None:
                    with instants(die_at(number, power=power)):
                        go_on(source, run)

                end = forked(work)
            how.append({"trial": trial, "kind": kind, "at": at, "end": end})
            if end not in (0, signal.SIGKILL):
                failed.append({"trial": trial, "how": how, "end": end})
            if end == 0:
                break
        kills += [each for each in how if each["end"] == signal.SIGKILL]
        end = 0 if end == 0 else forked(lambda: go_on(source, run))
        unlike, left = differing(run, unbroken), left_over(run)
        if end or unlike or left:
            failed.append({"trial": trial, "how": how, "end": end, "unlike": unlike, "left": left})
        else:
            shutil.rmtree(run)
    print(json.dumps({"instants": most, "takes_s": takes_s, "kills": kills, "failed": failed}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
