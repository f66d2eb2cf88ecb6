"""A training step of striate's default path against those of plain PyTorch and Keras as they come.

    python benchmarks/steps.py [--only NAME,...] [--seconds S] [--rounds N] [--quick]

striate: its own training loop with SGD and momentum, in the arithmetic and layout that it chose by itself, batch
making, gradient clipping and the checks that all is finite included.
PyTorch: plain modules (torchvision's where it has the network), float32, contiguous, SGD with momentum; forward,
backward and optimizer on batches that lie ready.
Keras on TensorFlow: LeNet-5 by `fit` and by `train_on_batch`.

A round trains for some seconds on each side; images are noise of 10 classes.  The share of peak is the
arithmetic of a step (forward; backward twice that, but for the first layer's input) over its time, over the best
GFLOP/s that big convolutions of the same arithmetic reached in the same run.
"""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from options import only, parser, read, tell
from pairs import Band, band, interleaved
from peak import Peak
from peers import peers_python, peers_versions
from receipt import Row, Session, write_receipt
from side import Side

CLASSES = 10

RESNET9 = """
let unit(c) = conv c 3x3 nobias -> bn -> relu;
let residual(c) = add { unit(c) -> unit(c) | identity };
unit(64) -> unit(128) -> maxpool 2 -> residual(128)
  -> unit(256) -> maxpool 2 -> unit(512) -> maxpool 2 -> residual(512)
  -> maxpool 4 -> fc classes
"""


@dataclass(frozen=True)
class Case:
    """A network, the shape of its images, and how many make a step.  name: the peer's."""

    name: str
    net: str
    shape: tuple[int, int, int]
    batch: int

    def __str__(self) -> str:
        return f"{self.name}, {self.shape[1]}x{self.shape[2]}, batch {self.batch}"


CASES = (
    Case("lenet5", "lenet5", (1, 28, 28), 64),
    Case("lenet5", "lenet5", (1, 28, 28), 512),
    Case("resnet20", "resnet20", (3, 32, 32), 128),
    Case("resnet20", "resnet20", (3, 32, 32), 512),
    Case("resnet9", RESNET9, (3, 32, 32), 128),
    Case("resnet18", "resnet18", (3, 224, 224), 16),
    Case("vgg11", "vgg11", (3, 224, 224), 8),
    Case("googlenet", "googlenet", (3, 224, 224), 16),
    Case("mobilenet_v2", "mobilenet_v2", (3, 224, 224), 16),
    Case("convnext_tiny", "convnext_tiny", (3, 224, 224), 8),
)


def step_flops(case: Case) -> float:
    """Floating-point operations of a training step: two a multiply-add, three times over.

    But for the first layer with weights, whose input needs no gradient.
    """
    import striate

    layers = striate.read(case.net).lay(case.shape, CLASSES).layers()
    work = [placed.layer.multiply_adds(placed.input) for placed in layers]
    return 2.0 * case.batch * (3 * sum(work) - next(each for each in work if each))


def step_ms(side: Side, seconds: float) -> float:
    """Milliseconds of a training step, the mean over so many seconds of them."""
    answer = side.go(seconds=seconds)
    return 1000 * float(answer["s"]) / int(answer["steps"])


def compare(
    case: Case, peers: dict[str, tuple[Path, str, dict[str, Any]]], peak: Peak, *, rounds: int, seconds: float
) -> list[Row]:
    """The rows of a case.

    peers: their names, each with its Python, its script and what is added to the case.
    """
    said = {"net": case.net, "shape": case.shape, "batch": case.batch, "classes": CLASSES}
    with ExitStack() as open_:
        sides = {
            "striate": open_.enter_context(Side(Path(sys.executable), "ours/steps.py", json.dumps(said)))
        }
        for name, (python, script, more) in peers.items():
            said_to_it = json.dumps({**said, "net": case.name, **more})
            sides[name] = open_.enter_context(Side(python, script, said_to_it))
        for side in sides.values():
            # What is made once is made here.
            side.go(seconds=seconds / 2)

        def turn(name: str) -> float:
            peak.look()
            return step_ms(sides[name], seconds)

        tell(f"{case}: striate computes in {sides['striate'].ready['arithmetic']}")
        found = interleaved({name: partial(turn, name) for name in sides}, rounds, tell)
        ready = {name: side.ready for name, side in sides.items()}
    flops = step_flops(case)
    shares = {}
    for name, steps_ms in found.items():
        middle = band(steps_ms)
        assert isinstance(middle, Band)
        shares[name] = flops / (middle.median / 1000) / 1e9 / peak.gflops[ready[name]["precision"]]
    return [
        Row(
            what=f"a step of {case}",
            peer=name,
            unit="ms",
            better="lower",
            ours=found["striate"],
            theirs=found[name],
            share_of_peak={"striate": shares["striate"], "peer": shares[name]},
            note=f"striate in {ready['striate']['arithmetic']}, the peer in {ready[name]['arithmetic']}",
        )
        for name in peers
    ]


def main() -> None:
    """Measure and write."""
    made = parser(__doc__, rounds=9)
    made.add_argument("--only", default="", help="names of networks, by commas")
    made.add_argument("--seconds", type=float, default=3.0, help="of training, each side in each round")
    options = read(made)
    python = peers_python(options.peers)
    wanted = only(options, "lenet5")
    seconds = 0.2 if options.quick else options.seconds
    session, peak = Session(), Peak()
    rows = []
    for case in CASES:
        if wanted and case.name not in wanted:
            continue
        peers = {"PyTorch": (python, "peers/steps_torch.py", {})}
        if case.name == "lenet5":
            for way in ("fit", "train_on_batch"):
                peers[f"Keras on TensorFlow, {way}"] = (python, "peers/steps_keras.py", {"way": way})
        rows += compare(case, peers, peak, rounds=options.rounds, seconds=seconds)
    peak.close()
    write_receipt(
        "steps", rows, session, rounds=options.rounds, quick=options.quick, out=options.out,
        peers=peers_versions(python), settings={"seconds": seconds}, peaks=peak.gflops,
    )  # fmt: skip


if __name__ == "__main__":
    main()
