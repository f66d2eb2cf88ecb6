"""Augmentation of a batch: order, kinds of images, and that a draw depends on its image alone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from data.augment_draws import assert_same, augments, numbered
from striate.data.augment.augment import Augment, augmented, read_augment
from striate.data.augment.chance import Chance
from striate.data.augment.crop import Crop
from striate.data.augment.cutout import Cutout
from striate.data.augment.flip import Flip
from striate.data.augment.rotate import Rotate
from striate.data.images import center

EVERY = "rotate 20, zoom 0.4, flip, vflip, jitter 0.5, grey 0.3, noise 0.1, cutout 3"
KINDS = [(3, "uint8"), (1, "uint8"), (4, "uint8"), (3, "float32"), (2, "float32")]


@pytest.mark.parametrize(("channels", "dtype"), KINDS)
@pytest.mark.parametrize("text", [EVERY, "crop 2, jitter 1, noise 0.3", "rotate 180", "none"])
def test_an_image_comes_out_the_same_whatever_comes_with_it(text: str, channels: int, dtype: str) -> None:
    stored, augment = numbered(50, 12, 13, channels, dtype), read_augment(text)

    def made(index: np.ndarray) -> np.ndarray:
        return augmented(stored, index, (10, 11), augment, seed=4, epoch=2)

    every = made(np.arange(50))
    assert every.dtype == stored.dtype
    backwards = np.arange(50)[::-1]
    assert_same(made(backwards), every[backwards])
    for place in (0, 17, 49):
        assert_same(made(np.array([place])), every[place : place + 1])
        assert_same(made(np.array([3, place, 3, 20])), every[[3, place, 3, 20]])
    with ThreadPoolExecutor(4) as threads:
        parts = threads.map(made, np.array_split(np.arange(50), 7))
        assert_same(np.concatenate(list(parts)), every)


def test_an_image_that_comes_again_in_an_epoch_is_changed_otherwise() -> None:
    stored, augment = numbered(5, 12, 13, 3), read_augment("crop 2, noise 0.3")
    once, again, third = augmented(stored, np.array([2, 7, 12]), (10, 11), augment, seed=4, epoch=2)
    assert not (once == again).all()
    assert not (again == third).all()
    plain = augmented(stored, np.array([2, 7]), (12, 13), read_augment("none"), seed=4, epoch=2)
    assert (plain == stored[2]).all()


@pytest.mark.parametrize("word", EVERY.split(", "))
def test_seed_epoch_and_place_each_change_what_is_drawn(word: str) -> None:
    stored = np.repeat(numbered(1, 12, 12, 3), 30, axis=0)
    augment = read_augment(word)

    def made(seed: int, epoch: int, first: int) -> bytes:
        index = np.arange(first, first + 20)
        return augmented(stored, index, (10, 10), augment, seed=seed, epoch=epoch).tobytes()

    assert len({made(0, 0, 0), made(1, 0, 0), made(0, 1, 0), made(0, 0, 1), made(0, 0, 10)}) == 5
    assert made(0, 0, 0) == made(0, 0, 0)


@pytest.mark.parametrize("side", [6, 70])
def test_small_and_large_images_are_handled_alike(side: int) -> None:
    # Small ones are changed many at once, large ones one by one.
    stored = numbered(30, side, side, 3)
    size = (side, side)
    together = augmented(stored, np.arange(30), size, read_augment(EVERY), seed=0, epoch=0)
    alone = [
        augmented(stored, np.array([i]), size, read_augment(EVERY), seed=0, epoch=0)[0] for i in range(30)
    ]
    assert_same(together, np.stack(alone))


def test_without_words_the_middle_is_copied() -> None:
    stored = numbered(4, 9, 8, 3)
    found = augmented(stored, np.array([2, 0]), (5, 5), Augment(), seed=0, epoch=0)
    assert_same(found, center(stored, (5, 5))[[2, 0]])
    found[...] = 0
    assert stored.any()


@pytest.mark.parametrize("text", [EVERY, "crop 3, flip, jitter 0.2", "none"])
def test_stored_images_are_never_changed(text: str, tmp_path: Path) -> None:
    stored = numbered(20, 12, 12, 3)
    (tmp_path / "images").write_bytes(stored.tobytes())
    mapped = np.memmap(tmp_path / "images", np.uint8, "r", shape=stored.shape)
    index, augment = np.arange(20), read_augment(text)
    found = augmented(mapped, index, (12, 12), augment, seed=1, epoch=1)
    assert_same(found, augmented(stored, index, (12, 12), augment, seed=1, epoch=1))
    assert (tmp_path / "images").read_bytes() == stored.tobytes()
    assert found.flags.c_contiguous
    assert found.flags.writeable
    assert type(found) is np.ndarray


def test_cutout_comes_after_flip() -> None:
    stored = numbered(40, 8, 8, 1)
    index = np.arange(40)
    both = augmented(stored, index, (8, 8), Augment((Cutout(3), Flip())), seed=0, epoch=0)
    expected = augmented(stored, index, (8, 8), Augment((Flip(),)), seed=0, epoch=0)
    hole = augmented(np.ones_like(stored), index, (8, 8), Augment((Cutout(3),)), seed=0, epoch=0)
    assert_same(both, expected * hole)


def test_crop_comes_after_rotate() -> None:
    stored, index = numbered(20, 8, 8, 1), np.arange(20)
    found = augmented(stored, index, (8, 8), read_augment("crop 3, rotate 45"), seed=0, epoch=0)
    chance = Chance(0, 0, index)
    turned = Rotate(45).turn(list(stored), chance)
    expected = np.empty_like(found)
    Crop(3).cut(turned, expected, chance)
    assert_same(found, expected)
    Crop(3).cut(list(stored), expected, chance)
    assert (found != expected).any()


@given(augments())
@settings(max_examples=60, deadline=None)
def test_any_augmentation_of_any_kind(augment: Augment) -> None:
    for channels, dtype in KINDS[1:4]:
        stored = numbered(3, 7, 6, channels, dtype)
        found = augmented(stored, np.array([2, 1]), (6, 5), augment, seed=2**63 - 1, epoch=10**6)
        assert found.shape == (2, 6, 5, channels)
        assert found.dtype == stored.dtype
        assert np.isfinite(found).all()


def test_an_empty_batch() -> None:
    found = augmented(
        numbered(3, 7, 6, 3), np.empty(0, np.int64), (6, 5), read_augment(EVERY), seed=0, epoch=0
    )
    assert found.shape == (0, 6, 5, 3)
