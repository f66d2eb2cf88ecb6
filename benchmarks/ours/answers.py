"""Answers by the runtime that `striate predict` takes for a network here.

    python answers.py CASE

CASE is JSON: net, shape, batch, classes.  Order: seconds to answer for.  Answer: batches and the s that they took.
"""

from __future__ import annotations

import json
import sys
import tempfile

from striate.cli.process import set_up_process

set_up_process()

import os

import torch
from answers_loop import run
from line import Line

import striate
from striate.exporting.runtime import fastest


def main() -> None:
    """Compare the runtimes, and answer."""
    case = json.loads(sys.argv[1])
    line = Line()
    net = striate.read(case["net"]).build(tuple(case["shape"]), case["classes"]).eval()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["STRIATE_CACHE"] = folder
        answers, compared = fastest(net)
    line.tell(arithmetic=compared[0].name, compared=", ".join(map(str, compared)))
    shape = (case["batch"], *case["shape"])
    run(answers, torch.randn(shape).contiguous(memory_format=torch.channels_last), line)


if __name__ == "__main__":
    main()
