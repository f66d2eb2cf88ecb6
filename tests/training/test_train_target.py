"""Mixtures in a training step: the images, the loss and the right answers."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from striate.data.augment.batches import Batch
from striate.data.augment.mixup import Mix
from striate.errors import RecipeError
from striate.predict.normalize import Feeder, Normalization
from striate.training.loop.loop import Stopped
from striate.training.step.target import Target, prepare_batch
from training.jobs import Ear, contents, make, resume, train

CPU = torch.device("cpu")


def batch(mix: Mix | None) -> Batch:
    images = np.array([10, 20, 60], dtype=np.uint8).reshape(3, 1, 1, 1).repeat(2, axis=2)
    return Batch(images, np.array([0, 1, 1]), np.arange(3), mix)


def feeder(layout: str = "channels_last") -> Feeder:
    return Feeder(Normalization((1, 2), (1, 2), 1, (10.0,), (5.0,), "uint8"), CPU, layout)


def test_without_a_mixture() -> None:
    x, target = prepare_batch(feeder(), batch(None))
    assert x[:, 0, 0].tolist() == [[0, 0], [2, 2], [10, 10]]
    logits = torch.tensor([[1.0, 0.0], [0.0, 2.0], [0.5, 0.5]])
    expected = torch.nn.functional.cross_entropy(logits, torch.tensor([0, 1, 1]), label_smoothing=0.1)
    assert target.cross_entropy(logits, 0.1).item() == expected.item()
    assert target.main_labels().tolist() == [0, 1, 1]


def test_images_are_mixed_once_they_are_normalized() -> None:
    mix = Mix(np.array([1, 2, 0]), np.array([0.25, 1.0, 0.5], dtype=np.float32))
    x, target = prepare_batch(feeder(), batch(mix))
    # 0.25 * 0 + 0.75 * 2,  1 * 2 + 0 * 10,  0.5 * 10 + 0.5 * 0
    assert x[:, 0, 0].tolist() == [[1.5, 1.5], [2, 2], [5, 5]]
    assert target.main_labels().tolist() == [1, 1, 1]


def test_the_loss_of_a_mixture_by_hand() -> None:
    # Softmax of (log 3, 0) is (3/4, 1/4).
    logits = torch.tensor([[math.log(3), 0.0]] * 2)
    target = Target(torch.tensor([0, 1]), torch.tensor([1, 1]), torch.tensor([0.7, 0.2]))
    expected = (0.7 * -math.log(0.75) + 0.3 * -math.log(0.25) - math.log(0.25)) / 2
    assert target.cross_entropy(logits, 0.0).item() == pytest.approx(expected, rel=1e-6)
    assert Target(torch.tensor([0, 1])).cross_entropy(logits, 0.0).item() != pytest.approx(expected, rel=0.01)


def test_the_loss_of_a_mixture_against_soft_labels() -> None:
    # Mixing losses is the loss against mixed labels.
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(5, 4, generator=generator, dtype=torch.float64)
    labels, others = torch.tensor([0, 1, 2, 3, 0]), torch.tensor([1, 2, 3, 0, 0])
    weights = torch.tensor([0.0, 0.3, 0.5, 0.9, 1.0], dtype=torch.float64)
    for smoothing in (0.0, 0.2):
        hard = torch.nn.functional.one_hot(torch.stack([labels, others]), 4).double()
        soft = weights[:, None] * hard[0] + (1 - weights[:, None]) * hard[1]
        soft = soft * (1 - smoothing) + smoothing / 4
        expected = -(soft * logits.log_softmax(dim=1)).sum(dim=1).mean()
        found = Target(labels, others, weights).cross_entropy(logits, smoothing)
        assert found.item() == pytest.approx(expected.item(), rel=1e-12)


@pytest.mark.parametrize("layout", ["channels_last", "contiguous"])
def test_mixtures_keep_the_layout(layout: str) -> None:
    images = np.random.default_rng(0).integers(0, 256, (4, 6, 5, 3), dtype=np.uint8)
    preparation = Normalization((6, 5), (6, 5), 3, (1.0,) * 3, (2.0,) * 3, "uint8")
    mix = Mix(np.array([1, 2, 3, 0]), np.full(4, 0.5, dtype=np.float32))
    x, _ = prepare_batch(
        Feeder(preparation, CPU, layout), Batch(images, np.zeros(4, np.int64), np.arange(4), mix)
    )
    wanted = torch.channels_last if layout == "channels_last" else torch.contiguous_format
    assert x.is_contiguous(memory_format=wanted)


def test_a_run_with_mixtures_goes_on_as_if_it_had_not_stopped(tmp_path: Path, arrays: Path) -> None:
    keys = {"augment": "crop 1, noise 0.1, mixup 0.4", "epochs": 2}
    train(arrays, tmp_path / "whole", **keys)
    with pytest.raises(Stopped):
        train(arrays, tmp_path / "cut", Ear(stop_at=4), **keys)
    resume(tmp_path / "cut")
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")
    train(arrays, tmp_path / "plain", augment="crop 1, noise 0.1", epochs=2)
    assert contents(tmp_path / "plain")["events.jsonl"] != contents(tmp_path / "whole")["events.jsonl"]


def test_words_too_large_for_the_images_are_refused_before_a_run_is_made(
    tmp_path: Path, arrays: Path
) -> None:
    with pytest.raises(RecipeError, match="cutout 1000"):
        make(arrays, tmp_path / "run", augment="cutout 1000")
    assert not (tmp_path / "run").exists()


def test_the_loss_of_images_of_different_importance() -> None:
    """Softmax of (log 3, 0) is (3/4, 1/4)."""
    logits = torch.tensor([[math.log(3), 0.0]] * 2)
    target = Target(torch.tensor([0, 1]), importance=torch.tensor([0.5, 1.5]))
    assert target.cross_entropy(logits, 0.0).item() == pytest.approx(
        (0.5 * -math.log(0.75) + 1.5 * -math.log(0.25)) / 2, rel=1e-6
    )
    mixed = Target(
        torch.tensor([0, 1]),
        torch.tensor([1, 0]),
        torch.tensor([0.7, 0.2]),
        torch.tensor([0.5, 1.5]),
        torch.tensor([1.5, 0.5]),
    )
    own, other = -math.log(0.75), -math.log(0.25)
    first, second = 0.7 * 0.5 * own + 0.3 * 1.5 * other, 0.2 * 1.5 * other + 0.8 * 0.5 * own
    assert mixed.cross_entropy(logits, 0.0).item() == pytest.approx((first + second) / 2, rel=1e-6)
    parts = [mixed.piece(start, 1).cross_entropy(logits[start : start + 1], 0.0).item() for start in (0, 1)]
    assert parts == pytest.approx([first, second], rel=1e-6)
    mix = Mix(np.array([1, 2, 0]), np.array([0.25, 1.0, 0.5], dtype=np.float32))
    heavy = replace(batch(mix), importance=np.array([1, 2, 3], dtype=np.float32))
    _, found = prepare_batch(feeder(), heavy)
    assert found.importance is not None
    assert found.others_importance is not None
    assert (found.importance.tolist(), found.others_importance.tolist()) == ([1, 2, 3], [2, 3, 1])
