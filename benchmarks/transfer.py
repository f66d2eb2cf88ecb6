"""How much more than one forward pass `striate train DATA --transfer` costs.

    python benchmarks/transfer.py [--folder DIR] [--rounds N] [--quick]

Each round times, one behind the other: a forward pass of EfficientNet-Lite0 over all images of the folder
(training, validation and test) as torch does it by itself (float32, contiguous, norms not folded, batches of 64,
images decoded before), and the whole command in a process of its own, decoding, training, test and report included.
They are different work, so nobody wins.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from options import data_folder, parser, read, tell
from pairs import interleaved
from receipt import Row, Session, write_receipt
from seeds import Seeds
from side import Side
from trainings import Training, train


def main() -> None:
    """Measure and write."""
    made = parser(__doc__, rounds=3)
    made.add_argument(
        "--folder", type=Path, default=None, help="photographs; caltech26 of --data if left out"
    )
    options = read(made)
    data = options.folder.resolve() if options.folder else data_folder(options, "caltech26")
    if options.quick:
        with tempfile.TemporaryDirectory() as name:
            measure(options, few(data, Path(name) / "few"))
    else:
        measure(options, data)


def few(data: Path, folder: Path) -> Path:
    """A dozen photographs of three classes, for a smoke run."""
    for group in sorted((data / "train").iterdir())[:3]:
        for file in sorted(group.iterdir())[:12]:
            (folder / group.name).mkdir(parents=True, exist_ok=True)
            shutil.copy(file, folder / group.name)
    return folder


def measure(options: argparse.Namespace, data: Path) -> None:
    """Measure on a folder, and write."""
    session, seeds = Session(), Seeds()

    def ours() -> Training:
        return train(data, ["--transfer", "--seed", str(seeds.take())])

    with Side(Path(sys.executable), "ours/forward.py", str(data)) as forward:
        sides: dict[str, Any] = {
            "forward pass": partial(forward.go, limit=0),
            "striate": ours,
        }
        found = interleaved(sides, options.rounds, tell)
        images = int(forward.ready["images"])
    commands, passes = found["striate"], [float(each["s"]) for each in found["forward pass"]]
    rows = [
        Row(
            what=f"`--transfer` on {images:,} photographs ({data.name})",
            peer="one forward pass over them: float32, contiguous, norms not folded",
            unit="s",
            better="neither",
            ours=[each.whole_s for each in commands],
            theirs=passes,
            figures={
                "passes that the command takes": [
                    made.whole_s / once for made, once in zip(commands, passes, strict=True)
                ],
                "test accuracy of striate": [each.accuracy for each in commands],
                "s of the training part": [each.training_s for each in commands],
            },
            note="the pass leaves out decoding, training, the test and the report",
        )
    ]
    write_receipt(
        "transfer", rows, session, rounds=options.rounds, quick=options.quick, out=options.out,
        peers={}, settings={"folder": data.name},
    )  # fmt: skip


if __name__ == "__main__":
    main()
