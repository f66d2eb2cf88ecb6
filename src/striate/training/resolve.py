"""What is left open in a recipe, chosen for its images, its network and this machine; what cannot fit, refused."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import torch

from striate.data.augment.augment import default_augment, read_augment
from striate.data.decode.size import MUCH_CROPPED
from striate.data.files.finding import CODES
from striate.data.gather import Data
from striate.errors import counted
from striate.modules.initial import read_initial
from striate.modules.module import Net
from striate.net.layout.layout import Layout
from striate.net.layout.normed import normalizes
from striate.net.plan.table import plan
from striate.optimizers import OPTIMIZERS
from striate.progress import Clock, Watch
from striate.recipe.keys import Recipe
from striate.training.budget import fitting_batch
from striate.training.layout import Arrangement, optimizer_precision, time_layouts, time_step
from striate.training.loop.frozen import frozen_parts
from striate.training.loop.memory import fit_memory, require_fits, write_recompute
from striate.training.selftest import self_test
from striate.training.settings import MOST_EPOCHS, UNLIMITED, OptimizerSettings, Settings, StepTime
from striate.training.step.progressive_resizing import require_progressive_resizing

# Files that are left out are named one by one up to this many.
NAMED = 5

# A smaller share that the crop cuts off is not mentioned.
LEAST_CROP = 0.1


@dataclass(frozen=True)
class Facts:
    """What a recipe is resolved for.

    net: with its first weights, before it is moved to the device.  started: when the job began, by the clock.
    """

    data: Data
    net: Net
    device: torch.device
    started: float
    clock: Clock


def require_resolvable(recipe: Recipe, data: Data, layout: Layout, device: torch.device) -> None:
    """Raise RecipeError or ResourceError where a recipe does not suit the images or the network.

    It is asked before the network is built: the system may end a process that takes too much.
    """
    if recipe.freeze is not None:
        frozen_parts(layout, recipe.freeze)
    else:
        require_progressive_resizing(layout, recipe.progressive_resizing or 1.0)
    if not recipe.stays_frozen and recipe.augment != "auto":
        read_augment(recipe.augment).require_fits(data.size)
    require_fits(layout, recipe, recipe.batch_for(len(data.train.labels)), device)


def resolve(recipe: Recipe, facts: Facts, watch: Watch) -> Settings:
    """All that the training reads, with nothing left open.

    What is open is the default for these images and this network; precision and memory layout are those that are
    fastest here, by trying them; what a step recomputes makes it fit the memory.  A recipe that `complete_recipe` gave
    comes to the same settings wherever it is read, so that a run computes the same bits wherever it goes on.

    Raises RecipeError where the recipe does not go together, ResourceError where a step does not fit.
    """
    data, net, device, kind = facts.data, facts.net, facts.device, OPTIMIZERS[recipe.optimizer]
    images = len(data.train.labels)
    batch = recipe.batch_for(images)
    learning_rate, weight_decay = recipe.learning_rate, recipe.weight_decay
    if learning_rate is None:
        learning_rate = kind.learning_rate_for(normalized=normalizes(net.layout))
    if weight_decay is None:
        weight_decay = kind.weight_decay
    augment = recipe.augment
    if recipe.stays_frozen:
        augment = "none"
    elif augment == "auto":
        augment = str(default_augment(data.size, data.channels, margin=data.stored_size != data.size))
    # Where mirrored images are others, as digits are, nothing is said by one.
    tta = recipe.tta if "flip" in {word.word for word in read_augment(augment).words} else 0.0
    precision = recipe.optimizer_precision
    optimizer = OptimizerSettings(
        recipe.optimizer, learning_rate, weight_decay, recipe.momentum, recipe.norm_lr_multiplier,
        optimizer_precision(recipe.optimizer, device) if precision == "auto" else precision,
    )  # fmt: skip
    arrangement, step_time = _pick_arrangement(recipe, batch, optimizer, tta, facts, watch)
    if recipe.budget_s is not None and recipe.freeze is None and recipe.batch is None:
        left_s = recipe.budget_s - (facts.clock.monotonic() - facts.started)
        batch = fitting_batch(batch, step_time, left_s)
    return Settings(
        epochs=MOST_EPOCHS if recipe.budget_s is not None else recipe.epochs_for(images),
        budget_s=recipe.budget_s or math.inf,
        batch=batch,
        optimizer=optimizer,
        clip=recipe.clip or math.inf,
        schedule=recipe.schedule,
        warmup=recipe.warmup,
        balance=recipe.balance,
        metric=recipe.metric,
        label_smoothing=recipe.label_smoothing,
        ema=recipe.ema or 0.0,
        target=recipe.target or math.inf,
        patience=recipe.patience or MOST_EPOCHS,
        augment=augment,
        progressive_resizing=1.0 if recipe.freeze is not None else recipe.progressive_resizing or 1.0,
        progressive_augment=recipe.progressive_augment,
        tta=tta,
        precision=arrangement.precision,
        evaluation_precision=_evaluation_precision(recipe, arrangement, batch, facts),
        layout=arrangement.layout,
        thrift=fit_memory(net.layout, recipe, batch, arrangement.precision, device, watch),
        frozen=0 if recipe.freeze is None else frozen_parts(net.layout, recipe.freeze),
        thaw=recipe.thaw,
        memory_bytes=recipe.memory_bytes or UNLIMITED,
        seed=recipe.seed,
        step_time=step_time,
    )


def complete_recipe(recipe: Recipe, settings: Settings, layout: Layout) -> Recipe:
    """The recipe with what was chosen for it, as it is written into the run's folder."""
    return recipe.model_copy(
        update={
            "epochs": None if settings.timed else settings.epochs,
            "batch": settings.batch,
            "learning_rate": settings.learning_rate,
            "weight_decay": settings.optimizer.weight_decay,
            "augment": settings.augment,
            "progressive_resizing": None if settings.frozen else recipe.progressive_resizing,
            "tta": settings.tta,
            "precision": settings.precision,
            "evaluation_precision": settings.evaluation_precision,
            "optimizer_precision": settings.optimizer.precision,
            "layout": settings.layout,
            "recompute": write_recompute(settings.thrift, layout),
            "micro_batches": settings.thrift.micro_batches,
        }
    )


