"""Answers of a network by striate's choice of runtime, and by plain PyTorch as it comes.

    python benchmarks/inference.py [--only NAME,...] [--seconds S] [--rounds N] [--quick]

striate: what `striate predict` does from 256 images on: norms folded, channels last, and the fastest of the
runtimes that are installed, found out before the first round.  PyTorch: plain modules (torchvision's where it has
the network), eval, inference_mode, contiguous.  Both in float32, on a batch that lies ready; decoding is in neither.
"""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path

from options import only, parser, read, tell
from pairs import interleaved
from peers import peers_python, peers_versions
from receipt import Row, Session, write_receipt
from side import Side
from steps import Case

CASES = (
    Case("lenet5", "lenet5", (1, 28, 28), 1),
    Case("lenet5", "lenet5", (1, 28, 28), 64),
    Case("resnet20", "resnet20", (3, 32, 32), 1),
    Case("resnet20", "resnet20", (3, 32, 32), 64),
    Case("resnet18", "resnet18", (3, 224, 224), 1),
    Case("resnet18", "resnet18", (3, 224, 224), 16),
    Case("mobilenet_v2", "mobilenet_v2", (3, 224, 224), 1),
    Case("mobilenet_v2", "mobilenet_v2", (3, 224, 224), 16),
)


def main() -> None:
    """Measure and write."""
    made = parser(__doc__, rounds=9)
    made.add_argument("--only", default="", help="names of networks, by commas")
    made.add_argument("--seconds", type=float, default=1.0, help="of answering, each side in each round")
    options = read(made)
    python = peers_python(options.peers)
    wanted = only(options, "lenet5")
    session = Session()
    rows = []
    for case in CASES:
        if wanted and case.name not in wanted:
            continue
        said = json.dumps({"net": case.net, "shape": case.shape, "batch": case.batch, "classes": 10})
        with (
            Side(Path(sys.executable), "ours/answers.py", said) as ours,
            Side(python, "peers/answers_torch.py", said) as theirs,
        ):

            def turn(side: Side, batch: int = case.batch) -> float:
                answer = side.go(seconds=options.seconds)
                return int(answer["batches"]) * batch / float(answer["s"])

            tell(f"{case}: {ours.ready['compared']}")
            sides = {"striate": partial(turn, ours), "PyTorch": partial(turn, theirs)}
            for side in sides.values():
                side()
            found = interleaved(sides, options.rounds, tell)
            rows.append(
                Row(
                    what=f"answers of {case}",
                    peer="PyTorch",
                    unit="images a second",
                    better="higher",
                    ours=found["striate"],
                    theirs=found["PyTorch"],
                    note=f"striate took {ours.ready['arithmetic']}: {ours.ready['compared']}",
                )
            )
    write_receipt(
        "inference", rows, session, rounds=options.rounds, quick=options.quick, out=options.out,
        peers=peers_versions(python), settings={"seconds": options.seconds},
    )  # fmt: skip


if __name__ == "__main__":
    main()
