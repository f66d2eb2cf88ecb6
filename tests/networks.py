"""Drawn networks for hypothesis: any that can be read, and any that can be laid out.

networks(): Network trees of every shape that the grammar can say; most of them fit no image.
fitting_networks(): (Network, input Map, classes) that always lay out, small enough to run by the thousand.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Any

from hypothesis import strategies as st

from striate.net.layers.argument import Argument, Misfit, arguments
from striate.net.layers.value import Choice, Name, Range, Size
from striate.net.layers.words import WORDS
from striate.net.layout.layout import joined, make_layer
from striate.net.network import GIVEN, Aux, Branch, Call, Define, Flow, Network, Step, Word
from striate.net.notation.reader import RESERVED
from striate.net.shape import Flat, Map, Shape

# Words that a layer takes among its arguments; a parameter of that name could not be told from them.
_TAKEN = {
    each
    for layer in WORDS.values()
    for name, argument in arguments(layer).items()
    for each in (name, *argument.words)
}


def _free(name: str) -> bool:
    lower = name.lower()
    count = lower[:1] == "x" and (len(lower) == 1 or lower[1:].isdigit())
    return lower not in WORDS and lower not in RESERVED and lower not in _TAKEN and not count


NAMES = st.sampled_from(["stem", "b1", "down_2", "wide-net", "_q", "N", "x_3", "relu_"]) | st.from_regex(
    r"[A-Za-z_][A-Za-z0-9_]{0,8}(-[A-Za-z0-9_]{1,4})?", fullmatch=True
).filter(_free)

PARAMETERS = st.sampled_from([(), ("n",), ("wide", "n"), ("half-n", "_m", "N2")])


# --- any network that can be read ---------------------------------------------------------------------


@st.composite
def networks(draw: st.DrawFn) -> Network:
    """Any Network that `read_text` can give: every word, argument, hole, label, count, branch and let."""
    defines: list[Define] = []
    for name in draw(st.lists(NAMES, max_size=2, unique=True)):
        parameters = draw(PARAMETERS)
        defines.append(Define(name, parameters, _any_flow(draw, parameters, defines, 1)))
    return Network(_any_flow(draw, (), defines, 2), tuple(defines))


def _any_flow(draw: st.DrawFn, parameters: tuple[str, ...], defines: list[Define], depth: int) -> Flow:
    steps: list[Step] = []
    for _ in range(draw(_TO[1 + depth])):
        label = draw(_LABELS)
        if label in {step.label for step in steps}:
            label = None
        atom = _any_atom(draw, parameters, defines, depth)
        count = _any_value(draw, _COUNTS, parameters) if draw(_RARELY) else 1
        steps.append(Step(atom, label, count))
    return Flow(tuple(steps))


def _any_atom(draw: st.DrawFn, parameters: tuple[str, ...], defines: list[Define], depth: int) -> Any:
    kind = draw(_KINDS if depth else _FLAT_KINDS)
    if kind == "word":
        return _any_word(draw, parameters)
    if kind == "call":
        if not defines:
            return Word("identity")
        define = draw(st.sampled_from(defines))
        return Call(define.name, tuple(_any_value(draw, _PASSED, parameters) for _ in define.parameters))
    if kind == "bracket":
        return _any_flow(draw, parameters, defines, depth - 1)
    if kind == "aux":
        weight = _any_value(draw, _WEIGHTS, parameters, given=()) if draw(st.booleans()) else 0.3
        return Aux(_any_flow(draw, parameters, defines, depth - 1), weight)
    flows = tuple(_any_flow(draw, parameters, defines, depth - 1) for _ in range(1 + draw(_TO[2])))
    return Branch(kind, flows)


def _any_word(draw: st.DrawFn, parameters: tuple[str, ...]) -> Word:
    word = draw(_WORDS)
    said = []
    for name, argument in arguments(WORDS[word]).items():
        if argument.required or draw(st.booleans()):
            value = _any_argument(draw, argument, parameters)
            if value != argument.default:
                said.append((name, value))
    return Word(word, tuple(said))


def _any_argument(draw: st.DrawFn, argument: Argument, parameters: tuple[str, ...]) -> Any:
    if argument.kind == "flag":
        return True
    if argument.kind == "word":
        if draw(_RARELY):
            return Choice(tuple(Name(draw(_domain(argument))) for _ in range(draw(_TO[3]))))
        return draw(_domain(argument))
    return _any_value(draw, _domain(argument), parameters)


def _any_value(
    draw: st.DrawFn,
    plain: st.SearchStrategy[Any],
    parameters: tuple[str, ...],
    given: tuple[str, ...] = GIVEN,
) -> Any:
    """A plain value, a name, a choice of these, or a range between two numbers."""
    kind = draw(_VALUE_KINDS)
    names = (*parameters, *given)
    if kind == "range":
        drawn = [_unsigned(draw(plain)) for _ in range(2)]
        ends = sorted({end.height if isinstance(end, Size) else end for end in drawn})
        return Range(*ends) if len(ends) == 2 else drawn[0]
    if kind == "choice":
        return Choice(tuple(_any_plain(draw, plain, names) for _ in range(draw(_TO[3]))))
    return _any_plain(draw, plain, names if kind == "name" else ())


def _any_plain(draw: st.DrawFn, plain: st.SearchStrategy[Any], names: tuple[str, ...]) -> Any:
    if names and draw(st.booleans()):
        return Name(draw(st.sampled_from(names)))
    return _unsigned(draw(plain))


def _unsigned(value: Any) -> Any:
    """The value, and 0.0 for -0.0, which the notation cannot say."""
    return 0.0 if isinstance(value, float) and value == 0 else value


@cache
def _domain(argument: Argument) -> st.SearchStrategy[Any]:
    """Every plain value of an argument, as it is kept."""
    if argument.kind == "word":
        return st.sampled_from(argument.words)
    if argument.kind == "real":
        return st.floats(argument.least, argument.most)
    numbers = st.integers(int(argument.least), int(argument.most))
    if argument.kind == "count":
        return numbers
    return numbers.map(lambda side: Size(side, side)) | st.builds(Size, numbers, numbers)


_TO = {most: st.integers(1, most) for most in (1, 2, 3)}
_RARELY = st.sampled_from([False, False, True])
_LABELS = st.none() | NAMES
_WORDS = st.sampled_from(sorted(WORDS))
_COUNTS = st.integers(1, 20_000)
_WEIGHTS = st.floats(0, 1e9)
_PASSED = st.one_of(
    st.integers(0, 10**9), st.floats(0, 1e9), st.builds(Size, st.integers(1, 999), st.integers(1, 999))
)
_VALUE_KINDS = st.sampled_from(["plain", "plain", "name", "choice", "range"])
_FLAT_KINDS = st.sampled_from(["word", "word", "call"])
_KINDS = st.sampled_from(["word", "word", "call", "bracket", "add", "concat", "aux"])


# --- networks that lay out ----------------------------------------------------------------------------

CHANNELS = 16
SIDE = 20

_ANYWHERE = (
    "bn", "ln", "scale", "relu", "relu6", "leaky", "prelu", "elu", "sigmoid", "tanh", "gelu", "silu",
    "maxout", "depthpool", "dropout", "droppath", "identity", "softmax",
)  # fmt: skip
_ON_MAPS = (
    "conv", "conv", "conv", "local", "whiten", "filter", "grey", "maxpool", "avgpool", "pool", "lrn", "dropout2d", "widen",
)  # fmt: skip
_TO_FEATURES = ("fc", "flatten")


def fitting_networks(
    *, classified: bool = True, aux: bool = True
) -> st.SearchStrategy[tuple[Network, Map, int]]:
    """A network, the shape of its images and the number of classes, for which `lay` always succeeds.

    Images are 1 to 4 channels of up to 20x20; every layer word with every argument is drawn, and labels,
    repeats, branches, auxiliary classifiers and definitions with parameters.
    classified: the network and each auxiliary classifier answer one logit for each class, so that
    `require_classes` holds; otherwise they may end anywhere.
    aux: draw auxiliary classifiers as well.
    """
    return _fitting_networks(classified, aux)


@dataclass
class _State:
    """What is drawn into one network.  values: what the names mean at this place."""

    input: Map
    classes: int
    classified: bool
    aux: bool
    values: dict[str, int]
    defines: list[Define] = field(default_factory=list)


@st.composite
def _fitting_networks(draw: st.DrawFn, classified: bool, aux: bool) -> tuple[Network, Map, int]:
    sides = st.integers(1, SIDE)
    image = Map(draw(st.integers(1, 4)), draw(sides), draw(sides))
    classes = draw(st.integers(2, 7))
    values = {"channels": image.channels, "classes": classes}
    state = _State(image, classes, classified, aux, values)
    steps, shape = _draw_steps(draw, state, image, 2, draw(st.integers(1, 6)))
    if classified:
        steps += draw(_heads(shape))
    return Network(Flow(tuple(steps)), tuple(state.defines)), image, classes


def _heads(shape: Shape) -> st.SearchStrategy[list[Step]]:
    """The last steps of a classifier."""
    classes = Word("fc", (("features", Name("classes")),))
    heads = [[Step(classes)], [Step(classes), Step(Word("softmax"))]]
    if isinstance(shape, Map):
        by_channel = Word("conv", (("channels", Name("classes")),))
        heads.append([Step(by_channel), Step(Word("pool", (("kind", "avg"),)))])
    return st.sampled_from(heads)


def _draw_steps(
    draw: st.DrawFn, state: _State, shape: Shape, depth: int, count: int
) -> tuple[list[Step], Shape]:
    steps: list[Step] = []
    for index in range(count):
        step, shape = _draw_step(draw, state, shape, depth)
        label = draw(st.sampled_from([None, None, f"part{index}"]))
        steps.append(Step(step.atom, label, step.count))
    return steps, shape


def _draw_step(draw: st.DrawFn, state: _State, shape: Shape, depth: int) -> tuple[Step, Shape]:
    nested = ["bracket", "add", "concat", "let", "call", *(["aux"] if state.aux else [])] if depth else []
    kind = draw(st.sampled_from([*["layer"] * 8, *nested]))
    if kind == "layer":
        atom: Any = _draw_layer(draw, state, shape)
    elif kind == "bracket":
        steps, _ = _draw_steps(draw, state, shape, depth - 1, draw(st.integers(1, 3)))
        atom = Flow(tuple(steps))
    elif kind == "aux":
        steps, end = _draw_steps(draw, state, shape, depth - 1, draw(st.integers(1, 2)))
        weight = draw(st.sampled_from([0.3, 0.0, 1.0, 0.25]))
        atom = Aux(Flow((*steps, *(draw(_heads(end)) if state.classified else ()))), weight)
    elif kind == "let":
        atom = _draw_let(draw, state, shape, depth)
    elif kind == "call":
        atom = _draw_call(draw, state, shape) or Word("identity")
    else:
        atom = _draw_branch(draw, state, shape, depth, kind)
    step = Step(atom)
    after = shape_after(Flow((step,)), shape, state.defines, state.values)
    times = draw(st.sampled_from([1, 1, 1, 2, 3]))
    if times > 1:
        names = [name for name, value in state.values.items() if value == times]
        count = draw(st.sampled_from([times, *map(Name, names)]))
        repeated = Step(atom, None, count)
        try:
            end = shape_after(Flow((repeated,)), shape, state.defines, state.values)
        except Misfit:
            return step, after
        if end.channels <= 2 * CHANNELS or isinstance(end, Flat):
            return repeated, end
    return step, after


def _draw_let(draw: st.DrawFn, state: _State, shape: Shape, depth: int) -> Call:
    """A new definition whose flow is drawn for the shape here, and a call of it."""
    parameters = draw(st.lists(st.sampled_from(["n", "m", "wide"]), max_size=2, unique=True))
    passed = [draw(st.integers(1, CHANNELS)) for _ in parameters]
    outside = state.values
    state.values = {name: outside[name] for name in GIVEN} | dict(zip(parameters, passed, strict=True))
    steps, _ = _draw_steps(draw, state, shape, depth - 1, draw(st.integers(1, 3)))
    state.values = outside
    name = f"block{len(state.defines)}"
    state.defines.append(Define(name, tuple(parameters), Flow(tuple(steps))))
    return Call(name, tuple(passed))


def _draw_call(draw: st.DrawFn, state: _State, shape: Shape) -> Call | None:
    """A call of an earlier definition that happens to fit here, or None."""
    fitting = []
    for define in state.defines:
        call = Call(define.name, tuple(draw(st.integers(1, CHANNELS)) for _ in define.parameters))
        try:
            after = shape_after(Flow((Step(call),)), shape, state.defines, state.values)
        except Misfit:
            continue
        if after.channels <= 2 * CHANNELS or isinstance(after, Flat):
            fitting.append(call)
    return draw(st.sampled_from(fitting)) if fitting else None


def _draw_branch(draw: st.DrawFn, state: _State, shape: Shape, depth: int, kind: str) -> Branch:
    flows: list[Flow] = []
    goal: Shape | None = None
    for _ in range(draw(st.integers(2, 3))):
        if draw(st.booleans()):
            steps, end = _draw_steps(draw, state, shape, depth - 1, draw(st.integers(1, 2)))
        else:
            steps, end = [Step(Word("identity"))], shape
        goal = goal or end
        if isinstance(goal, Map) and isinstance(end, Flat):
            # Plain features never become maps again.
            steps, end = [Step(Word("identity"))], shape
        steps += [Step(word) for word in _bridge(end, goal, kind)]
        flows.append(Flow(tuple(steps)))
    return Branch("add" if kind == "add" else "concat", tuple(flows))


def _bridge(have: Shape, goal: Shape, kind: str) -> list[Word]:
    """Layers that make of `have` what can be added to, or concatenated with, `goal`."""
    if isinstance(goal, Flat):
        wanted = have == goal or (kind == "concat" and isinstance(have, Flat))
        return [] if wanted else [written("fc", features=goal.features)]
    assert isinstance(have, Map)
    words = []
    if have[1:] != goal[1:]:
        words.append(written("pool", kind="avg", grid=Size(goal.height, goal.width)))
    if kind == "add" and have.channels != goal.channels:
        words.append(written("conv", channels=goal.channels))
    return words


def written(word: str, **values: Any) -> Word:
    """A Word as the reader gives it: in the order of its arguments, without those at their defaults."""
    known = arguments(WORDS[word])
    said = [name for name in known if name in values and values[name] != known[name].default]
    return Word(word, tuple((name, values[name]) for name in said))


def shape_after(flow: Flow, shape: Shape, defines: list[Define], values: dict[str, int]) -> Shape:
    """The shape behind a flow, worked out without `lay`; raises Misfit where a layer does not fit."""
    for step in flow.steps:
        times = values[step.count.name] if isinstance(step.count, Name) else step.count
        for _ in range(times):
            shape = _atom_after(step.atom, shape, defines, values)
    return shape


def _atom_after(atom: Any, shape: Shape, defines: list[Define], values: dict[str, int]) -> Shape:
    if isinstance(atom, Word):
        plain = {name: values[each.name] if isinstance(each, Name) else each for name, each in atom.arguments}
        return make_layer(atom, plain).out(shape)
    if isinstance(atom, Flow):
        return shape_after(atom, shape, defines, values)
    if isinstance(atom, Branch):
        return joined(atom.kind, [shape_after(flow, shape, defines, values) for flow in atom.flows])
    if isinstance(atom, Aux):
        shape_after(atom.flow, shape, defines, values)
        return shape
    define = next(each for each in defines if each.name == atom.name)
    passed = [values[each.name] if isinstance(each, Name) else each for each in atom.values]
    inner = {name: values[name] for name in GIVEN} | dict(zip(define.parameters, passed, strict=True))
    return shape_after(define.flow, shape, defines, inner)


def _draw_layer(draw: st.DrawFn, state: _State, shape: Shape) -> Word:
    on_maps = isinstance(shape, Map)
    # Rarely to features, so that most layers see maps.
    words = [*_ANYWHERE, *_ON_MAPS * 2, *_TO_FEATURES] if on_maps else [*_ANYWHERE, *_TO_FEATURES * 3]
    word = draw(st.sampled_from(words))
    if word in ("conv", "local"):
        assert isinstance(shape, Map)
        return _draw_windowed(draw, state, shape, word)
    if word in ("maxpool", "avgpool"):
        assert isinstance(shape, Map)
        return _draw_pooled(draw, shape, word)
    if word == "whiten":
        assert isinstance(shape, Map)
        kernel = Size(*(draw(st.integers(1, min(3, side))) for side in (shape.height, shape.width)))
        most = min(CHANNELS // 2, shape.channels * kernel.height * kernel.width)
        stride = st.builds(Size, st.integers(1, 3), st.integers(1, 3))
        return written(word, channels=2 * draw(st.integers(1, most)), kernel=kernel, stride=draw(stride))
    if word in ("maxout", "depthpool"):
        divisors = [
            each for each in range(1, 5) if shape.channels % each == 0 and (each > 1 or word != "maxout")
        ]
        if not divisors:
            return Word("relu")
        by = draw(st.sampled_from(divisors))
        if word == "maxout":
            return written(word, pieces=by)
        return written(word, kind=draw(st.sampled_from(["max", "avg"])), depth=by)
    return written(word, **draw(st.fixed_dictionaries(_plain_arguments(word, state, shape))))


def _plain_arguments(word: str, state: _State, shape: Shape) -> dict[str, st.SearchStrategy[Any]]:
    """The arguments of the words whose arguments do not depend on one another."""
    share = st.sampled_from([0.0, 0.1, 0.5, 0.9])
    sides = st.integers(1, 4)
    return {
        "filter": {"kind": st.sampled_from(arguments(WORDS["filter"])["kind"].words)},
        "pool": {"kind": st.sampled_from(["avg", "max"]), "grid": st.builds(Size, sides, sides)},
        "bn": {
            "eps": st.sampled_from([1e-5, 1e-3]),
            "momentum": st.sampled_from([0.1, 0.01, 1.0]),
            "nogamma": st.booleans(),
        },
        "ln": {"eps": st.sampled_from([1e-6, 1e-3])},
        "lrn": {
            "neighbors": st.integers(1, 5),
            "alpha": st.sampled_from([1e-4, 5e-4, 0.1]),
            "beta": st.sampled_from([0.75, 0.5]),
            "k": st.sampled_from([1.0, 2.0]),
        },
        "scale": {"start": st.sampled_from([1.0, 0.5, 1e-6])},
        "leaky": {"slope": st.sampled_from([0.01, 0.2, 1.0])},
        "elu": {"alpha": st.sampled_from([1.0, 0.5])},
        "dropout": {"share": share},
        "dropout2d": {"share": share},
        "droppath": {"share": share},
        "fc": {"features": _numbers(state, 1, CHANNELS), "nobias": st.booleans()},
        "widen": {"channels": _numbers(state, shape.channels, max(shape.channels, CHANNELS))},
    }.get(word, {})


def _numbers(state: _State, least: int, most: int, step: int = 1) -> st.SearchStrategy[Any]:
    """A whole number, or a name that stands for one here; a multiple of `step`."""
    numbers = st.integers(-(-least // step), most // step).map(lambda each: each * step)
    named = [
        Name(name) for name, value in state.values.items() if least <= value <= most and value % step == 0
    ]
    return numbers | st.sampled_from(named) if named else numbers


def _draw_windowed(draw: st.DrawFn, state: _State, shape: Map, word: str) -> Word:
    most = 5 if word == "conv" else 3
    dilate = draw(st.sampled_from([Size(1, 1), Size(1, 1), Size(1, 1), Size(2, 2), Size(1, 3)]))
    padding = draw(st.sampled_from(["usual", "usual", "valid", "same", "pad"]))
    kernel, pad = [], []
    for side in (0, 1):
        length, apart = shape[1 + side], dilate[side]
        window = draw(st.integers(1, most))
        if padding == "usual" and apart * (window - 1) % 2:
            window += 1
        if padding == "valid":
            window = min(window, (length - 1) // apart + 1)
        kernel.append(window)
        needed = max(0, -(-(apart * (window - 1) + 1 - length) // 2))
        more = 2 if length < SIDE else 0
        pad.append(draw(st.integers(needed, needed + more)) if padding == "pad" else 0)
    if draw(st.booleans()):
        # Square windows are the rule; a smaller one fits wherever the larger does.
        kernel = [min(kernel)] * 2
    groups = draw(
        st.sampled_from([each for each in range(1, shape.channels + 1) if shape.channels % each == 0])
    )
    if groups > CHANNELS:
        groups = 1
    if padding == "usual":
        kernel = [k if dilate[side] * (k - 1) % 2 == 0 else k - 1 for side, k in enumerate(kernel)]
    return written(
        word,
        channels=draw(_numbers(state, groups, CHANNELS if word == "conv" else max(4, groups), groups)),
        kernel=Size(*kernel),
        stride=Size(draw(st.integers(1, 3)), draw(st.integers(1, 3))) if draw(st.booleans()) else Size(1, 1),
        pad=Size(*pad) if padding == "pad" else None,
        dilate=dilate,
        groups=groups,
        valid=padding == "valid",
        same=padding == "same",
        nobias=draw(st.booleans()),
    )


def _draw_pooled(draw: st.DrawFn, shape: Map, word: str) -> Word:
    kernel = Size(draw(st.integers(1, min(4, shape.height))), draw(st.integers(1, min(4, shape.width))))
    pad = Size(draw(st.integers(0, kernel.height // 2)), draw(st.integers(0, kernel.width // 2)))
    stride = st.none() | st.builds(Size, st.integers(1, 3), st.integers(1, 3))
    return written(
        word,
        kernel=kernel,
        stride=draw(stride),
        pad=draw(st.sampled_from([None, pad])),
        ceil=draw(st.booleans()),
    )
