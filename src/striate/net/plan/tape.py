"""The operations of a training step in the order in which they run, and the tensors between them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from striate.net.layers import activation, convolution, dropout, linear
from striate.net.layers import normalization as normalization
from striate.net.layers.layer import Layer
from striate.net.layout.layout import Chain, Join, Layout, Part, Placed, Side
from striate.net.shape import Map, Shape

FLOAT_BYTES = 4
HALF_BYTES = 2

# The precision of a machine without instructions for bfloat16: torch writes the windows of a convolution side by side.
EMULATED = "emulated bf16"

# What an activation may be that is made again from a batch norm's input (see striate.modules.norm_activation).
AGAIN = (
    activation.Relu, activation.Relu6, activation.Leaky, activation.Elu, activation.Sigmoid,
    activation.Tanh, activation.Gelu, activation.Silu,
)  # fmt: skip

# Matrix products, which run in bfloat16 where that is the precision.
PRODUCTS = (convolution.Conv, convolution.Local, convolution.Filter, linear.Fc)

# Further bytes that are of the kind of the input, not indices or float32 statistics.
_OF_THE_INPUT = (dropout.Dropout, dropout.Dropout2d, dropout.DropPath)


class Tensor(NamedTuple):
    """bytes: for one image.  width: bytes of a number.  learns: a gradient flows back into it."""

    bytes: int
    width: int
    learns: bool


@dataclass(frozen=True, slots=True)
class Operation:
    """A layer, or the joining of branches.

    step: which step of the main flow it belongs to (see `steps`).  layer: None for a join.
    inputs, output: numbers of tensors; an activation that writes over its input gives its own input.
    keeps: tensors that it keeps.  more: further bytes that it keeps for each image.  once: once a batch.
    held: tensors that wait for a join around it.
    weights: trained numbers.  copies: bytes of its input cast to bfloat16, which has a gradient of its own.
    columns: bytes of its windows side by side, for one image.
    """

    step: int
    path: str
    layer: Layer | None
    inputs: tuple[int, ...]
    output: int
    keeps: tuple[int, ...]
    more: int
    once: int
    held: frozenset[int]
    weights: int
    multiply_adds: int
    copies: int
    columns: int


@dataclass(frozen=True, slots=True)
class Tape:
    """A step on one image.

    steps: paths of the parts of the main flow, brackets and repeats opened, joins whole.
    closed: steps that cannot be run again, auxiliary classifiers.
    pairs: by the number of an activation straight behind a batch norm, the tensors that can be made again.
    """

    tensors: tuple[Tensor, ...]
    operations: tuple[Operation, ...]
    steps: tuple[str, ...]
    closed: frozenset[int]
    pairs: dict[int, tuple[int, ...]]


def tape(layout: Layout, precision: str) -> Tape:
    """The operations of a training step.  precision: fp32, bf16 or EMULATED."""
    tracer = _Tracer(precision != "fp32", precision == EMULATED)
    return tracer.run(layout)


def kept_bytes(made: Tape, batch: int) -> dict[str, int]:
    """Bytes kept for the backward pass because of each layer, by path; layers that keep nothing are left out.

    A tensor that several layers keep is counted at the first of them, the images themselves nowhere.
    """
    counted = {0}
    found: dict[str, int] = {}
    for operation in made.operations:
        total = batch * operation.more + operation.once
        for tensor in operation.keeps:
            if tensor not in counted:
                counted.add(tensor)
                total += batch * made.tensors[tensor].bytes
        if total:
            found[operation.path] = total
    return found


def steps(layout: Layout) -> Iterator[Part]:
    """The parts of the main flow in order, brackets, calls and repeats opened."""
    yield from _opened(layout.root)


def _opened(chain: Chain) -> Iterator[Part]:
    for part in chain.parts:
        if isinstance(part, Chain):
            yield from _opened(part)
        else:
            yield part


class _Tracer:
    def __init__(self, half: bool, emulated: bool) -> None:
        self.half = half
        self.emulated = emulated
        self.tensors: list[Tensor] = []
        self.operations: list[Operation] = []
        self.pairs: dict[int, tuple[int, ...]] = {}
        self.held: list[int] = []
        self.step = 0

    def run(self, layout: Layout) -> Tape:
        now = self.tensor(layout.input, FLOAT_BYTES, False)
        parts = list(steps(layout))
        before: Part | None = None
        closed = set()
        for index, part in enumerate(parts):
            self.step = index
            if isinstance(part, Side):
                closed.add(index)
            now = self.part(part, before, now, last=index == len(parts) - 1)
            before = part
        paths = tuple(part.path for part in parts)
        return Tape(tuple(self.tensors), tuple(self.operations), paths, frozenset(closed), self.pairs)

    def tensor(self, shape: Shape, width: int, learns: bool) -> int:
        self.tensors.append(Tensor(width * shape.elements, width, learns))
        return len(self.tensors) - 1

    def part(self, part: Part, before: Part | None, now: int, *, last: bool) -> int:
        if isinstance(part, Placed):
            return self.layer(part, before, now, last)
        if isinstance(part, Side):
            self.held.append(now)
            self.chain(part.chain, now, last=True)
            self.held.pop()
            return now
        if isinstance(part, Join):
            return self.join(part, now)
        return self.chain(part, now, last=last)

    def chain(self, chain: Chain, now: int, *, last: bool) -> int:
        before: Part | None = None
        for part in chain.parts:
            now = self.part(part, before, now, last=last and part is chain.parts[-1])
            before = part
        return now

    def join(self, join: Join, now: int) -> int:
        count = len(self.held)
        self.held.append(now)
        ends: list[int] = []
        for chain in join.chains:
            end = self.chain(chain, now, last=False)
            if join.kind == "add" and ends:
                ends = [self.joined(join, [ends[0], end])]
            else:
                ends.append(end)
            del self.held[count + 1 :]
            self.held.extend(ends)
        del self.held[count:]
        return ends[0] if join.kind == "add" else self.joined(join, ends)

    def joined(self, join: Join, ends: list[int]) -> int:
        width = max(self.tensors[end].width for end in ends)
        output = self.tensor(join.output, width, any(self.tensors[end].learns for end in ends))
        self.add(join.path, None, tuple(ends), output)
        return output

    def layer(self, placed: Placed, before: Part | None, now: int, last: bool) -> int:
        layer, source = placed.layer, self.tensors[now]
        spread = isinstance(layer, linear.Flatten) and _spread(placed.input)
        if (hands_on(layer) and not spread) or (last and isinstance(layer, linear.Softmax)):
            return now
        weights = layer.weights(placed.input)
        learns = source.learns or weights > 0
        half = self.half and isinstance(layer, PRODUCTS)
        width = HALF_BYTES if half else source.width
        in_place = isinstance(layer, activation.Relu) and _may_overwrite(before)
        output = now if in_place else self.tensor(placed.output, width, learns)
        keeps: list[int] = []
        more = once = copies = 0
        if learns:
            saves = layer.saves(placed.input)
            more, once = saves.image_bytes, saves.batch_bytes
            if isinstance(layer, _OF_THE_INPUT) or half:
                more = more * width // FLOAT_BYTES
            flattened = isinstance(layer, linear.Fc) and _spread(placed.input)
            if saves.input and (flattened or (half and source.width != width)):
                # A copy is kept: laid out channel by channel, or cast.
                more += width * placed.input.elements
            elif saves.input:
                keeps.append(now)
            if saves.output:
                keeps.append(output)
            if half and source.width != width and source.learns:
                copies = width * placed.input.elements
        self.add(
            placed.path, layer, (now,), output, keeps=tuple(keeps), more=more, once=once,
            weights=weights, multiply_adds=layer.multiply_adds(placed.input), copies=copies,
            columns=_columns(layer, placed) if self.emulated else 0,
        )  # fmt: skip
        if isinstance(layer, AGAIN) and learns and isinstance(before, Placed) and self.after_norm(now):
            self.pairs[len(self.operations) - 1] = (now,) if in_place else (now, output)
        return output

    def after_norm(self, now: int) -> bool:
        """Whether the operation before the last is the batch norm that gave the last one's input."""
        if len(self.operations) < 2:
            return False
        before = self.operations[-2]
        return isinstance(before.layer, normalization.BatchNorm) and before.output == now

    def add(
        self, path: str, layer: Layer | None, inputs: tuple[int, ...], output: int, *,
        keeps: tuple[int, ...] = (), more: int = 0, once: int = 0, weights: int = 0, multiply_adds: int = 0,
        copies: int = 0, columns: int = 0,
    ) -> None:  # fmt: skip
        held = frozenset(self.held)
        self.operations.append(
            Operation(
                self.step, path, layer, inputs, output, keeps, more, once, held, weights,
                multiply_adds, copies, columns,
            )
        )  # fmt: skip


def hands_on(layer: Layer) -> bool:
    """Whether the output is the input itself, no new tensor."""
    return layer.word in ("flatten", "identity") or getattr(layer, "share", None) == 0


def _columns(layer: Layer, placed: Placed) -> int:
    """Of all images at once, but where the window is dilated or the map itself is what they would be."""
    if not isinstance(layer, convolution.Conv) or layer.dilate != (1, 1):
        return 0
    rows, columns = layer.axes(placed.input)
    if layer.kernel == (1, 1) and (rows.stride, columns.stride, rows.before, columns.before) == (1, 1, 0, 0):
        return 0
    places = placed.output.elements // layer.channels
    return HALF_BYTES * layer.window_weights(placed.input) * places


def _may_overwrite(before: Part | None) -> bool:
    """As in striate.modules.module: nobody else reads what these give."""
    if isinstance(before, Placed):
        return isinstance(before.layer, convolution.Conv | linear.Fc | normalization.BatchNorm)
    return isinstance(before, Join)


def _spread(shape: Shape) -> bool:
    """Whether maps stored with the channels last have to be copied to be read channel by channel."""
    return isinstance(shape, Map) and shape.height * shape.width > 1 and shape.channels > 1
