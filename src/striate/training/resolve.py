"""What is left open in a recipe, chosen; what is chosen, told; what cannot fit, refused."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn

from striate.data.augment.augment import default_augment, read_augment
from striate.data.decode.size import MUCH_CROPPED
from striate.data.files.finding import CODES
from striate.data.gather import Data
from striate.errors import counted
from striate.modules.initial import read_initial
from striate.modules.module import Net
from striate.net.layout.layout import Layout
from striate.net.plan.table import plan
from striate.progress import Clock, Watch
from striate.recipe.defaults import default_batch, default_epochs
from striate.recipe.keys import Precision, Recipe
from striate.training.layout import apply_layout, time_layouts, time_step
from striate.training.loop.pace import StepTime
from striate.training.selftest import self_test
from striate.training.step.optimizers import default_learning_rate, default_weight_decay

# Files that are left out are named one by one up to this many.
NAMED = 5

# A smaller share that the crop cuts off is not told.
TOLD_CROP = 0.1


def resolve_recipe(recipe: Recipe, data: Data, net: nn.Module) -> Recipe:
    """The recipe with nothing left open."""
    images = len(data.train.labels)
    chosen: dict[str, Any] = {}
    if recipe.epochs is None and recipe.budget_s is None:
        chosen["epochs"] = default_epochs(images)
    chosen["batch"] = resolve_batch(recipe, data)
    if recipe.learning_rate is None:
        chosen["learning_rate"] = default_learning_rate(recipe.optimizer, net)
    if recipe.weight_decay is None:
        chosen["weight_decay"] = default_weight_decay(recipe.optimizer)
    if recipe.freeze is not None and not recipe.thaw:
        # What a frozen part gives for an image is computed once, so nothing can be drawn anew.
        chosen["augment"] = "none"
    elif recipe.augment == "auto":
        margin = data.stored_size != data.size
        chosen["augment"] = str(default_augment(data.size, data.channels, margin=margin))
    else:
        read_augment(recipe.augment).require_fits(data.size)
    words = {word.word for word in read_augment(chosen.get("augment", recipe.augment)).words}
    if "flip" not in words:
        # Where mirrored images are others, as digits are, nothing is told by one.
        chosen["tta"] = 0.0
    if recipe.freeze is not None:
        chosen["progressive_resizing"] = None
    if recipe.optimizer == "lbfgs":
        # `check_recipe` tells why.
        chosen["layout"] = "contiguous"
    return recipe.model_copy(update=chosen)


def pick_layout(
    recipe: Recipe, net: Net, device: torch.device, clock: Clock, watch: Watch
) -> tuple[Recipe, StepTime | None]:
    """The recipe with the arithmetic and memory layout that are fastest here, by trying them, and what a
    training step takes then.

    The network's weights are put into that layout.  Where a part stays frozen, the forward pass counts, and no
    step is timed.  What was found best is kept from run to run; a time is always that of this moment.
    All of it is written into the recipe, so that a run computes the same bits wherever it goes on.
    """
    batch = recipe.batch
    assert batch is not None
    others: list[str] = []
    tries = "auto" in (recipe.precision, recipe.layout)
    if tries:
        trials = time_layouts(
            net, net.layout.input, batch, device, precision=recipe.precision, layout=recipe.layout,
            backward=recipe.freeze is None or recipe.thaw > 0,
        )  # fmt: skip
        best = trials[0]
        found = best.arrangement
        others = [
            f"{each.arrangement} takes {each.step_s / best.step_s:.1f} times that" for each in trials[1:]
        ]
        recipe = recipe.model_copy(update={"precision": found.precision, "layout": found.layout})
    chosen = {}
    if recipe.evaluation_precision == "auto":
        chosen["evaluation_precision"] = _evaluation_precision(recipe, net, device)
    if recipe.optimizer_precision == "auto":
        chosen["optimizer_precision"] = optimizer_precision(recipe, device)
    recipe = recipe.model_copy(update=chosen)
    time = None
    if recipe.freeze is None and (tries or recipe.budget_s is not None):
        time = time_step(copy.deepcopy(net), batch, recipe, device, clock)
    if tries:
        step = "" if time is None else f", {_milliseconds(time.step_s(batch))} ms a step tried now"
        watch.say(
            f"machine   {found}{step}" + (f" (forward and backward, {', '.join(others)})" if others else "")
        )
    apply_layout(net, recipe.layout)
    return recipe, time


def optimizer_precision(recipe: Recipe, device: torch.device) -> Precision:
    """What muon iterates in here; the other optimizers know fp32 only."""
    if recipe.optimizer == "muon" and self_test(device).arithmetic()["optimizer"].value == "bf16":
        return "bf16"
    return "fp32"


def _evaluation_precision(recipe: Recipe, net: Net, device: torch.device) -> str:
    """Never less exact than the training, but where a frozen part is computed apart from it."""
    if (recipe.precision == "fp32" and recipe.freeze is None) or not self_test(device).bf16:
        return "fp32"
    assert recipe.batch is not None
    trials = time_layouts(
        net, net.layout.input, recipe.batch, device, precision="auto", layout=recipe.layout, backward=False
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


def resolve_batch(recipe: Recipe, data: Data) -> int:
    """Images in a step: what the recipe says, or what suits their number; never more than there are."""
    count = len(data.train.labels)
    return min(count, recipe.batch or default_batch(count, recipe.optimizer))


def summarize_data(data: Data, watch: Watch) -> None:
    """Say what the images are, in one line what is wrong with them, and the first that are left out."""
    splits = [("training", data.train), ("validation", data.val), ("test", data.test)]
    there = [(name, len(split.labels)) for name, split in splits if split is not None]
    told = ", ".join(f"{count:,} {name}" for name, count in there)
    noun = "image" if there[-1][1] == 1 else "images"
    made = " (validation held out of the training images)" if data.record["validation"]["made"] else ""  # type: ignore[call-overload,index]
    shape = f"{data.channels}x{data.size[0]}x{data.size[1]}"
    watch.say(f"data      {counted(len(data.classes), 'class', 'classes')}, {told} {noun} of {shape}{made}")
    if TOLD_CROP <= data.cropped_share < MUCH_CROPPED:
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


def tell_network(layout: Layout, watch: Watch) -> None:
    """Say what the network costs."""
    summed = plan(layout)
    watch.say(f"          {summed.weights:,} weights, {summed.multiply_adds:,} multiply-adds an image")


def summarize_recipe(recipe: Recipe, watch: Watch) -> None:
    """Say how the network is trained."""
    length = counted(recipe.epochs, "epoch") if recipe.epochs else f"{recipe.budget_s:g} s"
    watch.say(
        f"recipe    {length} of batches of {recipe.batch}, {recipe.optimizer} at learning rate {recipe.learning_rate:g}, "
        f"{recipe.schedule}, augment: {recipe.augment}, seed {recipe.seed}"
    )
    if recipe.freeze is not None and recipe.weights is None:
        verb = "begins" if recipe.thaw else "stays"
        watch.say(f"          no weights were given: what is frozen {verb} at its initialization")
