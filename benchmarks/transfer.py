"""How much more than one forward pass `striate train DATA --transfer` costs.

    python benchmarks/transfer.py DATA [rounds]

Each round times, one behind the other: a forward pass of EfficientNet-Lite0 over all pictures of DATA in plain
torch (float32, batches of 64, pictures decoded before), and the whole command in a process of its own.  Prints
medians with their range, and a line of JSON with machine, versions and every figure.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

import striate
from striate.data.gather import gather
from striate.train.machine import describe_machine, versions


def forward_pass_s(pictures: np.ndarray) -> float:
    """Seconds of a plain pass, float32 and contiguous, over N x H x W x 3 bytes."""
    torch.manual_seed(0)
    net = striate.read("efficientnet_lite0").build((3, 224, 224), classes=1000).eval()
    before = time.perf_counter()
    with torch.inference_mode():
        for start in range(0, len(pictures), 64):
            x = torch.from_numpy(np.ascontiguousarray(pictures[start : start + 64, 16:240, 16:240]))
            net((x.permute(0, 3, 1, 2).contiguous().float() - 127) / 128)
    return time.perf_counter() - before


def command_s(data: str) -> tuple[float, float]:
    """Seconds of the whole command, and the accuracy on the test pictures."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        before = time.perf_counter()
        command = [sys.executable, "-c", "from striate.cli.main import main; main()", "train", data]
        subprocess.run(
            [*command, "--transfer", "--quiet", "--out", str(run)], check=True, stdout=subprocess.DEVNULL
        )
        taken = time.perf_counter() - before
        return taken, json.loads((run / "run.json").read_text())["result"]["accuracy"]


def main() -> None:
    """Measure and print."""
    source = sys.argv[1]
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    data = gather(source, size=224)
    splits = [split for split in (data.train, data.val, data.test) if split is not None]
    pictures = np.concatenate([np.asarray(split.pictures) for split in splits])
    passes, commands, accuracies = [], [], []
    for _ in range(rounds):
        passes.append(forward_pass_s(pictures))
        taken, accuracy = command_s(source)
        commands.append(taken)
        accuracies.append(accuracy)
    over = [taken - 1.3 * once for taken, once in zip(commands, passes, strict=True)]
    print(f"{len(pictures):,} pictures, {rounds} rounds: median (range)")
    for what, figures in (
        ("forward pass, s", passes),
        ("whole command, s", commands),
        ("command - 1.3 passes, s", over),
    ):
        print(f"{what:24} {statistics.median(figures):6.1f} ({min(figures):.1f} to {max(figures):.1f})")
    print(f"{'test accuracy':24} {statistics.mean(accuracies):.2%}")
    receipt = {"machine": describe_machine(torch.device("cpu")), "versions": versions()}
    print(json.dumps({**receipt, "passes_s": passes, "commands_s": commands, "accuracies": accuracies}))


if __name__ == "__main__":
    main()
