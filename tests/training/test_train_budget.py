"""What is chosen for a budget, by times that are said, and what is said of a training that was too short or
learnt nothing."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import pytest

from striate.recipe.defaults import Candidate, candidates, default_batch
from striate.report.page import write_report
from striate.runs.folder import RunFolder
from striate.training.budget import (
    CLOSING_S,
    Outlook,
    describe_outlook,
    fitting_batch,
    needed_epochs,
    outlook,
    pick,
    too_short,
    typed_seconds,
)
from striate.training.settings import StepTime
from training.jobs import NET, Clock, Ear, train

PHOTOS = {"train": 1_570, "val": 174, "test": 874}

DOCS = Path(__file__).parents[2] / "docs"

# Microseconds of an image, and milliseconds of the optimizer, on 2 cores that know AVX2 only.
SLOW = runpy.run_path(str(DOCS / "make_defaults.py"))["STEPS"]


def chosen(
    size: int,
    channels: int,
    counts: dict[str, int],
    left_s: float,
    share: float = 1.0,
    *,
    sides: bool = False,
) -> tuple[str, int]:
    """The network and side that are chosen on a machine that takes `share` of the times of SLOW."""
    batch = default_batch(counts["train"], "muon")

    def seen(each: Candidate) -> Outlook:
        image_us, optimizer_ms = SLOW[each.net, each.size[0]]
        time = StepTime(image_us * share / 1e6, optimizer_ms * share / 1e3, 1.2 * image_us * share / 1e6)
        return outlook(min(batch, counts["train"]), 0.75, time, counts, left_s)

    found, _ = pick(
        candidates((size, size), channels, "swift", sides=sides), seen, needed_epochs(counts["train"])
    )
    return found.net, found.size[0]


@pytest.mark.parametrize(
    ("size", "channels", "counts", "left_s", "slow", "fast"),
    [
        (128, 3, PHOTOS, 20.0, ("small64", 32), ("small128", 128)),
        (128, 3, PHOTOS, 90.0, ("small128", 96), ("small128", 128)),
        (128, 3, PHOTOS, 590.0, ("small128", 128), ("small128", 128)),
        (128, 3, {"train": 65, "val": 7}, 20.0, ("small128", 128), ("small128", 128)),
        (28, 1, {"train": 54_000, "val": 6_000, "test": 10_000}, 90.0, ("swift28", 28), ("small28", 28)),
        (28, 1, {"train": 54_000, "val": 6_000, "test": 10_000}, 590.0, ("small28", 28), ("small28", 28)),
        (32, 3, {"train": 45_000, "val": 5_000, "test": 10_000}, 90.0, ("swift28", 32), ("swift32", 32)),
        (32, 3, {"train": 45_000, "val": 5_000, "test": 10_000}, 590.0, ("small32", 32), ("swift32", 32)),
    ],
)
def test_larger_on_a_fast_machine_and_smaller_on_a_slow_one(
    size: int,
    channels: int,
    counts: dict[str, int],
    left_s: float,
    slow: tuple[str, int],
    fast: tuple[str, int],
) -> None:
    assert chosen(size, channels, counts, left_s, sides=size == 128) == slow
    assert chosen(size, channels, counts, left_s, share=0.05, sides=size == 128) == fast


def test_the_page_of_defaults_is_generated() -> None:
    page = runpy.run_path(str(DOCS / "make_defaults.py"))["page"]
    assert (DOCS / "defaults.md").read_text(encoding="utf-8") == page(), "run `make docs`"


def test_passes_that_are_needed() -> None:
    assert [needed_epochs(each) for each in (65, 1_570, 2_500, 54_000)] == [12, 12, 8, 5]


def test_the_candidate_that_comes_farthest_where_none_comes_far_enough() -> None:
    ladder = (Candidate("a", (8, 8)), Candidate("b", (8, 8)), Candidate("c", (8, 8)))
    epochs = {"a": 1.0, "b": 3.0, "c": 2.0}
    found, seen = pick(ladder, lambda each: Outlook(epochs[each.net], 1.0, 10), 5)
    assert (found.net, seen.describe()) == ("b", "about 3 epochs, 30 steps")


@pytest.mark.parametrize(("left_s", "batch"), [(100.0, 128), (10.0, 64), (1.0, 16)])
def test_a_smaller_batch_where_there_would_be_few_steps(left_s: float, batch: int) -> None:
    assert fitting_batch(128, StepTime(0.001, 0.0, 0.0), left_s) == batch
    # Where the optimizer takes the time, a smaller batch gives hardly more steps.
    assert fitting_batch(128, StepTime(0.001, 1.0, 0.0), left_s) == 128


@pytest.mark.parametrize(
    ("seconds", "typed"), [(0.1, "10s"), (41, "50s"), (119, "2m"), (121, "3m"), (7_300, "3h"), (1e6, "278h")]
)
def test_a_time_as_it_is_typed(seconds: float, typed: str) -> None:
    assert typed_seconds(seconds) == typed


def test_what_cannot_be_had_is_said_before() -> None:
    def told(step_s: float, given: bool = True) -> str:
        found = outlook(16, 1.0, StepTime(step_s / 16), {"train": 160, "val": 16}, 50.0 - CLOSING_S)
        return describe_outlook(found, 60.0, spent_s=10.0, given=given)

    assert told(0.1) == "about 48 epochs in 60 s"
    assert told(10.0) == (
        "about 0.48 epochs, 4 steps in 60 s, and fewer than 5 mean little: --budget 10m, or a smaller "
        "network or size"
    )
    assert told(10.0, given=False).endswith("--budget 10m")


def test_what_was_not_had_is_said_after(arrays: Path, tmp_path: Path) -> None:
    clock = Clock()
    train(arrays, tmp_path / "run", Ear(None, clock, step_s=10.0), clock=clock, budget_s=40.0)
    record = json.loads((tmp_path / "run" / "run.json").read_bytes())
    assert record["symptom"]["code"] == "too-short"
    steps = record["result"]["steps"]
    assert record["symptom"]["said"] == (
        f"40 s were enough for {steps} steps, {steps / 6:.1f} epochs: the network has hardly begun to learn"
    )
    write_report(RunFolder(tmp_path / "run"))
    page = (tmp_path / "run" / "report.html").read_text()
    assert f"40 s were enough for {steps} steps" in page
    assert "What may help: the same command with <code>--budget" in page


def test_enough_is_not_too_short() -> None:
    assert too_short(60.0, 5.0, 50, 5, "2m") is None
    short = too_short(60.0, 2.04, 50, 5, "2m")
    assert short is not None
    assert short.said == "60 s were enough for 2.0 epochs, and the network can learn more in 5"
    assert short.cure == "the same command with `--budget 2m`"


TANHS = "[conv 4 3x3 -> tanh] x5 -> fc classes"


@pytest.mark.parametrize(
    ("keys", "code"),
    [
        ({"learning_rate": 1e-9, "net": NET}, "rate-too-low"),
        ({"learning_rate": 100.0, "net": NET}, "rate-too-high"),
        ({"initial": "large", "net": TANHS}, "init-grows"),
    ],
)
def test_a_training_that_learns_nothing_says_so(
    arrays: Path, tmp_path: Path, keys: dict[str, Any], code: str
) -> None:
    train(arrays, tmp_path / "run", **keys)
    assert json.loads((tmp_path / "run" / "run.json").read_bytes())["symptom"]["code"] == code


def test_a_training_that_learns_says_nothing(arrays: Path, tmp_path: Path) -> None:
    train(arrays, tmp_path / "run", learning_rate=0.01, epochs=8)
    assert json.loads((tmp_path / "run" / "run.json").read_bytes()).get("symptom") is None
