"""How the learning rate changes over a training."""

from __future__ import annotations

import math


def rate_factor(schedule: str, progress: float, warmup: float) -> float:
    """What the highest rate is multiplied with after a share `progress` of the training, 0 to 1.

    The first `warmup` of the training rises in a straight line from 0.01 to 1; what follows is, with t
    running from 0 to 1 over the rest:

      constant     1
      step         0.1 ^ floor(3 t): three stages, each a tenth of the one before
      exponential  0.01 ^ t
      inverse      1 / (1 + 9 t)
      cosine       (1 + cos(pi t)) / 2
      one-cycle    1 - t, down to 0 in a straight line; with its warm-up a triangle (Smith 2018)

    Source: Goyal et al. 2017 (warm-up); Loshchilov and Hutter 2017 (cosine).
    """
    if progress < warmup:
        return 0.01 + 0.99 * progress / warmup
    t = min(1.0, (progress - warmup) / (1 - warmup))
    if schedule == "constant":
        return 1.0
    if schedule == "step":
        return float(0.1 ** math.floor(min(3 * t, 2.999)))
    if schedule == "exponential":
        return float(0.01**t)
    if schedule == "inverse":
        return 1 / (1 + 9 * t)
    if schedule == "cosine":
        return (1 + math.cos(math.pi * t)) / 2
    return 1 - t
