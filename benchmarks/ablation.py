"""What each trick of the recipe `quick` is worth: CIFAR-10 for a few epochs with all of them, and without one each.

    python benchmarks/ablation.py [--epochs 3] [--only WORD,...] [--rounds N] [--quick]

Told is the accuracy on 5,000 validation images, held out of the training images; the test images play no
part.  The seed is the round, and seeds of one round begin alike.  The time of the training part stands beside it:
a trick may cost some.  Where a trick is an optimizer, the other one has the rate, clipping and warm-up that striate
takes for it by itself.  Growing images have no row where the first epoch has their whole size already.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import resources

from options import data_folder, only, parser, read, tell
from pairs import interleaved
from receipt import Row, Session, write_receipt
from seeds import Seeds
from trainings import Training, train

from striate.errors import counted
from striate.training.step.progressive_resizing import size_at

BASE = ["--recipe", "quick", "--set", "batch=500", "--set", "progressive_resizing=none"]
AUGMENT = ["--augment", "flip, crop 2"]

# What striate takes by itself where `quick` says what suits muon.
USUAL = ["--set", "norm_lr_multiplier=1", "--set", "clip=1.0", "--set", "warmup=0.1", "--set", "momentum=0.9"]

GROWING = "full size throughout: growing from 3/4"

# What is left out, and the flags for it; a later --set wins.
WITHOUT = {
    "whitening: a trained first layer": ["--net", "TRAINED"],
    "norms without gamma: trained ones": ["--net", "GAMMA"],
    "dirac: the usual first weights": ["--set", "initial=auto, small-head"],
    "a small classifier at first: the usual one": ["--set", "initial=dirac"],
    "muon: nesterov": ["--set", "optimizer=nesterov", "--set", "learning_rate=0.1", *USUAL],
    "muon: adamw": ["--set", "optimizer=adamw", "--set", "learning_rate=0.003", *USUAL],
    "a rate of its own for biases and norms": ["--set", "norm_lr_multiplier=1"],
    "label smoothing": ["--set", "label_smoothing=0"],
    "the straight way down: cosine": ["--set", "schedule=cosine"],
    "test-time augmentation": ["--set", "tta=0"],
    "flips, and test-time augmentation that needs them": ["--augment", "crop 2"],
    GROWING: ["--set", "progressive_resizing=0.75"],
    "the last weights: their running mean": ["--set", "ema=0.98"],
}


def main() -> None:
    """Measure and write."""
    made = parser(__doc__, rounds=2)
    made.add_argument("--epochs", type=int, default=3)
    made.add_argument("--only", default="", help="words of the tricks to leave out, by commas")
    options = read(made)
    data = data_folder(options, "cifar-10-batches-bin")
    wanted = only(options, "test-time augmentation") or [""]
    epochs = ["--budget", "12s"] if options.quick else ["--epochs", str(options.epochs)]
    text = resources.files("striate.net.zoo").joinpath("swift32.net").read_text(encoding="utf-8")
    nets = {
        "TRAINED": text.replace("whiten 24 2x2", "conv 24 2x2 valid"),
        "GAMMA": text.replace(" nogamma", ""),
    }
    assert text not in nets.values()
    session = Session()

    def run(flags: list[str], seeds: Seeds) -> Training:
        words = [nets.get(word, word) for word in flags]
        words += [] if "--augment" in flags else AUGMENT
        return train(data, [*BASE, *epochs, *words, "--seed", str(seeds.take())])

    left_out = {name: flags for name, flags in WITHOUT.items() if any(word in name for word in wanted)}
    if size_at((32, 32), 0.75, 1 / options.epochs) == (32, 32):
        left_out.pop(GROWING, None)
    sides: dict[str, Callable[[], Training]] = {"all": partial(run, [], Seeds())}
    sides |= {name: partial(run, flags, Seeds()) for name, flags in left_out.items()}
    found = interleaved(sides, options.rounds, tell)
    rows = [
        Row(
            what=f"CIFAR-10 after {counted(options.epochs, 'epoch')}, validation accuracy",
            peer=f"without {name}",
            unit="%",
            better="neither",
            ours=[100 * each.validation for each in found["all"]],
            theirs=[100 * each.validation for each in found[name]],
            figures={
                "points gained": [
                    100 * (one.validation - other.validation)
                    for one, other in zip(found["all"], found[name], strict=True)
                ],
                "s of training with all": [each.training_s for each in found["all"]],
                "s of training without": [each.training_s for each in found[name]],
            },
        )
        for name in left_out
    ]
    write_receipt(
        "ablation", rows, session, rounds=options.rounds, quick=options.quick, out=options.out, peers={},
        settings={"flags": " ".join([*BASE, *AUGMENT]), "epochs": options.epochs},
    )  # fmt: skip


if __name__ == "__main__":
    main()
