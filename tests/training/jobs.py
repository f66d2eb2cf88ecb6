"""Runs of a second, for the tests of jobs."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import striate
from striate.predict.score import Score
from striate.progress import Silence
from striate.recipe.keys import read_recipe
from striate.runs.folder import RunFolder
from striate.training.job import Job, new_job, reopen_job, run_job

# Batch norm has running statistics, dropout draws: both have to come through a resume.
NET = """conv 4 3x3 -> bn -> relu -> maxpool 2 -> dropout 0.3
-> fc 12 -> bn -> relu -> dropout 0.5 -> fc classes"""

# All that a run leaves behind but times and the machine.
EXACT = (
    "last.safetensors",
    "weights.safetensors",
    "events.jsonl",
    "vitals.jsonl",
    "mistakes.json",
    "net.txt",
    "recipe.toml",
)


class Clock:
    """Time that passes when it is told to, and a processor that computes all of it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        """Seconds."""
        return self.now

    def process_time(self) -> float:
        """Seconds since a time when the clock said 1000."""
        return self.now - 1000.0


class Ear(Silence):
    """Hears what is said, asks to stop the k-th time that it is asked, and turns a clock with each step."""

    def __init__(self, stop_at: int | None = None, clock: Clock | None = None, step_s: float = 0.1) -> None:
        self.said: list[str] = []
        self.began: list[str] = []
        self.asked = 0
        self.stop_at = stop_at
        self.clock, self.step_s = clock, step_s
        self.notes: list[str] = []

    def say(self, text: str) -> None:
        """Kept."""
        self.said.append(text)

    def begin(self, what: str, total: int) -> None:
        """Kept."""
        self.began.append(what)

    def advance(self, done: int, note: str) -> None:
        """A step was taken, or images validated."""
        self.notes.append(note)
        if self.clock is not None:
            self.clock.now += self.step_s

    def stopping(self) -> bool:
        """From the k-th time on."""
        self.asked += 1
        return self.stop_at is not None and self.asked >= self.stop_at


def make(
    source: Path, out: Path, watch: Silence | None = None, net: str | None = NET,
    clock: Clock | None = None, **keys: Any,
) -> Job:  # fmt: skip
    """A job of three epochs of six steps each, if nothing else is said."""
    if "budget_s" not in keys:
        keys = {"epochs": 3, **keys}
    return new_job(
        source,
        network=None if net is None else striate.read(net).network,
        # What is left open is chosen by timing, and not the same each time.
        recipe=read_recipe(None, given={"batch": 16, "precision": "fp32", "layout": "channels_last", **keys}),
        out=out,
        device="cpu",
        strict=False,
        started=(clock or time).monotonic(),
        watch=watch or Silence(),
        clock=clock or time,
    )


def train(source: Path, out: Path, watch: Silence | None = None, net: str | None = NET, **keys: Any) -> Score:
    """A job, from its beginning to its end."""
    return run_job(make(source, out, watch, net, **keys), watch or Silence(), resume=False)


def resume(run: Path, watch: Silence | None = None, clock: Clock | None = None) -> Score:
    """Go on with a run."""
    told = clock or time
    job = reopen_job(
        RunFolder(run), device=None, started=told.monotonic(), watch=watch or Silence(), clock=told
    )
    return run_job(job, watch or Silence(), resume=True)


def contents(run: Path) -> dict[str, bytes]:
    """The files that have to be equal to the last bit."""
    return {name: (run / name).read_bytes() for name in EXACT}


def lines(path: Path) -> list[dict[str, Any]]:
    """The events or times of a run, as they were written."""
    return [json.loads(line) for line in path.read_text().splitlines()]
