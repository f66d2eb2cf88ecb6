"""The values that a layer's arguments may have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Size(NamedTuple):
    """A height and a width in pixels, written `3x5`."""

    height: int
    width: int

    def __str__(self) -> str:
        return f"{self.height}x{self.width}"


@dataclass(frozen=True, slots=True)
class Name:
    """A word that stands for a number: a parameter of a `let`, `classes` or `channels`."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Choice:
    """A hole that a search fills with one of its values, written `?(16, 32, 64)`."""

    values: tuple[Plain, ...]

    def __str__(self) -> str:
        return "?(" + ", ".join(write_value(value) for value in self.values) + ")"


@dataclass(frozen=True, slots=True)
class Range:
    """A hole that a search fills with a number between two, written `?(1 .. 8)`.

    It draws whole numbers where both ends are whole.
    """

    low: int | float
    high: int | float

    def __str__(self) -> str:
        return f"?({write_value(self.low)} .. {write_value(self.high)})"


Plain = int | float | Size | Name
Hole = Choice | Range
Value = Plain | Hole


def write_value(value: Value) -> str:
    """The text that reads back as `value`; a square size is one number only where the reader allows it."""
    if isinstance(value, float):
        text = repr(value)
        return text[:-2] if text.endswith(".0") else text
    return str(value)
