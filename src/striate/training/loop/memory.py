"""A training step that fits the memory: chosen, told, and measured."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple, TypedDict

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

# The word of `recompute` for one tensor of a batch norm and its activation, not two.
PAIRS = "pairs"

# Memory that is kept when it is freed lies in pieces: a step then takes up to this many times what lives.
PIECES = 1.7

# What libraries take when they are used first.
_SPARE_BYTES = 150_000_000

# Steps until the peak is measured: optimizers make their state in the first.
MEASURED_STEPS = 3


def thrift_of(recipe: Recipe, layout: Layout) -> Thrift:
    """What `recompute` and `micro_batches` of a recipe say.

    recompute = "auto" | "none" | ITEM { "," ITEM };  ITEM = "pairs" | PATH [ " to " PATH ]

    Raises RecipeError where the network has no step of that path, or runs cross.
    """
    paths = [part.path for part in steps(layout)]
    pairs, again = False, []
    for item in recipe.recompute.split(",") if recipe.recompute not in ("auto", "none") else ():
        if item.strip() == PAIRS:
            pairs = True
            continue
        ends = [_place(end.strip(), paths) for end in item.split(" to ")]
        again.append((ends[0], ends[-1]))
    again.sort()
    closed = tape(layout, "fp32").closed
    if any(first > last for first, last in again) or any(one[1] >= two[0] for one, two in pairwise(again)):
        raise RecipeError(
            f"the runs of `{recipe.recompute}` cross", place="recompute", expected="one behind the other"
        )
    if any(first <= step <= last for first, last in again for step in closed):
        raise RecipeError(
            "an auxiliary classifier cannot be made again",
            place="recompute",
            expected="runs before and behind it",
            cure="recompute=auto",
        )
    pieces = min(recipe.micro_batches or 1, recipe.batch or recipe.micro_batches or 1)
    return Thrift(pairs, tuple(again), pieces)


def _place(path: str, paths: list[str]) -> int:
    if path not in paths:
        raise RecipeError(
            f"the network has no step `{path}`",
            place="recompute",
            expected="auto, none, pairs, or steps of its main flow, as `stem.0 to stem.3`",
            cure=nearest(path, paths) or "recompute=auto",
        )
    return paths.index(path)


def written(thrift: Thrift, layout: Layout) -> str:
    """What `thrift_of` reads; without the pieces."""
    paths = [part.path for part in steps(layout)]
    said = [PAIRS] if thrift.pairs else []
    said += [
        paths[first] if first == last else f"{paths[first]} to {paths[last]}" for first, last in thrift.again
    ]
    return ", ".join(said) or "none"


def fitter(recipe: Recipe, layout: Layout, device: torch.device) -> Fitter:
    """The fitter of a recipe.  Where the precision is open, that which needs less."""
    assert recipe.batch is not None
    precision: str = "bf16" if recipe.precision == "auto" else recipe.precision
    if recipe.precision == "bf16" and emulates_bf16(device):
        precision = EMULATED
    return Fitter(layout, recipe.batch, precision, recipe.optimizer, recipe.ema is not None)


class Room(NamedTuple):
    """Bytes that a training step may take over what the process has without a network.

    own: they are what the recipe leaves, and not what the machine does.  taken: what the process has.
    """

    bytes: int
    own: bool
    taken: int = 0


def room_for(recipe: Recipe, device: torch.device, *, built_bytes: int = 0) -> Room | None:
    """The room there is; None where nothing tells.

    built_bytes: of the network, where it is there already.
    """
    free = free_memory_bytes(device)
    room = None if free is None else Room(free + built_bytes, own=False)
    if recipe.memory_bytes is None:
        return room
    taken = 0 if device.type == "cuda" else (heap.resident_bytes() or 0) - built_bytes
    left = max(0, recipe.memory_bytes - taken)
    return Room(left, own=True, taken=taken) if room is None or left <= room.bytes else room


def require_fits(layout: Layout, recipe: Recipe, device: torch.device) -> None:
    """Raise ResourceError where a training step cannot fit whatever is done, with the size that would do.

    Where a part stays frozen nothing is kept for it, and this asks nothing.
    """
    room = room_for(recipe, device)
    if room is None or _stays_frozen(recipe):
        return
    found = fitter(recipe, layout, device)
    if found.fit(room.bytes, **_said(recipe, layout)) is None:
        raise _refused(found, recipe, layout, room)


def fit_memory(recipe: Recipe, layout: Layout, device: torch.device, watch: Watch) -> Recipe:
    """The recipe with `recompute` and `micro_batches` chosen, so that a step fits; and what they are, told.

    The network is built.  Raises ResourceError as `require_fits`.
    """
    if _stays_frozen(recipe):
        recipe = recipe.model_copy(update={"recompute": "none", "micro_batches": 1})
    _require_two(recipe, layout)
    if _stays_frozen(recipe):
        return recipe
    found = fitter(recipe, layout, device)
    heap.trim()
    # Its running mean is not.
    built_bytes = found.memory(Thrift()).weights // (2 if found.average else 1)
    room = room_for(recipe, device, built_bytes=built_bytes)
    if room is None:
        thrift = thrift_of(recipe, layout)
        chosen = Fit(thrift, found.memory(thrift), found.memory(Thrift()), 0.0)
    else:
        fit = found.fit(room.bytes, **_said(recipe, layout))
        if fit is None:
            raise _refused(found, recipe, layout, room)
        chosen = fit
    if chosen.thrift != Thrift() or recipe.memory_bytes is not None:
        watch.say(f"memory    {told(chosen, found.batch, layout)}")
    return recipe.model_copy(
        update={"recompute": written(chosen.thrift, layout), "micro_batches": chosen.thrift.micro_batches}
    )


def _stays_frozen(recipe: Recipe) -> bool:
    """Whether a part never trains.  Where it thaws, a step is at last one of the whole network."""
    return recipe.freeze is not None and not recipe.thaw


def _require_two(recipe: Recipe, layout: Layout) -> None:
    assert recipe.batch is not None
    pieces = min(recipe.micro_batches or 1, recipe.batch)
    if recipe.batch // pieces < 2 and needs_two(layout):
        whole = recipe.batch > 1
        raise RecipeError(
            "one image alone has no variance for the bn behind an fc or on a map of 1x1",
            place="micro_batches" if whole else "batch",
            expected="at least 2 images " + ("in each piece" if whole else "in a step"),
            cure=f"micro_batches={recipe.batch // 2}" if whole else "batch=2",
        )


def told(fit: Fit, batch: int, layout: Layout) -> str:
    """What was chosen and what it costs, in one line."""
    if fit.thrift == Thrift():
        return f"a step takes {size(fit.memory.total)}: it fits as it is"
    line = f"a step takes {size(fit.memory.total)} of {size(fit.plain.total)}: "
    said = ["one tensor for a bn and its activation"] if fit.thrift.pairs else []
    if fit.thrift.again:
        text = written(replace(fit.thrift, pairs=False), layout)
        parts = text if len(fit.thrift.again) <= 3 else f"{len(fit.thrift.again)} runs of layers"
        said.append(f"recomputes {parts} (+{fit.arithmetic:.0%} arithmetic)")
    if fit.thrift.micro_batches > 1:
        pieces = fit.thrift.micro_batches
        said.append(f"{pieces} micro-batches of {-(-batch // pieces)}, each with statistics of its own")
    return line + ", ".join(said)


class _Said(TypedDict):
    again: Thrift | None
    pieces: int | None


def _said(recipe: Recipe, layout: Layout) -> _Said:
    """What a recipe leaves open for `Fitter.fit` to choose, and what not."""
    thrift = thrift_of(recipe, layout)
    return {
        "again": None if recipe.recompute == "auto" else thrift,
        "pieces": None if recipe.micro_batches is None else thrift.micro_batches,
    }


def _refused(found: Fitter, recipe: Recipe, layout: Layout, room: Room) -> ResourceError:
    said = _said(recipe, layout)
    least = found.least_bytes(**said)
    opened = {"recompute=auto": said["again"], "micro_batches=none": said["pieces"]}
    free = "".join(f" --set {setting}" for setting, value in opened.items() if value is not None)
    place = f"batch {recipe.batch} of {layout.input}"
    if room.own and recipe.memory_bytes is not None:
        # What the process has grows a little until the step.
        megabytes = -(-(least + room.taken + _SPARE_BYTES) // 1_000_000)
        return ResourceError(
            f"a training step needs {size(least)}, and {size(room.bytes)} of {size(recipe.memory_bytes)} are left "
            "for it",
            place=place,
            expected="weights, gradients, optimizer state and activations in memory",
            cure=f"--memory {megabytes}M, or a smaller network, or smaller images by --size"
            + (f", or{free}" if free else ""),
        )
    return ResourceError(
        f"a training step needs {size(least)} and {size(room.bytes)} are free",
        place=place,
        expected="weights, gradients, optimizer state and activations in memory",
        cure="a smaller network, or smaller images by --size" + (f", or{free}" if free else ""),
    )


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
        """It is taken."""
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


def meter(recipe: Recipe, layout: Layout, device: torch.device, optimizer_bytes: int) -> Meter:
    """What measures a run; the network is built, and its running mean.

    optimizer_bytes: what the optimizer keeps by now; nothing, unless the run was resumed.
    """
    found = fitter(recipe, layout, device)
    predicted = found.memory(thrift_of(recipe, layout))
    heap.trim()
    own = heap.own_bytes()
    built_bytes = predicted.weights + optimizer_bytes
    room = room_for(recipe, device, built_bytes=built_bytes)
    roomy = room is None or PIECES * predicted.total <= room.bytes
    return Meter(predicted, roomy, device, None if own is None else own - built_bytes)
