"""The arithmetic and memory layout that are fastest for a network on this machine, by trying them."""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch.nn import functional as F

from striate.machine.measurements import measured_once
from striate.modules.module import Net
from striate.modules.nn.depthwise import Conv2d
from striate.net.notation.writer import write_text
from striate.net.shape import Map
from striate.optimizers import OPTIMIZERS
from striate.predict.evaluate import autocast
from striate.progress import Clock
from striate.recipe.keys import Precision
from striate.training.loop.stages import optimizer_of
from striate.training.selftest import self_test
from striate.training.settings import OptimizerSettings, StepTime
from striate.training.step.optimizers import take_step

# Seconds that trying may take in all; each arrangement is timed once at least.
MOST_S = 2.0

# Multiply-adds of the forward pass of a step that is timed: enough to tell, done in a fraction of a second.
MOST_MULTIPLY_ADDS = 1_500_000_000

# Steps of each arrangement that are timed; the quickest counts, since others only add to a time.
TIMED = 3

# Share of the arithmetic of a step that an image takes without a way back; and how many looks test-time augmentation
# makes of one, where half of the images are unsure.
FORWARD, LOOKS = 1 / 3, 3.5

# Times that differ by less are alike; between two layouts of which one is a form of the other, the smaller counts.
ALIKE, ALIKE_FORMS = 1.15, 1.05

# bfloat16 has 8 bits of mantissa: answers may differ from float32's by this share of the largest.
TOLERANCE = 0.05


class Arrangement(NamedTuple):
    """How convolutions are computed.

    precision: fp32 or bf16.  layout: channels_last, contiguous, or channels_last_im2col, where gradients of weights are
    matrix products.
    """

    precision: str
    layout: str

    def __str__(self) -> str:
        return f"{self.precision} {self.layout.replace('_', ' ')}"


@dataclass(frozen=True, slots=True)
class Trial:
    """One arrangement and the seconds that a training step took in it."""

    arrangement: Arrangement
    step_s: float


# The layout in which gradients of weights are matrix products (see `Im2col`).
IM2COL = "channels_last_im2col"

# In the order of how often they are the fastest.
ARRANGEMENTS = (
    Arrangement("bf16", "channels_last"),
    Arrangement("fp32", "channels_last"),
    Arrangement("fp32", IM2COL),
    Arrangement("fp32", "contiguous"),
    Arrangement("bf16", "contiguous"),
)


def optimizer_precision(optimizer: str, device: torch.device) -> Precision:
    """What muon iterates in here; the other optimizers know fp32 only."""
    if OPTIMIZERS[optimizer].orthogonal and self_test(device).arithmetic()["optimizer"].value == "bf16":
        return "bf16"
    return "fp32"


def time_layouts(
    net: Net, shape: Map, batch: int, device: torch.device, *, precision: str, layout: str, backward: bool
) -> list[Trial]:
    """What `tune` finds, tried once for each network, shape and batch on a machine, and kept.

    bf16 is not tried where the self-test of the machine finds it slow or wrong.
    """
    known = self_test(device)
    key = {
        "machine": known.machine, "versions": known.versions, "text": write_text(net.layout.network),
        "shape": list(shape), "batch": batch, "tried": [precision, layout, backward],
        "among": [str(each) for each in ARRANGEMENTS],
    }  # fmt: skip
    if precision == "auto" and not known.bf16:
        precision = "fp32"

    def measure() -> dict[str, Any]:
        trials = tune(net, shape, batch, device, precision=precision, layout=layout, backward=backward)
        return {"trials": [{"arrangement": list(each.arrangement), "step_s": each.step_s} for each in trials]}

    def read(kept: dict[str, Any]) -> list[Trial]:
        return [Trial(Arrangement(*each["arrangement"]), each["step_s"]) for each in kept["trials"]]

    return measured_once("network", key, measure, read)


def tune(
    net: Net, shape: Map, batch: int, device: torch.device, *, precision: str, layout: str, backward: bool
) -> list[Trial]:
    """Time a training step on images of `shape` in each arrangement, the one to take first.

    That is the first of ARRANGEMENTS which is as fast as the fastest within 15 %: closer times are noise, and
    the same choice each time makes the same weights.  Where that is channels last, its form im2col is taken if it is
    faster by 5 %.

    precision: fp32 or bf16 to try only that, or auto.  layout: likewise.
    backward: time the backward pass as well; without it the network is as at inference.

    Large networks are tried on fewer images than `batch`.  bf16 is left out where its answers differ from
    those of fp32 by more than 5 % of the largest.  The network and the random state stay as they are.
    """
    tried = copy.deepcopy(net).to(device)
    few, x = _some(tried, shape, batch, device)
    labels = torch.zeros(few, dtype=torch.long, device=device)
    wanted = [
        each
        for each in ARRANGEMENTS
        if precision in ("auto", each.precision)
        and layout in ("auto", each.layout)
        and (each.layout in ("contiguous", "channels_last", layout) or (backward and _has_im2col(tried)))
    ]
    if len({each.precision for each in wanted}) > 1 and not _bf16_is_right(tried, x):
        wanted = [each for each in wanted if each.precision == "fp32"]
    with torch.random.fork_rng(devices=[]):
        trials = [
            Trial(each, _time(tried, x, labels if backward else None, each, MOST_S / len(wanted)))
            for each in wanted
        ]
    fastest = min(trial.step_s for trial in trials)
    chosen = next(trial for trial in trials if trial.step_s <= ALIKE * fastest)
    forms = [each for each in trials if each.arrangement.layout == IM2COL]
    if (
        chosen.arrangement == ("fp32", "channels_last")
        and forms
        and ALIKE_FORMS * forms[0].step_s < chosen.step_s
    ):
        chosen = forms[0]
    return [chosen, *sorted((each for each in trials if each is not chosen), key=lambda each: each.step_s)]


