"""What Muon's step costs beside forward and backward, in the zoo's small networks.

    python benchmarks/optimizer.py [--batch N] [--rounds N] [--quick]

In the arithmetic that the self-test of this machine chooses for each.  A round takes some steps of each network, of
which the quickest forward and backward and the quickest step of the optimizer count.
"""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from striate.cli.process import set_up_process

set_up_process()

from options import parser, read, tell
from pairs import interleaved
from receipt import Row, Session, write_receipt

# The networks that striate chooses by itself, and the images they are for.
NETS = {
    "small28": (1, 28, 28), "small32": (3, 32, 32), "small64": (3, 64, 64), "small128": (3, 128, 128),
    "swift28": (1, 28, 28), "swift32": (3, 32, 32),
}  # fmt: skip

STEPS = 6


def round_of(name: str, batch: int, precision: str, optimizer_precision: str) -> tuple[float, float]:
    """Milliseconds of forward and backward, and of the optimizer."""
    import torch
    from torch.nn import functional as F

    import striate
    from striate.net.layout.normed import before_norm
    from striate.predict.evaluate import autocast
    from striate.training.layout import apply_layout
    from striate.training.settings import OptimizerSettings
    from striate.training.step.optimizers import make_optimizer

    torch.manual_seed(0)
    net = striate.read(name).build(NETS[name], 10)
    apply_layout(net, "channels_last").train()
    held = [net.part(placed.path).weight for placed in before_norm(net.layout)]
    settings = OptimizerSettings("muon", 0.003, 0.05, precision=optimizer_precision)
    optimizer = make_optimizer([(net, 1.0)], settings, held)
    x = torch.randn(batch, *NETS[name]).contiguous(memory_format=torch.channels_last)
    labels = torch.zeros(batch, dtype=torch.long)
    best: tuple[list[float], list[float]] = [], []
    for _ in range(STEPS):
        began = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        with autocast(x.device, precision):
            logits = net(x)
        F.cross_entropy(logits.float(), labels).backward()
        middle = time.perf_counter()
        optimizer.step()
        best[0].append(middle - began)
        best[1].append(time.perf_counter() - middle)
    return 1000 * min(best[0]), 1000 * min(best[1])


def main() -> None:
    """Measure and write."""
    import torch

    from striate.training.selftest import self_test

    made = parser(__doc__, rounds=3)
    made.add_argument("--batch", type=int, default=64, help="images in a step; the recipe's own is 64 to 256")
    options = read(made)
    taken = self_test(torch.device("cpu")).arithmetic()
    network, optimizer = taken["network"].value, taken["optimizer"].value
    batch = 4 if options.quick else options.batch
    names = ["swift28"] if options.quick else list(NETS)
    session = Session()
    found: dict[str, list[Any]] = interleaved(
        {name: partial(round_of, name, batch, network, optimizer) for name in names}, options.rounds, tell
    )
    rows = [
        Row(
            what=f"a step of Muon, {name}, batch {batch}", peer="forward and backward", unit="ms", better="neither",
            ours=[own for _, own in found[name]], theirs=[rest for rest, _ in found[name]],
            figures={"share of the whole step, %": [100 * own / (own + rest) for rest, own in found[name]]},
            note=f"network {network}, optimizer {optimizer}",
        )
        for name in names
    ]  # fmt: skip
    write_receipt(
        "optimizer", rows, session, rounds=options.rounds, quick=options.quick, out=options.out, peers={},
        settings={"batch": batch},
    )  # fmt: skip


if __name__ == "__main__":
    main()
