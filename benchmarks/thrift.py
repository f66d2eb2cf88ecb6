"""What three times the batch costs in the memory of the plain step.

    python benchmarks/thrift.py [--only NAME,...] [--seconds S] [--rounds N] [--quick]

The plain step of a batch needs so much memory, as `striate plan --train` says (`memory.py` tells how well).  The
thrifty step has three times the images and must fit into the same: what it does for that (one tensor for a batch
norm and its activation, parts recomputed in the backward pass, micro-batches) is what `--memory` would choose.
VGG is left out: its step is nearly all weights, and to add up gradients of pieces takes more than it leaves.
Both are striate's own training loop as in steps.py, in channels_last and bf16, or fp32 where bf16 is slow, and give back
what they free, as under a `--memory` that leaves no more; told is the time of an image, and the measured peak of either
step.
"""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from options import only, parser, read, tell
from pairs import interleaved
from receipt import Row, Session, write_receipt
from side import Side
from steps import CASES, CLASSES, Case

from striate.machine.device import choose_device
from striate.training.selftest import self_test

TIMES = 3
NAMES = ("resnet20", "resnet18", "googlenet", "mobilenet_v2", "convnext_tiny")
OPTIMIZER = "momentum"


def main() -> None:
    """Measure and write."""
    made = parser(__doc__, rounds=5)
    made.add_argument("--only", default="", help="names of networks, by commas")
    made.add_argument("--seconds", type=float, default=4.0, help="of training, each side in each round")
    options = read(made)
    wanted = only(options, "resnet20") or NAMES
    seconds = 0.2 if options.quick else options.seconds
    session, precision = Session(), "bf16" if self_test(choose_device("cpu")).bf16 else "fp32"
    # The smallest batch of each network in steps.py.
    cases = {case.name: case for case in reversed(CASES) if case.name in NAMES}
    rows = [_row(case, precision, options.rounds, seconds) for case in cases.values() if case.name in wanted]
    write_receipt(
        "thrift", rows, session, rounds=options.rounds, quick=options.quick, out=options.out, peers={},
        settings={"seconds": seconds, "precision": precision, "optimizer": OPTIMIZER},
    )  # fmt: skip


def _row(case: Case, precision: str, rounds: int, seconds: float) -> Row:
    import striate
    from striate.net.plan.memory import Thrift
    from striate.net.plan.memory_fit import Fitter
    from striate.training.loop.memory import MEASURED_STEPS, write_recompute

    layout = striate.read(case.net).lay(case.shape, CLASSES)
    plain_bytes = Fitter(layout, case.batch, precision, OPTIMIZER, False).memory(Thrift()).total
    fit = Fitter(layout, TIMES * case.batch, precision, OPTIMIZER, False).fit(plain_bytes)
    assert fit is not None, f"{TIMES} times the batch of {case} cannot fit"
    recompute = write_recompute(fit.thrift, layout)
    ways = {
        "thrifty": (TIMES * case.batch, {"recompute": recompute, "micro_batches": fit.thrift.micro_batches}),
        "plain": (case.batch, {"recompute": "none", "micro_batches": 1}),
    }
    tell(f"{case}: {recompute}, micro-batches {fit.thrift.micro_batches}")
    with ExitStack() as open_:
        sides = {}
        for name, (batch, keys) in ways.items():
            keys = {**keys, "precision": precision, "layout": "channels_last"}
            said = {
                "net": case.net, "shape": case.shape, "batch": batch, "classes": CLASSES, "keys": keys,
                "tight": True,
            }  # fmt: skip
            sides[name] = open_.enter_context(Side(Path(sys.executable), "ours/steps.py", json.dumps(said)))
            # What is made once is made here, and the steps taken whose peak the loop measures, which are slower.
            taken = 0
            while taken <= MEASURED_STEPS:
                taken += int(sides[name].go(seconds=seconds / 2)["steps"])

        def turn(name: str) -> tuple[float, float]:
            answer = sides[name].go(seconds=seconds)
            return 1000 * answer["s"] / answer["steps"] / ways[name][0], answer["peak_bytes"] / 1e6

        turns = interleaved({name: partial(turn, name) for name in sides}, rounds, tell)
        found = {name: [each for each, _ in answers] for name, answers in turns.items()}
        peaks = {name: [peak for _, peak in answers] for name, answers in turns.items()}
    return Row(
        what=f"{TIMES} times the batch in the memory of {case}: an image's time",
        peer="the plain step",
        unit="ms",
        better="neither",
        ours=found["thrifty"],
        theirs=found["plain"],
        figures={
            "times the plain time": [
                ours / theirs for ours, theirs in zip(found["thrifty"], found["plain"], strict=True)
            ],
            "MB of the plain step, planned": [plain_bytes / 1e6],
            "MB of the thrifty step, planned": [fit.memory.total / 1e6],
            "MB of the plain step, measured": peaks["plain"],
            "MB of the thrifty step, measured": peaks["thrifty"],
        },
        note=f"recompute: {recompute}; micro-batches: {fit.thrift.micro_batches}",
    )


if __name__ == "__main__":
    main()
