"""The text a network was read from, and places in it."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

# Excerpts show at most this much of a long line around the place that is meant.
WIDTH = 100

_LINE_END = re.compile(r"\r\n|\n|\r")
_COMMENT = re.compile(r"#[^\r\n]*")


class Span(NamedTuple):
    """A stretch of the text, from the character `start` up to but without `end`."""

    start: int
    end: int


@dataclass(frozen=True)
class Source:
    """A named text.

    name: what stands before the colon in an error, a file's name or `network`.
    """

    name: str
    text: str

    @cached_property
    def _line_starts(self) -> list[int]:
        return [0] + [match.end() for match in _LINE_END.finditer(self.text)]

    def line_and_column(self, offset: int) -> tuple[int, int]:
        """Line and column of a character, both counted from 1."""
        line = bisect_right(self._line_starts, offset)
        return line, offset - self._line_starts[line - 1] + 1

    def place(self, span: Span) -> str:
        """`name:line:column` of the beginning of a span."""
        line, column = self.line_and_column(span.start)
        return f"{_printable(self.name)}:{line}:{column}"

    def said(self, span: Span) -> str:
        """The text of a span on one line, without comments, shortened where it is long."""
        said = " ".join(_printable(_COMMENT.sub(" ", self.text[span.start : span.end])).split())
        return said if len(said) <= 60 else said[:57] + "..."

    def excerpt(self, span: Span, note: str = "") -> str:
        """The line with carets under the span, and a note behind them.

        Each character that cannot be printed, a tab for instance, is shown as one space.
        """
        line, column = self.line_and_column(span.start)
        start = self._line_starts[line - 1]
        end = _LINE_END.search(self.text, start)
        text = self.text[start : end.start() if end else len(self.text)]
        carets = max(1, min(span.end, start + len(text)) - span.start)
        left = max(0, column - 1 - WIDTH // 3) if len(text) > WIDTH else 0
        shown = _printable(text[left : left + WIDTH])
        carets = max(1, min(carets, left + WIDTH - (column - 1)))
        if left:
            shown = "..." + shown[3:]
        if left + WIDTH < len(text):
            shown = shown[:-3] + "..."
        under = " " * (column - 1 - left) + "^" * carets
        number = f"{line:5d}"
        return (
            f"{number} | {shown}".rstrip() + f"\n{' ' * len(number)} | {under}{'    ' + note if note else ''}"
        )


def _printable(text: str) -> str:
    """The text with one space for each character that could move the cursor or hide what follows."""
    return "".join(character if character.isprintable() else " " for character in text)
