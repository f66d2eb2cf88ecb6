"""Training steps in plain PyTorch as it comes: float32, contiguous, torch.optim.SGD.

    python steps_torch.py CASE

CASE is JSON: net, a name of nets_torch; shape; batch.  Order and answer: as plain_loop.py.
"""

from __future__ import annotations

import json
import sys

import torch
from line import Line
from nets_torch import make
from plain_loop import run


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
