"""Answers in plain PyTorch as it comes: eval, inference_mode, float32, contiguous.

    python answers_torch.py CASE

CASE is JSON: net, a name of nets_torch; shape; batch.  Order and answer: as ../answers_loop.py.
"""

from __future__ import annotations

import json
import sys

import torch
from answers_loop import run
from line import Line
from nets_torch import make


def main() -> None:
    """Make the network of the case, and answer."""
    case = json.loads(sys.argv[1])
    torch.manual_seed(0)
    line = Line()
    net = make(case["net"]).eval()
    line.tell(arithmetic="fp32 contiguous")
    run(net, torch.randn(case["batch"], *case["shape"]), line)


if __name__ == "__main__":
    main()
