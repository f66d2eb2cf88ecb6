"""The training loop of a PyTorch tutorial, on batches that lie ready, for as long as an order says.

Order: seconds to train for.  Answer: steps and the s that they took.  Counted are forward, backward and the
optimizer.
"""

from __future__ import annotations

import time
from typing import Any

import torch
from line import Line
from torch import Tensor
from torch.nn import functional as F

CLASSES = 10

# Batches that lie ready.
READY = 4


def loss_of(answer: Any, labels: Tensor) -> Tensor:
    """Cross-entropy, with the auxiliary classifiers that a GoogLeNet answers too."""
    if isinstance(answer, Tensor):
        return F.cross_entropy(answer, labels)
    sides = sum(F.cross_entropy(side, labels) for side in (answer.aux_logits1, answer.aux_logits2))
    return F.cross_entropy(answer.logits, labels) + 0.3 * sides


def run(net: torch.nn.Module, shape: list[int], batch: int, line: Line) -> None:
    """Train until there are no more orders."""
    net.train()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.001, momentum=0.9, weight_decay=5e-4)
    batches = [(torch.randn(batch, *shape), torch.arange(batch) % CLASSES) for _ in range(READY)]
    for order in line.orders():
        steps, begun = 0, time.perf_counter()
        while time.perf_counter() - begun < order["seconds"]:
            x, labels = batches[steps % READY]
            optimizer.zero_grad()
            loss_of(net(x), labels).backward()
            optimizer.step()
            steps += 1
        line.tell(steps=steps, s=time.perf_counter() - begun)
