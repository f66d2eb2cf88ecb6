"""What this machine can do: GFLOP/s of one big convolution, N x H x W x C in memory, in float32 and bfloat16.

Order: precision.  Answer: gflops, of the quickest of a few.
"""

from __future__ import annotations

from typing import Any

import torch
from line import Line

from striate.training.selftest import peak_flops


def work(order: dict[str, Any]) -> dict[str, Any]:
    """The peak in one arithmetic."""
    dtype = torch.bfloat16 if order["precision"] == "bf16" else torch.float32
    return {"gflops": peak_flops(torch.device("cpu"), dtype) / 1e9}


def main() -> None:
    """Answer orders."""
    Line().answer(work)


if __name__ == "__main__":
    main()
