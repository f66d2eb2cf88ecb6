"""A network laid out on an image: repeats and definitions unrolled, every shape worked out.

This is where a text meets its data.  `plan` sums what is laid out here and `build` makes modules of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from striate.errors import FitError, counted
from striate.net.layers.argument import Misfit, arguments
from striate.net.layers.layer import Layer
from striate.net.layers.linear import Softmax
from striate.net.layers.value import Choice, Name, Range, Size, Value, write_value
from striate.net.layers.words import WORDS
from striate.net.network import GIVEN, Branch, Call, Flow, Network, Pick, Step, Word
from striate.net.shape import Flat, Map, Shape
from striate.net.source import Span

# ResNet-152 has about 500 layers.  A text that unrolls into more than this is refused before it fills the memory.
MOST_LAYERS = 20_000

# Brackets, repeats, branches and calls are parts as well, each with the path that leads to it.
MOST_PARTS = 2 * MOST_LAYERS

# Brackets, branches and calls inside each other.
DEEPEST = 50

# An error names this many of the calls that it stands in, the innermost first.
_CALLS_SHOWN = 3

# A single feature map stack of more numbers than this fits no machine (4 TB of float32).
MOST_ELEMENTS = 10**12


@dataclass(frozen=True, slots=True)
class Placed:
    """A layer at its place.  path: the names that lead to it, as `stem.0`."""

    path: str
    layer: Layer
    input: Shape
    output: Shape
    at: Span | None


@dataclass(frozen=True, slots=True)
class Chain:
    """Parts one behind the other: the whole network, a bracket, a repeat, a call or a branch."""

    path: str
    parts: tuple[Part, ...]
    input: Shape
    output: Shape

    def before_softmax(self) -> tuple[Part, ...]:
        """The parts without a closing softmax: what gives logits."""
        last = self.parts[-1] if self.parts else None
        closes = isinstance(last, Placed) and isinstance(last.layer, Softmax)
        return self.parts[:-1] if closes else self.parts


@dataclass(frozen=True, slots=True)
class Join:
    """Chains that read the same input and are added or concatenated.  kind: `add` or `concat`."""

    path: str
    kind: str
    chains: tuple[Chain, ...]
    input: Shape
    output: Shape
    at: Span | None


@dataclass(frozen=True, slots=True)
class Side:
    """An auxiliary classifier; what follows it reads its input."""

    path: str
    weight: float
    chain: Chain
    input: Shape
    output: Shape


Part = Placed | Chain | Join | Side


@dataclass(frozen=True, slots=True)
class Layout:
    """A network on images of one shape.

    root: its parts in order.  classes: how many there are, or None where the text never asks.
    """

    network: Network
    root: Chain
    input: Map
    classes: int | None

    @property
    def output(self) -> Shape:
        """The shape of what the network answers for one image."""
        return self.root.output

    def layers(self, *, sides: bool = True) -> Iterator[Placed]:
        """Every layer in the order in which it runs; `sides=False` leaves auxiliary classifiers out."""
        return (placed for placed, side in self.places() if sides or side is None)

    def places(self) -> Iterator[tuple[Placed, str | None]]:
        """Every layer in order, and the path of the auxiliary classifier that it belongs to, if any."""
        return _places(self.root, None)

    def require_classes(self, classes: int) -> None:
        """Raise FitError unless the network, and each auxiliary classifier, gives one logit for each class."""
        ends = [self.root] + [part.chain for part in _sides(self.root)]
        for chain in ends:
            if chain.output.elements == classes == chain.output.channels:
                continue
            last = _last(chain)
            raise _error(
                self.network,
                last.at if last else self.network.flow.steps[-1].at,
                Misfit(
                    f"the network answers {_said(chain.output)} but there are {classes} classes",
                    expected=f"{classes} numbers, one logit for each class",
                    cure="`fc classes` as the last layer",
                ),
            )


def lay(network: Network, input: Map, classes: int | None) -> Layout:
    """Lay a network out on images of shape `input`, channels x height x width.

    classes: what the word `classes` stands for.  Raises FitError, with its place in the text, where a
    layer does not fit, a hole is left, or a limit is passed.
    """
    given: dict[str, Value] = {"channels": input.channels}
    if classes is not None:
        given["classes"] = classes
    tracer = _Tracer(network, given)
    root = tracer.flow(network.flow, "", input, given, depth=0)
    return Layout(network, root, input, classes)


class _Tracer:
    """The state of one unrolling.

    placed: how many layers there are so far.  parts: how many chains and joins.
    before: where the layer before stands.  calls: the calls that are open, the outermost first.
    """

    def __init__(self, network: Network, given: Mapping[str, Value]) -> None:
        self.network = network
        self.given = given
        self.defines = {define.name: define for define in network.defines}
        self.placed = 0
        self.parts = 0
        self.before: Span | None = None
        self.calls: list[Span | None] = []

    def flow(self, flow: Flow, path: str, shape: Shape, values: Mapping[str, Value], depth: int) -> Chain:
        parts: list[Part] = []
        now = shape
        for index, step in enumerate(flow.steps):
            name = step.label or str(index)
            part = self.step(step, f"{path}.{name}" if path else name, now, values, depth)
            parts.append(part)
            now = part.output
        return Chain(path, tuple(parts), shape, now)

    def step(self, step: Step, path: str, shape: Shape, values: Mapping[str, Value], depth: int) -> Part:
        count = self.number(step.count, values, step, shape)
        if not 1 <= count <= MOST_LAYERS or count != int(count):
            problem, cure = f"cannot repeat {write_value(count)} times", f"2 in place of {write_value(count)}"
            raise self.error(step, shape, Misfit(problem, f"a whole number from 1 to {MOST_LAYERS}", cure))
        if count == 1:
            return self.atom(step, path, shape, values, depth)
        self.part(step, shape)
        parts: list[Part] = []
        now = shape
        for turn in range(int(count)):
            part = self.atom(step, f"{path}.{turn}", now, values, depth)
            parts.append(part)
            now = part.output
        return Chain(path, tuple(parts), shape, now)

    def atom(self, step: Step, path: str, shape: Shape, values: Mapping[str, Value], depth: int) -> Part:
        atom = step.atom
        if isinstance(atom, Word):
            return self.word(step, atom, path, shape, values)
        if depth >= DEEPEST:
            problem = f"more than {DEEPEST} brackets, branches and calls inside each other"
            raise self.error(step, shape, Misfit(problem, f"at most {DEEPEST}", "fewer of them"))
        if isinstance(atom, Pick):
            raise self.error(step, shape, _unfilled("of steps"))
        self.part(step, shape)
        if isinstance(atom, Flow):
            return self.flow(atom, path, shape, values, depth + 1)
        if isinstance(atom, Call):
            define = self.defines[atom.name]
            passed = [self.plain(value, values, step, shape) for value in atom.values]
            self.calls.append(step.at)
            inner = {**self.given, **dict(zip(define.parameters, passed, strict=True))}
            chain = self.flow(define.flow, path, shape, inner, depth + 1)
            self.calls.pop()
            self.before = step.at
            return chain
        if isinstance(atom, Branch):
            return self.branch(step, atom, path, shape, values, depth)
        before = self.before
        weight = self.number(atom.weight, values, step, shape)
        chain = self.flow(atom.flow, path, shape, values, depth + 1)
        self.before = before
        return Side(path, float(weight), chain, shape, shape)

    def word(self, step: Step, word: Word, path: str, shape: Shape, values: Mapping[str, Value]) -> Placed:
        self.placed += 1
        if self.placed > MOST_LAYERS:
            problem = f"more than {MOST_LAYERS:,} layers once all is repeated"
            raise self.error(step, shape, Misfit(problem, f"at most {MOST_LAYERS:,}", "a smaller xN"))
        try:
            layer = make_layer(
                word, {name: self.argument(value, values, step, shape) for name, value in word.arguments}
            )
            output = layer.out(shape)
            held(output.elements, "numbers in its output")
            held(layer.weights(shape), "weights")
        except Misfit as misfit:
            raise self.error(step, shape, misfit) from None
        self.before = step.at
        return Placed(path, layer, shape, output, step.at)

    def branch(
        self, step: Step, atom: Branch, path: str, shape: Shape, values: Mapping[str, Value], depth: int
    ) -> Join:
        before = self.before
        chains = []
        for index, flow in enumerate(atom.flows):
            self.before = before
            chains.append(self.flow(flow, f"{path}.{index}", shape, values, depth + 1))
        self.before = before
        try:
            output = joined(atom.kind, [chain.output for chain in chains])
            held(output.elements, "numbers in its output")
        except Misfit as misfit:
            raise self.error(step, shape, misfit) from None
        self.before = step.at
        return Join(path, atom.kind, tuple(chains), shape, output, step.at)

    def part(self, step: Step, shape: Shape) -> None:
        """Count a bracket, repeat, branch or call; raise FitError where there are too many."""
        self.parts += 1
        if self.parts > MOST_PARTS:
            problem = f"more than {MOST_PARTS:,} brackets, branches and calls once all is repeated"
            raise self.error(step, shape, Misfit(problem, f"at most {MOST_PARTS:,}", "a smaller xN"))

    def argument(
        self, value: Value | str | bool, values: Mapping[str, Value], step: Step, shape: Shape
    ) -> Value | str | bool:
        if isinstance(value, str | bool):
            return value
        return self.plain(value, values, step, shape)

    def number(self, value: Value, values: Mapping[str, Value], step: Step, shape: Shape) -> int | float:
        plain = self.plain(value, values, step, shape)
        if isinstance(plain, int | float):
            return plain
        cure = f"{plain.height} in place of {plain}"
        raise self.error(step, shape, Misfit(f"{plain} is not a number", "a number", cure))

    def plain(
        self, value: Value, values: Mapping[str, Value], step: Step, shape: Shape
    ) -> int | float | Size:
        if isinstance(value, Choice | Range):
            raise self.error(step, shape, _unfilled(_short(str(value))))
        if isinstance(value, Name):
            if value.name not in values:
                assert value.name in GIVEN
                problem = f"the number of {value.name} is not known"
                misfit = Misfit(problem, "images, or the number said", f"--{value.name} 10")
                raise self.error(step, shape, misfit)
            return self.plain(values[value.name], {}, step, shape)
        return value

    def error(self, step: Step, shape: Shape, misfit: Misfit) -> FitError:
        source = self.network.source
        after = f"the input is {_said(shape)}"
        if source is not None and self.before is not None:
            after = f"after `{source.said(self.before)}`, {_said(shape)}"
        calls = [call for call in reversed(self.calls) if call is not None]
        if source is not None:
            for call in calls[:_CALLS_SHOWN]:
                line, column = source.line_and_column(call.start)
                after += f", in `{source.said(call)}` at {line}:{column}"
        if len(calls) > _CALLS_SHOWN:
            after += f", in {counted(len(calls) - _CALLS_SHOWN, 'more call')}"
        return _error(self.network, step.at, misfit, after)


def _unfilled(hole: str) -> Misfit:
    return Misfit(
        f"the hole {hole} is not filled",
        expected="a value",
        cure="one of its values in its place; `striate search DATA --net TEXT` tries them",
    )


def make_layer(word: Word, values: Mapping[str, Value | str | bool]) -> Layer:
    """The layer of a word with plain values.  Raises Misfit where one lies outside its domain."""
    kind = WORDS[word.word]
    known = arguments(kind)
    settled: dict[str, object] = {}
    for name, value in values.items():
        settled[name] = value if isinstance(value, bool) else known[name].settle(value)
    return kind(**settled)


def held(numbers: int, what: str) -> None:
    """Raise Misfit where a layer has more numbers than any machine holds."""
    if numbers > MOST_ELEMENTS:
        problem = f"{numbers:,} {what} are more than any machine holds"
        raise Misfit(problem, f"at most {MOST_ELEMENTS:,}", "a smaller layer, or a pool before it")


def joined(kind: str, outputs: list[Shape]) -> Shape:
    """The shape of branches added or concatenated by channel; raises Misfit where they do not fit."""
    shown = " and ".join(dict.fromkeys(str(each) for each in outputs))
    first = outputs[0]
    if kind == "add":
        if any(each != first for each in outputs):
            raise Misfit(
                f"the branches of `add` differ: {shown}",
                expected="the same shape from every branch",
                cure=_shortcut(outputs),
            )
        return first
    maps = [each for each in outputs if isinstance(each, Map)]
    if not maps:
        return Flat(sum(each.elements for each in outputs))
    if len(maps) < len(outputs) or any(each[1:] != maps[0][1:] for each in maps):
        same = "the same stride and padding in every branch"
        raise Misfit(
            f"the branches of `concat` differ: {shown}",
            expected="the same height and width from every branch",
            cure=same if len(maps) == len(outputs) else "flatten at the end of every branch",
        )
    return Map(sum(each.channels for each in maps), maps[0].height, maps[0].width)


def _shortcut(outputs: list[Shape]) -> str:
    """What makes the one branch that differs like the others, if a single layer can."""
    shapes = sorted(dict.fromkeys(outputs), key=lambda shape: (outputs.count(shape), shape.channels))
    if len(shapes) == 2:
        for odd, goal in (shapes, shapes[::-1]):
            layer = _bridge(odd, goal)
            if layer:
                return f"{layer} at the end of the branch that gives {odd}"
    return "the same channels, stride and padding in every branch"


def _bridge(odd: Shape, goal: Shape) -> str | None:
    """The layer that makes `goal` out of `odd`: fc, or a 1x1 convolution with a stride."""
    if isinstance(goal, Flat):
        return f"fc {goal.features}"
    if isinstance(odd, Flat):
        return None
    strides = [-(-have // want) for have, want in zip(odd[1:], goal[1:], strict=True)]
    reached = [-(-have // stride) for have, stride in zip(odd[1:], strides, strict=True)]
    if reached != list(goal[1:]):
        return None
    rows, columns = strides
    stepped = (
        "" if rows == columns == 1 else f" stride {rows}" if rows == columns else f" stride {rows}x{columns}"
    )
    return f"conv {goal.channels} 1x1{stepped}"


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."


def _said(shape: Shape) -> str:
    return str(shape) if isinstance(shape, Map) else counted(shape.features, "number")


def _error(network: Network, at: Span | None, misfit: Misfit, note: str = "") -> FitError:
    source = network.source
    place = excerpt = ""
    if source is not None and at is not None:
        place, excerpt = source.place(at), source.excerpt(at, note)
    return FitError(misfit.problem, place=place, excerpt=excerpt, expected=misfit.expected, cure=misfit.cure)


def _places(part: Part, side: str | None) -> Iterator[tuple[Placed, str | None]]:
    if isinstance(part, Placed):
        yield part, side
    elif isinstance(part, Chain):
        for each in part.parts:
            yield from _places(each, side)
    elif isinstance(part, Join):
        for chain in part.chains:
            yield from _places(chain, side)
    else:
        yield from _places(part.chain, part.path)


def layers_in(part: Part) -> Iterator[Placed]:
    """Every layer of a part, in order."""
    return (placed for placed, _ in _places(part, None))


def _sides(part: Part) -> Iterator[Side]:
    if isinstance(part, Chain):
        for each in part.parts:
            yield from _sides(each)
    elif isinstance(part, Join):
        for chain in part.chains:
            yield from _sides(chain)
    elif isinstance(part, Side):
        yield part


def _last(chain: Chain) -> Placed | None:
    last: Placed | None = None
    for placed, side in _places(chain, None):
        if side is None and not isinstance(placed.layer, Softmax):
            last = placed
    return last
