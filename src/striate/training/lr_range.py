"""The learning-rate range test: the loss while the learning rate rises from far too low to far too high."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain, count

import numpy as np
import torch

from striate.errors import RecipeError
from striate.optimizers import OPTIMIZERS
from striate.progress import Watch
from striate.training.loop.loop import Diverged, Stopped
from striate.training.loop.prepared import Prepared
from striate.training.loop.stages import optimizer_of, training_batches
from striate.training.step.micro_batches import compute_gradients
from striate.training.step.optimizers import set_learning_rate
from striate.training.step.target import prepare_batch

LOWEST, HIGHEST = 1e-6, 10.0
# Of the running mean that smooths the loss.
SMOOTHING = 0.9
# The test ends where the loss is this many times its lowest.
TOO_HIGH = 4.0


@dataclass(frozen=True, slots=True, repr=False)
class RangeTest:
    """The rates that were tried and the smoothed loss at each.

    steepest: where the loss fell fastest.  lowest: where it was lowest.
    suggested: a tenth of `lowest`, a highest rate that trains well as a rule.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    steepest: float
    lowest: float

    @property
    def suggested(self) -> float:
        """The highest learning rate to begin with."""
        return self.lowest / 10

    def __str__(self) -> str:
        """What `striate lr` prints."""
        return (
            f"the loss falls fastest at {self.steepest:.2g} and is lowest at {self.lowest:.2g}\n"
            f"suggested: --set learning_rate={self.suggested:.2g}"
        )

    # At the prompt, too: not a line of all its fields.
    __repr__ = __str__


def range_test(made: Prepared, *, steps: int, watch: Watch) -> RangeTest:
    """Train for `steps` steps with a rate that rises by the same factor in each.

    rate(k) = LOWEST * (HIGHEST / LOWEST)^(k / (steps - 1)), until the loss is not finite or 4 times its
    lowest.  The loss is a running mean, corrected for its start.  Each step is one of `striate train`, at the
    full size of the images.  The weights are used up.

    Raises RecipeError for lbfgs and where a part is frozen, Diverged where not even the first loss is a number,
    Stopped where `watch` asks to stop.

    Source: Smith 2017, "Cyclical learning rates", section 3.3.
    """
    settings, data, net = made.settings, made.data, made.net
    if OPTIMIZERS[settings.optimizer.word].line_search:
        raise RecipeError(
            f"{settings.optimizer.word} searches along a line in each step, and its learning rate is not one of a range",
            place="optimizer",
            expected="an optimizer that takes one step for each gradient",
            cure="--set optimizer=adamw",
        )
    if settings.frozen:
        raise RecipeError(
            "a part is frozen, and the rates of what is left say nothing of the rest",
            place="freeze",
            expected="a network that trains as a whole",
            cure="leave out freeze",
        )
    batches = training_batches(data.train, data.size, settings, makers=1)
    drawn = chain.from_iterable(batches.epoch(epoch) for epoch in count())
    optimizer = optimizer_of(net, [(net, 1.0)], settings.optimizer)
    rates: list[float] = []
    losses: list[float] = []
    mean = 0.0
    watch.begin("learning rates", steps)
    with torch.random.fork_rng():
        torch.manual_seed(settings.seed)
        net.train()
        for step, batch in zip(range(steps), drawn, strict=False):
            learning_rate = LOWEST * (HIGHEST / LOWEST) ** (step / (steps - 1))
            set_learning_rate(optimizer, learning_rate)
            found = compute_gradients(net, optimizer, *prepare_batch(made.feeder, batch), settings)
            if not found.finite:
                break
            optimizer.step()
            mean = SMOOTHING * mean + (1 - SMOOTHING) * found.loss
            rates.append(learning_rate)
            losses.append(mean / (1 - SMOOTHING ** (step + 1)))
            watch.advance(step + 1, f"rate {learning_rate:.2g}, loss {losses[-1]:.3f}")
            if losses[-1] > TOO_HIGH * min(losses):
                break
            if watch.stopping():
                raise Stopped("stopped before the end: there is no result")
    watch.end()
    if not losses:
        raise Diverged(
            f"the first step is lost already: the loss is {found.loss}, the gradient's length {found.length}",
            expected="finite numbers at the lowest rate",
            cure="--set initial=auto, or a network with bn",
        )
    return read_range(tuple(rates), tuple(losses))


def read_range(rates: tuple[float, ...], losses: tuple[float, ...]) -> RangeTest:
    """Find the steepest fall and the lowest loss of a range test."""
    lowest = int(np.argmin(losses))
    slopes = (
        np.gradient(np.asarray(losses), np.log(np.asarray(rates))) if len(rates) > 2 else np.zeros(len(rates))
    )
    steepest = int(np.argmin(slopes[: lowest + 1]))
    return RangeTest(rates, losses, rates[steepest], rates[lowest])
