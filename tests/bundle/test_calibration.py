"""How sure answers are, against answers done by hand and against torch."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from striate.bundle.calibration import (
    auroc,
    binomial_bound,
    calibrate,
    calibration_error,
    conformal_levels,
    energy,
    fit_temperature,
    promise,
    softmax,
    tta_logits,
)
from striate.predict.evaluate import looked_at_again


def drawn(count: int, temperature: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits and labels that are calibrated at a temperature."""
    chance = np.random.default_rng(seed)
    logits = (4 * chance.normal(size=(count, 5))).astype(np.float32)
    shares = softmax(logits / np.float32(temperature)).astype(np.float64).cumsum(axis=1)
    return logits, (chance.random((count, 1)) > shares / shares[:, -1:]).sum(axis=1)


def test_the_binomial_bound_by_hand() -> None:
    """None wrong of n: (1 - p)^n = delta.  All wrong: 1.  One of two: 1 - p^2 = delta."""
    assert binomial_bound(0, 300, 0.05) == pytest.approx(1 - 0.05 ** (1 / 300), rel=1e-9)
    assert binomial_bound(1, 2, 0.05) == pytest.approx(math.sqrt(0.95), rel=1e-9)
    assert binomial_bound(7, 7, 0.05) == 1
    # scipy.stats.beta.ppf(0.95, 6, 95)
    assert binomial_bound(5, 100, 0.05) == pytest.approx(0.10225337764, rel=1e-9)


def test_the_temperature_is_found() -> None:
    logits, labels = drawn(20_000, 2.5)
    assert fit_temperature(logits, labels) == pytest.approx(2.5, rel=0.03)
    assert fit_temperature(logits[:0], labels[:0]) == 1


def test_the_calibration_error_by_hand() -> None:
    """Two bins: (|1 - 0.85 * 2| + |1 - 0.3|) / 3, the two of 0.9 and 0.8 being in bins of their own: see below."""
    sure = np.array([0.9, 0.91, 0.3])
    right = np.array([True, False, True])
    assert calibration_error(sure, right) == pytest.approx((abs(1 - 1.81) + abs(1 - 0.3)) / 3)
    assert calibration_error(sure[:0], right[:0]) == 0
    assert calibration_error(np.array([1.0]), np.array([True])) == 0


def test_calibrating_helps_what_is_too_sure() -> None:
    made = calibrate(*drawn(4000, 2.5), wrong_at_most=0.3)
    assert made.ece_before > 5 * made.ece_after
    assert made.wrong_at_most == 0.3
    assert made.images == 4000


@pytest.mark.parametrize("seed", range(5))
def test_a_promise_holds_on_other_images(seed: int) -> None:
    """The bound leaves room, so that it holds in nearly every draw, not in half of them."""
    logits, labels = drawn(3000, 1.0, seed)
    shares = softmax(logits)
    found = promise(shares.max(axis=1), shares.argmax(axis=1) == labels, 0.05)
    assert found is not None
    assert 0.2 < found.coverage < 1
    assert found.wrong <= 0.05
    # The labels are drawn from the probabilities: the risk of an answer is what its own leaves.
    there = softmax(drawn(20_000, 1.0, 100 + seed)[0]).max(axis=1).astype(np.float64)
    assert (1 - there[there >= found.threshold]).mean() <= 0.05


def test_what_cannot_be_promised() -> None:
    """20 right answers do not prove 1 %; 2,000 do, and all are answered then."""
    sure = np.linspace(0.5, 1, 2000)
    right = np.ones(2000, dtype=bool)
    assert promise(sure[:20], right[:20], 0.01) is None
    assert promise(sure[:0], right[:0], 0.5) is None
    found = promise(sure, right, 0.01)
    assert found is not None
    assert (found.threshold, found.coverage, found.wrong, found.answered) == (0, 1, 0, 2000)


def test_conformal_levels_by_hand() -> None:
    """Of 19: alpha 0.1 takes the floor(0.1 * 20) = 2nd smallest, 0.05 the 1st, 0.01 none."""
    own = np.arange(19, 0, -1) / 20
    found = {each.level: each.least for each in conformal_levels(own)}
    assert found == {0.8: 4 / 20, 0.9: 2 / 20, 0.95: 1 / 20}


def test_sets_hold_the_true_class() -> None:
    logits, labels = drawn(5000, 1.0)
    made = calibrate(logits, labels)
    others, truth = drawn(20_000, 1.0, 7)
    shares = softmax(others / np.float32(made.temperature))
    for each in made.sets:
        held = (shares[np.arange(len(truth)), truth] >= each.least).mean()
        assert held == pytest.approx(each.level, abs=0.015)


def test_the_energy_by_hand() -> None:
    """-T log(sum exp(z / T)); large logits do not overflow."""
    found = energy(np.array([[0, 0], [3000, 0]], dtype=np.float32), 2.0)
    assert found == pytest.approx([-2 * math.log(2), -3000])


def test_auroc_by_hand() -> None:
    """Of 2 x 2 pairs one is lost, one is equal."""
    assert auroc(np.array([1.0, 3.0]), np.array([2.0, 3.0])) == pytest.approx((1 + 0 + 1 + 0.5) / 4)
    assert auroc(np.array([1.0]), np.array([2.0, 3.0])) == 1


@pytest.mark.parametrize("side", [1, 7])
def test_the_other_looks_are_those_of_torch(side: int) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(4 * side**2, 5)
    ).eval()
    x = torch.randn(6, 3, side, side)
    with torch.inference_mode():
        wanted = looked_at_again(net, x, net(x)).numpy()
        found = tta_logits(lambda some: net(torch.from_numpy(some)).numpy(), x.numpy(), net(x).numpy())
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-6)
