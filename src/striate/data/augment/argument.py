"""The number that stands after a word of an augmentation, and where it may lie."""

from __future__ import annotations

from dataclasses import dataclass

from striate.errors import RecipeError


@dataclass(frozen=True, slots=True)
class Argument:
    """One number: its name, its domain, and a value that is often taken.

    least, most: the domain, both ends included; `least` is not where `above` is set.
    nothing: the value that changes nothing.
    whole: whether it counts rows and columns.
    """

    name: str
    least: float
    most: float
    often: float
    nothing: float = 0.0
    whole: bool = False
    above: bool = False

    def __str__(self) -> str:
        number = "a whole number " if self.whole else ""
        if self.above:
            return f"{number}above {written(self.least)}, at most {written(self.most)}"
        return f"{number}from {written(self.least)} to {written(self.most)}"

    def has(self, value: float) -> bool:
        """Whether the value lies in the domain."""
        # NaN compares as false, so it is never in.
        inside = self.least < value <= self.most if self.above else self.least <= value <= self.most
        return inside and (not self.whole or value == int(value))

    def milder(self, value: float, share: float) -> float:
        """So much of the way from what changes nothing to a value: nothing + share * (value - nothing)."""
        found = self.nothing + share * (value - self.nothing)
        return round(found) if self.whole else found

    def require(self, word: str, value: float) -> None:
        """Raises RecipeError where the value lies outside the domain."""
        if not self.has(value):
            raise RecipeError(
                f"`{word}` cannot take {written(value)}",
                place="augment",
                expected=f"{word} {self.name} with {self.name} {self}",
                cure=f"{word} {written(self.often)}",
            )


def written(value: float) -> str:
    """The shortest text that reads as the same number; `4` and not `4.0`."""
    return str(int(value)) if abs(value) < 2**53 and value == int(value) else repr(float(value))
