"""The experiments of `striate doctor RUN --probe`: a minute with a run's own network, recipe and images.

Nothing of the run is changed; what is found is judged by `striate.doctor.probed`.
"""

from __future__ import annotations

import copy
import math
import time
from itertools import chain, count

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from striate.data.augment.augment import Augment
from striate.data.gather import Split
from striate.doctor.finding import Diagnosis, diagnosis_of
from striate.doctor.probed import FIT_STEPS, Fit, Pair, Probed, rules_on
from striate.modules.module import Net
from striate.modules.weights import load_weights
from striate.predict.evaluate import probabilities
from striate.predict.normalize import Feeder
from striate.progress import Watch
from striate.recipe.keys import Recipe
from striate.runs.folder import RunFolder, has_weights
from striate.training.baselines import (
    LINEAR,
    MOST_LEARNT,
    MOST_SCORED,
    Baseline,
    constant,
    fit_few,
    simple_models,
    some_of,
    usual,
)
from striate.training.job import read_back
from striate.training.loop.loop import Stopped, loss_of
from striate.training.loop.memory import thrift_of
from striate.training.loop.prepared import Job
from striate.training.loop.stages import optimizer_of, training_batches
from striate.training.step.micro_batches import add_gradients
from striate.training.step.optimizers import rate_factor
from striate.training.step.target import fed

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
    job = read_back(run, record, device=device, started=time.monotonic(), watch=watch)
    # On a CPU half the precision is no gain where every step is small, and a fit has to be exact.
    job.recipe = job.recipe.model_copy(update={"precision": "fp32"})
    feeder = Feeder(job.preparation, job.device, job.recipe.layout)
    train, scored = some_of(job.data.train, MOST_LEARNT), some_of(job.data.val, MOST_SCORED)

    fit, other = _one_batch(job, feeder, train, watch)
    answers = None
    if has_weights(run, record):
        answers = _answers(job, feeder, scored, run)
    learnt = None if answers is None else Baseline(answers.argmax(axis=1) == scored.labels)
    often = constant(job.data.train, scored)
    simple = simple_models(train, scored, job.data.size, len(job.data.classes), watch)
    augment = job.recipe.augment
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
        augment=augment,
        plain=_plain(job, feeder, scored, learnt, watch),
        linear=NO_WEIGHTS if learnt is None else dict(simple)[LINEAR].against(learnt),
    )


NO_WEIGHTS = "the run has no weights that answer"


def _one_batch(job: Job, feeder: Feeder, train: Split, watch: Watch) -> tuple[Fit | str, Fit | None]:
    """One batch with the recipe's optimizer, and where it does not fit, with the usual one."""
    if job.recipe.freeze is not None:
        return "a part of the network is frozen, and what trains is no whole network", None
    few = some_of(train, min(BATCH, job.recipe.batch or BATCH, len(train.labels)))
    if len(few.labels) < 2:
        few = some_of(train, 2)
    found = []
    for recipe in (job.recipe, usual(job.recipe, job.net)):
        watch.begin(f"one batch, {recipe.optimizer} at {recipe.learning_rate:g}", int(FIT_STEPS))
        found.append(fit_few(job.net, feeder, few, job.data.size, recipe, limit_s=FIT_S, watch=watch))
        watch.end()
        if found[-1].fitted:
            break
    return found[0], found[1] if len(found) > 1 else None


def _answers(job: Job, feeder: Feeder, scored: Split, run: RunFolder) -> NDArray[np.float32]:
    """The probabilities that the trained network gives for some validation images."""
    net = copy.deepcopy(job.net)
    load_weights(net, run.weights)
    return probabilities(net, feeder, scored.images, job.data.size, batch=128, precision="fp32")


def _variation(answers: NDArray[np.float32]) -> float:
    """Mean over the images of the total variation between its answer and the mean answer: 1/2 sum |p - mean p|."""
    if not np.isfinite(answers).all():
        return math.nan
    return float(np.abs(answers - answers.mean(axis=0)).sum(axis=1).mean() / 2)


def _plain(job: Job, feeder: Feeder, scored: Split, learnt: Baseline | None, watch: Watch) -> Pair | str:
    """A short training without augmentation, against the run."""
    recipe = job.recipe
    if recipe.augment == "none":
        return "nothing is drawn"
    if learnt is None:
        return NO_WEIGHTS
    if recipe.freeze is not None:
        return "a part of the network is frozen"
    net = _short_training(job, recipe.model_copy(update={"augment": "none"}), feeder, watch)
    if isinstance(net, str):
        return net
    found = probabilities(net, feeder, scored.images, job.data.size, batch=128, precision="fp32")
    return Baseline(found.argmax(axis=1) == scored.labels).against(learnt)


def _short_training(job: Job, recipe: Recipe, feeder: Feeder, watch: Watch) -> Net | str:
    """A copy of the network after a few hundred steps; or why there is none.

    It has the recipe's steps where these are fewer, and its schedule over them.
    """
    batches = training_batches(job.data.train, job.data.size, Augment(), recipe, makers=1)
    steps = min(SHORT_STEPS, batches.steps * (recipe.epochs or SHORT_STEPS))
    if recipe.optimizer == "lbfgs":
        return "lbfgs takes many gradients for a step"
    net = copy.deepcopy(job.net)
    optimizer = optimizer_of(net, [(net, 1.0)], recipe)
    thrift = thrift_of(recipe, job.layout)
    assert recipe.learning_rate is not None
    drawn = chain.from_iterable(batches.epoch(epoch) for epoch in count())
    began = time.monotonic()
    watch.begin("a short training without augmentation", steps)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        net.train()
        for step, batch in zip(range(steps), drawn, strict=False):
            # By what is further, so that the rate has come down when the time is up.
            progress = max(step / steps, (time.monotonic() - began) / SHORT_S)
            if progress >= 1:
                if step < FEWEST_SHORT_STEPS:
                    return f"there was time for {step} steps only"
                break
            learning_rate = recipe.learning_rate * rate_factor(recipe.schedule, progress, recipe.warmup)
            for group in optimizer.param_groups:
                group["lr"] = learning_rate * group.get("share", 1.0)
            optimizer.zero_grad(set_to_none=True)
            loss, _ = add_gradients(
                net, *fed(feeder, batch), thrift, recipe.precision,
                lambda logits, target: loss_of(net, logits, target, recipe.label_smoothing),
            )  # fmt: skip
            nn.utils.clip_grad_norm_(net.parameters(), recipe.clip or math.inf)
            if not math.isfinite(loss):
                return "the short training without augmentation diverged"
            optimizer.step()
            watch.advance(step + 1, f"loss {loss:.3f}")
            if watch.stopping():
                raise Stopped("stopped before the end, so nothing is told")
    watch.end()
    return net
