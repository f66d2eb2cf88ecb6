"""The arguments of a layer word: their names, how they are written, and their domains.

A layer is a frozen dataclass; each of its fields is declared with one of the functions `count`, `real`,
`size`, `one_of` and `flag` below, so that the field, its place in the notation and its domain stand in
one line.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any, Literal

from striate.net.layers.value import Choice, Name, Range, Size, Value, write_value

Kind = Literal["count", "real", "size", "word", "flag"]

# No number in a network text needs more; it keeps every product of arguments far from absurd.
MOST = 10**9


class Misfit(Exception):
    """A value or a layer does not fit: what is wrong, what was expected, what to try."""

    def __init__(self, problem: str, expected: str = "", cure: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.expected = expected
        self.cure = cure


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a layer word.

    kind: `count` (whole number), `real`, `size` (a number or KxK), `word` (one of `words`), `flag`.
    keyed: it is written after its name, as in `stride 2`; otherwise its place says what it is.
    required: the layer cannot be written without it.
    """

    name: str
    kind: Kind
    keyed: bool
    required: bool
    default: Value | str | bool | None
    least: float
    most: float
    words: tuple[str, ...]

    def domain(self) -> str:
        """What the argument may be, in words, for errors and for the list of words."""
        if self.kind == "word":
            return "one of " + ", ".join(self.words)
        if self.kind == "flag":
            return "nothing"
        numbers = f"from {write_value(self.least)}"
        if self.most < MOST:
            numbers += f" to {write_value(self.most)}"
        if self.kind == "real":
            return f"a number {numbers}"
        return f"a whole number {numbers}" + (" or HEIGHTxWIDTH" if self.kind == "size" else "")

    def settle(self, value: Value | str) -> Value | str:
        """The value as this argument keeps it: a whole float as int where it counts, 3 as 3x3.

        Raises Misfit where it lies outside the domain.  Names are returned as they are; the values inside
        a hole are settled one by one, but the ends of a range of sizes stay numbers.
        """
        if isinstance(value, Name):
            return value
        if isinstance(value, Choice):
            if self.kind == "word":
                for each in value.values:
                    self.settle(each.name if isinstance(each, Name) else each)
                return value
            return Choice(tuple(self._settle_plain(each) for each in value.values))
        if isinstance(value, Range):
            if self.kind in ("word", "flag"):
                raise self._misfit(value)
            for end in (value.low, value.high):
                self._settle_plain(end)
            if self.kind == "real":
                return Range(float(value.low), float(value.high))
            return Range(int(value.low), int(value.high))
        if self.kind == "word":
            if value in self.words:
                return value
            raise self._misfit(value)
        if isinstance(value, str):
            raise self._misfit(value)
        return self._settle_plain(value)

    def _settle_plain(self, value: int | float | Size | Name) -> int | float | Size | Name:
        if isinstance(value, Name):
            return value
        if self.kind == "real":
            if isinstance(value, Size) or not self.least <= value <= self.most:
                raise self._misfit(value)
            return float(value)
        sides = value if isinstance(value, Size) else (value,)
        if isinstance(value, Size) and self.kind != "size":
            raise self._misfit(value)
        for side in sides:
            if not self.least <= side <= self.most or side != int(side):
                raise self._misfit(value)
        if self.kind == "size":
            return value if isinstance(value, Size) else Size(int(value), int(value))
        assert not isinstance(value, Size)
        return int(value)

    def _misfit(self, value: Value | str) -> Misfit:
        shown = value if isinstance(value, str) else write_value(value)
        return Misfit(
            f"{self.name} cannot be {shown}",
            expected=f"{self.name}: {self.domain()}",
            cure=f"{self._near(value)} in place of {shown}",
        )

    def _near(self, value: Value | str) -> str:
        """A value of the domain that may have been meant by one outside of it."""
        if self.kind == "word":
            return self.words[0]
        if isinstance(value, Size):
            value = value.height
        if self.kind == "real" and isinstance(value, int | float) and isinstance(self.default, float):
            # A share is sometimes given in percent.
            return write_value(value / 100 if 1 < value < 100 and self.most < 1 else self.default)
        if isinstance(value, int | float) and self.least < value:
            return write_value(self.most if value > self.most else math.ceil(value))
        return write_value(self.least)


def count(*, default: int | None = None, least: int = 1, most: int = MOST, keyed: bool = False) -> Any:
    """A whole number."""
    return _declared("count", keyed, default, least, most, ())


def real(*, default: float | None = None, least: float = 0.0, most: float = MOST, keyed: bool = False) -> Any:
    """A real number."""
    return _declared("real", keyed, default, least, most, ())


def size(*, default: Size | None = None, least: int = 1, most: int = 4096, keyed: bool = False) -> Any:
    """A height and a width; one number stands for both."""
    return _declared("size", keyed, default, least, most, ())


def unset_size(*, least: int = 0, most: int = 4096) -> Any:
    """A keyed height and width that may be left out; the field is then None."""
    argument = Argument("", "size", True, False, None, least, most, ())
    return dataclasses.field(default=None, metadata={"argument": argument})


def one_of(*words: str) -> Any:
    """One word out of a list."""
    return _declared("word", False, None, 0, 0, words)


def flag() -> Any:
    """A word that is there or not."""
    argument = Argument("", "flag", True, False, False, 0, 0, ())
    return dataclasses.field(default=False, metadata={"argument": argument})


def _declared(
    kind: Kind, keyed: bool, default: Any, least: float, most: float, words: tuple[str, ...]
) -> Any:
    argument = Argument("", kind, keyed, default is None, default, least, most, words)
    if default is None:
        return dataclasses.field(metadata={"argument": argument})
    return dataclasses.field(default=default, metadata={"argument": argument})


@cache
def arguments(layer: type) -> Mapping[str, Argument]:
    """The arguments of a layer class by name, in the order in which they are written."""
    return MappingProxyType(
        {
            field.name: dataclasses.replace(field.metadata["argument"], name=field.name)
            for field in dataclasses.fields(layer)
        }
    )
