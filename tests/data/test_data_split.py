"""The validation split: stratified, seeded, groups kept whole."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from striate.data.split import joined, make_validation
from striate.errors import DataError


def test_each_class_gives_its_share() -> None:
    labels = np.repeat([0, 1, 2], [100, 50, 30])
    aside = make_validation(labels, None, 0.1, 0)
    assert np.bincount(labels[aside]).tolist() == [10, 5, 3]
    assert (np.diff(aside) > 0).all()


def test_the_seed_decides() -> None:
    labels = np.repeat([0, 1], 50)
    first, again, other = (make_validation(labels, None, 0.2, seed) for seed in (7, 7, 8))
    assert first.tolist() == again.tolist()
    assert first.tolist() != other.tolist()


def test_a_tiny_class_is_in_both_and_a_single_image_in_training() -> None:
    labels = np.array([0] * 100 + [1] * 2 + [2])
    for seed in range(5):
        aside = make_validation(labels, None, 0.1, seed)
        assert np.bincount(labels[aside], minlength=3)[1:].tolist() == [1, 0]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 5), min_size=4, max_size=60),
    st.floats(0.01, 0.5),
    st.integers(0, 2**32 - 1),
)
def test_no_class_of_two_is_missing_on_a_side(labels: list[int], share: float, seed: int) -> None:
    marks = np.array(labels)
    counts = np.bincount(marks)
    if counts.max() < 2:
        return
    aside = make_validation(marks, None, share, seed)
    taken = np.bincount(marks[aside], minlength=len(counts))
    for count, gone in zip(counts, taken, strict=True):
        assert gone == 0 if count < 2 else 0 < gone < count


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.one_of(st.none(), st.sampled_from("abcdef"))), min_size=6, max_size=60
    ),
    st.integers(0, 1000),
)
def test_no_group_is_on_both_sides(images: list[tuple[int, str | None]], seed: int) -> None:
    labels = np.array([label for label, _ in images])
    groups = [group for _, group in images]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            aside = make_validation(labels, groups, 0.2, seed)
        except DataError:
            assert len(set(groups)) == 1 or np.bincount(labels).max() < 2
            return
    rest = np.setdiff1d(np.arange(len(labels)), aside)
    assert len(aside)
    assert len(rest)
    there = {groups[each] for each in aside} - {None}
    assert not there & {groups[each] for each in rest}


def test_groups_are_stratified_too() -> None:
    """Twenty patients with three images each, ten of either class."""
    labels = np.repeat([0, 1], 30)
    groups = [f"patient {each // 3}" for each in range(60)]
    aside = make_validation(labels, groups, 0.2, 0)
    assert np.bincount(labels[aside]).tolist() == [6, 6]
    assert aside.tolist() == make_validation(labels, groups, 0.2, 0).tolist()
    assert aside.tolist() != make_validation(labels, groups, 0.2, 1).tolist()


@pytest.mark.parametrize("share", [0, -1, 0.51, 1, float("nan")])
def test_share_out_of_its_domain(share: float) -> None:
    with pytest.raises(DataError) as error:
        make_validation(np.array([0, 0, 1, 1]), None, share, 0)
    assert str(error.value) == (
        f"the validation share is {share}\n  expected: above 0 and at most 0.5\n  try: 0.1"
    )


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_seed_out_of_its_domain(seed: int) -> None:
    with pytest.raises(DataError) as error:
        make_validation(np.array([0, 0, 1, 1]), None, 0.1, seed)
    assert str(error.value) == (
        f"the seed is {seed}\n  expected: a whole number from 0 to 4294967295\n  try: 0"
    )


def test_nothing_can_be_set_aside() -> None:
    with pytest.raises(DataError) as error:
        make_validation(np.array([0, 1, 2]), None, 0.1, 0)
    assert str(error.value) == (
        "no class has two images, so none can be set aside for validation\n"
        "  expected: at least two images in a class\n"
        "  try: add images, or a val/ folder"
    )
    with pytest.raises(DataError) as error:
        make_validation(np.array([0, 1, 0, 1]), ["one"] * 4, 0.1, 0)
    assert str(error.value) == (
        "all 4 training images are of one group, or no class has two\n"
        "  expected: at least two groups, so that one can be set aside for validation\n"
        "  try: mark validation images in the manifest's column split"
    )


def test_two_groupings_become_one() -> None:
    # 0 and 1 by the first, 1 and 2 by the second; 4 and 5 by the second alone; 3 and 6 stand alone.
    first = ["a", "a", "b", None, None, None, None]
    second = ["w", "x", "x", "y", "z", "z", None]
    assert joined(first, second) == ["a", "a", "a", None, "z", "z", None]
    assert joined(["a", "b"], [None, None]) == ["a", "b"]
    assert joined([], []) == []
