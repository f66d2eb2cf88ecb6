"""The characters of a text cut into tokens."""

from __future__ import annotations

import re
from dataclasses import dataclass

from striate.errors import NotationError
from striate.spec.source import Source, Span

# Texts are written by hand; a longer one is something else.
MOST_CHARACTERS = 1_000_000

_RULES = re.compile(
    r"""
    (?P<blank>[ \t\r\n]+|\#[^\n]*)
  | (?P<arrow>->|→)
  | (?P<hole>\?\()
  | (?P<dots>\.\.)
  | (?P<size>\d+[x×]\d+(?![\w.]))
  | (?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w]))
  | (?P<name>[A-Za-z_]\w*(?:-\w+)*|×)
  | (?P<mark>[\[\](){}|,;:=])
    """,
    re.VERBOSE | re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of the text.  kind: arrow, hole, dots, size, number, name, end, or the mark itself."""

    kind: str
    text: str
    span: Span


def tokens(source: Source) -> list[Token]:
    """All tokens of a text, blanks and comments left out, and one of kind `end` behind them.

    Raises NotationError at the first character that begins none.
    """
    text = source.text
    if len(text) > MOST_CHARACTERS:
        raise NotationError(
            f"the text has {len(text):,} characters",
            place=source.name,
            expected=f"at most {MOST_CHARACTERS:,}",
            cure="a shorter text; `let` and xN say the same in fewer words",
        )
    found: list[Token] = []
    offset = 0
    while offset < len(text):
        match = _RULES.match(text, offset)
        if match is None:
            raise _stray(source, offset)
        kind = match.lastgroup
        assert kind is not None
        if kind != "blank":
            word = match.group()
            found.append(Token(word if kind == "mark" else kind, word, Span(offset, match.end())))
        offset = match.end()
    found.append(Token("end", "", Span(len(text), len(text))))
    return found


def _stray(source: Source, offset: int) -> NotationError:
    character = source.text[offset]
    expected = "a word, a number, a size such as 3x3, -> or a bracket"
    cures = {
        "-": "-> between steps; numbers here are never negative",
        ">": "-> between steps",
        "?": "?(16, 32) for a hole",
        ".": "0.5, with the digit before the point",
        "+": "add { ... | ... }",
        "*": "x3 to repeat",
        "/": "a number such as 0.5",
    }
    end = offset + 1
    if character.isdigit():
        run = re.compile(r"[\w.]+", re.ASCII).match(source.text, offset)
        end = run.end() if run else end
        cures[character] = "a space between number and word, and 3x3 without spaces"
    shown = source.text[offset:end][:40]
    named = shown if shown.isprintable() else ascii(shown)[1:-1]
    return NotationError(
        f"`{named}` does not belong here",
        place=source.place(Span(offset, end)),
        excerpt=source.excerpt(Span(offset, end)),
        expected=expected,
        cure=cures.get(character, ""),
    )
