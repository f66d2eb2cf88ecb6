"""Batches: every image once an epoch, the same whatever is asked for before, and the next one made in time."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from data.augment_draws import assert_same, numbered
from striate.data.augment.augment import Augment, augmented, read_augment
from striate.data.augment.batches import Batch, TrainingBatches, class_weights, evaluation_batches
from striate.data.augment.chance import Chance
from striate.data.images import center

TEXT = "zoom 0.5, flip, noise 0.1, cutout 2, mixup 0.3"


def training(count: int = 23, batch: int = 5, text: str = TEXT, seed: int = 0) -> TrainingBatches:
    stored = numbered(count, 8, 8, 3)
    return TrainingBatches(stored, np.arange(count) % 4, (6, 6), batch, read_augment(text), seed)


def assert_same_batch(found: Batch, expected: Batch) -> None:
    assert_same(found.images, expected.images)
    assert found.labels.tolist() == expected.labels.tolist()
    assert found.index.tolist() == expected.index.tolist()
    assert (found.mix is None) == (expected.mix is None)
    if found.mix is not None and expected.mix is not None:
        assert found.mix.partners.tolist() == expected.mix.partners.tolist()
        assert found.mix.weights.tolist() == expected.mix.weights.tolist()


def test_the_comparison_can_fail() -> None:
    first, second = list(training().epoch(0))[:2]
    assert_same_batch(first, first)
    with pytest.raises(AssertionError):
        assert_same_batch(first, second)


def test_an_epoch_holds_each_image_once_with_its_label() -> None:
    batches = training(20, 5, "none")
    seen = list(batches.epoch(0))
    assert batches.steps == len(seen) == 4
    index = np.concatenate([each.index for each in seen])
    assert sorted(index.tolist()) == list(range(20))
    for each in seen:
        assert each.labels.tolist() == (each.index % 4).tolist()
        assert each.mix is None
        assert_same(each.images, center(batches.images, (6, 6))[each.index])


def test_the_smaller_rest_is_left_out_and_is_another_one_in_each_epoch() -> None:
    batches = training(23, 5)
    rests = []
    for epoch in range(3):
        seen = np.concatenate([each.index for each in batches.epoch(epoch)])
        assert len(seen) == len(set(seen.tolist())) == 20
        rests.append(frozenset(range(23)) - set(seen.tolist()))
    assert len(set(rests)) == 3


def test_fewer_images_than_a_batch_make_one_step() -> None:
    batches = training(3, 64)
    (only,) = batches.epoch(0)
    assert batches.steps == 1
    assert sorted(only.index.tolist()) == [0, 1, 2]


@pytest.mark.parametrize("first", [0, 1, 3, 4])
def test_an_epoch_that_goes_on_is_the_rest_of_the_whole_one(first: int) -> None:
    whole = list(training().epoch(2))
    rest = list(training().epoch(2, first))
    assert len(rest) == 4 - first
    for found, expected in zip(rest, whole[first:], strict=True):
        assert_same_batch(found, expected)


def test_batches_are_what_augmented_makes_and_mixed_by_the_word() -> None:
    batches = training(seed=9)
    for each in batches.epoch(1):
        index = each.index
        expected = augmented(batches.images, index, (6, 6), batches.augment, seed=9, epoch=1)
        mix = batches.augment.mix(Chance(9, 1, index))
        assert_same_batch(each, Batch(expected, index % 4, index, mix))


def test_the_size_of_a_batch_changes_no_image() -> None:
    def by_place(batch: int) -> dict[int, bytes]:
        return {
            place: image.tobytes()
            for each in training(20, batch).epoch(3)
            for place, image in zip(each.index.tolist(), each.images, strict=True)
        }

    assert by_place(20) == by_place(4) == by_place(1)


def test_two_epochs_at_once_do_not_disturb_each_other() -> None:
    batches = training()
    expected = [list(batches.epoch(epoch)) for epoch in (0, 1)]
    for pair in zip(batches.epoch(0), batches.epoch(1), strict=True):
        for found, wanted in zip(pair, (expected[0].pop(0), expected[1].pop(0)), strict=True):
            assert_same_batch(found, wanted)


def test_an_epoch_that_is_left_leaves_no_thread() -> None:
    for _ in training().epoch(0):
        break
    assert not [each for each in threading.enumerate() if each.name.startswith("batches")]


@pytest.mark.parametrize("makers", [2, 3, 9])
def test_more_makers_make_the_same_batches(makers: int) -> None:
    more = replace(training(), makers=makers)
    for first_step in (0, 2, 3):
        expected, found = training().epoch(1, first_step), more.epoch(1, first_step)
        for wanted, batch in zip(expected, found, strict=True):
            assert_same_batch(batch, wanted)


def test_a_maker_takes_no_helpers_and_leaves_the_others_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    before, seen = torch.get_num_threads(), []
    torch.set_num_threads(2)
    made = TrainingBatches.make

    def noting(self: TrainingBatches, *rest: Any) -> Batch:
        seen.append(torch.get_num_threads())
        return made(self, *rest)

    monkeypatch.setattr(TrainingBatches, "make", noting)
    try:
        list(training().epoch(0))
        assert set(seen) == {1}
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_an_error_of_the_maker_reaches_the_user() -> None:
    stored = numbered(6, 8, 8, 3)
    broken = TrainingBatches(stored, np.zeros(6, np.int64), (6, 6), 2, Augment(), 2**64)
    with pytest.raises(OverflowError):
        list(broken.epoch(0))


def test_evaluation_batches_are_all_images_in_order() -> None:
    stored, labels = numbered(7, 8, 9, 1), np.arange(7)
    seen = list(evaluation_batches(stored, labels, (6, 5), 3))
    assert [len(each.labels) for each in seen] == [3, 3, 1]
    assert_same(np.concatenate([each.images for each in seen]), center(stored, (6, 5)))
    for key in ("labels", "index"):
        assert np.concatenate([getattr(each, key) for each in seen]).tolist() == list(range(7))


def test_class_weights_by_hand() -> None:
    """3 of one class and 1 of another: 4 / (2 * 3) and 4 / (2 * 1); a class that does not occur counts nothing."""
    found = class_weights(np.array([0, 2, 0, 0]))
    assert found.tolist() == pytest.approx([2 / 3, 2, 2 / 3, 2 / 3])
    assert found.mean() == pytest.approx(1)


def test_batches_carry_their_importance() -> None:
    labels = np.array([0, 0, 0, 1] * 5)
    images = np.zeros((20, 4, 4, 1), dtype=np.uint8)
    weighed = TrainingBatches(images, labels, (4, 4), 5, Augment(), 1, importance=class_weights(labels))
    for batch in weighed.epoch(0):
        assert batch.importance is not None
        assert batch.importance.tolist() == pytest.approx([2.0 if label else 2 / 3 for label in batch.labels])
    even = TrainingBatches(images, labels, (4, 4), 5, Augment(), 1, balanced=True)
    batches = list(even.epoch(0))
    assert np.bincount(np.concatenate([batch.labels for batch in batches])).tolist() == [10, 10]
    assert max(batch.index.max() for batch in batches) < 20
    later = list(even.epoch(0, first_step=2))
    assert [batch.index.tolist() for batch in later] == [batch.index.tolist() for batch in batches[2:]]
