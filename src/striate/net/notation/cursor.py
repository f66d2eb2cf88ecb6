"""A walk along the tokens: taking them, failing at them, and reading the values among them."""

from __future__ import annotations

from typing import NoReturn

from striate.errors import NotationError, nearest
from striate.net.layers.argument import MOST
from striate.net.layers.value import Choice, Name, Range, Size, Value, write_value
from striate.net.network import GIVEN
from striate.net.notation.tokens import Token, tokens
from striate.net.source import Source, Span

# In one hole; a search tries a few dozen.
MOST_CHOICES = 1000


class Cursor:
    """A place in the tokens of a text, and how to read values and fail there.

    parameters: the names that stand for numbers in the `let` being read.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.tokens = tokens(source)
        self.index = 0
        self.parameters: tuple[str, ...] = ()

    @property
    def here(self) -> Token:
        return self.tokens[self.index]

    def ahead(self, steps: int = 1) -> Token:
        return self.tokens[min(self.index + steps, len(self.tokens) - 1)]

    def take(self) -> Token:
        token = self.here
        if token.kind != "end":
            self.index += 1
        return token

    def expect(self, kind: str, what: str, cure: str = "") -> Token:
        if self.here.kind != kind:
            self.fail(self.here, expected=what, cure=cure)
        return self.take()

    def fail(self, token: Token, problem: str = "", expected: str = "", cure: str = "") -> NoReturn:
        """Raise NotationError at a token; without a problem, that it should not stand there."""
        if not problem:
            problem = "the text ends too early" if token.kind == "end" else f"unexpected `{token.text}`"
        self.fail_at(token.span, problem, expected, cure)

    def fail_at(self, span: Span, problem: str, expected: str, cure: str) -> NoReturn:
        raise NotationError(
            problem,
            place=self.source.place(span),
            excerpt=self.source.excerpt(span),
            expected=expected,
            cure=cure,
        )

    def value(self, choices: tuple[str, ...] = ()) -> Value:
        """value = NUMBER | KxK | NAME | hole

        choices: words that may stand in a hole here, as in `pool ?(avg, max)`.
        """
        token = self.take()
        if token.kind == "hole":
            return self.hole(choices)
        return self.plain_value(token)

    def plain_value(self, token: Token) -> int | float | Size | Name:
        if token.kind == "number":
            return self.number(token)
        if token.kind == "size":
            height, width = token.text.lower().replace("×", "x").split("x")
            if max(len(height), len(width)) > 9:
                self.fail(token, "this size is too large", f"sides of at most {MOST}", "3x3")
            return Size(int(height), int(width))
        if token.kind == "name":
            if token.text in self.parameters or token.text in GIVEN:
                return Name(token.text)
            known = (*self.parameters, *GIVEN)
            self.fail(
                token,
                f"`{token.text}` is not a value",
                f"a number, a size such as 3x3, or one of {', '.join(known)}",
                nearest(token.text, known) or "a number in its place",
            )
        self.fail(token, expected="a number, a size such as 3x3, or a name", cure="a number before it")

    def number(self, token: Token) -> int | float:
        if len(token.text) > 30:
            self.fail(token, "this number is too long", "at most 30 characters", "a shorter number")
        value = int(token.text) if token.text.isdigit() else float(token.text)
        if value > MOST:
            self.fail(token, f"{token.text} is too large", f"at most {MOST}", str(MOST))
        return value

    def hole(self, choices: tuple[str, ...]) -> Choice | Range:
        """hole = "?(" value { "," value } ")" | "?(" NUMBER ".." NUMBER ")" """
        first = self.here
        start = self.hole_value(choices)
        if self.here.kind == "dots":
            self.take()
            low, high = self.range_end(first, start), self.range_end(self.here, self.hole_value(choices))
            end = self.expect(")", "`)`", ")").span.end
            if not low < high:
                span = Span(first.span.start, end - 1)
                cure = f"{write_value(high)} .. {write_value(low)}" if high < low else write_value(low)
                self.fail_at(span, "this range is empty", "a number, .., and a larger one", cure)
            return Range(low, high)
        values = [start]
        while self.here.kind == ",":
            if len(values) == MOST_CHOICES:
                problem = f"this hole has more than {MOST_CHOICES} values"
                self.fail(self.here, problem, f"at most {MOST_CHOICES}", "a range such as ?(1 .. 8)")
            self.take()
            values.append(self.hole_value(choices))
        self.expect(")", "`,`, `..` or `)`", ")")
        return Choice(tuple(values))

    def hole_value(self, choices: tuple[str, ...]) -> int | float | Size | Name:
        token = self.take()
        if token.kind == "name" and token.text in choices:
            return Name(token.text)
        return self.plain_value(token)

    def range_end(self, token: Token, value: int | float | Size | Name) -> int | float:
        if isinstance(value, int | float):
            return value
        self.fail(
            token,
            f"a range cannot end at {write_value(value)}",
            "a number",
            str(value.height) if isinstance(value, Size) else "8",
        )
