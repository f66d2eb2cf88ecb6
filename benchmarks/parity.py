"""Whether bf16 learns what fp32 learns: the same recipe and seeds in both, and the accuracy of either.

    python benchmarks/parity.py [--only WORD,...] [--rounds N] [--quick]

Three trainings: LeNet-5 on MNIST, ResNet-20 on CIFAR-10, a residual network on photographs.  The seed is the round.
Told is the accuracy on the test images, looked at once in each run, and the time of the training part; the layout
is in each arithmetic the one that striate finds fastest.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from statistics import mean, stdev

from options import data_folder, only, parser, read, tell
from pairs import interleaved
from receipt import Row, Session, write_receipt
from seeds import Seeds
from trainings import Training, train

from striate.errors import counted

# What is trained: the data, the flags, and the epochs.
TRAINED = {
    "lenet5 on MNIST": ("mnist", ["--net", "lenet5"], 5),
    "resnet20 on CIFAR-10": ("cifar-10-batches-bin", ["--net", "resnet20"], 3),
    "small64 on photographs": ("caltech26", ["--net", "small64", "--size", "64"], 15),
}


def main() -> None:
    """Measure and write."""
    made = parser(__doc__, rounds=3)
    made.add_argument("--only", default="", help="words of the trainings to run, by commas")
    options = read(made)
    wanted = only(options, "MNIST") or [""]
    names = [name for name in TRAINED if any(word in name for word in wanted)]
    session = Session()
    rows = [_row(name, options) for name in names]
    write_receipt(
        "parity", rows, session, rounds=options.rounds, quick=options.quick, out=options.out, peers={},
        settings={name: " ".join(TRAINED[name][1]) for name in names},
    )  # fmt: skip


def _row(name: str, options: argparse.Namespace) -> Row:
    folder, words, epochs = TRAINED[name]
    data = data_folder(options, folder)
    epochs = 1 if options.quick else epochs
    words = [*words, "--epochs", str(epochs)]

    def run(precision: str, seeds: Seeds) -> Training:
        tell(name)
        return train(data, [*words, "--set", f"precision={precision}", "--seed", str(seeds.take())])

    sides: dict[str, Callable[[], Training]] = {
        precision: partial(run, precision, Seeds()) for precision in ("bf16", "fp32")
    }
    found = interleaved(sides, options.rounds, tell)
    halves, singles = ([100 * each.accuracy for each in found[side]] for side in sides)
    return Row(
        what=f"{name}, {counted(epochs, 'epoch')}, test accuracy in bf16",
        peer="the same in fp32",
        unit="%",
        better="neither",
        ours=halves,
        theirs=singles,
        figures={
            "points above fp32": [one - other for one, other in zip(halves, singles, strict=True)],
            "s of training in bf16": [each.training_s for each in found["bf16"]],
            "s of training in fp32": [each.training_s for each in found["fp32"]],
        },
        note=_verdict(halves, singles),
    )


def _verdict(halves: list[float], singles: list[float]) -> str:
    if len(halves) < 2:
        return "one seed each"
    apart = [one - other for one, other in zip(halves, singles, strict=True)]
    return (
        f"bf16 lies {mean(apart):+.2f} points beside fp32 in the mean of seeds that begin alike, standard deviation "
        f"{stdev(apart):.2f}; that of the seeds is {stdev(halves):.2f} in bf16 and {stdev(singles):.2f} in fp32"
    )


if __name__ == "__main__":
    main()
