"""Budgets, by a clock that is turned by hand."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest

from striate.training.loop.pace import Pace
from training.jobs import Clock


@pytest.fixture
def clock() -> Clock:
    """The clock that paces look at."""
    return Clock()


def steady(step: int) -> float:
    """50 ms a step."""
    return 0.05


def slow_start(step: int) -> float:
    """The first steps take ten times as long."""
    return 0.5 if step < 3 else 0.05


def drift(step: int) -> float:
    """Each step takes a little longer than the one before, as a machine grows hot."""
    return 0.03 * (1 + step / 500)


def twice_as_slow(step: int) -> float:
    """Somebody else comes to the machine."""
    return 0.04 if step < 200 else 0.08


def twice_as_fast(step: int) -> float:
    """Somebody else leaves the machine."""
    return 0.08 if step < 200 else 0.04


def restless(step: int) -> float:
    """Between a half and twice as long."""
    return 0.05 * 2 ** random.Random(step).uniform(-1, 1)


def hiccups(step: int) -> float:
    """Every hundredth step takes a second."""
    return 1.0 if step % 100 == 99 else 0.03


def run(
    clock: Clock,
    budget_s: float,
    step_s: Callable[[int], float],
    *,
    steps: int = 50,
    validation_s: float = 0.3,
    test_share: float = 1.0,
    guess: float = 0.0,
    ready_s: float = 2.0,
) -> tuple[float, Pace]:
    """A job: read the data, train, validate after each epoch, test.  The seconds that it took, and its pace."""
    began = clock.now
    clock.now += ready_s
    pace = Pace(
        steps * 1_000_000, budget_s, 0.0, began,
        closing_validations=1 + test_share, validation_steps=guess, clock=clock,
    )  # fmt: skip
    taken = 0
    while not pace.done:
        for _ in range(steps):
            clock.now += step_s(taken)
            taken += 1
            pace.step(steps)
            assert 0 < pace.progress <= 1
            if pace.done:
                break
        clock.now += validation_s
        pace.validated(validation_s)
    clock.now += test_share * validation_s
    return clock.now - began, pace


@pytest.mark.parametrize(
    "step_s", [steady, slow_start, drift, twice_as_slow, twice_as_fast, restless, hiccups]
)
@pytest.mark.parametrize("budget_s", [20.0, 60.0, 600.0])
def test_it_ends_within_5_percent(clock: Clock, step_s: Callable[[int], float], budget_s: float) -> None:
    took, pace = run(clock, budget_s, step_s)
    assert took == pytest.approx(budget_s, rel=0.05)
    # The schedule is laid over the whole of it.
    assert pace.progress == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("validation_s", [0.0, 0.05, 3.0])
@pytest.mark.parametrize("test_share", [0.0, 1.0, 3.0])
def test_validations_and_the_test_are_counted(clock: Clock, validation_s: float, test_share: float) -> None:
    took, _ = run(clock, 60, steady, validation_s=validation_s, test_share=test_share)
    assert took == pytest.approx(60, rel=0.05)


def test_an_epoch_longer_than_the_budget(clock: Clock) -> None:
    """No validation is ever measured before the end; what it takes is guessed from the steps."""
    took, pace = run(clock, 60, steady, steps=100_000, validation_s=4.5, guess=100.0)
    assert pace.validations == 1
    assert took == pytest.approx(60, rel=0.05)


@pytest.mark.parametrize("first_s", [1.0, 3.0])
@pytest.mark.parametrize("slow", [1, 2, 4])
def test_slow_first_steps_do_not_end_it(clock: Clock, first_s: float, slow: int) -> None:
    """What a validation takes is not guessed from them: with the test it would seem to take all the time."""
    took, pace = run(
        clock, 60, lambda step: first_s if step < slow else 0.05,
        steps=350, validation_s=0.6, test_share=2.0, guess=13.0,
    )  # fmt: skip
    assert took == pytest.approx(60, rel=0.05)
    assert pace.steps > 600


def test_few_long_steps(clock: Clock) -> None:
    """So few that the time of one is never sure, but for the share of the time that it takes."""
    took, pace = run(clock, 60, lambda step: 5.0, steps=1000, validation_s=1.0, guess=0.2)
    assert took == pytest.approx(60, rel=0.1)
    assert pace.steps >= 10


def test_progress_moves_evenly(clock: Clock) -> None:
    pace = Pace(10_000, 100.0, 0.0, clock.now, clock=clock)
    seen = []
    while not pace.done:
        clock.now += 0.05
        pace.step(100)
        seen.append(pace.progress)
    assert seen == sorted(seen)
    assert seen[len(seen) // 2] == pytest.approx(0.5, abs=0.05)
    assert seen[-1] == pytest.approx(1)


@pytest.mark.parametrize("budget_s", [1e-9, 0.5, 2.0, 2.04])
def test_budgets_that_are_used_up_before_the_first_step(clock: Clock, budget_s: float) -> None:
    """One step is taken, and its network validated: there is always a result."""
    took, pace = run(clock, budget_s, steady)
    assert pace.steps == 1
    assert took == pytest.approx(2.0 + 0.05 + 0.6)


def test_a_step_longer_than_the_budget(clock: Clock) -> None:
    _, pace = run(clock, 10, lambda step: 30.0)
    assert pace.steps == 1


def test_earlier_sessions_count(clock: Clock) -> None:
    pace = Pace(1_000_000, 60.0, 50.0, clock.now, clock=clock)
    assert pace.elapsed_s() == 50
    while not pace.done:
        clock.now += 0.05
        pace.step(100)
    assert pace.elapsed_s() == pytest.approx(60, abs=0.1)


def test_a_number_of_epochs_needs_no_clock(clock: Clock) -> None:
    pace = Pace(30, math.inf, 0.0, clock.now, clock=clock)
    for number in range(1, 31):
        assert not pace.done
        pace.step(10)
        assert pace.progress == pytest.approx(number / 30)
    assert pace.done
    assert pace.progress == 1
