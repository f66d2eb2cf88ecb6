"""Search live, and beside it random search and Optuna's TPE with whole trainings, at the same cost.

    python benchmarks/search/live.py PATH/TO/DATA --seeds 3 --out benchmarks/search/live.jsonl

All draw from the same space, for one network and as many epochs.  Cost is counted in whole trainings and in seconds of
this process on one thread, so that what else the machine does changes nothing.  A line for each method and seed.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import optuna
import torch

import striate
from striate.net.notation.reader import read_text
from striate.progress import Silence
from striate.recipe.keys import read_recipe
from striate.searching.sampler import distribution
from striate.searching.space import read_space
from striate.training.job import gather_for, new_job, run_job
from striate.training.loop.loop import Diverged

NET = (
    "[conv 16 3x3 -> bn -> relu -> maxpool 2] -> conv 32 3x3 -> bn -> relu -> maxpool 2 -> conv 64 3x3 -> bn -> relu "
    "-> pool avg -> fc classes"
)
SPACE = (
    "learning_rate=?(0.0001 .. 0.3)", "weight_decay=?(0.0005 .. 0.5)", "batch=?(32, 64, 128)",
    "schedule=?(one-cycle, cosine, step)", "label_smoothing=?(0.0, 0.1)",
)  # fmt: skip
# The cost of 27 trials on their rungs is about that of 4 whole trainings.  Optuna's TPE draws its first 10 trials at
# random, so that at this cost it is random search: with the same seed it gives the same.
TRIALS, WHOLE = 27, 4


class Timed(Silence):
    """Notes the seconds at which a rung ended, and its best."""

    def __init__(self) -> None:
        self.curve: list[tuple[float, str]] = []

    def say(self, text: str) -> None:
        """Rungs are kept."""
        if text.startswith("rung "):
            self.curve.append((round(time.process_time(), 1), " ".join(text.split())))


def main() -> None:
    """Run what is not in the file yet."""
    asked = argparse.ArgumentParser()
    asked.add_argument("data")
    asked.add_argument("--seeds", type=int, default=3)
    asked.add_argument("--epochs", type=int, default=6)
    asked.add_argument("--size", type=int, default=32)
    asked.add_argument("--methods", nargs="+", default=("striate", "random", "tpe"))
    asked.add_argument("--out", type=Path, required=True)
    given = asked.parse_args()
    torch.set_num_threads(1)
    rows = [json.loads(line) for line in given.out.read_text().splitlines()] if given.out.exists() else []
    there = {(each["data"], each["method"], each["seed"]) for each in rows}
    fixed = {
        "epochs": given.epochs, "size": given.size, "augment": "none", "precision": "fp32", "layout": "channels_last",
    }  # fmt: skip
    for seed in range(given.seeds):
        for method in given.methods:
            name = Path(given.data).name
            if (name, method, seed) in there:
                continue
            folder = Path(tempfile.mkdtemp())
            began = time.process_time()
            try:
                run = searched if method == "striate" else whole
                found = run(given.data, method, seed, fixed, folder)
            finally:
                shutil.rmtree(folder, ignore_errors=True)
            row = {
                "data": name,
                "method": method,
                "seed": seed,
                "seconds": round(time.process_time() - began, 1),
                **found,
            }
            with given.out.open("a") as file:
                file.write(json.dumps(row) + "\n")
            print(row)


def searched(data: str, method: str, seed: int, fixed: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The search of striate."""
    watch, began = Timed(), time.process_time()
    keys = dict(each.split("=", 1) for each in SPACE)
    epochs = fixed["epochs"]
    record = striate.search(
        data, net=NET, epochs=epochs, trials=TRIALS, seed=seed, out=folder / "s", device="cpu", watch=watch,
        **keys, **{key: value for key, value in fixed.items() if key != "epochs"},
    )  # fmt: skip
    curve = [(round(at - began, 1), said) for at, said in watch.curve]
    return {
        "whole": round(record.whole, 2), "validation": record.validation, "test": record.test, "curve": curve,
        "lost": sum(each.diverged for each in record.trials),
    }  # fmt: skip


def whole(data: str, method: str, seed: int, fixed: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Whole trainings, drawn by Optuna."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    ways = {each.name: distribution(each) for each in read_space(None, SPACE, None).parameters}
    sampler = (
        optuna.samplers.TPESampler(seed=seed) if method == "tpe" else optuna.samplers.RandomSampler(seed=seed)
    )
    study = optuna.create_study(direction="maximize", sampler=sampler)
    began = time.process_time()
    curve: list[tuple[float, float]] = []
    best, test, images = -1.0, None, None
    for number in range(WHOLE):
        trial = study.ask(ways)
        recipe = read_recipe(None, given={**fixed, **trial.params, "seed": seed}, net=True)
        images = images or gather_for(data, recipe, False, Silence())
        try:
            job = new_job(
                data, network=read_text(NET), recipe=recipe, out=folder / str(number), device="cpu", strict=False,
                started=time.monotonic(), watch=Silence(), gathered=images,
            )  # fmt: skip
            run_job(job, Silence(), resume=False)
            result = job.run.read_record().result
            events = (folder / str(number) / "events.jsonl").read_text().splitlines()
            value = [each["val_metric"] for each in map(json.loads, events) if "val_metric" in each][-1]
        except Diverged:
            value, result = 0.0, None
        study.tell(trial, value)
        if value > best and result is not None:
            best, test = value, result.accuracy
        curve.append((round(time.process_time() - began, 1), best))
    return {"whole": WHOLE, "validation": best, "test": test, "curve": curve}


if __name__ == "__main__":
    main()
