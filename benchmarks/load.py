"""Whole small jobs on cores that somebody else uses too, against Keras on TensorFlow.

    python benchmarks/load.py [--rounds N] [--quick]

The foreign job is plain torch in two threads, training without an end.  Each job runs alone and beside it:

LeNet-5: an epoch of MNIST, a tenth held out and scored, all test images scored.
ResNet-18: an epoch of caltech26 at 128x128, likewise; nothing is stored from an earlier run.

striate: the whole command, its start, its report and its end included.  Keras: the whole process likewise, from its
start and imports to the end of the test.  What the foreign job uses is not counted as foreign load in the receipt:
it is part of this benchmark.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from options import data_folder, parser, read, tell
from pairs import interleaved
from peers import peers_python, peers_versions
from receipt import Row, Session, write_receipt
from seeds import Seeds
from side import Side, once
from trainings import train

JOBS = {
    "lenet5": ("LeNet-5, an epoch of MNIST", "mnist", ["--net", "lenet5", "--set", "batch=128"]),
    "resnet18": (
        "ResNet-18, an epoch of caltech26 at 128x128",
        "caltech26",
        ["--net", "resnet18", "--size", "128", "--set", "batch=32", "--set", "optimizer=momentum"],
    ),
}


def main() -> None:
    """Measure and write."""
    made = parser(__doc__, rounds=5)
    made.add_argument("--only", default=",".join(JOBS), help="names of jobs, by commas")
    options = read(made)
    python = peers_python(options.peers)
    session = Session()
    rows = []
    for job in options.only.split(",") if not options.quick else ["lenet5"]:
        what, name, words = JOBS[job]
        data = data_folder(options, name)
        words = [*words, *(["--budget", "6s"] if options.quick else ["--epochs", "1"])]

        def ours(
            beside: bool, seeds: Seeds, data: Path = data, words: list[str] = words
        ) -> tuple[float, float]:
            with company(beside):
                made = train(data, [*words, "--seed", str(seeds.take())])
            return made.whole_s, made.accuracy, made.training_s

        def theirs(beside: bool, seeds: Seeds, data: Path = data, job: str = job) -> tuple[float, ...]:
            limit = 320 if options.quick else 0
            with company(beside):
                order = {"job": job, "data": str(data), "limit": limit, "seed": seeds.take()}
                answer = once(python, "peers/jobs_keras.py", **order)
            return answer["s"] + answer["start_s"], answer["accuracy"], answer["start_s"]

        sides: dict[str, Callable[[], Any]] = {}
        for beside in (False, True):
            sides[f"striate {beside}"] = partial(ours, beside, Seeds())
            sides[f"Keras {beside}"] = partial(theirs, beside, Seeds())
        found = interleaved(sides, options.rounds, partial(progress, job))
        for beside in (False, True):
            mine, his = found[f"striate {beside}"], found[f"Keras {beside}"]
            rows.append(
                Row(
                    what=f"{what}, {'beside a foreign job of two threads' if beside else 'alone'}",
                    peer="Keras on TensorFlow",
                    unit="s",
                    better="lower",
                    ours=[each[0] for each in mine],
                    theirs=[each[0] for each in his],
                    figures={
                        "test accuracy of striate": [each[1] for each in mine],
                        "test accuracy of Keras": [each[1] for each in his],
                        "training part of striate, s": [each[2] for each in mine],
                        "start and imports of Keras, s": [each[2] for each in his],
                    },
                )
            )
    write_receipt(
        "load", rows, session, rounds=options.rounds, quick=options.quick, out=options.out,
        peers=peers_versions(python), settings={},
    )  # fmt: skip


def company(beside: bool) -> Any:
    """The foreign job, or nothing, for as long as a block lasts."""
    return Side(Path(sys.executable), "ours/foreign.py") if beside else nullcontext()


def progress(job: str, text: str) -> None:
    """A line of progress; True is beside the foreign job."""
    tell(f"{job}: {text.replace('True', 'beside').replace('False', 'alone')}")


if __name__ == "__main__":
    main()
