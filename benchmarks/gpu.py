"""What has to be shown once on an NVIDIA GPU, in under 8 minutes: the path through CUDA is untested until then.

    python benchmarks/gpu.py [--device cuda] [--only parity,resume,cifar,photos] [--quick]
    python benchmarks/gpu.py --device cpu --quick      # the script itself, without a GPU; its figures mean nothing

parity: gradients of a step, and weights after ten of them, against the CPU's; from the same weights and images, in
float32.  resume: a training that is killed and goes on, against one that is not, weights to the bit.  cifar: the
whole command to 94 % on CIFAR-10.  photos: the same on photographs, for a minute.  Beside both stands the peak
memory of a step, predicted and measured.

What has no time left any more, or no data, is left out, and said; the receipt holds all that was done until then.
Exit code 1 where an answer is wrong or something was left out.
"""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from options import parser, read, tell
from receipt import Row, Session, write_receipt

# Seconds that all parts together may take.
MOST_S = 450.0

# Gradients of float32 sums in another order differ by less than this share of the largest.
TOLERANCE = 1e-3

# Steps of which the weights are compared.
STEPS = 10

PARTS = ("parity", "resume", "cifar", "photos")

# Data, flags, and the test accuracy to reach.
TRAINED = {
    "cifar": (
        "cifar-10-batches-bin",
        "--epochs 12 --set batch=2000 --set tta=1 --set progressive_resizing=none --set val_share=0.02 --augment 'flip, crop 2'",
        0.94,
    ),
    "photos": ("caltech26", "--budget 60s", 0.8),
}
SMOKE = ("digits", "--epochs 2", 0.1)


class LeftOut(Exception):
    """A part that could not be done, and why."""


class Machine:
    """Where all of it runs, and how long it still may."""

    def __init__(self, device: str, folder: Path) -> None:
        self.device = device
        self.folder = folder
        self._ends = time.monotonic() + MOST_S

    def left_s(self) -> float:
        """Seconds; raises LeftOut where there are none."""
        left = self._ends - time.monotonic()
        if left < 10:
            raise LeftOut(f"the {MOST_S:.0f} s are over")
        return left

    def striate(self, *words: str) -> float:
        """Seconds of a command, which has to succeed."""
        before = time.perf_counter()
        try:
            done = subprocess.run(self.command(*words), capture_output=True, text=True, timeout=self.left_s())
        except subprocess.TimeoutExpired:
            raise LeftOut(f"`striate {words[0]}` did not end within the {MOST_S:.0f} s") from None
        if done.returncode:
            raise LeftOut(f"`striate {words[0]}` ended with {done.returncode}: {done.stderr.strip()[-500:]}")
        return time.perf_counter() - before

    def command(self, *words: str) -> list[str]:
        """Of striate, in a process of its own."""
        start = "from striate.cli.main import main; main()"
        device = ["--device", self.device] if words[0] in ("train", "resume") else []
        return [sys.executable, "-c", start, *words, *device]


def parity(machine: Machine) -> Row:
    """The largest difference from the CPU, as a share of the largest value: of gradients, of weights."""
    import torch
    from torch.nn import functional as F

    import striate
    from striate.training.settings import OptimizerSettings
    from striate.training.step.optimizers import make_optimizer

    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    shape, found = (3, 32, 32), {}
    for device in ("cpu", machine.device):
        torch.manual_seed(0)
        net = striate.read("small32").build(shape, 10).train()
        for module in net.modules():
            # What is dropped is drawn otherwise on each device.
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        x, labels = torch.randn(64, *shape), torch.randint(0, 10, (64,))
        net = net.to(device)
        settings = OptimizerSettings("muon", 1e-3, 0.05)
        optimizer = make_optimizer([(net, 1.0)], settings)
        gradients: list[Any] = []
        for _ in range(STEPS):
            optimizer.zero_grad(set_to_none=True)
            F.cross_entropy(net(x.to(device)), labels.to(device)).backward()
            gradients = gradients or [each.grad.cpu().clone() for each in net.parameters()]
            optimizer.step()
        found[device] = gradients, [each.detach().cpu() for each in net.parameters()]
    ours, theirs = found[machine.device], found["cpu"]
    off = [
        max(
            float((a - b).abs().max() / b.abs().max().clamp(min=1e-6))
            for a, b in zip(one, other, strict=True)
        )
        for one, other in zip(ours, theirs, strict=True)
    ]
    if off[0] > TOLERANCE:
        tell(f"WRONG: gradients differ by {off[0]:.2g} of the largest")
    return Row(
        what="a training step on the GPU, gradients", peer="the CPU", unit="of the largest", better="neither",
        ours=off[:1], theirs=[TOLERANCE], figures={f"weights after {STEPS} steps of muon": off[1:]},
        note="the peer's figure is what is allowed",
    )  # fmt: skip


