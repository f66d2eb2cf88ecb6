"""What recording the vitals and the live doctor cost of a training: writes recording.json.

python benchmarks/doctor/recording.py --data FOLDER [--pairs N] [--out FILE]

Five short trainings, each with and without, in turn; one thread.
share: of the loop's time, of the pairs' medians; spent: the time within the recording itself over the loop's, which
scatters less.  Short trainings pay most: a run looks at its
first and last step, however few there are.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
from judge import write
from subsets import data_file

from striate.training.loop import live, rollback, vitals

CONV = "conv 16 3x3 -> relu -> fc classes"
NORM = "[conv 16 3x3 -> bn -> relu -> maxpool 2] x2 -> conv 32 3x3 -> bn -> relu -> pool avg -> fc classes"
TRAININGS: tuple[tuple[str, str, str, dict[str, Any]], ...] = (
    ("small network, 320 steps", "digits", CONV, {"epochs": 10}),
    ("norms, 560 steps", "mnist-many", NORM, {"epochs": 6, "batch": 64}),
    ("batch of 4, 1,500 steps", "mnist-many", CONV, {"epochs": 1, "batch": 4}),
    ("norms on small color images", "cifar", NORM, {"epochs": 12}),
    ("resnet20, 120 steps", "mnist", "resnet20", {"epochs": 6, "batch": 64}),
)

spent_s = {"recording": 0.0, "loop": 0.0}


def timed(key: str, call: Callable[..., Any]) -> Callable[..., Any]:
    """The call, its seconds added up."""

    def measured(*args: Any, **keys: Any) -> Any:
        began = time.perf_counter()
        try:
            return call(*args, **keys)
        finally:
            spent_s[key] += time.perf_counter() - began

    return measured


def main() -> None:
    """Read the call, train in pairs and write."""
    reader = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    reader.add_argument("--data", type=Path, required=True)
    reader.add_argument("--pairs", type=int, default=3)
    reader.add_argument("--out", type=Path, default=Path(__file__).parent / "recording.json")
    asked = reader.parse_args()
    torch.set_num_threads(1)
    for name in ("__init__", "before_step", "after_step", "validated"):
        setattr(vitals.Vitals, name, timed("recording", getattr(vitals.Vitals, name)))
    look = timed("recording", live.LiveDoctor.look)
    rollback.run_loop = timed("loop", rollback.run_loop)
    most = vitals.MOST_LOOKS
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for said, data, net, keys in TRAININGS:
            images = data_file(data, Path(folder) / "data", asked.data)
            seconds: dict[bool, list[float]] = {True: [], False: []}
            within = []
            for pair in range(asked.pairs):
                for on in ((True, False), (False, True))[pair % 2]:
                    vitals.MOST_LOOKS = most if on else 0
                    live.LiveDoctor.look = look if on else lambda *args: None  # type: ignore[method-assign]
                    spent_s.update(recording=0.0, loop=0.0)
                    train(images, net, keys, Path(folder) / f"{len(rows)}-{pair}-{on}")
                    seconds[on].append(spent_s["loop"])
                    if on:
                        within.append(spent_s["recording"] / spent_s["loop"])
            rows.append({
                "training": said, "pairs": asked.pairs, "loop_s": round(median(seconds[False]), 3),
                "share": round(median(seconds[True]) / median(seconds[False]) - 1, 4),
                "spent": round(median(within), 4), "spent_range": [round(min(within), 4), round(max(within), 4)],
            })  # fmt: skip
            print(json.dumps(rows[-1]), flush=True)
    write({"recording": rows}, asked.out)


def train(images: Path, net: str, keys: dict[str, Any], out: Path) -> None:
    """One training."""
    from striate.api.trainings import train as striate_train

    striate_train(images, net=net, out=out, precision="fp32", augment="none", **keys)


if __name__ == "__main__":
    main()
