"""The experiments of `striate doctor DATA`: a minute with a data set, before an hour is spent on it."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

import numpy as np

from striate.data.gather import Split
from striate.doctor.first_look import FirstLook
from striate.doctor.probed import FIT_STEPS, Fit
from striate.net.network import Network
from striate.progress import Watch
from striate.recipe.keys import Recipe
from striate.training.baselines import (
    MOST_LEARNT,
    MOST_SCORED,
    constant,
    doubts,
    fit_few,
    simple_models,
    subsample,
    with_adamw,
)
from striate.training.job import prepare
from striate.training.loop.prepared import Prepared

# Images of the batch that has to be fitted, and of the last try.
BATCH, TEN = 32, 10
# Seconds for each of the fits.
FIT_S = 20.0


def first_look(
    source: str | Path, *, network: Network | None, recipe: Recipe, device: str | None, watch: Watch
) -> FirstLook:
    """Make the experiments; `striate.doctor.first_look.judge` says what they mean.

    network: the network to try, or None to choose one.  Nothing is written but the cache.

    Raises what `prepare` raises; Stopped where `watch` asks to stop.
    """
    began = time.monotonic()
    # One arithmetic: to time others would take longer than the whole.
    recipe = recipe.model_copy(update={"precision": "fp32", "layout": "channels_last", "budget_s": None})
    made = prepare(source, network=network, recipe=recipe, device=device, strict=False, watch=watch)
    data = made.data
    train, scored = subsample(data.train, MOST_LEARNT), subsample(data.val, MOST_SCORED)
    watch.begin("labels", 1)
    agreed, doubted = doubts(train, data.size, data.classes)
    watch.end()
    often = constant(data.train, scored)
    models = simple_models(train, scored, data.size, len(data.classes), watch)
    batch, other = _fit(made, subsample(train, min(BATCH, len(train.labels))), "one batch", watch)
    ten, _ = _fit(made, _ten(train), "ten images", watch)
    counts = {
        name: len(split.labels)
        for name, split in (("train", data.train), ("val", data.val), ("test", data.test))
        if split is not None
    }
    per_class = np.bincount(data.train.labels, minlength=len(data.classes))
    return FirstLook(
        source=str(source),
        counts=counts,
        per_class={name: int(number) for name, number in zip(data.classes, per_class, strict=True)},
        findings=Counter(each.code for each in data.findings),
        agreed=agreed,
        doubts=doubted,
        simple=tuple((name, each.against(often)) for name, each in models),
        network=made.name.name or "the network",
        batch=batch,
        usual=other,
        ten=ten,
        seconds=time.monotonic() - began,
    )


def _fit(made: Prepared, few: Split, what: str, watch: Watch) -> tuple[Fit | str, Fit | None]:
    """A few images with the recipe's optimizer, and where it does not fit them, with the usual one."""
    if made.settings.frozen:
        return "a part of the network is frozen, and what trains is no whole network", None
    if len(few.labels) < 2:
        return "there is only one image", None
    found = []
    for settings in (made.settings, with_adamw(made.settings, made.net)):
        watch.begin(f"{what}, {settings.optimizer.word} at {settings.learning_rate:g}", int(FIT_STEPS))
        found.append(
            fit_few(made.net, made.feeder, few, made.data.size, settings, limit_s=FIT_S, watch=watch)
        )
        watch.end()
        if found[-1].fitted or not found[-1].tells:
            break
    return found[0], found[1] if len(found) > 1 else None


def _ten(train: Split) -> Split:
    """Ten images, one of each class in turn."""
    places = [np.flatnonzero(train.labels == each) for each in np.unique(train.labels)]
    turns = [own[turn] for turn in range(TEN) for own in places if turn < len(own)][:TEN]
    kept = np.sort(np.asarray(turns))
    return Split(
        np.ascontiguousarray(train.images[kept]),
        train.labels[kept],
        tuple(train.names[each] for each in kept),
    )
