"""Which trials go on: rungs in steps, the best third of each, and no further than what can still win.

Nothing here trains anything: the same decisions are made over a recorded table.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# The share of a rung that goes on; each rung is as many times as long as the one before.
KEPT = 3

# A rung has so many steps at least: behind fewer nothing but the first weights is compared (benchmarks/search).
LEAST_STEPS = 12

# So many come to the last rung, unless their curves say that the second cannot win: it costs two thirds of a training,
# and the order of the rung before is right as often as not.
FINALISTS = 2

# And a third whose chance of beating the leader is as large, where no budget of time is kept.
CLOSE = 1 / 3

# A trial whose chance of beating the leader of its rung in the end is smaller is not trained further.
HOPELESS = 0.1

# Errors fall as t^-b, and what b will be from now on differs from trial to trial by so much: as recorded curves do behind
# an epoch of 27, and more than they do behind 3 and 9 (benchmarks/search).  What it was so far says little of it: a correlation of 0.3 behind 3 epochs of
# 27, and none behind 9.
EXPONENT_STD = 0.45


@dataclass(frozen=True, slots=True)
class Seen:
    """A trial as it is known at a rung.

    points: (steps, metric) of each rung that it was on.  loss: of the last, for trials that are alike.
    lost: the doctor's code, as `nan`, where it was ended as surely lost.
    """

    trial: int
    points: tuple[tuple[int, float], ...]
    loss: float = 0.0
    lost: str = ""

    @property
    def metric(self) -> float:
        """On the rung that it came to last."""
        return self.points[-1][1] if self.points else -1.0


@dataclass(frozen=True, slots=True)
class Chosen:
    """Who goes on from a rung, the best first.

    hopeless: who would have, but for what their curves say.  wrong: the chance that one of those would have beaten
    the best of those that go on.
    """

    on: tuple[int, ...]
    hopeless: tuple[int, ...] = ()
    wrong: float = 0.0


def ladder(full: int, trials: int, epoch: int) -> tuple[int, ...]:
    """The rungs of so many trials, in steps: full, a third of it, a ninth, ..., the last first.

    full: steps of a whole training.  epoch: steps of one.  The first rung is a ninth of an epoch at least, and twelve
    steps.
    """
    steps = [full]
    least = max(LEAST_STEPS, epoch // 9)
    while KEPT ** (len(steps) - 1) < trials and steps[0] // KEPT >= least:
        steps.insert(0, max(least, round(full / KEPT ** len(steps))))
    return tuple(steps)


def choose(
    seen: Sequence[Seen], rung: int, rungs: Sequence[int], images: int, *, third: bool = True
) -> Chosen:
    """Who goes on from a rung whose trials have all ended.

    seen: the trials of it.  rung: its number.  images: that they were validated on.
    The best third goes on, two to the last rung, and a third one where it is close and `third`; of those, none that
    cannot win any more by its curve.
    """
    alive = [each for each in seen if not each.lost and each.points]
    order = sorted(alive, key=lambda each: (-each.metric, each.loss, each.trial))
    if not order:
        return Chosen(())
    last = rung + 1 == len(rungs) - 1
    many = FINALISTS + third if last else math.ceil(len(seen) / KEPT)
    best = order[: min(many, len(order))]
    if len(best) < 2:
        return Chosen(tuple(each.trial for each in best))
    at, full = rungs[rung], rungs[-1]
    chances = [chance_to_win(each.metric, best[0].metric, at, full, images) for each in best]
    chances[0] = 1.0
    if last and len(best) > FINALISTS and chances[-1] < CLOSE:
        del best[-1], chances[-1]
    on = [each.trial for each, chance in zip(best, chances, strict=True) if chance >= HOPELESS]
    hopeless = [each.trial for each, chance in zip(best, chances, strict=True) if chance < HOPELESS]
    left = [chance for chance in chances if chance < HOPELESS]
    return Chosen(tuple(on), tuple(hopeless), 1 - math.prod(1 - each for each in left))


def chance_to_win(metric: float, leader: float, at: int, full: int, images: int) -> float:
    """The chance that a trial ends above the leader of its rung, both at step `at` of `full`, 0 to 1/2.

    Its curve goes on as a power law, e(full) = e(at) (full / at)^-b, with b of each drawn from N(B, EXPONENT_STD^2);
    an error e over n images has besides the variance (1 - e) / (e n) in its logarithm, half of it shared by the two
    steps, as the images are the same.  So
    Phi(-(log e - log e_1) / sqrt(v + v_1)), v = (EXPONENT_STD log(full / at))^2 + (1 - e) / (e n).
    Source: Domhan et al. 2015, "Speeding up automatic hyperparameter optimization of deep neural networks by
    extrapolation of learning curves", with one family of laws, and a spread that was measured.
    """
    errors = [min(1.0, max(0.5 / max(1, images), 1 - each)) for each in (metric, leader)]
    variances = [
        (EXPONENT_STD * math.log(full / at)) ** 2 + (1 - each) / (each * max(1, images)) for each in errors
    ]
    behind = math.log(errors[0] / errors[1])
    return 0.5 * math.erfc(behind / math.sqrt(2 * max(1e-12, sum(variances))))


def expected_drop(metrics: Sequence[float], images: int) -> float:
    """How much too good the validation of the best is, as it was chosen by it: the winner's curse.

    Of m values with variance v, each measured with noise s^2 = p (1 - p) / images, the best is expected to fall by
    (best - mean) s^2 / v, at most to the mean (James and Stein 1961).
    metrics: of the trials that were compared on the last rung where there are three or more.
    """
    if len(metrics) < 2:
        return 0.0
    values = np.array(metrics)
    best = float(values.max())
    noise = best * (1 - best) / max(1, images)
    variance = float(values.var(ddof=1))
    share = 1.0 if variance <= noise else noise / variance
    return (best - float(values.mean())) * share


def whole_trainings(reached: Sequence[int], full: int) -> float:
    """What a search took, in whole trainings.  reached: steps of each trial."""
    return sum(reached) / full
