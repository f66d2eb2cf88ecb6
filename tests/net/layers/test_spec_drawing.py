"""The drawn networks of tests/networks.py cover what they promise."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import Phase, given, seed, settings
from hypothesis import strategies as st

from networks import fitting_networks, networks
from striate.net.layers.argument import arguments
from striate.net.layers.value import Choice, Name, Range
from striate.net.layers.words import WORDS
from striate.net.network import Aux, Branch, Call, Flow, Network, Step, Word

ARGUMENTS = {f"{word} {name}" for word, layer in WORDS.items() for name in arguments(layer)}


def steps(flow: Flow) -> Iterator[Step]:
    for step in flow.steps:
        yield step
        inner: tuple[Flow, ...] = ()
        if isinstance(step.atom, Flow):
            inner = (step.atom,)
        elif isinstance(step.atom, Branch):
            inner = step.atom.flows
        elif isinstance(step.atom, Aux):
            inner = (step.atom.flow,)
        for each in inner:
            yield from steps(each)


def features(network: Network) -> set[str]:
    """What a network says: its words, arguments, kinds of steps, counts and values."""
    found = {f"define of {len(define.parameters)}" for define in network.defines}
    for flow in (network.flow, *(define.flow for define in network.defines)):
        for step in steps(flow):
            found.add("label" if step.label else "no label")
            found.add(f"count {type(step.count).__name__}")
            found.add(type(step.atom).__name__ if not isinstance(step.atom, Branch) else step.atom.kind)
            values: tuple[object, ...] = ()
            if isinstance(step.atom, Word):
                found.add(step.atom.word)
                found.update(f"{step.atom.word} {name}" for name, _ in step.atom.arguments)
                values = tuple(value for _, value in step.atom.arguments)
            elif isinstance(step.atom, Call):
                values = step.atom.values
            found.update(type(value).__name__ for value in values if isinstance(value, Name | Choice | Range))
    return found


STEPS = {
    "label",
    "no label",
    "Word",
    "Flow",
    "Call",
    "Aux",
    "add",
    "concat",
    "Name",
    "define of 0",
    "define of 2",
}


def missing(drawn: st.SearchStrategy[Network], promised: set[str]) -> set[str]:
    """What is promised and not said by any of up to 3,000 drawn networks; stops as soon as all is."""
    found: set[str] = set()
    for number in range(20):

        @seed(number)
        @settings(deadline=None, max_examples=150, database=None, phases=[Phase.generate])
        @given(drawn)
        def draw(network: Network) -> None:
            found.update(features(network))

        draw()
        if promised <= found:
            break
    return promised - found


def test_networks_that_fit_say_everything() -> None:
    promised = set(WORDS) | ARGUMENTS | STEPS | {"count int", "count Name", "define of 1"}
    assert missing(fitting_networks().map(lambda case: case[0]), promised) == set()


def test_networks_say_everything_and_holes() -> None:
    counts = {f"count {kind}" for kind in ("int", "Name", "Choice", "Range")}
    promised = set(WORDS) | ARGUMENTS | STEPS | counts | {"Choice", "Range", "define of 3"}
    assert missing(networks(), promised) == set()


def test_what_is_not_drawn_is_missed() -> None:
    relu = Network(Flow((Step(Word("relu")),)))
    assert missing(st.just(relu), {"relu", "tanh", "label"}) == {"tanh", "label"}
