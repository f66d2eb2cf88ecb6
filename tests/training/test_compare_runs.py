"""Runs against each other: statistics by hand and by scipy, the same images, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest

import striate
from striate.errors import StriateError
from striate.predict.score import holm, mcnemar, paired_bootstrap
from striate.predict.trained import Trained
from training.drawn import CLASSES, draw, write_arrays

NET = "conv 8 3x3 -> bn -> relu -> maxpool 2 -> pool avg -> fc classes"
QUICK = {"precision": "fp32", "layout": "contiguous", "batch": 16, "seed": 1}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Trained, Trained]:
    """One that learnt something, and one that learnt next to nothing."""
    folder = tmp_path_factory.mktemp("runs")
    source = write_arrays(folder / "bars.npz")
    good = striate.train(source, net=NET, out=folder / "good", epochs=4, **QUICK)
    bad = striate.train(
        source, net=NET.replace("8", "4"), out=folder / "bad", epochs=1, learning_rate=1e-5, **QUICK
    )
    return good, bad


def good_labels(run: Trained, labels: np.ndarray) -> np.ndarray:
    """Labels as places among the run's classes, whatever they are in the file."""
    return np.array([run.classes.index(str(each)) for each in labels])


@pytest.mark.parametrize(("first", "second"), [(0, 0), (3, 3), (1, 9), (40, 12), (900, 1100)])
def test_mcnemar_is_the_binomial_test(first: int, second: int) -> None:
    expected = binomtest(first, first + second).pvalue if first + second else 1.0
    assert mcnemar(first, second) == pytest.approx(expected, rel=1e-9)
    assert mcnemar(second, first) == mcnemar(first, second)


def test_mcnemar_by_hand() -> None:
    # Of 4 coins at most one head, twice over: 2 * (1 + 4) / 16.
    assert mcnemar(1, 3) == pytest.approx(10 / 16)


def test_the_bootstrap_draws_images_with_both_answers() -> None:
    first = np.array([True] * 60 + [False] * 40)
    second = np.array([True] * 50 + [False] * 10 + [True] * 25 + [False] * 15)
    low, high = paired_bootstrap(first, second)
    chance = np.random.default_rng(1)
    drawn = chance.integers(0, 100, (10_000, 100))
    plain = (second[drawn].astype(int) - first[drawn].astype(int)).mean(axis=1)
    assert (low, high) == pytest.approx(np.quantile(plain, (0.025, 0.975)), abs=0.011)
    # 100 images without a difference prove none within a hundredth, and 10,000 within a ten-thousandth.
    assert paired_bootstrap(first, first) == (-0.02, 0.02)
    assert paired_bootstrap(first.repeat(100), first.repeat(100)) == (-0.0002, 0.0002)


def test_holm_by_hand() -> None:
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.9]) == [0.9]


def test_the_numbers_are_those_of_the_answers(runs: tuple[Trained, Trained]) -> None:
    good, bad = runs
    found = striate.compare(good, bad)
    with np.load(good.record.source) as data:
        images, labels = data["x_test"], data["y_test"]
    right = [
        each.predict_arrays(images[..., None]).argmax(axis=1) == good_labels(good, labels) for each in runs
    ]
    (difference,) = found.differences
    assert difference.both == (right[0] & right[1]).sum()
    assert difference.first_only == (right[0] & ~right[1]).sum()
    assert difference.second_only == (right[1] & ~right[0]).sum()
    assert difference.images == found.runs[0].score.images == len(labels)
    assert difference.difference == pytest.approx(right[1].mean() - right[0].mean())
    assert found.runs[0].score.accuracy == pytest.approx(good.record.result.accuracy)
    for place, group in enumerate(difference.examples):
        assert len(group) == min(12, (difference.first_only, difference.second_only)[place])
        for each in group:
            assert [said.answer == each.label for said in each.answers] == [place == 0, place == 1]
    record = json.loads(json.dumps(found.to_record()))
    assert record["split"] == "their test split"
    assert set(record["recipe"]) >= {"epochs", "learning_rate"}
    text = str(found)
    assert text.startswith("30 images of ")
    assert "bad against good: " in text
    assert "the networks differ: good has " in text


def test_the_page_shows_all_of_it(runs: tuple[Trained, Trained]) -> None:
    page = striate.compare(*runs).page()
    for title in ("Answers", "Training", "One right, the other wrong", "Recipe", "Network"):
        assert f"<h2>{title}</h2>" in page
    assert "good right, bad wrong: " in page
    assert '<span class="gone">- conv 8 3x3</span>' in page
    assert '<span class="new">+ conv 4 3x3</span>' in page


def test_a_run_against_itself(runs: tuple[Trained, Trained]) -> None:
    found = striate.compare(runs[0], runs[0].run.path, data=runs[0].record.source)
    (difference,) = found.differences
    assert (difference.first, difference.second) == ("good (1)", "good (2)")
    # 30 images prove no more than that two of them may differ either way.
    assert (difference.p, difference.interval) == (1.0, (-2 / 30, 2 / 30))
    assert difference.sentence() == (
        "good (2) against good (1): +0.00 points (95 % interval -6.67 to +6.67; McNemar's test p = 1): no difference"
    )
    assert "<p>The recipes are the same.</p>" in found.page().replace(' class="soft"', "")


def test_one_run_is_too_few(runs: tuple[Trained, Trained]) -> None:
    with pytest.raises(StriateError) as caught:
        striate.compare(runs[0])
    assert str(caught.value) == (
        "compare: 1 run cannot be compared\n  expected: at least 2\n  try: striate compare RUN RUN"
    )


def test_other_images_and_other_classes_are_refused(runs: tuple[Trained, Trained], tmp_path: Path) -> None:
    good, _ = runs
    images, labels = draw(120, 7)
    names = np.array(CLASSES)[labels]
    np.savez(tmp_path / "other.npz", x_train=images, y_train=names, x_test=images[:20], y_test=names[:20])
    other = striate.train(tmp_path / "other.npz", net=NET, out=tmp_path / "other", epochs=1, **QUICK)
    with pytest.raises(StriateError) as caught:
        striate.compare(good, other)
    assert str(caught.value) == (
        f"{tmp_path / 'other'}: its test images are not those of {good.run.path}\n"
        "  expected: runs that were tested on the same images\n"
        "  try: striate compare RUN RUN --data DATA, with images that none of them has seen"
    )
    assert striate.compare(good, other, data=good.record.source).split == "its test split"
    np.savez(tmp_path / "two.npz", x_train=images, y_train=labels % 2)
    two = striate.train(tmp_path / "two.npz", net=NET, out=tmp_path / "two", epochs=1, **QUICK)
    with pytest.raises(StriateError) as caught:
        striate.compare(good, two)
    assert str(caught.value) == (
        f"{tmp_path / 'two'}: it was trained on other classes\n"
        f"  expected: those of {good.run.path}: across, blob, down\n"
        "  try: runs of the same data"
    )
