"""The holes of a network that a search fills: found, named, and filled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from striate.net.layers.argument import arguments as known_arguments
from striate.net.layers.value import Choice, Name, Plain, Range, Value, write_value
from striate.net.layers.words import WORDS
from striate.net.network import Aux, Branch, Call, Define, Flow, Network, Pick, Step, Word
from striate.net.notation.writer import write_step

# What stands in a hole: its key, and what may be filled in.
Visit = Callable[[str, "Choice | Range | Pick"], "Plain | Step | None"]


@dataclass(frozen=True, slots=True)
class NetworkHole:
    """One hole of a text.

    key: what it is called in a search, as `conv.channels`; the second of that name is `conv.channels.2`.
    hole: its values, its range, or its steps.
    """

    key: str
    hole: Choice | Range | Pick

    def options(self) -> tuple[str, ...]:
        """What may be filled in, as it is written, `1` for the first of the steps; empty for a range."""
        if isinstance(self.hole, Pick):
            return tuple(str(place + 1) for place in range(len(self.hole.steps)))
        return tuple(write_value(each) for each in self.hole.values) if isinstance(self.hole, Choice) else ()

    def written(self) -> tuple[str, ...]:
        """The options as they are read: steps as their text."""
        if isinstance(self.hole, Pick):
            return tuple(write_step(each) for each in self.hole.steps)
        return self.options()


def find_holes(network: Network) -> list[NetworkHole]:
    """Every hole of a network, in the order in which the text is read."""
    found: list[NetworkHole] = []

    def note(key: str, hole: Choice | Range | Pick) -> Plain | Step | None:
        found.append(NetworkHole(key, hole))
        return None

    _walk(network, note)
    return found


def fill_holes(network: Network, values: Mapping[str, str | int | float]) -> Network:
    """The network with every hole filled.

    values: by the key of the hole, one of its `options`, or a number of its range.
    Raises KeyError where one is missing, ValueError where one is no option.
    """

    def pick(key: str, hole: Choice | Range | Pick) -> Plain | Step | None:
        value = values[key]
        if isinstance(hole, Range):
            if isinstance(value, str) or not hole.low <= value <= hole.high:
                raise ValueError(f"{key} cannot be {value}")
            return value
        place = NetworkHole(key, hole).options().index(str(value))
        return hole.steps[place] if isinstance(hole, Pick) else hole.values[place]

    return replace(_walk(network, pick), source=None)


def _walk(network: Network, visit: Visit) -> Network:
    """The network with what `visit` gives in the place of each hole; None leaves it."""
    names: dict[str, int] = {}

    def named(key: str) -> str:
        names[key] = names.get(key, 0) + 1
        return key if names[key] == 1 else f"{key}.{names[key]}"

    def value(key: str, given: Value) -> Value:
        if not isinstance(given, Choice | Range):
            return given
        filled = visit(named(key), given)
        assert not isinstance(filled, Step)
        return given if filled is None else filled

    def flow(given: Flow, before: str) -> Flow:
        return Flow(tuple(step(each, before) for each in given.steps))

    def step(given: Step, before: str) -> Step:
        atom = given.atom
        own = before + (given.label or (atom.word if isinstance(atom, Word) else ""))
        inner = f"{before}{given.label}." if given.label else before
        if isinstance(atom, Pick):
            chosen = visit(named((given.label and before + given.label) or f"{before}step"), atom)
            steps = tuple(step(each, inner) for each in atom.steps)
            if chosen is None:
                return replace(given, atom=Pick(steps), count=value(f"{inner}repeat", given.count))
            assert isinstance(chosen, Step)
            filled = steps[atom.steps.index(chosen)]
            count = value(f"{inner}repeat", given.count)
            if count == 1 and given.label is None:
                return filled
            whole = filled.label is None and filled.count == 1
            return replace(given, atom=filled.atom if whole else Flow((filled,)), count=count)
        if isinstance(atom, Word):
            arguments = tuple(
                (name, each if isinstance(each, str | bool) else value(f"{own}.{name}", each))
                for name, each in atom.arguments
            )
            # A word out of a hole was read as a name.
            known = known_arguments(WORDS[atom.word])
            atom = Word(
                atom.word,
                tuple(
                    (name, each.name if isinstance(each, Name) and known[name].kind == "word" else each)
                    for name, each in arguments
                ),
            )
        elif isinstance(atom, Flow):
            atom = flow(atom, inner)
        elif isinstance(atom, Branch):
            atom = Branch(atom.kind, tuple(flow(each, inner) for each in atom.flows))
        elif isinstance(atom, Aux):
            weight = value(f"{inner}aux.weight", atom.weight)
            atom = Aux(flow(atom.flow, inner), weight)
        else:
            own = before + (given.label or atom.name)
            atom = Call(
                atom.name, tuple(value(f"{own}.{place + 1}", v) for place, v in enumerate(atom.values))
            )
        return replace(given, atom=atom, count=value(f"{inner}repeat", given.count))

    defines = tuple(
        Define(each.name, each.parameters, flow(each.flow, f"{each.name}."), each.at)
        for each in network.defines
    )
    return Network(flow(network.flow, ""), defines, network.source)
