"""What can be had in the time: steps are timed, and network, size and batch chosen so that they fit."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from striate.errors import counted
from striate.modules.module import build
from striate.net.layout.layout import lay
from striate.net.notation.reader import read_text
from striate.net.shape import Map
from striate.net.zoo.list import zoo_text
from striate.progress import Clock
from striate.recipe.defaults import Candidate, Choice, candidates
from striate.recipe.keys import Recipe
from striate.runs.record import SymptomRecord
from striate.training.layout import Arrangement, optimizer_precision, time_step
from striate.training.selftest import self_test
from striate.training.settings import OptimizerSettings, StepTime

# Fewer passes over the images mean little.  Up to the second number, as many as show so many images in all:
# caltech26 (1,308 images) was 83.8 % right after 9 epochs at 128x128, 87.0 % after 16 at 96x96, in the same time.
LEAST_EPOCHS, MOST_EPOCHS, SHOWN = 5, 12, 20_000

# Steps that a training has at least where smaller batches can give them, and the smallest batch for it.
LEAST_STEPS, LEAST_BATCH = 100, 16

# Seconds kept free for the report and the end, and for reading images that are in no store yet, each.
CLOSING_S, READING_S = 1.5, 0.003


@dataclass(frozen=True, slots=True)
class Outlook:
    """How far a training comes.

    left_s: seconds for epochs, behind what was done and before the test.  epoch_s: of one, its validation
    included.  steps: in an epoch.
    """

    left_s: float
    epoch_s: float
    steps: int

    @property
    def epochs(self) -> float:
        """Passes over the training images."""
        return max(0.0, self.left_s) / max(self.epoch_s, 1e-9)

    def describe(self) -> str:
        """`about 12 epochs`, `about 0.4 epochs, 5 steps`."""
        if self.epochs >= LEAST_EPOCHS:
            return f"about {self.epochs:,.0f} epochs"
        return f"about {self.epochs:.2g} epochs, {counted(max(1, int(self.epochs * self.steps)), 'step')}"


def needed_epochs(images: int) -> int:
    """Passes over so many training images that a smaller network or size is taken for."""
    return max(LEAST_EPOCHS, min(MOST_EPOCHS, round(SHOWN / images)))


def outlook(batch: int, smallest: float, time: StepTime, counts: Mapping[str, int], left_s: float) -> Outlook:
    """How far a training comes in `left_s`.

    steps * step_s * growing + validated * evaluation_s, for each epoch; tested * evaluation_s at the end

    growing: the mean share of the arithmetic while images grow, with the square of their side.
    smallest: the share of the side that images have at first.  counts: images of train, val and test.
    """
    growing = 2 / 3 * (smallest**2 + smallest + 1) / 3 + 1 / 3
    evaluation_s = time.evaluation_s
    steps = max(1, counts["train"] // batch)
    epoch_s = (
        steps * time.optimizer_s + counts["train"] * time.image_s * growing + counts["val"] * evaluation_s
    )
    tested = counts.get("test") or counts["val"]
    return Outlook(left_s - tested * evaluation_s, epoch_s, steps)


def pick(
    ladder: Sequence[Candidate], seen: Callable[[Candidate], Outlook], needed: int
) -> tuple[Candidate, Outlook]:
    """The first candidate that comes to `needed` epochs; where none does, the one that comes farthest.

    ladder: the one that learns most in the end first.
    """
    found = []
    for each in ladder:
        found.append((each, seen(each)))
        if found[-1][1].epochs >= needed:
            return found[-1]
    return max(found, key=lambda each: each[1].epochs)


class Chooser:
    """Chooses a network of the zoo, and the side of the images where that is open, by timing steps."""

    def __init__(
        self, recipe: Recipe, device: torch.device, *, left_s: Callable[[], float], clock: Clock
    ) -> None:
        self.recipe, self.device, self.left_s, self.clock = recipe, device, left_s, clock
        self.chosen: tuple[Candidate, Outlook, int] | None = None

    def side(self, side: int, channels: int, classes: int, counts: Mapping[str, int]) -> int:
        """The side of images that would have `side` where nothing hurries."""
        self.chosen = self._choose((side, side), channels, classes, counts, sides=True)
        return self.chosen[0].size[0]

    def network(
        self, size: tuple[int, int], channels: int, classes: int, counts: Mapping[str, int]
    ) -> Choice:
        """The network for images of that size; the one that `side` found, where it was asked."""
        choice = self.chosen
        if choice is None or choice[0].size != size:
            choice = self._choose(size, channels, classes, counts, sides=False)
        chosen, found, needed = choice
        name, (height, width) = chosen.net, chosen.size
        budget = f"{self.recipe.budget_s:g} s"
        if found.epochs < needed:
            return Choice(
                name,
                f"of those for {height}x{width} pixels it comes farthest in {budget}: {found.describe()}",
            )
        return Choice(name, f"it suits {height}x{width} pixels and {budget}: {found.describe()}")

    def _choose(
        self, size: tuple[int, int], channels: int, classes: int, counts: Mapping[str, int], *, sides: bool
    ) -> tuple[Candidate, Outlook, int]:
        channels = self.recipe.channels or channels
        split = dict(counts)
        if "val" not in split:
            split["val"] = max(1, round(split["train"] * self.recipe.val_share))
            split["train"] = max(1, split["train"] - split["val"])
        reading_s = READING_S * sum(split.values()) if sides else 0.0

        recipe, precision, muon = self.recipe, self.recipe.precision, self.recipe.optimizer_precision
        if precision == "auto":
            precision = "bf16" if self_test(self.device).bf16 else "fp32"
        if muon == "auto":
            muon = optimizer_precision(recipe.optimizer, self.device)
        batch = recipe.batch_for(split["train"])
        optimizer = OptimizerSettings(
            recipe.optimizer, 0.0, 0.0, recipe.momentum, recipe.norm_lr_multiplier, muon
        )

        def seen(each: Candidate) -> Outlook:
            layout = lay(read_text(zoo_text(each.net), f"{each.net}.net"), Map(channels, *each.size), classes)
            with torch.random.fork_rng(devices=[]):
                net = build(layout)
            time = time_step(
                net, batch, optimizer, Arrangement(precision, "channels_last"), self.device, self.clock,
                tta=recipe.tta > 0,
            )  # fmt: skip
            smallest = recipe.progressive_resizing or 1.0
            return outlook(batch, smallest, time, split, self.left_s() - reading_s - CLOSING_S)

        needed = needed_epochs(split["train"])
        ladder = candidates(size, channels, self.recipe.nets, sides=sides)
        return (*pick(ladder, seen, needed), needed)


def fitting_batch(batch: int, time: StepTime, left_s: float) -> int:
    """A batch halved while a training would have few steps: they are what learns.

    Only where smaller batches take less time: not where the optimizer takes most of a step.
    """
    while batch >= 2 * LEAST_BATCH and left_s < LEAST_STEPS * time.step_s(batch):
        if time.step_s(batch // 2) > 0.75 * time.step_s(batch):
            break
        batch //= 2
    return batch


def describe_outlook(found: Outlook, budget_s: float, *, spent_s: float, given: bool) -> str:
    """How far the training will come, and where that is too little what would help.

    given: whether the network was; else there is none that comes farther.
    """
    line = f"{found.describe()} in {budget_s:g} s"
    if found.epochs < LEAST_EPOCHS:
        enough = enough_budget(found, spent_s, budget_s)
        line += f", and fewer than {LEAST_EPOCHS} mean little: --budget {enough}"
        line += ", or a smaller network or size" if given else ""
    return line


def enough_budget(found: Outlook, spent_s: float, budget_s: float) -> str:
    """The budget that has time for the fewest epochs that mean something, as it is typed."""
    # What is neither left nor spent is kept for the end.
    kept_s = budget_s - max(0.0, found.left_s)
    return typed_seconds(max(kept_s, spent_s) + (LEAST_EPOCHS + 0.5) * found.epoch_s)


def typed_seconds(seconds: float) -> str:
    """A time as `--budget` takes it, rounded up: `50s`, `4m`, `2h`."""
    for unit, letter, most, step in ((1, "s", 120, 10), (60, "m", 120, 1), (3600, "h", math.inf, 1)):
        count = step * max(1, math.ceil(seconds / unit / step))
        if count < most:
            return f"{count}{letter}"
    raise AssertionError(seconds)


def too_short(budget_s: float, epochs: float, steps: int, least: float, enough: str) -> SymptomRecord | None:
    """The symptom of a budget that was enough for less than `least` epochs; else None.

    enough: the budget that would do, as it is typed.
    """
    if epochs >= least:
        return None
    return SymptomRecord(
        code="too-short",
        said=f"{budget_s:g} s were enough for {counted(steps, 'step')}, {epochs:.1f} epochs: the network has hardly "
        "begun to learn"
        if epochs < 1
        else f"{budget_s:g} s were enough for {epochs:.1f} epochs, and the network can learn more in {least:g}",
        cure=f"the same command with `--budget {enough}`",
    )
