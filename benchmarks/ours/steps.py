"""Training steps as `striate train` does them: its own loop, on images of noise.

    python steps.py CASE

CASE is JSON: net, a text or a name; shape, channels x height x width; batch; classes; keys of the recipe, if any;
tight, whether freed memory goes back to the system in all steps, as under a `--memory` that leaves no more.
Order: seconds to train for.  Answer: steps, the s that they took, and the peak_bytes over what the process had without
the network (images in memory are no part of it).  Counted is all that a step is in the loop: the next batch, made beside the one before; its way into the
network; forward, backward, the checks that all is finite, the optimizer.  Validation is not.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from striate.cli.process import set_up_process

set_up_process()

import numpy as np
from line import Line

import striate
from striate.machine import allocator as heap
from striate.progress import Silence
from striate.recipe.keys import read_recipe
from striate.training import job as job_module
from striate.training.job import new_job, run_job
from striate.training.loop.memory import Meter

# Steps that an epoch of noise has.
EPOCH = 16


class Turns(Silence):
    """A watcher that lets the loop go on for the time of an order, and holds it between two."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self.meters: list[Meter] = []
        self._seconds, self._taken, self._steps = 0.0, 0.0, 0
        self._training = False
        self._at = 0.0

    def begin(self, what: str, total: int) -> None:
        """An epoch, or a validation."""
        self._training = what.startswith("epoch")
        self._at = time.perf_counter()

    def advance(self, done: int, note: str) -> None:
        """A step was taken."""
        if not self._training:
            return
        self._taken += time.perf_counter() - self._at
        self._steps += 1
        if self._taken >= self._seconds:
            if self._seconds:
                peak_bytes, base_bytes = heap.peak_bytes() or 0, self.meters[0].base_bytes or 0
                self._line.tell(steps=self._steps, s=self._taken, peak_bytes=peak_bytes - base_bytes)
            self.wait()
            heap.forget_peak()
        self._at = time.perf_counter()

    def wait(self) -> None:
        """For the next order; ends the process when there is none."""
        order = self._line.order()
        if order is None:
            raise SystemExit
        self._seconds, self._taken, self._steps = float(order["seconds"]), 0.0, 0


def noise(case: dict[str, Any], folder: Path) -> Path:
    """Images of noise, for an epoch and a small validation, as an .npz."""
    channels, height, width = case["shape"]
    random = np.random.default_rng(0)
    found = {}
    classes = case["classes"]
    for split, count in (("train", max(EPOCH * case["batch"], classes)), ("val", classes)):
        images = random.integers(0, 256, (count, height, width, channels), dtype=np.uint8)
        found[f"x_{split}"] = images[..., 0] if channels == 1 else images
        found[f"y_{split}"] = np.arange(count) % classes
    file = folder / "noise.npz"
    np.savez(file, **found)
    return file


def main() -> None:
    """Train until there are no more orders."""
    case = json.loads(sys.argv[1])
    line = Line()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        given = {
            "optimizer": "momentum", "learning_rate": 0.001, "weight_decay": 5e-4, "schedule": "constant", "warmup": 0.0,
            "batch": case["batch"], "epochs": 100_000, "augment": "none", "size": case["shape"][1],
            **case.get("keys", {}),
        }  # fmt: skip
        job = new_job(
            noise(case, folder),
            network=striate.read(case["net"]).network,
            recipe=read_recipe(None, given=given),
            out=folder / "run",
            device="cpu",
            strict=False,
            started=time.monotonic(),
            watch=Silence(),
        )
        if case.get("tight"):
            heap.keep_freed_again = heap.return_freed_memory
        turns, real = Turns(line), job_module.meter

        def meter(*said: Any) -> Meter:
            turns.meters.append(real(*said))
            return turns.meters[-1]

        job_module.meter = meter
        line.tell(
            arithmetic=f"{job.prepared.recipe.precision} {job.prepared.recipe.layout}",
            precision=job.prepared.recipe.precision,
        )
        run_job(job, turns, resume=False, checkpoint_s=1e9)


if __name__ == "__main__":
    main()
