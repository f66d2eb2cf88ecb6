"""Who goes on, by hand; and that the mechanisms do what they say."""

from __future__ import annotations

import math

import pytest

from striate.searching.folds import interval_of_folds
from striate.searching.ladder import Seen, chance_to_win, choose, expected_drop, ladder

RUNGS = (10, 30, 90, 270)


def test_the_rungs_of_a_ladder() -> None:
    assert ladder(2700, 64, 100) == (33, 100, 300, 900, 2700)
    assert ladder(2700, 3, 100) == (900, 2700)
    assert ladder(2700, 1, 100) == (2700,)
    # Never shorter than a ninth of an epoch.
    assert ladder(270, 1000, 180) == (30, 90, 270)
    assert ladder(270, 1000, 9) == (30, 90, 270)


def seen(*metrics: float) -> list[Seen]:
    return [Seen(at, ((10, each),), 1 - each) for at, each in enumerate(metrics)]


def test_the_best_third_goes_on() -> None:
    assert choose(seen(0.1, 0.9, 0.3, 0.8, 0.2, 0.7, 0.4), 0, RUNGS, 100).on == (1, 3, 5)
    # Of two alike the one with less loss; what diverged never.
    alike = [
        Seen(0, ((10, 0.5),), 2.0),
        Seen(1, ((10, 0.5),), 1.0),
        Seen(2, ((10, 0.9),), 0.1, lost="nan"),
    ]
    assert choose(alike, 0, RUNGS, 100).on == (1,)
    assert choose([Seen(0, (), lost="nan")], 0, RUNGS, 100).on == ()


def test_two_go_on_to_the_last_rung() -> None:
    def curves(*metrics: float) -> list[Seen]:
        return [Seen(at, ((10, 0.5), (30, 0.6), (90, each))) for at, each in enumerate(metrics)]

    assert choose(curves(0.6, 0.8, 0.79, 0.6), 2, RUNGS, 100).on == (1, 2)
    # A third that is close, where there is time for it.
    assert choose(curves(0.78, 0.8, 0.79, 0.6), 2, RUNGS, 100).on == (1, 2, 0)
    assert choose(curves(0.78, 0.8, 0.79, 0.6), 2, RUNGS, 100, third=False).on == (1, 2)
    # One, where the second cannot win.
    assert choose(curves(0.6, 0.9), 2, RUNGS, 10_000).on == (1,)


def test_a_curve_that_cannot_win_ends() -> None:
    slow = Seen(0, ((10, 0.3), (30, 0.31)))
    quick = Seen(1, ((10, 0.5), (30, 0.95)))
    rest = [Seen(at, ((10, 0.1), (30, 0.1))) for at in range(2, 6)]
    chosen = choose([slow, quick, *rest], 1, RUNGS, 1000)
    assert (chosen.on, chosen.hopeless) == ((1,), (0,))
    assert 0 <= chosen.wrong < 0.05


def test_the_chance_to_win() -> None:
    # Alike: 1/2.  Far from the end, or with few images, nothing is sure.
    assert chance_to_win(0.7, 0.7, 90, 270, 100) == pytest.approx(0.5)
    # Errors of 0.2 and 0.1, a third of the way done, no noise of the images: log 2 / sqrt(2 (0.45 log 3)^2) = 0.9914.
    assert chance_to_win(0.8, 0.9, 90, 270, 10**9) == pytest.approx(0.1607, abs=2e-4)
    # With 100 images (1 - 0.2) / (0.2 100) + (1 - 0.1) / (0.1 100) = 0.13 more: log 2 / sqrt(0.4888 + 0.13) = 0.8812.
    assert chance_to_win(0.8, 0.9, 90, 270, 100) == pytest.approx(0.1891, abs=2e-4)
    assert chance_to_win(0.8, 0.9, 10, 270, 10**9) > 0.3
    # No error that images show is one of half an image.
    assert 0 < chance_to_win(0.5, 1.0, 90, 270, 100) < 0.002


def test_the_winners_curse() -> None:
    # Four of variance 1e-4 and a noise of 0.9 * 0.1 / 10^6: nothing to fear.
    assert expected_drop([0.9, 0.89, 0.88, 0.87], 10**6) == pytest.approx(
        0.015 * 9e-8 / (5 / 3 * 1e-4), rel=1e-3
    )
    # All of it is noise where the images are few.
    assert expected_drop([0.9, 0.89, 0.88, 0.87], 100) == pytest.approx(0.9 - 0.885)
    assert expected_drop([0.9], 100) == 0


def test_the_interval_of_folds() -> None:
    # n = 5, s^2 = 0.00025, t = 2.776: 2.776 sqrt((1/5 + 1/4) 0.00025)
    low, high = interval_of_folds([0.9, 0.91, 0.92, 0.93, 0.94], 5)
    assert (high - low) / 2 == pytest.approx(2.7764 * math.sqrt(0.45 * 0.00025), rel=1e-4)
    assert (high + low) / 2 == pytest.approx(0.92)
