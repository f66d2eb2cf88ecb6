"""Whole trainings by striate: the command in a process of its own, timed from outside and from inside."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from side import HERE, surroundings


@dataclass(frozen=True)
class Training:
    """What a training took and gave.

    whole_s: of the process, from its start to its end.  training_s: from the first step to the last
    validation.  accuracy: on the test images, looked at once.  validation: the best on those.  net: its text.
    arithmetic: how it was computed, as `bf16 channels_last`.  batch: images in a step.
    """

    whole_s: float
    training_s: float
    accuracy: float
    validation: float
    epochs: int
    net: str
    arithmetic: str
    batch: int

    def whole_to(self, target: float) -> float | None:
        """Seconds of the whole, or None where it fell short of the accuracy."""
        return self.whole_s if self.accuracy >= target else None

    def training_to(self, target: float) -> float | None:
        """Seconds of the training part, or None where it fell short of the accuracy."""
        return self.training_s if self.accuracy >= target else None


def train(data: Path, words: Sequence[str]) -> Training:
    """Run `striate train DATA` with these flags; nothing prepared by an earlier run is used.

    Raises subprocess.CalledProcessError where it failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        run, marks = Path(folder) / "run", Path(folder) / "marks"
        command = [sys.executable, str(HERE / "ours/train.py"), str(marks), str(data), *words, "--quiet"]
        before = time.perf_counter()
        subprocess.run(
            [*command, "--out", str(run), "--device", "cpu"],
            check=True,
            stdout=subprocess.DEVNULL,
            env=surroundings({"STRIATE_CACHE": f"{folder}/cache"}),
        )
        whole_s = time.perf_counter() - before
        result = json.loads((run / "run.json").read_text(encoding="utf-8"))["result"]
        recipe = tomllib.loads((run / "recipe.toml").read_text(encoding="utf-8"))
        lines = marks.read_text(encoding="utf-8").splitlines()
        return Training(
            whole_s=whole_s,
            training_s=training_part_s([json.loads(line) for line in lines]),
            accuracy=float(result["accuracy"]),
            validation=float(result["validation_metric"]),
            epochs=int(result["epochs"]),
            net=(run / "net.txt").read_text(encoding="utf-8"),
            arithmetic=f"{recipe['precision']} {recipe['layout']}",
            batch=int(recipe["batch"]),
        )


def training_part_s(marks: Sequence[tuple[float, str, str]]) -> float:
    """Seconds from the first epoch's beginning to the beginning of the test, or to the last end."""
    first = next(at for at, kind, what in marks if kind == "begin" and what.startswith("epoch"))
    last = next((at for at, kind, what in marks if kind == "begin" and what == "test"), marks[-1][0])
    return last - first
