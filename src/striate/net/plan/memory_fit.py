"""What a training step has to do to fit a limit of memory, and what that costs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from striate.net.layers.normalization import BatchNorm
from striate.net.layout.layout import Layout
from striate.net.layout.normed import needs_two
from striate.net.plan.memory import StepMemory, Thrift, walk, walked
from striate.net.plan.tape import Tape, tape

# Sizes are told apart in so many classes, rounded up.
CLASSES = 300

# Without a batch norm pieces of the batch are as good as the whole; smaller ones than this are slow.
SMALL_PIECE = 8

# The sums of the dynamic programme are a little off: it is asked again with a smaller limit so often.
_TURNS = 8


@dataclass(frozen=True, slots=True)
class Fit:
    """A step that fits.

    plain: the same without thrift.  arithmetic: further multiply-adds, as a share of those of a step.
    """

    thrift: Thrift
    memory: StepMemory
    plain: StepMemory
    arithmetic: float


@dataclass(frozen=True, slots=True)
class Fitter:
    """Finds the cheapest way for a training step on `batch` images to fit.

    precision: fp32, bf16 or EMULATED.  optimizer: as in a recipe.  average: a running mean of the weights is kept.
    """

    layout: Layout
    batch: int
    precision: str
    optimizer: str
    average: bool

    def fit(self, limit_bytes: int, *, again: Thrift | None = None, pieces: int | None = None) -> Fit | None:
        """The cheapest step whose peak is at most `limit_bytes`, or None where there is none.

        again: what is made again, where that is not open; its number of pieces says nothing.
        pieces: of the batch, where that is not open.

        The rungs, each taken where the one before does not suffice: nothing; one tensor for a batch norm
        and its activation; runs of steps recomputed in the backward pass; the batch in pieces as well.
        Without a batch norm, pieces of 8 images and more come before runs.
        """
        made = tape(self.layout, self.precision)
        plain = self._memory(made, Thrift())
        if again is None:
            ways = self._rungs(made, limit_bytes, pieces)
        else:
            ways = (replace(again, micro_batches=each) for each in ([pieces] if pieces else self._pieces()))
        for thrift in ways:
            memory = plain if thrift == Thrift() else self._memory(made, thrift)
            if memory.total <= limit_bytes:
                return Fit(thrift, memory, plain, arithmetic(made, thrift))
        return None

    def least_bytes(self, *, again: Thrift | None = None, pieces: int | None = None) -> int:
        """The smallest limit that a step fits, to a percent.  again, pieces: as for `fit`."""
        low, high = 0, self._memory(tape(self.layout, self.precision), Thrift()).total
        while self.fit(high, again=again, pieces=pieces) is None:
            # Pieces add up gradients, which may take more than they leave.
            low, high = high, 2 * high
        while high - low > high // 100:
            middle = (low + high) // 2
            fits = self.fit(middle, again=again, pieces=pieces) is not None
            low, high = (low, middle) if fits else (middle, high)
        return high

    def memory(self, thrift: Thrift) -> StepMemory:
        """The peak of a step with this thrift."""
        return self._memory(tape(self.layout, self.precision), thrift)

    def _memory(self, made: Tape, thrift: Thrift) -> StepMemory:
        return walk(
            made, self.layout, self.batch, precision=self.precision, optimizer=self.optimizer,
            average=self.average, thrift=thrift,
        )  # fmt: skip

    def _rungs(self, made: Tape, limit: int, only: int | None) -> Iterator[Thrift]:
        """only: the one number of pieces, where it is not open."""
        yield Thrift(micro_batches=only or 1)
        if made.pairs:
            yield Thrift(pairs=True, micro_batches=only or 1)
        divisions = self._pieces() if only is None else [only]
        if only is None and not any(isinstance(placed.layer, BatchNorm) for placed in self.layout.layers()):
            large = [each for each in divisions if self.batch // each >= SMALL_PIECE]
            yield from (Thrift(micro_batches=each) for each in large if each > 1)
            divisions = [*large[-1:], *divisions[len(large) :]]
        for each in divisions:
            thrift = self._recomputing(made, limit, each)
            if thrift is not None:
                yield thrift

    def _pieces(self) -> list[int]:
        """Numbers of pieces, from one on, whose images have the variance that the network needs."""
        least = 2 if needs_two(self.layout) else 1
        return [each for each in _divisions(self.batch) if self.batch // each >= least] or [1]

    def _recomputing(self, made: Tape, limit: int, micro_batches: int) -> Thrift | None:
        """The runs to make again that cost least, or None."""
        pairs = bool(made.pairs)
        base = Thrift(pairs, (), micro_batches)
        memory = self._memory(made, base)
        if memory.total <= limit:
            return base
        walking = walked(
            made, self.layout, self.batch, precision=self.precision, optimizer=self.optimizer, thrift=base
        )
        static = memory.weights + memory.optimizer
        steps = _weigh(made, -(-self.batch // micro_batches), pairs, walking.around)
        room = limit - static
        for _ in range(_TURNS):
            again = _cheapest(steps, room)
            if again is None:
                return None
            thrift = Thrift(pairs, again, micro_batches)
            over = self._memory(made, thrift).total - limit
            if over <= 0:
                return thrift
            room -= over
        return None


def arithmetic(made: Tape, thrift: Thrift) -> float:
    """Multiply-adds that are done again, as a share of those of a step: forward, and twice as much back."""
    work = [0] * len(made.steps)
    for operation in made.operations:
        work[operation.step] += operation.multiply_adds
    again = sum(sum(work[first : last + 1]) for first, last in thrift.again)
    return again / max(1, 3 * sum(work))


def _divisions(batch: int) -> list[int]:
    """Numbers of pieces: 1, 2, 3, 4, 6, 8, 12 ... up to one image a piece."""
    found = [1, *(number for power in range(17) for number in (2 << power, 3 << power))]
    return sorted({number for number in found if number <= batch} | {batch})


@dataclass(frozen=True, slots=True)
class _Step:
    """A step of the main flow.

    kept: bytes that it keeps.  input: bytes of what it reads.  given: its input is kept by the step before.
    around: bytes that live besides.  work: multiply-adds, one for each number as well.
    first: a run may begin with it, and the one before end; not so an activation behind its batch norm.  closed: it cannot be made again.
    """

    kept: int
    input: int
    given: bool
    around: int
    work: int
    first: bool
    closed: bool


def _weigh(made: Tape, piece: int, pairs: bool, around: dict[int, int]) -> list[_Step]:
    remade = {tensor for each in made.pairs.values() for tensor in each} if pairs else set()
    counted: dict[int, int] = {}
    kept = [0] * len(made.steps)
    work = [0] * len(made.steps)
    firsts: dict[int, int] = {}
    for number, one in enumerate(made.operations):
        step = one.step
        firsts.setdefault(step, number)
        work[step] += one.multiply_adds + made.tensors[one.output].bytes
        kept[step] += piece * one.more + one.once
        for tensor in one.keeps:
            if tensor and tensor not in remade and tensor not in counted:
                counted[tensor] = step
                kept[step] += piece * made.tensors[tensor].bytes
    found = []
    for step in range(len(made.steps)):
        operation = made.operations[firsts[step]] if step in firsts else None
        source = 0 if operation is None else operation.inputs[0]
        found.append(
            _Step(
                kept[step],
                piece * made.tensors[source].bytes if source else 0,
                counted.get(source, step) < step,
                around.get(step, 0),
                work[step],
                operation is not None
                and operation.inputs[0] != operation.output
                and firsts[step] not in made.pairs,
                step in made.closed or operation is None,
            )
        )
    return found


def _cheapest(steps: list[_Step], room: int) -> tuple[tuple[int, int], ...] | None:
    """The runs whose repetition costs least among all under which every moment fits `room`.

    best(j, k): the least work of the steps before j such that they keep k bytes.  A step is kept,
    best(j + 1, k + kept) = best(j, k), or ends a run from i on,
    best(j + 1, k + input) = best(i, k) + work of i .. j, where k + input + kept of i .. j + around fits.
    """
    if room <= 0:
        return None
    unit = max(1, room // CLASSES)
    size = CLASSES + 2

    def classes(count: int) -> int:
        return -(-count // unit)

    best = np.full((len(steps) + 1, size), np.inf)
    came = np.full((len(steps) + 1, size, 2), -1, dtype=np.int64)
    best[0, 0] = 0
    kept_so_far = np.arange(size)

    def take(row: int, to: int, more: int, work: float, fits: int, kind: int) -> None:
        """From `row` to `to`, keeping `more` classes, where k + fits stays in the room."""
        allowed = (kept_so_far + fits <= CLASSES) & np.isfinite(best[row]) & (kept_so_far + more < size)
        at = np.flatnonzero(allowed)
        cost = best[row, at] + work
        better = cost < best[to, at + more]
        best[to, at[better] + more] = cost[better]
        came[to, at[better] + more, 0] = kind
        came[to, at[better] + more, 1] = at[better]

    for j, step in enumerate(steps):
        take(j, j + 1, classes(step.kept), 0.0, classes(step.kept + step.around), -1)
        kept = around = work = 0
        for i in range(j, -1, -1):
            one = steps[i]
            if one.closed:
                break
            kept, around, work = kept + one.kept, max(around, one.around), work + one.work
            if classes(kept) > CLASSES:
                break
            if one.first and not (j + 1 < len(steps) and not steps[j + 1].first):
                held = 0 if one.given else one.input
                take(i, j + 1, classes(held), float(work), classes(held + kept + around), i)
    if not np.isfinite(best[-1]).any():
        return None
    k, j = int(np.argmin(best[-1])), len(steps)
    runs = []
    while j:
        i, k_before = (int(each) for each in came[j, k])
        if i >= 0:
            runs.append((i, j - 1))
            j, k = i, k_before
        else:
            j, k = j - 1, k_before
    return tuple(reversed(runs))
