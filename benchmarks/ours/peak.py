"""What this machine can do: GFLOP/s of one big convolution, N x H x W x C in memory, in float32 and bfloat16.

Order: precision.  Answer: gflops, of the quickest of a few.
"""

from __future__ import annotations

import time

import torch
from line import Line
from torch.nn import functional as F

CHANNELS, SIDE, BATCH, TIMES = 256, 28, 16, 5


def main() -> None:
    """Answer orders."""
    line = Line()
    x = torch.randn(BATCH, CHANNELS, SIDE, SIDE).contiguous(memory_format=torch.channels_last)
    kernel = torch.randn(CHANNELS, CHANNELS, 3, 3).contiguous(memory_format=torch.channels_last)
    work = 2 * BATCH * SIDE * SIDE * CHANNELS * CHANNELS * 9
    line.tell(threads=torch.get_num_threads())
    with torch.inference_mode():
        for order in line.orders():
            dtype = torch.bfloat16 if order["precision"] == "bf16" else torch.float32
            a, b = x.to(dtype), kernel.to(dtype)
            best = float("inf")
            for _ in range(TIMES + 1):
                before = time.perf_counter()
                F.conv2d(a, b, padding=1)
                best = min(best, time.perf_counter() - before)
            line.tell(gflops=work / best / 1e9)


if __name__ == "__main__":
    main()
