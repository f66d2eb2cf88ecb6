"""Text that comes from files, names and arguments, safe to be shown in a terminal or a page."""

from __future__ import annotations

import unicodedata

# Control, format (turned writing direction, zero width) and surrogate characters, and line separators.
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})

# A longer value is cut where an error repeats it.
MOST_REPEATED = 80


def visible(text: str) -> str:
    """`text` in one line, every character that would not show, or turn others around, as its escape.

    A newline becomes `\\n`, an escape `\\x1b`, a byte that is not UTF-8 `\\udcff`; letters of any script stay.
    """
    if text.isprintable() and text.isascii():
        return text
    return "".join(
        each.encode("unicode_escape").decode("ascii") if unicodedata.category(each) in _HIDDEN else each
        for each in text
    )


def visible_lines(text: str) -> str:
    """As `visible`, but newlines and tabs are kept: what a command prints, whatever is in it."""
    if text.isprintable() and text.isascii():
        return text
    return "\n".join("\t".join(map(visible, line.split("\t"))) for line in text.split("\n"))


def repeated(value: object) -> str:
    """A value as an error repeats it, a text without quotes: visible, and no longer than a line."""
    try:
        text = visible(value if isinstance(value, str) else repr(value))
    except ValueError:
        # Python writes no whole number of more than 4,300 digits.
        return "a number of thousands of digits"
    return (
        text if len(text) <= MOST_REPEATED else f"{text[: MOST_REPEATED - 20]}... ({len(text):,} characters)"
    )
