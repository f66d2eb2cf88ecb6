"""Names of files that are dangerous to print, to put into a table or a page, or to copy elsewhere."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from striate.data.finding import shown

LONG_BYTES = 200
"""Longer names are cut or refused by some archives and encrypted disks."""

FORMULA_MARKS = ("=", "+", "-", "@")
"""What begins with one of these is a formula to a spreadsheet, unless it is a number."""

_NUMBER = re.compile(r"[+-]?\d")


def name_remarks(name: str) -> Iterator[tuple[str, str]]:
    """The code and the reason of what is odd about one file's name."""
    what = _unsafe(name)
    if what:
        yield "unsafe-name", f"its name {what}"
    length = len(os.fsencode(name))
    if length > LONG_BYTES:
        yield "long-name", f"its name is {length} bytes long"


def _unsafe(name: str) -> str:
    if any("\udc80" <= each <= "\udcff" for each in name):
        return "is no UTF-8"
    if shown(name) != name:
        return "holds control characters, or such as turn or hide others"
    if "<" in name or ">" in name:
        return "holds < or >, as markup does"
    if name.startswith(FORMULA_MARKS) and not _NUMBER.match(name):
        return f"begins with {name[0]}, as a formula or an option does"
    return ""