def resume(machine: Machine) -> Row:
    """The largest difference of the last weights of a training that was killed from those of one that was not."""
    from safetensors.torch import load_file

    words = ["digits", "--net", "small28", "--set", "precision=fp32", "--epochs", "12", "--quiet"]
    whole, killed = machine.folder / "whole", machine.folder / "killed"
    machine.striate("train", *words, "--out", str(whole))
    process = subprocess.Popen(
        machine.command("train", *words, "--out", str(killed)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while process.poll() is None and not any((killed / "state").glob("*.safetensors")):
        machine.left_s()
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    was_killed = not (killed / "report.html").exists()
    if not was_killed:
        raise LeftOut("the training ended before it could be killed")
    machine.striate("resume", str(killed), "--quiet")
    one, other = (load_file(folder / "last.safetensors") for folder in (whole, killed))
    off = max(float((one[name].double() - other[name].double()).abs().max()) for name in one)
    if off > TOLERANCE:
        tell(f"WRONG: weights differ by {off:.2g} behind a kill")
    return Row(
        what="a training that was killed and resumed, last weights", peer="one that was not", unit="at most",
        better="neither", ours=[off], theirs=[0.0], note="0: the same to the bit",
    )  # fmt: skip


def trained(machine: Machine, part: str, data: Path | None, *, quick: bool) -> list[Row]:
    """A whole training: seconds to the accuracy, and the memory of a step."""
    folder, flags, target = SMOKE if quick else TRAINED[part]
    source = folder if quick else str((data or Path()) / folder)
    if not quick and not Path(source).is_dir():
        raise LeftOut(f"{folder} is not in --data; benchmarks/README.md says where it comes from")
    run = machine.folder / part
    taken = machine.striate("train", source, *shlex.split(flags), "--quiet", "--out", str(run))
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    accuracy, memory = float(record["result"]["accuracy"]), record["memory"]
    measured = memory["measured_bytes"]
    return [
        Row(
            what=f"{part} to {target:.0%} on the GPU, the whole command", peer="none", unit="s", better="neither",
            ours=[taken if accuracy >= target else None], theirs=[None],
            figures={"test accuracy": [accuracy], "seconds": [taken]}, note=f"`striate train {folder} {flags}`",
        ),
        Row(
            what=f"peak memory of a step on the GPU, {part}", peer="measured, where striate's figure is its prediction",
            unit="MB", better="neither", ours=[memory["predicted_bytes"] / 1e6],
            theirs=[None if measured is None else measured / 1e6],
        ),
    ]  # fmt: skip


def require_device(name: str) -> str:
    """The device and its name; ends the process, saying what to do, where there is none."""
    import torch

    if name.startswith("cuda") and not torch.cuda.is_available():
        sys.exit(
            "gpu.py: torch finds no NVIDIA GPU here\n"
            f"  torch: {torch.__version__}, built for CUDA: {torch.version.cuda or 'no'}\n"
            "  try: a machine with a GPU and torch's build for CUDA;\n"
            "       --device cpu --quick tries the script itself"
        )
    return torch.cuda.get_device_name(name) if name.startswith("cuda") else name


def done(options: argparse.Namespace, parts: Sequence[str], machine: Machine, rows: list[Row]) -> list[str]:
    """Do the parts one by one; what was left out, or is wrong."""
    missed = []
    for part in parts:
        tell(part)
        try:
            if part == "parity":
                rows.append(parity(machine))
            elif part == "resume":
                rows.append(resume(machine))
            else:
                rows += trained(machine, part, options.data, quick=options.quick)
        except LeftOut as reason:
            tell(f"left out: {part}: {reason}")
            missed.append(part)
    missed += [
        row.what
        for row in rows[:2]
        if row.peer in ("the CPU", "one that was not") and row.ours[0] > TOLERANCE
    ]  # type: ignore[operator]
    return missed


def main() -> None:
    """Measure and write."""
    made = parser(__doc__, rounds=1)
    made.add_argument("--device", default="cuda", help="cuda, cuda:1, or cpu to try the script")
    made.add_argument("--only", default=",".join(PARTS), help="parts, by commas")
    options = read(made)
    name = require_device(options.device)
    session, rows = Session(), list[Row]()
    folder = Path(tempfile.mkdtemp())
    try:
        missed = done(
            options, [part for part in PARTS if part in options.only], Machine(options.device, folder), rows
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    write_receipt(
        "gpu", rows, session, rounds=1, quick=options.quick, out=options.out, peers={},
        settings={"device": name, "left out": ", ".join(missed)},
    )  # fmt: skip
    if missed:
        sys.exit(1)


if __name__ == "__main__":
    main()
