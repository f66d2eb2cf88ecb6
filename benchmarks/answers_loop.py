"""Answers of a network, batch after batch, for both sides."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from line import Line
from torch import Tensor


def run(net: Callable[[Tensor], Tensor], x: Tensor, line: Line) -> None:
    """Order: seconds.  Answer: batches and the s that they took."""
    with torch.inference_mode():
        for order in line.orders():
            batches, begun = 0, time.perf_counter()
            while time.perf_counter() - begun < order["seconds"]:
                net(x)
                batches += 1
            line.tell(batches=batches, s=time.perf_counter() - begun)
