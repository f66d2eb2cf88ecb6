"""A training step that fits the memory: chosen, described, and measured."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

import torch

from striate.errors import RecipeError, ResourceError, nearest
from striate.machine import allocator as heap
from striate.machine.device import emulates_bf16, free_memory_bytes
from striate.net.layout.layout import Layout
from striate.net.layout.normed import needs_two
from striate.net.plan.memory import StepMemory, Thrift
from striate.net.plan.memory_fit import Fit, Fitter
from striate.net.plan.tape import EMULATED, steps, tape
from striate.progress import Watch
from striate.recipe.keys import Recipe
from striate.text.figures import size
from striate.training.settings import UNLIMITED, Settings

# The word of `recompute` for one tensor of a batch norm and its activation, not two.
PAIRS = "pairs"

# Memory that is kept when it is freed lies in pieces: a step then takes up to this many times what lives.
PIECES = 1.7

# What libraries take when they are used first.
_SPARE_BYTES = 150_000_000

# Steps until the peak is measured: optimizers make their state in the first.
MEASURED_STEPS = 3


def read_recompute(text: str, layout: Layout) -> Thrift:
    """What `recompute` of a recipe says.

    recompute = "auto" | "none" | ITEM { "," ITEM };  ITEM = "pairs" | PATH [ " to " PATH ]

    Raises RecipeError where the network has no step of that path, or runs cross.
    """
    paths = [part.path for part in steps(layout)]
    pairs, again = False, []
    for item in text.split(",") if text not in ("auto", "none") else ():
        if item.strip() == PAIRS:
            pairs = True
            continue
        ends = [_place(end.strip(), paths) for end in item.split(" to ")]
        again.append((ends[0], ends[-1]))
    again.sort()
    closed = tape(layout, "fp32").closed
    if any(first > last for first, last in again) or any(one[1] >= two[0] for one, two in pairwise(again)):
        raise RecipeError(f"the runs of `{text}` cross", place="recompute", expected="one behind the other")
    if any(first <= step <= last for first, last in again for step in closed):
        raise RecipeError(
            "an auxiliary classifier cannot be recomputed",
            place="recompute",
            expected="runs before and behind it",
            cure="recompute=auto",
        )
    return Thrift(pairs, tuple(again))


def _place(path: str, paths: list[str]) -> int:
    if path not in paths:
        raise RecipeError(
            f"the network has no step `{path}`",
            place="recompute",
            expected="auto, none, pairs, or steps of its main flow, as `stem.0 to stem.3`",
            cure=nearest(path, paths) or "recompute=auto",
        )
    return paths.index(path)


def write_recompute(thrift: Thrift, layout: Layout) -> str:
    """What `read_recompute` reads; without the pieces."""
    paths = [part.path for part in steps(layout)]
    items = [PAIRS] if thrift.pairs else []
    items += [
        paths[first] if first == last else f"{paths[first]} to {paths[last]}" for first, last in thrift.again
    ]
    return ", ".join(items) or "none"


def fitter(
    layout: Layout, batch: int, precision: str, optimizer: str, average: bool, device: torch.device
) -> Fitter:
    """What fits the step of a training.  precision: where it is open (auto), that which needs less."""
    if precision == "bf16" and emulates_bf16(device):
        precision = EMULATED
    return Fitter(layout, batch, "bf16" if precision == "auto" else precision, optimizer, average)


class Room(NamedTuple):
    """Bytes that a training step may take over what the process has without a network.

    own: they are what the recipe leaves, and not what the machine does.  taken: what the process has.
    """

    bytes: int
    own: bool = False
    taken: int = 0


def room_for(memory_bytes: int, device: torch.device, *, built_bytes: int = 0) -> Room:
    """The room there is; UNLIMITED where nothing tells.

    memory_bytes: the limit of the recipe, or UNLIMITED.  built_bytes: of the network, where it is there already.
    """
    free = free_memory_bytes(device)
    room = Room(UNLIMITED if free is None else free + built_bytes)
    if memory_bytes == UNLIMITED:
        return room
    taken = 0 if device.type == "cuda" else (heap.resident_bytes() or 0) - built_bytes
    left = max(0, memory_bytes - taken)
    return Room(left, own=True, taken=taken) if left <= room.bytes else room


def require_fits(layout: Layout, recipe: Recipe, batch: int, device: torch.device) -> None:
    """Raise ResourceError where a training step cannot fit whatever is done, with the size that would do.

    Where a part stays frozen nothing is kept for it, and this asks nothing.
    """
    if not recipe.stays_frozen:
        _fit(layout, recipe, batch, recipe.precision, device, built=False)


def fit_memory(
    layout: Layout, recipe: Recipe, batch: int, precision: str, device: torch.device, watch: Watch
) -> Thrift:
    """What a step does so that it fits, where the recipe leaves it open; said in one line.

    The network is built.  Raises ResourceError as `require_fits`.
    """
    if recipe.stays_frozen:
        _require_two(layout, batch, 1)
        return Thrift()
    _require_two(layout, batch, min(recipe.micro_batches or 1, batch))
    fit = _fit(layout, recipe, batch, precision, device, built=True)
    if fit.thrift != Thrift() or recipe.memory_bytes is not None:
        watch.say(f"memory    {describe_fit(fit, batch, layout)}")
    return fit.thrift


def _fit(
    layout: Layout, recipe: Recipe, batch: int, precision: str, device: torch.device, *, built: bool
) -> Fit:
    """The cheapest step that fits.  built: the network is; its running mean is not."""
    found = fitter(layout, batch, precision, recipe.optimizer, recipe.ema is not None, device)
    again = None if recipe.recompute == "auto" else read_recompute(recipe.recompute, layout)
    pieces = None if recipe.micro_batches is None else min(recipe.micro_batches, batch)
    built_bytes = 0
    if built:
        heap.trim()
        built_bytes = found.memory(Thrift()).weights // (2 if found.average else 1)
    limit = recipe.memory_bytes or UNLIMITED
    room = room_for(limit, device, built_bytes=built_bytes)
    fit = found.fit(room.bytes, again=again, pieces=pieces)
    if fit is not None:
        return fit
    least = found.least_bytes(again=again, pieces=pieces)
    opened = {"recompute=auto": again, "micro_batches=none": pieces}
    free = "".join(f" --set {setting}" for setting, value in opened.items() if value is not None)
    need, cure = f"a training step needs {size(least)}", "a smaller network, or smaller images by --size"
    if room.own:
        # What the process has grows a little until the step.
        megabytes = -(-(least + room.taken + _SPARE_BYTES) // 1_000_000)
        need += f", and {size(room.bytes)} of {size(limit)} are left for it"
        cure = f"--memory {megabytes}M, or {cure}"
    else:
        need += f" and {size(room.bytes)} are free"
    raise ResourceError(
        need,
        place=f"batch {batch} of {layout.input}",
        expected="weights, gradients, optimizer state and activations in memory",
        cure=cure + (f", or{free}" if free else ""),
    )


def _require_two(layout: Layout, batch: int, pieces: int) -> None:
    if batch // pieces < 2 and needs_two(layout):
        whole = batch > 1
        raise RecipeError(
            "one image alone has no variance for the bn behind an fc or on a map of 1x1",
            place="micro_batches" if whole else "batch",
            expected="at least 2 images " + ("in each piece" if whole else "in a step"),
            cure=f"micro_batches={batch // 2}" if whole else "batch=2",
        )


def describe_fit(fit: Fit, batch: int, layout: Layout) -> str:
    """What was chosen and what it costs, in one line."""
    if fit.thrift == Thrift():
        return f"a step takes {size(fit.memory.total)}: it fits as it is"
    line = f"a step takes {size(fit.memory.total)} of {size(fit.plain.total)}: "
    parts = ["one tensor for a bn and its activation"] if fit.thrift.pairs else []
    if fit.thrift.again:
        text = write_recompute(replace(fit.thrift, pairs=False), layout)
        runs = text if len(fit.thrift.again) <= 3 else f"{len(fit.thrift.again)} runs of layers"
        parts.append(f"recomputes {runs} (+{fit.arithmetic:.0%} arithmetic)")
    if fit.thrift.micro_batches > 1:
        pieces = fit.thrift.micro_batches
        parts.append(f"{pieces} micro-batches of {-(-batch // pieces)}, each with statistics of its own")
    return line + ", ".join(parts)


@dataclass
class Meter:
    """Measures the peak of the first steps, then lets the process keep what it frees if there is room.

    predicted: what was planned.  roomy: memory may lie in pieces.  base_bytes: what the process had without
    the network.  measured_bytes: the peak over that; None until it is known, or where nothing tells.
    """

    predicted: StepMemory
    roomy: bool
    device: torch.device
    base_bytes: int | None
    measured_bytes: int | None = None
    steps: int = 0

    def before_step(self) -> None:
        """The peak of the next step is measured; what was written or validated before does not count."""
        if self.steps >= MEASURED_STEPS:
            return
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
            return
        if self.steps == 0:
            heap.return_freed_memory()
        if not heap.forget_peak():
            self.base_bytes = None

    def after_step(self) -> None:
        """The step is taken."""
        if self.steps >= MEASURED_STEPS:
            return
        self.steps += 1
        if self.device.type == "cuda":
            found: int | None = torch.cuda.max_memory_allocated(self.device)
        else:
            peak = heap.peak_bytes()
            found = None if peak is None or self.base_bytes is None else peak - self.base_bytes
        if found is not None:
            self.measured_bytes = max(found, self.measured_bytes or 0)
        if self.steps == MEASURED_STEPS and self.roomy:
            heap.keep_freed_again()

    def to_record(self) -> dict[str, int | None]:
        """For run.json."""
        return {"predicted_bytes": self.predicted.total, "measured_bytes": self.measured_bytes}


def meter(settings: Settings, layout: Layout, device: torch.device, optimizer_bytes: int) -> Meter:
    """What measures a run; the network is built, and its running mean.

    optimizer_bytes: what the optimizer keeps by now; nothing, unless the run was resumed.
    """
    found = fitter(
        layout, settings.batch, settings.precision, settings.optimizer.word, settings.ema > 0, device
    )
    predicted = found.memory(settings.thrift)
    heap.trim()
    own = heap.own_bytes()
    built_bytes = predicted.weights + optimizer_bytes
    room = room_for(settings.memory_bytes, device, built_bytes=built_bytes)
    roomy = PIECES * predicted.total <= room.bytes
    return Meter(predicted, roomy, device, None if own is None else own - built_bytes)
