"""Answers of a network by striate's choice of runtime, and by PyTorch, ONNX Runtime and OpenVINO as they come.

    python benchmarks/inference.py [--only NAME,...] [--against PEER,...] [--seconds S] [--rounds N] [--quick]

striate: what `striate predict` does from 256 images on: norms folded, channels last, and the fastest of the
runtimes that are installed, found out before the first round.  PyTorch: plain modules (torchvision's where it has
the network), eval, inference_mode, contiguous.  ONNX Runtime, OpenVINO: the file that striate writes, opened with default
options.  All in float32, in as many threads, on a batch that lies ready; decoding is in none.  Where striate takes one of
the peers, the row shows what its own call around it costs.
"""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from options import only, parser, read, tell
from pairs import interleaved
from peers import peers_python, peers_versions
from receipt import Row, Session, write_receipt
from side import Side
from steps import Case

import striate
from striate.bundle.session import default_threads
from striate.exporting.onnx_graph import onnx_bytes
from striate.modules.fold import folded

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


PEERS = {"torch": "PyTorch", "onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}


def main() -> None:
    """Measure and write."""
    made = parser(__doc__, rounds=9)
    made.add_argument("--only", default="", help="names of networks, by commas")
    made.add_argument("--against", default=",".join(PEERS), help="of " + ", ".join(PEERS) + ", by commas")
    made.add_argument("--seconds", type=float, default=1.0, help="of answering, each side in each round")
    options = read(made)
    python = peers_python(options.peers)
    wanted = only(options, "lenet5")
    session = Session()
    rows = [
        row for case in CASES if not wanted or case.name in wanted for row in measured(case, python, options)
    ]
    write_receipt(
        "inference", rows, session, rounds=options.rounds, quick=options.quick, out=options.out,
        peers=peers_versions(python), settings={"seconds": options.seconds},
    )  # fmt: skip


def measured(case: Case, python: Path, options: argparse.Namespace) -> list[Row]:
    """The rows of one network and batch: striate beside each peer, all in turn in each round."""
    said = {"net": case.net, "shape": case.shape, "batch": case.batch, "classes": 10}
    peers = str(options.against).split(",")
    with TemporaryDirectory() as folder, ExitStack() as entered:
        ours = entered.enter_context(Side(Path(sys.executable), "ours/answers.py", json.dumps(said)))
        sides = {"striate": ours}
        if set(peers) - {"torch"}:
            model = Path(folder) / "network.onnx"
            model.write_bytes(onnx_bytes(folded(striate.read(case.net).build(case.shape, 10).eval())))
            said |= {"model": str(model), "threads": default_threads()}
        for name in peers:
            script = "peers/answers_torch.py" if name == "torch" else "peers/answers_onnx.py"
            sides[name] = entered.enter_context(Side(python, script, json.dumps({**said, "runtime": name})))

        def turn(side: Side) -> float:
            answer = side.go(seconds=options.seconds)
            return int(answer["batches"]) * case.batch / float(answer["s"])

        tell(f"{case}: {ours.ready['compared']}")
        turns = {name: partial(turn, side) for name, side in sides.items()}
        for each in turns.values():
            each()
        found = interleaved(turns, options.rounds, tell)
    return [
        Row(
            what=f"answers of {case}",
            peer=PEERS[name],
            unit="images a second",
            better="higher",
            ours=found["striate"],
            theirs=found[name],
            note=f"striate took {ours.ready['arithmetic']}: {ours.ready['compared']}",
        )
        for name in peers
    ]


if __name__ == "__main__":
    main()
