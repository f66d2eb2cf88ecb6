"""A run of a quarter of a second that has all that must come through: dropout, running statistics, Adam's
moments, a running mean of the weights, images changed and mixed by chance."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import striate
from striate.progress import Silence, Watch
from striate.recipe.keys import read_recipe
from striate.runs.folder import RunFolder
from striate.training.job import Job, new_job, reopen_job, run_job

NET = "conv 4 3x3 -> bn -> relu -> maxpool 2 -> dropout 0.3 -> fc 8 -> relu -> dropout 0.5 -> fc classes"

KEYS: dict[str, Any] = {
    "epochs": 3, "batch": 12, "ema": 0.8, "augment": "flip, crop 1, noise 0.1, mixup 0.3",
    # What is left open is chosen by timing, and not the same each time.
    "precision": "fp32", "layout": "contiguous",
}  # fmt: skip

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

# A checkpoint after every step, however long writing it takes.
OFTEN_S = 0.0
ALWAYS = 1e9


def make(source: Path, out: Path, watch: Watch | None = None, net: str = NET, **keys: Any) -> Job:
    """A job of three epochs of five steps each, if nothing else is said."""
    return new_job(
        source,
        network=striate.read(net).network,
        recipe=read_recipe(None, given={**KEYS, **keys}),
        out=out,
        device="cpu",
        strict=False,
        started=time.monotonic(),
        watch=watch or Silence(),
    )


def train(source: Path, out: Path, watch: Watch | None = None, net: str = NET, **keys: Any) -> None:
    """From the first step to the last."""
    run_job(make(source, out, watch, net, **keys), watch or Silence(), resume=False, checkpoint_s=OFTEN_S)


def resume(run: Path, watch: Watch | None = None, source: Path | None = None) -> None:
    """Go on with a run.  source: where its data are now."""
    job = reopen_job(
        RunFolder(run), device=None, started=time.monotonic(), watch=watch or Silence(), source=source
    )
    run_job(job, watch or Silence(), resume=True, checkpoint_s=OFTEN_S)


def contents(run: Path) -> dict[str, bytes]:
    """The files that have to be equal to the last bit."""
    return {name: (run / name).read_bytes() for name in EXACT}


def differing(run: Path, other: Path) -> list[str]:
    """Names of the files that are not equal, or not there."""
    return [name for name in EXACT if _content(run / name) != _content(other / name)]


def left_over(run: Path) -> list[str]:
    """Names of files that nobody needs any more."""
    return [str(path.relative_to(run)) for path in run.rglob("*") if path.name.endswith(".tmp")]


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


def lines(path: Path) -> list[dict[str, Any]]:
    """The events or times of a run, as they were written."""
    return [json.loads(line) for line in path.read_text().splitlines()]
