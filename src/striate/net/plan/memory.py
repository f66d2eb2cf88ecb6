"""The peak memory of a training step, by walking through it: forward, backward, the optimizer."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field

from striate.net.layers import convolution, linear
from striate.net.layers.normalization import BatchNorm
from striate.net.layout.layout import Layout
from striate.net.plan.tape import FLOAT_BYTES, HALF_BYTES, PRODUCTS, Operation, Tape, tape
from striate.optimizers import OPTIMIZERS

# What libraries take for shapes that they have not met: code for each convolution, buffers of matrix products.
LIBRARY_BYTES = 4_000_000

# Muon makes matrices whose smaller side is at least this orthogonal one by one, smaller ones together.
LARGE_MATRIX = 200


@dataclass(frozen=True, slots=True)
class Thrift:
    """What a training step does to need less memory.

    pairs: a batch norm and its activation keep one tensor.
    again: runs of steps of the main flow, first and last, that keep their input only and are run again in
    the backward pass.  micro_batches: the batch in so many pieces, whose gradients are added.
    """

    pairs: bool = False
    again: tuple[tuple[int, int], ...] = ()
    micro_batches: int = 1


@dataclass(frozen=True, slots=True)
class StepMemory:
    """Bytes at the peak of a training step.

    weights: with running statistics, and their running mean if there is one.  kept: activations for the
    backward pass.  transient: what an operation needs while it runs: gradients of activations, copies of
    weights, what is made again.  moment: the path of the operation at the peak.
    """

    weights: int
    gradients: int
    optimizer: int
    kept: int
    transient: int
    moment: str

    @property
    def total(self) -> int:
        """Their sum."""
        return self.weights + self.gradients + self.optimizer + self.kept + self.transient


def step_memory(
    layout: Layout,
    batch: int,
    *,
    precision: str = "fp32",
    optimizer: str = "adamw",
    average: bool = False,
    thrift: Thrift = Thrift(),
) -> StepMemory:
    """The peak of one training step on `batch` images, over what the process has without a network.

    precision: fp32, bf16 or EMULATED.  optimizer: as in a recipe.  average: a running mean of the weights is kept.
    """
    return walk(
        tape(layout, precision), layout, batch, precision=precision, optimizer=optimizer, average=average,
        thrift=thrift,
    )  # fmt: skip


def walk(
    made: Tape, layout: Layout, batch: int, *, precision: str, optimizer: str, average: bool, thrift: Thrift
) -> StepMemory:
    """As `step_memory`, for a tape that was made before."""
    walking = walked(made, layout, batch, precision=precision, optimizer=optimizer, thrift=thrift)
    weights = sum(operation.weights for operation in made.operations)
    statistics = sum(
        2 * placed.output.channels for placed in layout.layers() if isinstance(placed.layer, BatchNorm)
    )
    return StepMemory(
        weights=FLOAT_BYTES * (weights + statistics) * (2 if average else 1),
        gradients=walking.peak[1],
        optimizer=OPTIMIZERS[optimizer].state * FLOAT_BYTES * weights,
        kept=walking.peak[2],
        transient=walking.peak[3],
        moment=walking.peak[4],
    )


def walked(made: Tape, layout: Layout, batch: int, *, precision: str, optimizer: str, thrift: Thrift) -> Walk:
    """The walk itself, with what it found at each step."""
    piece = -(-batch // thrift.micro_batches)
    walking = Walk(made, piece, precision != "fp32", thrift.pairs, thrift.micro_batches > 1)
    # The images as they are stored: these, and the next batch.
    walking.fixed = (
        LIBRARY_BYTES + 2 * batch * layout.input.elements + FLOAT_BYTES * layout.input.elements * batch
    )
    ends = dict(thrift.again)
    runs = _runs(made, ends)
    walking.forward(runs)
    walking.backward(runs)
    large = max((operation.weights for operation in made.operations), default=0)
    kind = OPTIMIZERS[optimizer]
    after = kind.scratch * FLOAT_BYTES * large
    if kind.orthogonal:
        after = _muon_bytes(made, half=precision != "fp32")
    walking.moment("the optimizer", 0, after)
    return walking


def _muon_bytes(made: Tape, *, half: bool) -> int:
    """What Muon has besides its state, as in striate.training.step.muon, whose groups these are.

    Directions of the matrices that go together; five small squares of each, or one and a result.  Where the network
    computes in bfloat16, the iterations may as well: all of one shape stacked, and three times in bfloat16.
    """
    alike: dict[tuple[int, ...], list[tuple[int, int]]] = {}
    for number, operation in enumerate(made.operations):
        layer, weights = operation.layer, operation.weights
        if not isinstance(layer, PRODUCTS) or not weights:
            continue
        rows = {"conv": "channels", "fc": "features"}.get(layer.word)
        outputs = getattr(layer, rows) if rows else math.isqrt(weights)
        small = min(outputs, weights // outputs)
        alone = (number,) if small >= LARGE_MATRIX else ()
        alike.setdefault((weights,) if half else (small, *alone), []).append((small, weights))
    if half:
        return (2 * FLOAT_BYTES + 3 * HALF_BYTES) * max(
            (sum(w for _, w in each) for each in alike.values()), default=0
        )
    return FLOAT_BYTES * max(
        (
            sum(w for _, w in each)
            + max(
                5 * sum(small**2 for small, _ in each),
                sum(small**2 for small, _ in each) + max(w for _, w in each),
            )
            for each in alike.values()
        ),
        default=0,
    )


@dataclass(frozen=True, slots=True)
class _Run:
    """Operations first to last - 1, kept or run again."""

    first: int
    last: int
    again: bool


def _runs(made: Tape, ends: dict[int, int]) -> list[_Run]:
    """The operations of the steps that are kept one by one, of each run that is made again together."""
    of_step: dict[int, list[int]] = {}
    for number, operation in enumerate(made.operations):
        of_step.setdefault(operation.step, []).append(number)
    runs: list[_Run] = []
    step = 0
    while step < len(made.steps):
        last = ends.get(step, step)
        numbers = [number for each in range(step, last + 1) for number in of_step.get(each, [])]
        if numbers:
            runs.append(_Run(numbers[0], numbers[-1] + 1, step in ends))
        step = last + 1
    return runs


def _kept(runs: list[_Run]) -> list[tuple[int, int]]:
    """The operations, first to last - 1, of each stretch of runs that are kept."""
    found: list[tuple[int, int]] = []
    for run in runs:
        if run.again:
            continue
        if found and found[-1][1] == run.first:
            found[-1] = (found[-1][0], run.last)
        else:
            found.append((run.first, run.last))
    return found


@dataclass(slots=True)
class Walk:
    """What lives while a step is walked through.

    around: what lives besides what is kept, at most, by step of the main flow.
    flowing: the buffer in which the gradient of a tensor lies; sizes: bytes of each buffer.
    waiting: the buffer that whoever gave it holds while a run is recomputed and goes backward.
    """

    made: Tape
    batch: int
    half: bool
    pairs: bool
    added: bool
    fixed: int = 0
    gradients: int = 0
    kept: int = 0
    casts: int = 0
    tensors: set[int] = field(default_factory=set)
    bytes_of: dict[int, int] = field(default_factory=dict)
    firsts: dict[int, list[int]] = field(default_factory=dict)
    flowing: dict[int, int] = field(default_factory=dict)
    sizes: dict[int, int] = field(default_factory=dict)
    waiting: set[int] = field(default_factory=set)
    serial: int = 0
    peak: tuple[int, int, int, int, str] = (-1, 0, 0, 0, "")
    around: dict[int, int] = field(default_factory=dict)

    def moment(self, name: str, live: int, scratch: int, step: int = -1) -> None:
        """live: tensors that nobody keeps, in bytes.  step: of the main flow, where it is in one."""
        transient = self.fixed + live + scratch + self.casts
        total = self.gradients + self.kept + transient
        self.around[step] = max(self.around.get(step, 0), self.gradients + transient)
        if total > self.peak[0]:
            self.peak = (total, self.gradients, self.kept, transient, name)

    def size(self, tensor: int) -> int:
        return self.batch * self.made.tensors[tensor].bytes if tensor else 0

    def forward(self, runs: list[_Run]) -> None:
        if self.added:
            self.gradients = FLOAT_BYTES * sum(each.weights for each in self.made.operations)
        # What is kept may be read by a later step, so its pairs are those of all that is kept.
        remade: dict[int, int] = {}
        for first, last in _kept(runs):
            remade |= self._remade(first, last)
        for run in runs:
            source = self.made.operations[run.first].inputs[0]
            if run.again and source not in remade:
                self._keep(run.first, source)
            copied = self._copied(run)
            self.fixed += copied
            self._forward(run, {} if run.again else remade, keep=not run.again)
            self.fixed -= copied

    def _copied(self, run: _Run) -> int:
        """Of the input of a run that is recomputed and would write over it."""
        first = self.made.operations[run.first]
        return self.size(first.output) if run.again and first.output in first.inputs else 0

    def _forward(self, run: _Run, remade: dict[int, int], *, keep: bool) -> None:
        for number in range(run.first, run.last):
            operation = self.made.operations[number]
            if self.half and isinstance(operation.layer, PRODUCTS):
                self.casts += HALF_BYTES * operation.weights
            if keep:
                self._keep_of(number, remade)
            around = {*operation.inputs, operation.output, *operation.held} - self.tensors
            self.moment(
                operation.path, sum(map(self.size, around)), self._forward_scratch(operation), operation.step
            )

    def _remade(self, first: int, last: int) -> dict[int, int]:
        """Tensors that are recomputed in the backward pass, by the activation that asks last."""
        if not self.pairs:
            return {}
        return {
            tensor: number for number in range(first + 1, last) for tensor in self.made.pairs.get(number, ())
        }

    def _keep_of(self, number: int, remade: dict[int, int]) -> None:
        operation = self.made.operations[number]
        for tensor in operation.keeps:
            if tensor not in remade:
                self._keep(number, tensor)
        more = self.batch * operation.more + operation.once
        self.bytes_of[number] = self.bytes_of.get(number, 0) + more
        self.kept += more

    def _keep(self, number: int, tensor: int) -> None:
        if tensor and tensor not in self.tensors:
            self.tensors.add(tensor)
            self.firsts.setdefault(number, []).append(tensor)
            self.bytes_of[number] = self.bytes_of.get(number, 0) + self.size(tensor)
            self.kept += self.size(tensor)

    def backward(self, runs: list[_Run]) -> None:
        if any(run.again for run in runs):
            self.casts = HALF_BYTES * sum(
                operation.weights
                for run in runs if not run.again
                for operation in self.made.operations[run.first : run.last]
                if self.half and isinstance(operation.layer, PRODUCTS)
            )  # fmt: skip
        if self.made.operations:
            self._flow(self.made.operations[-1].output)
        remade: dict[int, int] = {}
        for first, last in [*_kept(runs), *((run.first, run.last) for run in runs if run.again)]:
            remade |= self._remade(first, last)
        made: dict[int, int] = {}
        for run in reversed(runs):
            if run.again:
                end = self.flowing.get(self.made.operations[run.last - 1].output)
                self.waiting = set() if end is None else {end}
                held = sum(self.sizes[each] for each in self.waiting)
                self.fixed += held
                self.kept += self._copied(run)
                self._forward(run, self._remade(run.first, run.last), keep=True)
                self.fixed -= held
            for number in range(run.last - 1, run.first - 1, -1):
                self._backward(number, remade, made)
            if run.again:
                self._drop(run.first)
                self.kept -= self._copied(run)
                self.waiting = set()

    def _backward(self, number: int, remade: dict[int, int], made: dict[int, int]) -> None:
        operation = self.made.operations[number]
        for tensor in operation.keeps:
            if tensor in remade:
                for each in self.made.pairs[remade[tensor]]:
                    made[each] = self.size(each)
        if not self.made.tensors[operation.output].learns or operation.output not in self.flowing:
            self._drop(number)
            return
        # Where gradients are added up, one of an operation is new until it is added.
        fresh = FLOAT_BYTES * operation.weights if self.added else 0
        self.gradients += FLOAT_BYTES * operation.weights - fresh
        into = [tensor for tensor in dict.fromkeys(operation.inputs) if self.made.tensors[tensor].learns]
        new = 0
        if operation.layer is not None and not self._is_view(operation):
            new = sum(map(self.size, into))
        flowing = sum(self.sizes[each] for each in self.waiting.union(self.flowing.values()))
        live = fresh + flowing + new + sum(made.values()) + self.batch * 2 * operation.copies
        self.moment(operation.path, live, self._backward_scratch(operation), operation.step)
        self._hand_back(operation, into)
        if self.half and isinstance(operation.layer, PRODUCTS):
            self.casts -= HALF_BYTES * operation.weights
        for tensor in self.made.pairs.get(number, ()):
            made.pop(tensor, None)
        self._drop(number)

    def _is_view(self, operation: Operation) -> bool:
        return isinstance(operation.layer, linear.Flatten)

    def _hand_back(self, operation: Operation, into: list[int]) -> None:
        buffer = self.flowing.pop(operation.output)
        shared = Counter([*self.flowing.values(), *self.waiting])
        for tensor in into:
            if operation.layer is None:
                if tensor in self.flowing:
                    self._flow(tensor)
                else:
                    self.flowing[tensor] = buffer
            elif tensor in self.flowing and shared[self.flowing[tensor]] == 1:
                # Added in place.
                continue
            else:
                self._flow(tensor)

    def _flow(self, tensor: int) -> None:
        self.serial += 1
        self.flowing[tensor] = self.serial
        self.sizes[self.serial] = self.size(tensor)

    def _drop(self, number: int) -> None:
        self.kept -= self.bytes_of.pop(number, 0)
        self.tensors.difference_update(self.firsts.pop(number, ()))

    def _forward_scratch(self, operation: Operation) -> int:
        width = HALF_BYTES if self.half else FLOAT_BYTES
        ordered = width * operation.weights if isinstance(operation.layer, convolution.Conv) else 0
        return ordered + self.batch * operation.columns

    def _backward_scratch(self, operation: Operation) -> int:
        """Of a convolution: weights in the order that it wants, and their gradient in that order.

        In bfloat16 the gradient of cast weights is there as well until it is cast; that of a matrix product
        comes where the cast weights go.
        """
        if not isinstance(operation.layer, convolution.Conv):
            return 0
        return (
            2 * (HALF_BYTES if self.half else FLOAT_BYTES) * operation.weights
            + self.batch * operation.columns
        )
