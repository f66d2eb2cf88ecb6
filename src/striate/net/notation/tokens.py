"""The characters of a text cut into tokens."""

from __future__ import annotations

import re
from typing import NamedTuple

from striate.errors import NotationError
from striate.net.layers.words import WORDS
from striate.net.notation.foreign import meant
from striate.net.source import Source, Span

# Texts are written by hand; a longer one is something else.
MOST_CHARACTERS = 300_000
MOST_TOKENS = 100_000

# A path through nested labels stays short, and so does an error that shows a word.
LONGEST_WORD = 60

_RULES = re.compile(
    r"""
    (?P<blank>[ \t\r\n]+|\#[^\r\n]*)
  | (?P<arrow>->|→)
  | (?P<hole>\?\()
  | (?P<dots>\.\.)
  | (?P<size>\d+[xX×]\d+(?!\w|\.\w))
  | (?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?!\w|\.\w))
  | (?P<name>[A-Za-z_]\w*(?:-\w+)*|×)
  | (?P<mark>[\[\](){}|,;:=])
    """,
    re.VERBOSE | re.ASCII,
)
_RUN = re.compile(r"\d[\w.×]*", re.ASCII)
_NEGATIVE = re.compile(r"[-−](\d+(?:\.\d+)?)(?!\w|\.\w)", re.ASCII)
_TIMES = re.compile(r"\*(?:[ \t]*(\d+)(?!\w|\.\w))?", re.ASCII)
_FRACTION = re.compile(r"\.\d+(?!\w|\.\w)", re.ASCII)
_DOTTED = re.compile(r"(?:\.[A-Za-z_]\w*)+", re.ASCII)
# What word processors and other notations write in the place of ->.
_ARROW = re.compile(r"[-‐‑‒–—―−=~]+>?|>+|[⟶➔➜➝⇒⟹»›]")
_BLANKS = "\N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}\N{IDEOGRAPHIC SPACE}\v\f"

# Words that are read under another spelling as well.
_SPELLINGS = {"gray": "grey"}

_CURES = {
    "?": "?(16, 32) for a hole",
    "+": "add { ... | ... }",
    "/": "a number such as 0.5",
    "\N{ZERO WIDTH NO-BREAK SPACE}": "leave it out; the file was saved with a byte order mark",
} | dict.fromkeys(_BLANKS, "a plain space")


class Token(NamedTuple):
    """A piece of the text.  kind: arrow, hole, dots, size, number, name, end, or the mark itself."""

    kind: str
    text: str
    span: Span


def tokens(source: Source) -> list[Token]:
    """All tokens of a text, blanks and comments left out, and one of kind `end` behind the last.

    Raises NotationError at the first character that begins none, and where a limit is passed.
    """
    text = source.text
    if len(text) > MOST_CHARACTERS:
        raise _too_much(source, f"the text has {len(text):,} characters", MOST_CHARACTERS)
    found: list[Token] = []
    offset = end = 0
    while offset < len(text):
        match = _RULES.match(text, offset)
        if match is None:
            raise _stray(source, offset)
        kind, start, offset = match.lastgroup, offset, match.end()
        if kind != "blank":
            word, end = _SPELLINGS.get(match.group().lower(), match.group()), offset
            if len(word) > LONGEST_WORD:
                raise _too_long(source, Span(start, end))
            if len(found) == MOST_TOKENS:
                problem = f"the text has more than {MOST_TOKENS:,} words, numbers and marks"
                raise _too_much(source, problem, MOST_TOKENS)
            found.append(Token(word if kind == "mark" else kind or "", word, Span(start, end)))
    found.append(Token("end", "", Span(end, end)))
    return found


def _too_much(source: Source, problem: str, most: int) -> NotationError:
    return NotationError(
        problem,
        place=source.place(Span(0, 0)),
        expected=f"at most {most:,}",
        cure="a shorter text; `let` and xN say the same in fewer words",
    )


def _too_long(source: Source, span: Span) -> NotationError:
    return NotationError(
        f"this word has {span.end - span.start:,} characters",
        place=source.place(span),
        excerpt=source.excerpt(span),
        expected=f"at most {LONGEST_WORD}",
        cure="a shorter word",
    )


def _stray(source: Source, offset: int) -> NotationError:
    text, character, end = source.text, source.text[offset], offset + 1
    cure = _CURES.get(character, "leave it out")
    if negative := _NEGATIVE.match(text, offset):
        end, cure = negative.end(), negative[1]
    elif times := _TIMES.match(text, offset):
        end, cure = times.end(), f"x{times[1] or 3}"
    elif arrow := _ARROW.match(text, offset - (text[offset - 1 : offset] == "=")):
        offset, end = arrow.span()
        cure = "->"
    elif fraction := _FRACTION.match(text, offset):
        end = fraction.end()
        cure = f"0{fraction.group()}"
    elif dotted := _DOTTED.match(text, offset):
        last = dotted.group().rpartition(".")[2]
        cure, end = meant(last, tuple(WORDS)) or last, dotted.end()
        while re.match(r"\w", text[offset - 1 : offset], re.ASCII):
            offset -= 1
    elif run := _RUN.match(text, offset):
        end = run.end()
        cure = _spaced(run.group())
    elif character.isdigit():
        cure = "the digits 0 to 9"
    shown = text[offset:end][:LONGEST_WORD]
    named = shown if shown.isprintable() else ascii(shown)[1:-1]
    return NotationError(
        f"`{named}` does not belong here",
        place=source.place(Span(offset, end)),
        excerpt=source.excerpt(Span(offset, end)),
        expected="a word, a number, a size such as 3x3, -> or a bracket",
        cure=cure,
    )


def _spaced(run: str) -> str:
    """What a run of digits, letters and points that is no number was probably meant to be."""
    sides = re.fullmatch(r"(\d+)[xX×](\d+)[xX×](\d+)", run, re.ASCII)
    if sides:
        return f"{sides[1]} {sides[2]}x{sides[3]}"
    begun = re.match(r"\d+[xX×]\d+|\d+(?:\.\d+)?(?:[eE]\d+)?", run, re.ASCII)
    number = begun.group() if begun else ""
    rest = run[len(number) :]
    if rest in ("x", "X", "×") and number.isdigit():
        return f"{number}x{number}"
    word = rest not in ("e", "E") and re.fullmatch(r"[A-Za-z_]\w*", rest, re.ASCII)
    joint = " -> " if rest.lower() in WORDS else " "
    return f"{number}{joint}{rest}" if word else number
