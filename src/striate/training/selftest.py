"""What arithmetic this machine does how fast, measured once in a few seconds and kept."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from striate.machine.device import describe_machine, versions
from striate.machine.measurements import measured_once
from striate.recipe.defaults import Choice
from striate.training.step.muon import orthogonal

# Each figure is the best of what fits into this time.
MEASURED_S = 0.3

# bf16 is taken where it is faster by this factor and its answers are as near to those of fp32.
FASTER, NEAR = 1.2, 0.01

# A convolution large enough to reach the peak: 16 x 256 x 28 x 28, 256 windows of 3x3.
IMAGES, CHANNELS, SIDE = 16, 256, 28
# Numbers to copy, more than a cache holds.
COPIED = 32 * 2**20

# The gradient of a middle convolution of the zoo's small networks: 128 windows of 128 x 3 x 3.
_ROWS, _COLUMNS = 128, 1152


@dataclass(frozen=True, slots=True)
class SelfTest:
    """What was measured.

    machine, versions: what it was measured on.  fp32_flops, bf16_flops: floating-point operations a second of
    a large convolution, channels last.  copy_bytes: bytes read and written a second in copying 128 MiB.
    bf16_error: the largest difference of a bf16 convolution from fp32, as a share of the largest value.
    fp32_muon_s, bf16_muon_s: seconds that Muon takes to make a gradient of 128x1152 orthogonal.
    """

    machine: dict[str, Any]
    versions: dict[str, str]
    fp32_flops: float
    bf16_flops: float
    copy_bytes: float
    bf16_error: float
    fp32_muon_s: float
    bf16_muon_s: float

    @property
    def bf16(self) -> bool:
        """Whether bf16 is worth trying here: faster, and right."""
        return self.bf16_flops >= FASTER * self.fp32_flops and self.bf16_error <= NEAR

    def why(self) -> str:
        """The reason for that, as a sentence."""
        ratio = self.bf16_flops / self.fp32_flops
        if self.bf16_error > NEAR:
            return f"fp32: bf16 is off by {self.bf16_error:.1%} of the largest value here"
        if not self.bf16:
            return f"fp32: bf16 is only {ratio:.2f} times as fast here"
        return (
            f"bf16 is tried first: {ratio:.2f} times as fast as fp32, and within {self.bf16_error:.2%} of it"
        )

    def arithmetic(self) -> dict[str, Choice]:
        """What each part of a training is computed in here, and why."""
        seconds = {"fp32": self.fp32_muon_s, "bf16": self.bf16_muon_s}
        optimizer = "bf16" if self.fp32_muon_s >= FASTER * self.bf16_muon_s else "fp32"
        other = "fp32" if optimizer == "bf16" else "bf16"
        return {
            "network": Choice(*self.why().split(": ", 1)) if not self.bf16 else Choice("bf16", self.why()),
            "evaluation": Choice("bf16", "tried beside fp32 for each network")
            if self.bf16
            else Choice("fp32", "as the network"),
            "optimizer": Choice(
                optimizer,
                f"muon makes a gradient of {_ROWS}x{_COLUMNS} orthogonal in {1000 * seconds[optimizer]:.3g} ms, "
                f"in {other} in {1000 * seconds[other]:.3g} ms",
            ),
            "whitening": Choice("fp64", "measured once, and the small eigenvalues need the digits"),
            "prediction": Choice("fp32", "exact, by the runtime that is fastest for the network"),
        }


def self_test(device: torch.device, *, again: bool = False) -> SelfTest:
    """The self-test of this machine: the kept one, or a new one where there is none or `again` asks for it.

    again: what was found for single networks is forgotten as well.
    """
    machine, found = describe_machine(device), versions()
    return measured_once(
        "machine",
        {"machine": machine, "versions": found},
        lambda: asdict(measure(device, machine, found)),
        lambda kept: SelfTest(**kept),
        again=again,
    )


def peak_flops(device: torch.device, dtype: torch.dtype) -> float:
    """Floating-point operations a second of a large 3x3 convolution, channels last."""
    with torch.inference_mode():
        taken_s = _best_s(_convolution(device, dtype), device)
    return 2 * 9 * CHANNELS * CHANNELS * IMAGES * SIDE * SIDE / taken_s


def muon_s(device: torch.device, precision: str) -> float:
    """Seconds that Muon takes to make one gradient orthogonal."""
    gradient = torch.randn(_ROWS, _COLUMNS, generator=torch.Generator().manual_seed(0)).to(device)
    with torch.inference_mode():
        return _best_s(lambda: list(orthogonal([gradient], precision)), device)


def measure(device: torch.device, machine: dict[str, Any], found: dict[str, str]) -> SelfTest:
    """The self-test itself, of a machine and versions as they are said."""
    plain = torch.empty(COPIED, device=device)
    other = torch.empty_like(plain)
    with torch.inference_mode():
        exact, rough = (
            _convolution(device, dtype, images=1)().float() for dtype in (torch.float32, torch.bfloat16)
        )
        fp32_flops, bf16_flops = (peak_flops(device, dtype) for dtype in (torch.float32, torch.bfloat16))
        return SelfTest(
            machine,
            found,
            # Behind bf16 once more: whatever disturbed the first measurement must not make fp32 the slower one.
            max(fp32_flops, peak_flops(device, torch.float32)),
            bf16_flops,
            2 * 4 * plain.numel() / _best_s(lambda: other.copy_(plain), device),
            float((rough - exact).abs().max() / exact.abs().max()),
            muon_s(device, "fp32"),
            muon_s(device, "bf16"),
        )


def _convolution(
    device: torch.device, dtype: torch.dtype, *, images: int | None = None
) -> Callable[[], Tensor]:
    """The same convolution each time, in one arithmetic."""
    generator = torch.Generator().manual_seed(0)
    shapes = ((images or IMAGES, CHANNELS, SIDE, SIDE), (CHANNELS, CHANNELS, 3, 3))
    x, weight = (torch.randn(shape, generator=generator).to(device) for shape in shapes)
    x, weight = (
        each.to(dtype, memory_format=torch.channels_last) for each in (x, weight * (9 * CHANNELS) ** -0.5)
    )
    return lambda: F.conv2d(x, weight, padding=1)


def _best_s(work: Callable[[], object], device: torch.device) -> float:
    """Seconds of the quickest of several goes: others on the machine only add to a time."""
    best, began = float("inf"), time.perf_counter()
    # What is made for the first go is not counted, and is little beside one that takes longer than all may.
    work()
    if device.type == "cpu" and (taken := time.perf_counter() - began) > MEASURED_S > 0:
        return taken
    while time.perf_counter() - began < MEASURED_S or best == float("inf"):
        before = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        best = min(best, time.perf_counter() - before)
    return best