def _pick_arrangement(
    recipe: Recipe, batch: int, optimizer: OptimizerSettings, tta: float, facts: Facts, watch: Watch
) -> tuple[Arrangement, StepTime]:
    """The arithmetic and memory layout that are fastest here, by trying them, and what a training step takes then.

    Where a part stays frozen, the forward pass counts, and no step is timed.  What was found best is kept from run
    to run; a time is always that of this moment.
    """
    net, device = facts.net, facts.device
    # `check_recipe` says why.
    layout = "contiguous" if OPTIMIZERS[recipe.optimizer].line_search else recipe.layout
    found, others = Arrangement(recipe.precision, layout), []
    is_open = "auto" in found
    if is_open:
        trials = time_layouts(
            net, net.layout.input, batch, device, precision=recipe.precision, layout=layout,
            backward=not recipe.stays_frozen,
        )  # fmt: skip
        found = trials[0].arrangement
        others = [
            f"{each.arrangement} takes {each.step_s / trials[0].step_s:.1f} times that" for each in trials[1:]
        ]
    step_time = StepTime()
    if recipe.freeze is None and (is_open or recipe.budget_s is not None):
        step_time = time_step(copy.deepcopy(net), batch, optimizer, found, device, facts.clock, tta=tta > 0)
    if is_open:
        step = (
            ""
            if recipe.freeze is not None
            else f", {_milliseconds(step_time.step_s(batch))} ms a step tried now"
        )
        watch.say(
            f"machine   {found}{step}" + (f" (forward and backward, {', '.join(others)})" if others else "")
        )
    return found, step_time


def _evaluation_precision(recipe: Recipe, arrangement: Arrangement, batch: int, facts: Facts) -> str:
    """Never less exact than the training, but where a frozen part is computed apart from it."""
    if recipe.evaluation_precision != "auto":
        return recipe.evaluation_precision
    if (arrangement.precision == "fp32" and recipe.freeze is None) or not self_test(facts.device).bf16:
        return "fp32"
    net = facts.net
    trials = time_layouts(
        net,
        net.layout.input,
        batch,
        facts.device,
        precision="auto",
        layout=arrangement.layout,
        backward=False,
    )
    return trials[0].arrangement.precision


def _milliseconds(step_s: float) -> str:
    """Three digits, or all there are."""
    found = 1000 * step_s
    return f"{found:,.0f}" if found >= 100 else f"{found:.3g}"


def check_words(recipe: Recipe) -> None:
    """Raise RecipeError where `augment` or `initial` cannot be read; nothing else has to be known for it."""
    if recipe.augment != "auto":
        read_augment(recipe.augment)
    read_initial(recipe.initial)


def summarize_data(data: Data, watch: Watch) -> None:
    """Say what the images are, in one line what is wrong with them, and the first that are left out."""
    splits = [("training", data.train), ("validation", data.val), ("test", data.test)]
    there = [(name, len(split.labels)) for name, split in splits if split is not None]
    sizes = ", ".join(f"{count:,} {name}" for name, count in there)
    noun = "image" if there[-1][1] == 1 else "images"
    made = " (validation held out of the training images)" if data.record["validation"]["made"] else ""  # type: ignore[call-overload,index]
    shape = f"{data.channels}x{data.size[0]}x{data.size[1]}"
    watch.say(f"data      {counted(len(data.classes), 'class', 'classes')}, {sizes} {noun} of {shape}{made}")
    if LEAST_CROP <= data.cropped_share < MUCH_CROPPED:
        watch.say(
            f"          the crop cuts off {data.cropped_share:.0%} of an image on average; --set fit=pad or "
            "fit=stretch keeps all of it"
        )
    left_out, odd = (sum(each.severity == which for each in data.findings) for which in ("error", "warning"))
    bad = [counted(left_out, "file") + " left out"] * bool(left_out) + [counted(odd, "warning")] * bool(odd)
    if bad:
        watch.say(f"check     {', '.join(bad)}: striate check {data.record['source']} tells all")
    for each in [each for each in data.findings if each.severity == "error"][:NAMED]:
        watch.say(f"          {each.name}: {each.reason} (try: {each.cure})")
    for each in [each for each in data.findings if CODES[each.code].whole][:NAMED]:
        watch.say(f"warning   {each.name}: {each.reason}\n          try: {each.cure}")


def summarize_network(layout: Layout, watch: Watch) -> None:
    """Say what the network costs."""
    summed = plan(layout)
    watch.say(f"          {summed.weights:,} weights, {summed.multiply_adds:,} multiply-adds an image")


def summarize_settings(settings: Settings, recipe: Recipe, watch: Watch) -> None:
    """Say how the network is trained."""
    length = f"{settings.budget_s:g} s" if settings.timed else counted(settings.epochs, "epoch")
    watch.say(
        f"recipe    {length} of batches of {settings.batch}, {settings.optimizer.word} at learning rate "
        f"{settings.learning_rate:g}, {settings.schedule}, augment: {settings.augment}, seed {settings.seed}"
    )
    if settings.frozen and recipe.weights is None:
        verb = "begins" if settings.thaw else "stays"
        watch.say(f"          no weights were given: what is frozen {verb} at its initialization")
