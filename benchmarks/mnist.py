"""Time to 99 % on MNIST, against PyTorch's and Keras' own examples.

    python benchmarks/mnist.py [--train "FLAGS"] [--against torch,keras,lightning] [--rounds N] [--quick]

striate: the whole command, from the start of the process to its end, and its training part alone, from the
first step to the last validation; the seed is the round.  A run whose test accuracy falls short counts as not
there.  It looks at the test images once, at its end.

PyTorch: what its examples do for MNIST (two convolutions, Adadelta at 1.0 falling by 0.7 an epoch, batches of
64, all test images after each epoch), to the end of the first epoch whose test reaches 99 %.
Keras on TensorFlow: what its "Simple MNIST convnet" does (Adam, batches of 128, a tenth held out), to the end
of the first epoch at which a test that is not counted reaches 99 %.
Lightning: PyTorch's example under a Trainer.
Each peer chooses its moment by the test images, and neither its start nor its imports are counted, which
flatters it.
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
    "torch": "PyTorch, its MNIST example",
    "keras": "Keras on TensorFlow, its MNIST example",
    "lightning": "Lightning, PyTorch's MNIST example",
}


def main() -> None:
    """Measure and write."""
    made = parser(__doc__, rounds=3)
    made.add_argument(
        "--train", default="--recipe quick --epochs 1 --augment none", help="flags of `striate train`"
    )
    made.add_argument("--against", default="torch,keras", help="which of torch, keras, lightning")
    made.add_argument("--target", type=float, default=0.99, help="the test accuracy to reach")
    options = read(made)
    data = data_folder(options, "mnist")
    python = peers_python(options.peers)
    against = options.against.split(",")
    session = Session()
    seeds = Seeds()
    words = shlex.split(options.train)
    target = 0.2 if options.quick else options.target
    if options.quick:
        words = ["--budget", "8s", "--net", "lenet5"]

    def ours() -> Training:
        return train(data, [*words, "--seed", str(seeds.take())])

    def peer(name: str, seed: Seeds) -> dict[str, Any]:
        steps = 20 if options.quick else 0
        script = f"peers/mnist_{name}.py"
        return once(python, script, data=str(data), seed=seed.take(), target=target, steps=steps)

    sides: dict[str, Callable[[], Any]] = {"striate": ours}
    sides |= {name: partial(peer, name, Seeds()) for name in against}
    found = interleaved(sides, options.rounds, tell)
    write_receipt(
        "mnist",
        [row for name in against for row in rows(found["striate"], name, found[name], target, options.train)],
        session,
        rounds=options.rounds,
        quick=options.quick,
        out=options.out,
        peers=peers_versions(python),
        settings={"train": options.train, "target": target},
    )


def rows(
    ours: list[Training], name: str, theirs: list[dict[str, Any]], target: float, flags: str
) -> list[Row]:
    """The whole and the training part against one peer."""
    figures = {
        "test accuracy of striate": [each.accuracy for each in ours],
        "epochs of striate": [each.epochs for each in ours],
        f"test accuracy of {name}": [each["accuracy"] for each in theirs],
        f"epochs of {name}": [each["epochs"] for each in theirs],
        f"start and imports of {name}, not counted, s": [each["start_s"] for each in theirs],
    }
    what = f"MNIST to {target:.0%}"
    return [
        Row(
            what=f"{what}: the whole command",
            peer=NAMES[name],
            unit="s",
            better="lower",
            ours=[each.whole_to(target) for each in ours],
            theirs=[each["whole_s"] for each in theirs],
            figures=figures,
            note=f"`striate train mnist {flags}`; the peer without its start and imports",
        ),
        Row(
            what=f"{what}: the training part",
            peer=NAMES[name],
            unit="s",
            better="lower",
            ours=[each.training_to(target) for each in ours],
            theirs=[each["training_s"] for each in theirs],
        ),
    ]


if __name__ == "__main__":
    main()
