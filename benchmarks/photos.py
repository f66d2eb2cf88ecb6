"""A folder of photographs to equal accuracy, from nothing, against fastai and Keras.

    python benchmarks/photos.py [--target 0.6] [--train "FLAGS"] [--epochs N] [--rounds N] [--quick]

caltech26: 26 classes, 1,744 photographs to train on and 874 to test with.  Nobody starts from pretrained weights:
the peers would download theirs, and here is no network.

striate: the whole command, which picks network and size by itself, with its start, decoding and report; the seed
is the round.  A run whose test accuracy falls short counts as not there.  It looks at the test images once.
fastai: `ImageDataLoaders.from_folder`, `vision_learner(resnet18, pretrained=False)`, `fit_one_cycle`.
Keras on TensorFlow: `image_dataset_from_directory` and the network of its guide to image classification from
scratch.
Both at 128x128, to the end of the first epoch whose test reaches the target; that test, their start and their
imports are not counted, and they choose their moment by the test images, which flatters them.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from functools import partial
from typing import Any

from options import data_folder, parser, read, tell
from pairs import interleaved
from peers import peers_python, peers_versions
from receipt import Row, Session, write_receipt
from seeds import Seeds
from side import once
from trainings import Training, train

NAMES = {
    "fastai": "fastai, fit_one_cycle of a ResNet-18",
    "keras": "Keras on TensorFlow, its guide's network",
}


def main() -> None:
    """Measure and write."""
    made = parser(__doc__, rounds=3)
    made.add_argument("--train", default="--budget 40s", help="flags of `striate train`")
    made.add_argument("--target", type=float, default=0.6, help="the test accuracy to reach")
    made.add_argument("--epochs", type=int, default=20, help="that a peer trains for at most")
    made.add_argument(
        "--against", default="fastai,keras", help="which of fastai, keras; none: what striate reaches is told"
    )
    options = read(made)
    data = data_folder(options, "caltech26")
    python = peers_python(options.peers)
    session, seeds = Session(), Seeds()
    words, target, epochs = shlex.split(options.train), options.target, options.epochs
    if options.quick:
        words, target, epochs = ["--budget", "10s"], 0.01, 1

    def ours() -> Training:
        return train(data, [*words, "--seed", str(seeds.take())])

    def peer(name: str, own: Seeds) -> dict[str, Any]:
        order = {
            "data": str(data), "seed": own.take(), "target": target, "epochs": epochs,
            "size": 64 if options.quick else 128, "limit": 2 if options.quick else 0,
        }  # fmt: skip
        return once(python, f"peers/photos_{name}.py", **order)

    against = [] if options.against == "none" else options.against.split(",")
    sides: dict[str, Callable[[], Any]] = {"striate": ours}
    sides |= {name: partial(peer, name, Seeds()) for name in against}
    found = interleaved(sides, options.rounds, tell)
    trainings = found["striate"]
    rows = [
        Row(
            what=f"caltech26 to {target:.0%}, from nothing",
            peer=NAMES[name],
            unit="s",
            better="lower",
            ours=[each.whole_to(target) for each in trainings],
            theirs=[each["s"] for each in found[name]],
            figures={
                "test accuracy of striate": [each.accuracy for each in trainings],
                "epochs of striate": [each.epochs for each in trainings],
                f"best test accuracy of {name}": [each["accuracy"] for each in found[name]],
                f"epochs of {name}": [each["epochs"] for each in found[name]],
                f"start and imports of {name}, not counted, s": [each["start_s"] for each in found[name]],
            },
            note=f"`striate train caltech26 {shlex.join(words)}`",
        )
        for name in against
    ] or [
        Row(
            what=f"caltech26 from nothing, `{shlex.join(words)}`: test accuracy",
            peer=f"{target:.0%}, the aim",
            unit="%",
            better="neither",
            ours=[100 * each.accuracy for each in trainings],
            theirs=[100 * target] * len(trainings),
            figures={
                "s of the whole command": [each.whole_s for each in trainings],
                "epochs": [each.epochs for each in trainings],
            },
            note=f"in {trainings[0].arithmetic}, batches of {trainings[0].batch}",
        )
    ]
    write_receipt(
        "photos", rows, session, rounds=options.rounds, quick=options.quick, out=options.out,
        peers=peers_versions(python),
        settings={"train": shlex.join(words), "target": target, "epochs": epochs},
    )  # fmt: skip


if __name__ == "__main__":
    main()
