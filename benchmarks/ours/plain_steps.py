"""Training steps of a text's network in plain torch modules: float32, contiguous, torch.optim.SGD.

    python plain_steps.py CASE

CASE, orders and answers: as ../peers/steps_torch.py, but for net, which is a text.
"""

from __future__ import annotations

import json
import sys

import torch
from line import Line
from plain import plain
from plain_loop import run

import striate


def main() -> None:
    """Make the network of the case and train it."""
    case = json.loads(sys.argv[1])
    torch.manual_seed(0)
    line = Line()
    net = plain(striate.read(case["net"]).lay(tuple(case["shape"]), case["classes"]))
    line.tell(precision="fp32", arithmetic="fp32 contiguous")
    run(net, case["shape"], case["batch"], line)


if __name__ == "__main__":
    main()
