"""Train every configuration of a grid to its end, and note its validation at 1/9, 1/3, 1, 3, 9 and 27 epochs.

    python benchmarks/search/record.py digits --seeds 1
    python benchmarks/search/record.py PATH/TO/MNIST --images 6000 --only 96 --out benchmarks/search/mnist.csv

What was recorded is kept, so that it can be stopped and goes on.  `replay.py` makes the decisions of a search over
the table.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import random
import shutil
import tempfile
import time
from pathlib import Path

from striate.net.notation.reader import read_text
from striate.progress import Silence
from striate.recipe.keys import read_recipe
from striate.training.job import gather_for, new_job, reopen_job, run_job
from striate.training.loop.loop import Diverged, Paused

GRID = {
    "learning_rate": (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0),
    "batch": (32, 128),
    "weight_decay": (0.0005, 0.05),
    "schedule": ("one-cycle", "step"),
    "width": (4, 6, 8, 12),
}
NET = "conv {width} 3x3 -> relu -> maxpool 2 -> conv {double} 3x3 -> relu -> pool avg 2x2 -> fc 32 -> relu -> fc classes"
EPOCHS = 27
PARTS = (1 / 9, 1 / 3, 1, 3, 9, 27)
FIELDS = ("number", "seed", *GRID, "steps", "part", "accuracy", "loss")


def main() -> None:
    """Record what is not in the table yet."""
    asked = argparse.ArgumentParser()
    asked.add_argument("data")
    asked.add_argument("--seeds", type=int, default=3)
    asked.add_argument("--images", type=int, default=None)
    asked.add_argument("--only", type=int, default=None)
    asked.add_argument("--out", type=Path, default=None)
    asked.add_argument("--for", dest="for_s", type=float, default=1e9, help="seconds after which it stops")
    asked.add_argument("--share", type=float, default=0.3)
    given = asked.parse_args()
    out = given.out or Path(__file__).with_name(f"{Path(given.data).name}.csv")
    began = time.monotonic()
    there = set()
    if out.exists():
        with out.open(newline="") as file:
            there = {
                (int(row["number"]), int(row["seed"]))
                for row in csv.DictReader(file)
                if float(row["part"]) == 27
            }
    else:
        with out.open("w", newline="") as file:
            csv.writer(file).writerow(FIELDS)
    configurations = list(enumerate(itertools.product(*GRID.values())))
    if given.only:
        configurations = sorted(random.Random(0).sample(configurations, given.only))
    # In a drawn order, so that a table that is not complete yet is fair.
    random.Random(1).shuffle(configurations)
    data = gather_for(given.data, read_recipe("classic", given={"val_share": given.share}), False, Silence())
    for seed in range(given.seeds):
        for number, values in configurations:
            if (number, seed) in there:
                continue
            if time.monotonic() - began > given.for_s:
                return
            rows = record(data, given.data, dict(zip(GRID, values, strict=True)), seed, given.share)
            with out.open("a", newline="") as file:
                csv.writer(file).writerows([number, seed, *values, *row] for row in rows)


def record(data, source, values, seed, share) -> list[tuple[object, ...]]:
    """(steps, epochs, accuracy, loss) at each part; what diverged has none behind."""
    keys = {key: value for key, value in values.items() if key != "width"}
    recipe = read_recipe(
        "classic",
        given={
            **keys, "epochs": EPOCHS, "optimizer": "nesterov", "augment": "none", "seed": seed, "val_share": share,
            "precision": "fp32", "layout": "channels_last",
        },
    )  # fmt: skip
    network = read_text(NET.format(width=values["width"], double=2 * values["width"]))
    folder = Path(tempfile.mkdtemp())
    epoch = max(1, len(data.train.labels) // values["batch"])
    rows: list[tuple[object, ...]] = []
    try:
        job = new_job(
            source, network=network, recipe=recipe, out=folder / "run", device="cpu", strict=False,
            started=time.monotonic(), watch=Silence(), gathered=data,
        )  # fmt: skip
        for part in PARTS:
            steps = max(1, round(part * epoch))
            try:
                run_job(job, Silence(), resume=bool(rows), pause_at=steps, checkpoint_s=1e9)
            except Paused as paused:
                scored = paused.scored
                rows.append((steps, f"{part:.4f}", f"{scored.accuracy:.5f}", f"{scored.loss:.5f}"))
            except Diverged:
                rows += [(round(each * epoch), f"{each:.4f}", "", "") for each in PARTS if each >= part]
                break
            if part != PARTS[-1]:
                job = reopen_job(
                    job.run, device="cpu", started=time.monotonic(), watch=Silence(), gathered=data
                )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return rows


if __name__ == "__main__":
    main()
