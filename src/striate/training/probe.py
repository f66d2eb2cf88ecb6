"""The experiments of `striate doctor RUN --probe`: a minute with a run's own network, recipe and images.

Nothing of the run is changed; what is found is judged by `striate.doctor.probed`.
"""

from __future__ import annotations

import copy
import math
import time
from dataclasses import replace
from itertools import chain, count

import numpy as np
import torch
from numpy.typing import NDArray

from striate.data.gather import Split
from striate.doctor.finding import Diagnosis, diagnosis_of
from striate.doctor.probed import FIT_STEPS, Fit, Pair, Probed, rules_on
from striate.modules.module import Net
from striate.modules.weights import load_weights
from striate.optimizers import OPTIMIZERS
from striate.predict.evaluate import probabilities
from striate.progress import Watch
from striate.runs.folder import RunFolder, has_weights
from striate.training.baselines import (
    LINEAR,
    MOST_LEARNT,
    MOST_SCORED,
    Baseline,
    constant,
    fit_few,
    simple_models,
    subsample,
    with_adamw,
)
from striate.training.job import restore_job
from striate.training.loop.loop import Stopped
from striate.training.loop.prepared import Prepared
from striate.training.loop.stages import optimizer_of, training_batches
from striate.training.settings import Settings
from striate.training.step.micro_batches import compute_gradients
from striate.training.step.optimizers import set_learning_rate
from striate.training.step.schedules import schedule_factor
from striate.training.step.target import prepare_batch

# Images of the batch that has to be fitted.
BATCH = 32
# Seconds for each of its two trials, and for the short training without augmentation.
FIT_S, SHORT_S = 10.0, 20.0
# Steps of the short training, in batches of the recipe, and the fewest that are a training.
SHORT_STEPS, FEWEST_SHORT_STEPS = 300, 50


def probe_run(run: RunFolder, *, device: str | None, watch: Watch) -> Diagnosis:
    """Make the experiments on a run, and judge them.

    Raises RunError where its network, recipe or data are not what they were; Stopped where `watch` asks to stop.
    """
    return diagnosis_of(rules_on(probe(run, device=device, watch=watch)))


def probe(run: RunFolder, *, device: str | None, watch: Watch) -> Probed:
    """The experiments alone.  Raises as `probe_run`."""
    record = run.read_record()
    made = restore_job(run, record, device=device, started=time.monotonic(), watch=watch).prepared
    # On a CPU half the precision is no gain where every step is small, and a fit has to be exact.
    made = replace(made, settings=replace(made.settings, precision="fp32"))
    data = made.data
    train, scored = subsample(data.train, MOST_LEARNT), subsample(data.val, MOST_SCORED)

    fit, other = _one_batch(made, train, watch)
    answers = None
    if has_weights(run, record):
        answers = _answers(made, scored, run)
    learnt = None if answers is None else Baseline(answers.argmax(axis=1) == scored.labels)
    often = constant(data.train, scored)
    simple = simple_models(train, scored, data.size, len(data.classes), watch)
    return Probed(
        place=str(run.path),
        source=record.source,
        fit=fit,
        usual=other,
        variation=NO_WEIGHTS if answers is None else _variation(answers),
        simple=tuple(
            (name, each.against(often))
            for name, each in [*simple, *([("the run", learnt)] if learnt is not None else [])]
        ),
        augment=made.settings.augment,
        plain=_plain(made, scored, learnt, watch),
        linear=NO_WEIGHTS if learnt is None else dict(simple)[LINEAR].against(learnt),
    )


NO_WEIGHTS = "the run has no weights that answer"


def _one_batch(made: Prepared, train: Split, watch: Watch) -> tuple[Fit | str, Fit | None]:
    """One batch with the recipe's optimizer, and where it does not fit, with the usual one."""
    if made.settings.frozen:
        return "a part of the network is frozen, and what trains is no whole network", None
    few = subsample(train, min(BATCH, made.settings.batch, len(train.labels)))
    if len(few.labels) < 2:
        few = subsample(train, 2)
    found = []
    for settings in (made.settings, with_adamw(made.settings, made.net)):
        watch.begin(f"one batch, {settings.optimizer.word} at {settings.learning_rate:g}", int(FIT_STEPS))
        found.append(
            fit_few(made.net, made.feeder, few, made.data.size, settings, limit_s=FIT_S, watch=watch)
        )
        watch.end()
        if found[-1].fitted:
            break
    return found[0], found[1] if len(found) > 1 else None


def _answers(made: Prepared, scored: Split, run: RunFolder) -> NDArray[np.float32]:
    """The probabilities that the trained network gives for some validation images."""
    net = copy.deepcopy(made.net)
    load_weights(net, run.weights)
    return probabilities(net, made.feeder, scored.images, made.data.size, batch=128, precision="fp32")


def _variation(answers: NDArray[np.float32]) -> float:
    """Mean over the images of the total variation between its answer and the mean answer: 1/2 sum |p - mean p|."""
    if not np.isfinite(answers).all():
        return math.nan
    return float(np.abs(answers - answers.mean(axis=0)).sum(axis=1).mean() / 2)


def _plain(made: Prepared, scored: Split, learnt: Baseline | None, watch: Watch) -> Pair | str:
    """A short training without augmentation, against the run."""
    if made.settings.augment == "none":
        return "nothing is drawn"
    if learnt is None:
        return NO_WEIGHTS
    if made.settings.frozen:
        return "a part of the network is frozen"
    net = _short_training(made, replace(made.settings, augment="none"), watch)
    if isinstance(net, str):
        return net
    found = probabilities(net, made.feeder, scored.images, made.data.size, batch=128, precision="fp32")
    return Baseline(found.argmax(axis=1) == scored.labels).against(learnt)


def _short_training(made: Prepared, settings: Settings, watch: Watch) -> Net | str:
    """A copy of the network after a few hundred steps; or why there is none.

    It has the training's steps where these are fewer, and its schedule over them.
    """
    batches = training_batches(made.data.train, made.data.size, settings, makers=1)
    steps = min(SHORT_STEPS, batches.steps * settings.epochs)
    if OPTIMIZERS[settings.optimizer.word].line_search:
        return f"{settings.optimizer.word} takes many gradients for a step"
    net = copy.deepcopy(made.net)
    optimizer = optimizer_of(net, [(net, 1.0)], settings.optimizer)
    drawn = chain.from_iterable(batches.epoch(epoch) for epoch in count())
    began = time.monotonic()
    watch.begin("a short training without augmentation", steps)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        net.train()
        for step, batch in zip(range(steps), drawn, strict=False):
            # By what is further, so that the rate has come down when the time is up.
            progress = max(step / steps, (time.monotonic() - began) / SHORT_S)
            if progress >= 1:
                if step < FEWEST_SHORT_STEPS:
                    return f"there was time for {step} steps only"
                break
            factor = schedule_factor(settings.schedule, progress, settings.warmup)
            set_learning_rate(optimizer, settings.learning_rate * factor)
            found = compute_gradients(net, optimizer, *prepare_batch(made.feeder, batch), settings)
            if not found.finite:
                return "the short training without augmentation diverged"
            optimizer.step()
            watch.advance(step + 1, f"loss {found.loss:.3f}")
            if watch.stopping():
                raise Stopped("stopped before the end: there is no result")
    watch.end()
    return net
