"""How the learning rate changes over a training."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

# Of the share t, 0 to 1, of what follows the warm-up.
SCHEDULES: Mapping[str, Callable[[float], float]] = {
    "constant": lambda t: 1.0,
    # Three stages, each a tenth of the one before.
    "step": lambda t: float(0.1 ** math.floor(min(3 * t, 2.999))),
    "exponential": lambda t: float(0.01**t),
    "inverse": lambda t: 1 / (1 + 9 * t),
    # Loshchilov and Hutter 2017.
    "cosine": lambda t: (1 + math.cos(math.pi * t)) / 2,
    # Down to 0 in a straight line; with its warm-up a triangle (Smith 2018).
    "one-cycle": lambda t: 1 - t,
}


def schedule_factor(schedule: str, progress: float, warmup: float) -> float:
    """What the highest learning rate is multiplied with after a share `progress` of the training, 0 to 1.

    The first `warmup` of the training rises in a straight line from 0.01 to 1 (Goyal et al. 2017); what follows is
    SCHEDULES[schedule](t), with t running from 0 to 1 over the rest.
    """
    if progress < warmup:
        return 0.01 + 0.99 * progress / warmup
    return SCHEDULES[schedule](min(1.0, (progress - warmup) / (1 - warmup)))
