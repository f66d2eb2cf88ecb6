"""Sliding windows along one side of a map, and the receptive field they add up to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Axis:
    """A window that slides along one side.

    kernel: how many rows the window reads.  stride: how far it moves.  dilation: the distance of the rows
    that it reads.  before, after: rows of padding on either end.  ceil: a last, partly empty window is
    kept as long as it begins inside the map or its leading padding (the rule of torch's `ceil_mode`).
    """

    kernel: int
    stride: int = 1
    dilation: int = 1
    before: int = 0
    after: int = 0
    ceil: bool = False

    @property
    def extent(self) -> int:
        """Rows from the first to the last that one window reads, dilation * (kernel - 1) + 1."""
        return self.dilation * (self.kernel - 1) + 1

    def room(self, length: int) -> int:
        """How far the window can move on a side of `length`; negative where it does not fit."""
        return length + self.before + self.after - self.extent

    def out(self, length: int) -> int:
        """How many windows fit: floor((N + 2P - extent) / S) + 1."""
        room = self.room(length)
        if room < 0:
            return 0
        windows = room // self.stride + 1
        if self.ceil and room % self.stride and windows * self.stride < length + self.before:
            windows += 1
        return windows

    def unread(self, length: int) -> int:
        """Rows left over at the far end, padding counted, where the stride does not divide."""
        return max(0, self.room(length) - (self.out(length) - 1) * self.stride)

    def reads(self, length: int, wanted: frozenset[int]) -> frozenset[int]:
        """Which rows of the input the windows `wanted` read."""
        rows: set[int] = set()
        for window in wanted:
            first = window * self.stride - self.before
            rows.update(range(first, first + self.extent, self.dilation))
        return frozenset(row for row in rows if 0 <= row < length)


POINT = Axis(1)


@dataclass(frozen=True, slots=True)
class Field:
    """The receptive field along one side: what one unit sees of the input image.

    size: rows of the input, from the first to the last that can change the unit.
    step: how far the fields of two neighboring units lie apart.
    start: the input row at which the field of unit 0 begins; negative in the padding.

    Unit i sees rows start + i*step up to start + i*step + size - 1.  Where the units see unlike much, behind
    an adaptive pool whose grid does not divide the map or behind branches whose strides differ, the three
    are an estimate.
    """

    size: int = 1
    step: int = 1
    start: int = 0

    def through(self, axis: Axis) -> Field:
        """The field of a unit after one more window: r' = r + (extent - 1) * step, step' = step * S.

        Source: Dumoulin and Visin 2016, "A guide to convolution arithmetic"; Araujo, Norris and Sim 2019.
        """
        return Field(
            size=self.size + (axis.extent - 1) * self.step,
            step=self.step * axis.stride,
            start=self.start - axis.before * self.step,
        )

    def joined(self, other: Field, units: int) -> Field:
        """The smallest field that holds both, for `units` units of branches added or concatenated."""
        # Where the steps differ the two drift apart, so the first or the last unit sees most.
        gaps = [self.start - other.start + unit * (self.step - other.step) for unit in (0, units - 1)]
        return Field(
            size=max(max(gap + self.size, other.size) - min(gap, 0) for gap in gaps),
            step=max(self.step, other.step),
            start=min(self.start, other.start),
        )
