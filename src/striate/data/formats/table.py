"""The rows of a table in a text file: CSV in the forms that spreadsheets write, or JSON lines."""

from __future__ import annotations

import codecs
import csv
import json
import re
from collections.abc import Callable, Collection, Iterator
from itertools import chain
from pathlib import Path
from typing import TextIO

from striate.data.formats.columns import EXPECTED, has_needed
from striate.errors import DataError, counted
from striate.text.visible import visible

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


Row = dict[str, str]

Named = Callable[[list[str], str], Collection[str]]
"""Takes the columns' names and their place, and gives those that have a meaning."""

_DELIMITERS = (",", ";", "\t", "|", " ")

# A longer line is none of a table: of a sparse file of zeros it would fill the memory.
_MOST_LINE = 1_000_000

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def table_rows(path: Path, source: str, named: Named) -> Iterator[tuple[int, Row]]:
    """Each row with its line: the values by the columns' names, in a CSV in small letters.

    CSV: the names stand in the first line, or the second where the first is a spreadsheet's `sep=;`; values are
    separated by commas, semicolons, tabs, bars or blanks, whichever makes a path and a label of the names; a
    blank behind a separator does not count.  JSON lines: one object a line.  UTF-8, or what a byte-order mark says.

    named: called with the names, as often as there are new ones, and their place.
    Raises: DataError, with the line, for what is no table; UnicodeError, OSError.
    """
    encoding = _encoding(path, source)
    rows = _csv_rows if path.suffix.lower() in (".csv", ".tsv") else _json_rows
    yield from rows(path, source, encoding, named)


def _encoding(path: Path, source: str) -> str:
    with open(path, "rb") as file:
        head = file.read(1024)
    encoding = next((name for mark, name in _MARKS if head.startswith(mark)), "utf-8")
    if encoding == "utf-8" and b"\0" in head:
        raise DataError(
            "this is no UTF-8 text: it holds zero bytes, as UTF-16 does",
            place=source,
            expected=EXPECTED,
            cure="save it again as UTF-8",
        )
    return encoding


def _csv_rows(path: Path, source: str, encoding: str, named: Named) -> Iterator[tuple[int, Row]]:
    with open(path, encoding=encoding, newline="") as file:
        first, line = file.readline(_MOST_LINE), 1
        said = re.fullmatch(r"sep=(.)", first.strip("\r\n"), re.IGNORECASE)
        if said:
            first, line = file.readline(_MOST_LINE), 2
        delimiter = said[1] if said else _delimiter(first)
        rest = chain([first], _lines(file, source))
        table = csv.reader(rest, delimiter=delimiter, skipinitialspace=True)
        line -= 1
        try:
            header = [each.strip().lower() for each in next(table, [])]
            named(header, f"{source}:{line + 1}")
            for row in table:
                if not row:
                    continue
                if len(row) != len(header):
                    raise _other_length(row, header, delimiter, f"{source}:{line + table.line_num}")
                yield line + table.line_num, dict(zip(header, map(unguarded, row), strict=True))
        except csv.Error as problem:
            raise DataError(
                f"this is no CSV: {problem}", place=f"{source}:{line + table.line_num}", expected=EXPECTED
            ) from None


def _lines(file: TextIO, source: str) -> Iterator[str]:
    while line := file.readline(_MOST_LINE):
        if len(line) == _MOST_LINE:
            raise DataError(
                f"it holds a line of more than {_MOST_LINE:,} characters", place=source, expected=EXPECTED
            )
        yield line


def _delimiter(first: str) -> str:
    """What separates the columns' names in the first line."""
    for each in _DELIMITERS:
        names = next(csv.reader([first], delimiter=each, skipinitialspace=True), [])
        if has_needed(names):
            return each
    return ","


def _other_length(row: list[str], header: list[str], delimiter: str, place: str) -> DataError:
    said = {"\t": "tab", ",": "comma", ";": "semicolon", "|": "bar", " ": "blank"}.get(delimiter, delimiter)
    return DataError(
        f"this line has {counted(len(row), 'value')}, and the first line names {counted(len(header), 'column')}",
        place=place,
        expected="as many values as columns",
        cure=f'a value with a {said} in it stands in quotes: "a{delimiter}b.jpg"',
    )


def _json_rows(path: Path, source: str, encoding: str, named: Named) -> Iterator[tuple[int, Row]]:
    known: set[str] = set()
    meaning: Collection[str] = ()
    with open(path, encoding=encoding) as file:
        for number, text in enumerate(_lines(file, source), start=1):
            if not text.strip():
                continue
            place = f"{source}:{number}"
            try:
                row = json.loads(text)
            except (ValueError, RecursionError):
                row = None
            if not isinstance(row, dict):
                raise DataError(
                    "this line is no JSON object",
                    place=place,
                    excerpt=f"    {visible(text.strip())[:80]}",
                    expected='{"path": "a.jpg", "label": "cat"}',
                    cure="one object a line" if text.strip() in ("[", "{") or text.startswith("[{") else "",
                )
            if not row.keys() <= known:
                meaning = named(list(row), place)
                known |= row.keys()
            for key in meaning:
                value = row.get(key)
                if value is not None and (isinstance(value, bool) or not isinstance(value, str | int)):
                    raise DataError(
                        f"{key} is {json.dumps(value)[:80]}",
                        place=place,
                        expected="a text or a whole number",
                    )
            yield number, {key: _text(value) for key, value in row.items()}


def _text(value: object) -> str:
    """A value of JSON as a CSV would have it."""
    return "" if value is None else value if isinstance(value, str) else json.dumps(value)
