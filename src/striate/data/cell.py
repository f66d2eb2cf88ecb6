"""One value in a CSV that a spreadsheet may open."""

from __future__ import annotations

import re

# What a spreadsheet takes for a formula; a plain number is harmless.
_FORMULA = re.compile(r"[=+\-@\t\r]")
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")


def guarded(value: str) -> str:
    """`value`, with an apostrophe before it where a spreadsheet would run it as a formula.

    Source: OWASP, CSV Injection.
    """
    return f"'{value}" if _FORMULA.match(value) and not _NUMBER.fullmatch(value) else value


def unguarded(value: str) -> str:
    """What was `guarded`; any other value as it is."""
    return value[1:] if value.startswith("'") and guarded(value[1:]) == value else value
