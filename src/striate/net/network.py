"""A network as it is written: labels, repeats, branches and definitions, nothing worked out yet."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from striate.net.layers.value import Hole, Name, Value
from striate.net.source import Source, Span

# Words that stand for numbers which the data give.
GIVEN = ("classes", "channels")

# Weight of an auxiliary classifier's loss unless said (Szegedy et al. 2014, section 5).
AUX_WEIGHT = 0.3


@dataclass(frozen=True, slots=True)
class Word:
    """A layer as it is written: its word and the arguments that differ from their defaults, in order."""

    word: str
    arguments: tuple[tuple[str, Value | str | bool], ...] = ()


@dataclass(frozen=True, slots=True)
class Flow:
    """Steps one behind the other."""

    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Branch:
    """The same input through several flows, whose outputs are added or concatenated by channel."""

    kind: Literal["add", "concat"]
    flows: tuple[Flow, ...]


@dataclass(frozen=True, slots=True)
class Aux:
    """An auxiliary classifier: its loss counts `weight` in training, and it is absent at inference."""

    flow: Flow
    weight: Value = AUX_WEIGHT


@dataclass(frozen=True, slots=True)
class Call:
    """A block defined by `let`, with the values of its parameters."""

    name: str
    values: tuple[Value, ...] = ()


@dataclass(frozen=True, slots=True)
class Pick:
    """A hole that a search fills with one of these steps, written `?(maxpool 2, avgpool 2)`."""

    steps: tuple[Step, ...]


Atom = Word | Flow | Branch | Aux | Call | Pick


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a flow.  `at` is where it was read and does not count in comparisons."""

    atom: Atom
    label: str | None = None
    count: Value = 1
    at: Span | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Define:
    """A `let`: a name, its parameters, and the flow it stands for."""

    name: str
    parameters: tuple[str, ...]
    flow: Flow
    at: Span | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Network:
    """A whole text: definitions and the flow that uses them.

    `source` is the text it was read from, for errors; it does not count in comparisons.
    """

    flow: Flow
    defines: tuple[Define, ...] = ()
    source: Source | None = field(default=None, compare=False)


__all__ = [
    "AUX_WEIGHT",
    "GIVEN",
    "Atom",
    "Aux",
    "Branch",
    "Call",
    "Define",
    "Flow",
    "Hole",
    "Name",
    "Network",
    "Pick",
    "Step",
    "Value",
    "Word",
]
