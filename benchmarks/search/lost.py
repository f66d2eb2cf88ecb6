"""Train networks at learning rates up to far too high, and see which are ended as lost, and what became of those.

    python benchmarks/search/lost.py digits --out lost.jsonl

The limits of `striate.training.loop.lost` were chosen on what this wrote: nothing that it ends may have come back.
Each training is of 8 epochs and is not ended; the signs are read from its steps behind it.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import shutil
import tempfile
import time
from pathlib import Path

from striate.net.notation.reader import read_text
from striate.progress import Silence
from striate.recipe.keys import read_recipe
from striate.training.job import gather_for, new_job, run_job
from striate.training.loop import lost
from striate.training.loop.loop import Diverged, Paused

NETS = (
    "conv 8 3x3 -> relu -> maxpool 2 -> conv 16 3x3 -> relu -> pool avg 2x2 -> fc 32 -> relu -> fc classes",
    "conv 8 3x3 -> bn -> relu -> maxpool 2 -> conv 16 3x3 -> bn -> relu -> pool avg -> fc classes",
    "fc 64 -> tanh -> fc 32 -> tanh -> fc classes",
)
RATES = {
    "nesterov": (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0),
    "sgd": (0.3, 1.0, 3.0, 10.0, 30.0),
    "adamw": (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0),
}
EPOCHS, BATCH = 8, 32


def main() -> None:
    """Write a line for each training, and the sum of them."""
    asked = argparse.ArgumentParser()
    asked.add_argument("data")
    asked.add_argument("--out", type=Path, required=True)
    asked.add_argument("--seed", type=int, default=0)
    asked.add_argument("--for", dest="for_s", type=float, default=1e9, help="seconds after which it stops")
    given = asked.parse_args()
    grid = [
        (net, optimizer, rate, clip, schedule)
        for optimizer, rates in RATES.items()
        for net, rate, clip, schedule in itertools.product(NETS, rates, (None, 1.0), ("one-cycle", "step"))
    ]
    random.Random(given.seed).shuffle(grid)
    data = gather_for(given.data, read_recipe("classic", given={"val_share": 0.3}), False, Silence())
    began = time.monotonic()
    rows = []
    for each in grid:
        if time.monotonic() - began > given.for_s:
            break
        rows.append(train(given.data, data, given.seed, *each))
        with given.out.open("a") as file:
            file.write(json.dumps(rows[-1]) + "\n")
    ended = [each for each in rows if each["ended"]]
    poor = [each for each in rows if each["best"] < 0.2]
    print(f"{len(rows)} trainings, {len(poor)} of them below 20 % or NaN; {len(ended)} are ended as lost")
    print(f"the best of those came to {max(each['best'] for each in ended):.1%}")


def train(source, data, seed, net, optimizer, rate, clip, schedule) -> dict[str, object]:
    """One training to its end, and when it would have been ended."""
    recipe = read_recipe(
        "classic",
        given={
            "learning_rate": rate, "optimizer": optimizer, "clip": clip, "schedule": schedule, "batch": BATCH,
            "epochs": EPOCHS, "augment": "none", "seed": seed, "val_share": 0.3, "precision": "fp32",
            "layout": "channels_last",
        },
    )  # fmt: skip
    signs, ended = lost.Signs.after_step, []

    def noted(self: lost.Signs, *step: object) -> None:
        found = signs(self, *step)
        if found is not None and not ended:
            ended.extend((step[1], found.code))

    folder = Path(tempfile.mkdtemp())
    best, last = 0.0, None
    lost.Signs.after_step = noted
    try:
        job = new_job(
            source, network=read_text(net), recipe=recipe, out=folder / "run", device="cpu", strict=False,
            started=time.monotonic(), watch=Silence(), gathered=data,
        )  # fmt: skip
        run_job(
            job,
            Silence(),
            resume=False,
            pause_at=EPOCHS * (len(data.train.labels) // BATCH),
            checkpoint_s=1e9,
        )
    except Paused as paused:
        last = paused.scored.accuracy
        lines = (folder / "run" / "events.jsonl").read_text().splitlines()
        best = max(each["val_accuracy"] for each in map(json.loads, lines) if "val_accuracy" in each)
    except Diverged:
        ended = ended or [None, "nan"]
    finally:
        lost.Signs.after_step = signs
        shutil.rmtree(folder, ignore_errors=True)
    return {
        "net": net, "optimizer": optimizer, "learning_rate": rate, "clip": clip, "schedule": schedule,
        "ended": ended, "best": best, "last": last,
    }  # fmt: skip


if __name__ == "__main__":
    main()
