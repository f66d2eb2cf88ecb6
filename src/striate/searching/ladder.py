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

# A trial whose chance of beating the leader of its rung in the end is smaller is not trained further.
HOPELESS = 0.01

# From so many rungs on a curve is extrapolated: two points say how fast it comes.
LEAST_POINTS = 2

# A validation that is repeated with another seed differs by so much besides what its number of images explains.
SEED_STD = 0.02

# Exponents and floors of the power laws: error(t) = floor + a t^-b.
_EXPONENTS = (0.2, 0.4, 0.7, 1.0, 1.5)
_FLOORS = (0.0, 0.3, 0.6, 0.8, 0.9, 0.97)


@dataclass(frozen=True, slots=True)
class Seen:
    """A trial as it is known at a rung.

    points: (steps, metric) of each rung that it was on.  loss: of the last, for trials that are alike.
    diverged: whether it ended in NaN.
    """

    trial: int
    points: tuple[tuple[int, float], ...]
    loss: float = 0.0
    diverged: bool = False

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


def choose(seen: Sequence[Seen], rung: int, rungs: Sequence[int], images: int) -> Chosen:
    """Who goes on from a rung whose trials have all ended.

    seen: the trials of it.  rung: its number.  images: that they were validated on.
    The best third goes on, two to the last rung; of those, none that cannot win any more by its curve.
    """
    alive = [each for each in seen if not each.diverged and each.points]
    order = sorted(alive, key=lambda each: (-each.metric, each.loss, each.trial))
    if not order:
        return Chosen(())
    last = rung + 1 == len(rungs) - 1
    many = FINALISTS if last else math.ceil(len(seen) / KEPT)
    best = order[: min(many, len(order))]
    if len(best) < 2 or rung + 1 < LEAST_POINTS:
        return Chosen(tuple(each.trial for each in best))
    chances = chances_to_win([each.points for each in best], rungs[-1], images)
    on = [each.trial for each, chance in zip(best, chances, strict=True) if chance >= HOPELESS]
    hopeless = [each.trial for each, chance in zip(best, chances, strict=True) if chance < HOPELESS]
    left = [chance for chance in chances if chance < HOPELESS]
    return Chosen(tuple(on), tuple(hopeless), 1 - math.prod(1 - each for each in left))


def chances_to_win(curves: Sequence[Sequence[tuple[int, float]]], full: int, images: int) -> list[float]:
    """The chance that each of several trials ends above the first, 1 for the first itself.

    Phi((m - m_1) / sqrt(s^2 + s_1^2)), m and s from `extrapolate`.
    """
    found = [extrapolate(curve, full, images) for curve in curves]
    (first, first_std), *_ = found
    return [1.0] + [
        0.5 * math.erfc((first - mean) / math.sqrt(2 * (std**2 + first_std**2))) for mean, std in found[1:]
    ]


def extrapolate(curve: Sequence[tuple[int, float]], full: int, images: int) -> tuple[float, float]:
    """The metric that a training ends at, and the standard deviation of it.

    An ensemble of power laws, error(t) = f + a t^-b, each with its a by least squares, weighted by how well it goes
    through the curve.  The deviation is that of the ensemble, of the number of images and of another seed.
    Source: Domhan et al. 2015, "Speeding up automatic hyperparameter optimization of deep neural networks by
    extrapolation of learning curves", with fewer laws.
    """
    steps = np.array([each for each, _ in curve], dtype=float)
    error = 1 - np.array([each for _, each in curve], dtype=float)
    share = float(np.clip(1 - error[-1], 0.02, 0.98))
    noise = math.sqrt(share * (1 - share) / max(1, images) + SEED_STD**2)
    ends, weights = [], []
    for exponent in _EXPONENTS:
        falling = (steps / steps[-1]) ** -exponent
        for part in _FLOORS:
            floor = part * error.min()
            scale = float(falling @ (error - floor) / (falling @ falling))
            left = error - floor - scale * falling
            ends.append(floor + scale * (full / steps[-1]) ** -exponent)
            weights.append(math.exp(-0.5 * float(left @ left) / noise**2))
    total = sum(weights)
    if total < 1e-12:
        # A curve that goes up and down is as none of the laws.
        weights, total = [1.0] * len(ends), float(len(ends))
    share_of = np.array(weights) / total
    mean = float(share_of @ np.array(ends))
    spread = float(share_of @ (np.array(ends) - mean) ** 2)
    return 1 - mean, math.sqrt(spread + noise**2)


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
