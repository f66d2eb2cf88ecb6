"""Time to 94 % on CIFAR-10, with what the usual recipe would take, and the same network in plain PyTorch.

    python benchmarks/cifar.py [--recipe quick] [--train "FLAGS"] [--rounds N] [--quick]

striate: the whole command, from the start of the process to its end, and its training part; the seed is the
round.  A run whose test accuracy falls short counts as not there.  It looks at the test images once, at its end.

No peer gets there in a time that can be waited for.  The peer's row is EXTRAPOLATED: the images a second of the
usual recipe (ResNet-18 with a 3x3 stem, batches of 128, crop and flip by torchvision in two workers), measured for
some seconds in each round, times its 200 epochs of 50,000 images.  How many of them are needed for 94 % is not
known; 200 is what its authors train for.

The last row needs no accuracy: a step of the recipe's network, by striate and by plain PyTorch (float32,
contiguous, the same layers out of torch.nn), as in steps.py.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from options import data_folder, parser, read, tell
from pairs import interleaved
from peak import Peak
from peers import peers_python, peers_versions
from receipt import Row, Session, write_receipt
from seeds import Seeds
from side import Side, SideFailed
from steps import Case, compare
from trainings import Training, train

EPOCHS, IMAGES = 200, 50_000

TRAIN = (
    "--budget 11m45s --set batch=2000 --set tta=1 --set progressive_resizing=none --set val_share=0.02 "
    "--augment 'flip, crop 2'"
)


def main() -> None:
    """Measure and write."""
    made = parser(__doc__, rounds=3)
    made.add_argument("--recipe", default="quick", help="of striate, a name or a file; empty for none")
    made.add_argument("--train", default=TRAIN, help="more flags of `striate train`")
    made.add_argument("--target", type=float, default=0.94, help="the test accuracy to reach")
    made.add_argument("--seconds", type=float, default=30.0, help="of training by the peer in each round")
    options = read(made)
    data = data_folder(options, "cifar-10-batches-bin")
    python = peers_python(options.peers)
    words = (["--recipe", options.recipe] if options.recipe else []) + shlex.split(options.train)
    target, seconds, step_s = options.target, options.seconds, 3.0
    if options.quick:
        words, target, seconds, step_s = ["--budget", "12s", "--net", "resnet20"], 0.12, 1.0, 0.2
    session, peak, seeds = Session(), Peak(), Seeds()

    def ours() -> Training:
        return train(data, [*words, "--seed", str(seeds.take())])

    with Side(python, "peers/cifar_torch.py") as usual:
        sides: dict[str, Callable[[], Any]] = {
            "striate": ours,
            "ResNet-18, some steps": partial(usual.go, data=str(data), seconds=seconds),
        }
        found = interleaved(sides, options.rounds, tell)
    trainings = found["striate"]
    rates = [each["images"] / each["s"] for each in found["ResNet-18, some steps"]]
    rows = [
        Row(
            what=f"CIFAR-10 to {target:.0%}: {part}",
            peer=f"PyTorch, ResNet-18, all of its usual {EPOCHS} epochs",
            unit="s",
            better="neither",
            kind="extrapolated",
            ours=values,
            theirs=[EPOCHS * IMAGES / rate for rate in rates],
            figures=figures,
            note="the peer is extrapolated from its measured images a second, to all its epochs; how many of "
            f"them it needs for {target:.0%} is not known, so no ratio is told"
            if figures
            else "",
        )
        for part, values, figures in (
            (
                "the whole command",
                [each.whole_to(target) for each in trainings],
                {
                    "test accuracy of striate": [each.accuracy for each in trainings],
                    "epochs of striate": [each.epochs for each in trainings],
                    "images a second of the peer": rates,
                },
            ),
            ("the training part", [each.training_to(target) for each in trainings], {}),
        )
    ]
    case = Case("the recipe's network", trainings[0].net, (3, 32, 32), trainings[0].batch)
    plain = {"PyTorch, the same network": (Path(sys.executable), "ours/plain_steps.py", {"net": case.net})}
    try:
        rows += compare(case, plain, peak, rounds=1 if options.quick else 9, seconds=step_s)
    except SideFailed as failure:
        # The trainings before it took an hour, and stand without it.
        tell(f"the steps could not be compared: {failure}")
    peak.close()
    write_receipt(
        "cifar", rows, session, rounds=options.rounds, quick=options.quick, out=options.out,
        peers=peers_versions(python),
        settings={"flags": shlex.join(words), "target": target, "seconds": seconds}, peaks=peak.gflops,
    )  # fmt: skip


if __name__ == "__main__":
    main()
