"""Training steps in plain PyTorch as it comes: float32, contiguous, torch.optim.SGD.

    python steps_torch.py CASE

CASE is JSON: net, a name of nets_torch; shape; batch.
Order: seconds to train for.  Answer: steps and the s that they took.  Counted are forward, backward and the
optimiser; the batches lie ready.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import torch
from line import Line
from nets_torch import CLASSES, make
from torch import Tensor
from torch.nn import functional as F

# Batches that lie ready.
READY = 4


def loss_of(answer: Any, labels: Tensor) -> Tensor:
    """Cross-entropy, with the side classifiers that a GoogLeNet answers too."""
    if isinstance(answer, Tensor):
        return F.cross_entropy(answer, labels)
    sides = sum(F.cross_entropy(side, labels) for side in (answer.aux_logits1, answer.aux_logits2))
    return F.cross_entropy(answer.logits, labels) + 0.3 * sides


def run(net: torch.nn.Module, shape: list[int], batch: int, line: Line) -> None:
    """Train until there are no more orders."""
    net.train()
    optimiser = torch.optim.SGD(net.parameters(), lr=0.001, momentum=0.9, weight_decay=5e-4)
    batches = [(torch.randn(batch, *shape), torch.arange(batch) % CLASSES) for _ in range(READY)]
    for order in line.orders():
        steps, begun = 0, time.perf_counter()
        while time.perf_counter() - begun < order["seconds"]:
            x, labels = batches[steps % READY]
            optimiser.zero_grad()
            loss_of(net(x), labels).backward()
            optimiser.step()
            steps += 1
        line.tell(steps=steps, s=time.perf_counter() - begun)


def main() -> None:
    """Make the network of the case and train it."""
    case = json.loads(sys.argv[1])
    torch.manual_seed(0)
    line = Line()
    net = make(case["net"])
    line.tell(precision="fp32", arithmetic="fp32 contiguous")
    run(net, case["shape"], case["batch"], line)


if __name__ == "__main__":
    main()
