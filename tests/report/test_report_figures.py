"""The small parts: figures, intervals, lines, recipes."""

from __future__ import annotations

import pytest

from striate.report.curves import curves
from striate.report.drawing import MOST_POINTS, thinned
from striate.report.recipe import RecipeKey, read_keys
from striate.runs.events import EpochEvent, StepEvent
from striate.runs.history import history
from striate.text.figures import decimal, duration, percent, size, wilson


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "–"),
        (0.0, "0.0%"),
        (1.0, "100.0%"),
        (0.1, "10.0%"),
        (0.98612, "98.6%"),
        (0.9999, "99.99%"),
        (0.0001, "0.01%"),
        (1 - 1e-9, ">99.999%"),
        (1e-9, "<0.001%"),
    ],
)
def test_percent(value: float | None, shown: str) -> None:
    assert percent(value) == shown


def test_other_figures() -> None:
    assert [duration(each) for each in (None, 4.21, 59.99, 192, 7500)] == [
        "–", "4.2 s", "60.0 s", "3 min 12 s", "2 h 5 min",
    ]  # fmt: skip
    assert [size(each) for each in (0, 512, 999, 999.6, 1.2e6, 5e13)] == [
        "0 B", "512 B", "999 B", "1 kB", "1.2 MB", "50.0 TB",
    ]  # fmt: skip
    assert [decimal(each) for each in (None, 0, 0.1234, 0.0001, 1e7)] == [
        "–", "0.000", "0.123", "1.00e-04", "1.00e+07",
    ]  # fmt: skip


def test_wilson_by_hand() -> None:
    # Newcombe 1998, table I: 81 of 263 gives 0.2553 to 0.3662, 0 of 20 gives 0 to 0.1611.
    assert wilson(81 / 263, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson(0.5, 0) == (0.0, 1.0)


def test_a_thinned_line_keeps_its_peaks_and_order() -> None:
    points = [(float(x), 1000.0 if x == 7777 else -5.0 if x == 3 else float(x % 10)) for x in range(20_000)]
    kept = thinned(points)
    assert len(kept) <= MOST_POINTS
    assert (7777.0, 1000.0) in kept
    assert (3.0, -5.0) in kept
    assert list(kept) == sorted(kept)
    assert thinned(points[:MOST_POINTS]) == points[:MOST_POINTS]


def test_a_long_training_stays_small() -> None:
    steps = [StepEvent(step=10 * i, loss=1 / i + i % 7 / 9, learning_rate=0.1) for i in range(1, 50_000)]
    epochs = [
        EpochEvent(epoch=i, step=100 * (i + 1), train_loss=1.0, train_accuracy=0.5, val_loss=1.0, val_accuracy=0.5,
                   best=i == 17)
        for i in range(5000)
    ]  # fmt: skip
    drawn = curves(history([*steps, *epochs], []))
    assert len(drawn) < 250_000
    assert "<strong>18</strong>" in drawn
    assert "one in 25" in drawn


def test_a_recipe_is_read_with_its_meanings() -> None:
    text = '# passes\nepochs = 3\n# seconds\n# budget_s =\nname = "a # b"\n'
    assert read_keys(text) == (
        RecipeKey("epochs", 3, "passes"),
        RecipeKey("budget_s", None, "seconds"),
        RecipeKey("name", "a # b", ""),
    )
    assert read_keys("# passes\nepochs = = 3\n") == (RecipeKey("epochs", "= 3", "passes"),)
    assert read_keys("") == ()