def time_step(
    net: Net,
    batch: int,
    optimizer: OptimizerSettings,
    arrangement: Arrangement,
    device: torch.device,
    clock: Clock,
    *,
    tta: bool,
) -> StepTime:
    """Time a whole training step, now and not as it once was; the second one counts.

    Large networks are timed on fewer images than `batch`.  The weights of `net` are used up; the random
    state stays as it is.
    """
    net = apply_layout(net.to(device), arrangement.layout).train()
    stepper = optimizer_of(net, [(net, 1.0)], replace(optimizer, learning_rate=1e-6, weight_decay=0.0))
    memory = _memory_format(arrangement.layout)
    few, x = _some(net, net.layout.input, batch, device)
    x = x.contiguous(memory_format=memory)
    labels = torch.zeros(few, dtype=torch.long, device=device)
    passes: list[float] = []
    steps: list[float] = []

    def gradient() -> float:
        net.zero_grad(set_to_none=True)
        with autocast(device, arrangement.precision):
            logits = net(x)
        loss = F.cross_entropy(logits.float(), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        return float(loss.detach())

    with torch.random.fork_rng(devices=[]):
        for _ in range(2):
            began = clock.monotonic()
            gradient()
            passed = clock.monotonic()
            if OPTIMIZERS[optimizer.word].line_search:
                take_step(stepper, gradient)
            else:
                stepper.step()
            passes.append(passed - began)
            steps.append(clock.monotonic() - passed)
    net.auxiliary_logits.clear()
    image_s = passes[-1] / few
    return StepTime(image_s, steps[-1], image_s * FORWARD * (LOOKS if tta else 1.0))


def _some(net: Net, shape: Map, batch: int, device: torch.device) -> tuple[int, torch.Tensor]:
    """As many images as tell the time of a step, `batch` at most, and drawn ones."""
    work = sum(placed.layer.multiply_adds(placed.input) for placed in net.layout.layers())
    few = max(2, min(batch, MOST_MULTIPLY_ADDS // max(1, work)))
    return few, torch.randn(few, *shape, generator=torch.Generator().manual_seed(0)).to(device)


def apply_layout(net: Net, layout: str) -> Net:
    """Put the weights of convolutions into a memory layout."""
    for module in net.modules():
        if isinstance(module, Conv2d):
            module.im2col = layout == IM2COL
    return net.to(memory_format=_memory_format(layout))  # type: ignore[call-overload, no-any-return]


def _memory_format(layout: str) -> torch.memory_format:
    return torch.contiguous_format if layout == "contiguous" else torch.channels_last


def _has_im2col(net: Net) -> bool:
    return any(isinstance(module, Conv2d) and module.takes_im2col() for module in net.modules())


def _time(
    net: Net, x: torch.Tensor, labels: torch.Tensor | None, arrangement: Arrangement, most_s: float
) -> float:
    """Seconds of a step, the best of a few within `most_s`; of the forward pass alone without labels."""
    apply_layout(net, arrangement.layout).train(labels is not None)
    memory = _memory_format(arrangement.layout)
    x = x.contiguous(memory_format=memory)
    best = float("inf")
    began = time.perf_counter()
    # The first step makes what later ones use again, and is not counted.
    for step in range(TIMED + 1):
        before = time.perf_counter()
        net.zero_grad(set_to_none=True)
        with torch.set_grad_enabled(labels is not None), autocast(x.device, arrangement.precision):
            logits = net(x)
        if labels is not None:
            F.cross_entropy(logits.float(), labels).backward()  # type: ignore[no-untyped-call]
        if x.device.type == "cuda":
            torch.cuda.synchronize(x.device)
        taken = time.perf_counter() - before
        if step:
            best = min(best, taken)
            if time.perf_counter() - began > most_s:
                break
    net.auxiliary_logits.clear()
    return best


def _bf16_is_right(net: Net, x: torch.Tensor) -> bool:
    net.eval()
    with torch.inference_mode():
        some = x[: min(8, len(x))]
        exact = net(some).float()
        with autocast(x.device, "bf16"):
            rough = net(some).float()
    return bool((rough - exact).abs().max() <= TOLERANCE * exact.abs().max().clamp(min=1e-6))
