"""Learning rates over a training, by hand."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import get_args

import pytest

from striate.recipe.keys import ScheduleWord
from striate.training.step.schedules import schedule_factor


@pytest.mark.parametrize(
    ("schedule", "progress", "warmup", "factor"),
    [
        ("constant", 0.0, 0.0, 1.0),
        ("constant", 0.99, 0.0, 1.0),
        ("step", 0.0, 0.0, 1.0),
        ("step", 0.33, 0.0, 1.0),
        ("step", 0.34, 0.0, 0.1),
        ("step", 0.67, 0.0, 0.01),
        ("step", 1.0, 0.0, 0.01),
        ("exponential", 0.0, 0.0, 1.0),
        ("exponential", 0.5, 0.0, 0.1),
        ("exponential", 1.0, 0.0, 0.01),
        ("inverse", 0.0, 0.0, 1.0),
        ("inverse", 1 / 9, 0.0, 0.5),
        ("inverse", 1.0, 0.0, 0.1),
        ("cosine", 0.0, 0.0, 1.0),
        ("cosine", 1 / 3, 0.0, 0.75),
        ("cosine", 0.5, 0.0, 0.5),
        ("cosine", 1.0, 0.0, 0.0),
        ("one-cycle", 0.0, 0.2, 0.01),
        ("one-cycle", 0.1, 0.2, 0.505),
        ("one-cycle", 0.2, 0.2, 1.0),
        ("one-cycle", 0.6, 0.2, 0.5),
        ("one-cycle", 1.0, 0.2, 0.0),
        ("cosine", 0.55, 0.1, 0.5),
    ],
)
def test_by_hand(schedule: str, progress: float, warmup: float, factor: float) -> None:
    assert schedule_factor(schedule, progress, warmup) == pytest.approx(factor, abs=1e-12)


@pytest.mark.parametrize("schedule", get_args(ScheduleWord))
@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.5])
def test_every_schedule_rises_once_and_never_leaves_0_to_1(schedule: str, warmup: float) -> None:
    factors = [schedule_factor(schedule, k / 1000, warmup) for k in range(1001)]
    assert all(0 <= factor <= 1 for factor in factors)
    top = math.ceil(1000 * warmup)
    assert all(b > a for a, b in pairwise(factors[:top]))
    assert all(b <= a for a, b in pairwise(factors[top:]))
