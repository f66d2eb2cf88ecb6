"""Sliding windows along one side, against a count of each single window."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from striate.net.layers.axis import POINT, Axis, Field

WINDOWS = st.builds(
    Axis,
    kernel=st.integers(1, 6),
    stride=st.integers(1, 5),
    dilation=st.integers(1, 3),
    before=st.integers(0, 4),
    after=st.integers(0, 4),
)


def windows(axis: Axis, length: int) -> list[list[int]]:
    """The rows of each window that fits, counted one by one; rows of padding are below 0 or from `length`."""
    found = []
    for window in range(length + axis.before + axis.after):
        first = window * axis.stride - axis.before
        rows = [first + k * axis.dilation for k in range(axis.kernel)]
        fits = rows[-1] < length + axis.after
        # A last window partly outside counts with `ceil` if it begins in the map or the padding before it.
        if fits or (axis.ceil and found and found[-1][-1] < length + axis.after - 1 and first < length):
            found.append(rows)
        if not fits:
            break
    return found


@settings(deadline=None, max_examples=300)
@given(WINDOWS, st.integers(1, 20))
def test_out_unread_and_reads_against_a_count(axis: Axis, length: int) -> None:
    counted = windows(axis, length)
    assert axis.out(length) == len(counted)
    if counted:
        # Rows behind the last one that a window reaches, padding counted.
        assert axis.unread(length) == length + axis.after - 1 - counted[-1][-1]
    read = {row for rows in counted for row in rows if 0 <= row < length}
    assert axis.reads(length, frozenset(range(len(counted)))) == read
    for window, rows in enumerate(counted):
        assert axis.reads(length, frozenset({window})) == {row for row in rows if 0 <= row < length}


@settings(deadline=None, max_examples=300)
@given(st.integers(1, 6), st.integers(1, 5), st.integers(0, 3), st.integers(1, 20))
def test_ceil_against_a_count(kernel: int, stride: int, pad: int, length: int) -> None:
    # Pools have no dilation, and at most half a window of padding.
    pad = min(pad, kernel // 2)
    axis = Axis(kernel, stride, before=pad, after=pad, ceil=True)
    assert axis.out(length) == len(windows(axis, length))
    assert axis.unread(length) == 0 or axis.out(length) == Axis(kernel, stride, 1, pad, pad).out(length)


@pytest.mark.parametrize(
    ("axis", "length", "out", "unread"),
    [
        (Axis(3), 8, 6, 0),
        (Axis(3, before=1, after=1), 8, 8, 0),
        # floor((224 + 6 - 7)/2) + 1 = 112 of ResNet's stem; the last row of padding is not read.
        (Axis(7, 2, before=3, after=3), 224, 112, 1),
        # floor((224 + 4 - 11)/4) + 1 = 55 of AlexNet's.
        (Axis(11, 4, before=2, after=2), 224, 55, 1),
        (Axis(2, 2), 7, 3, 1),
        (Axis(2, 2, ceil=True), 7, 4, 0),
        # A stride past the window skips rows between them, which `unread` does not count: only the end.
        (Axis(1, 3), 9, 3, 2),
        (Axis(3, 2, dilation=2), 8, 2, 1),
        (Axis(9), 8, 0, 8),
        # GoogLeNet's: ceil((112 - 3)/2) + 1 = 56.
        (Axis(3, 2, ceil=True), 112, 56, 0),
    ],
)
def test_out_and_unread_by_hand(axis: Axis, length: int, out: int, unread: int) -> None:
    assert axis.out(length) == out
    if out:
        assert axis.unread(length) == unread


def test_extent_and_room() -> None:
    assert Axis(3).extent == 3
    assert Axis(3, dilation=4).extent == 9
    assert Axis(1, dilation=4).extent == 1
    assert Axis(3, before=1, after=2).room(8) == 8
    assert Axis(9, dilation=2).room(8) == -9
    assert Axis(1) == POINT


def test_reads_skips_rows_between_and_in_the_padding() -> None:
    axis = Axis(2, 3, dilation=2, before=1, after=1)
    # Windows at -1, 2 and 5 read rows -1 and 1, 2 and 4, 5 and 7.
    assert axis.reads(8, frozenset({0})) == {1}
    assert axis.reads(8, frozenset({0, 2})) == {1, 5, 7}
    assert axis.reads(7, frozenset({2})) == {5}
    assert axis.reads(8, frozenset()) == frozenset()


def test_the_receptive_field_of_alexnet() -> None:
    layers = [
        (Axis(11, 4, before=2, after=2), Field(11, 4, -2)),
        (Axis(3, 2), Field(19, 8, -2)),  # 11 + 2*4
        (Axis(5, before=2, after=2), Field(51, 8, -18)),  # 19 + 4*8, -2 - 2*8
        (Axis(3, 2), Field(67, 16, -18)),  # 51 + 2*8
        (Axis(3, before=1, after=1), Field(99, 16, -34)),  # 67 + 2*16, -18 - 16
        (Axis(3, before=1, after=1), Field(131, 16, -50)),
        (Axis(3, before=1, after=1), Field(163, 16, -66)),
        (Axis(3, 2), Field(195, 32, -66)),  # 163 + 2*16
    ]
    field = Field()
    for axis, expected in layers:
        field = field.through(axis)
        assert field == expected


@settings(deadline=None, max_examples=200)
@given(st.lists(WINDOWS, min_size=1, max_size=4), st.integers(0, 3))
def test_the_field_against_the_rows_that_a_unit_reads(axes: list[Axis], unit: int) -> None:
    field = Field()
    for axis in axes:
        field = field.through(axis)
    rows = {unit}
    for axis in reversed(axes):
        rows = {
            row * axis.stride - axis.before + k * axis.dilation for row in rows for k in range(axis.kernel)
        }
    first = field.start + unit * field.step
    assert (min(rows), max(rows)) == (first, first + field.size - 1)
