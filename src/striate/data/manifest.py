"""A table that names each picture and its label: CSV or JSON lines."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

from striate.data.cell import unguarded
from striate.data.entry import SPLIT_NAMES, Entry, Listing
from striate.data.finding import Finding, shown
from striate.data.folder import one_class
from striate.errors import DataError, nearest

NEEDED = ("path", "label")
OPTIONAL = ("split", "group")
EXPECTED = "the columns path and label, and if wanted split (train, val or test) and group"
SUFFIXES = {".csv", ".jsonl", ".ndjson"}


def list_manifest(path: Path, source: str, name: str) -> Listing:
    """The pictures that a manifest names.

    CSV: comma-separated, UTF-8, the columns' names in the first line, in any order.
    JSON lines: one object a line with the same names.
    path: relative to the manifest's folder.  label: any text or whole number; classes are sorted as
    numbers where all are numbers, else by code point.  split: train, val (valid, validation), test,
    or empty, which means train.  group: pictures of one group stay on one side of a made split.
    A value of a CSV that begins with an apostrophe and one of = + - @ means what stands behind the
    apostrophe: so `striate check` writes it, lest a spreadsheet run it as a formula.

    Nothing is opened here: a picture that is missing is found when it is read.

    Raises: DataError, with the line, for what is no manifest.
    """
    findings: list[Finding] = []
    rows: list[tuple[str, str, str | None, str | None]] = []
    read = _csv_rows if path.suffix.lower() == ".csv" else _json_rows
    try:
        for line, row in read(path, source, findings):
            rows.append(_checked(row, f"{source}:{line}"))
    except UnicodeDecodeError:
        raise DataError(
            "this is no UTF-8 text", place=source, expected=EXPECTED, cure="save it again as UTF-8"
        ) from None
    except OSError as problem:
        raise DataError(
            f"it cannot be read: {problem.strerror or problem}",
            place=source,
            expected="a manifest that you may read",
        ) from None
    if not rows:
        raise DataError("the manifest names no pictures", place=source, expected=EXPECTED)
    labels = {row[1] for row in rows}
    numbers = all(_whole(each) for each in labels)
    classes = tuple(sorted(labels, key=int) if numbers else sorted(labels))
    if len(classes) < 2:
        raise one_class(source, classes)
    index = {each: label for label, each in enumerate(classes)}
    return Listing(
        source=source,
        name=name,
        kind="manifest",
        classes=tuple(map(shown, classes)),
        entries=tuple(
            Entry(shown(file), index[label], split, group, path.parent / file)
            for file, label, split, group in rows
        ),
        findings=tuple(findings),
    )


def _csv_rows(path: Path, source: str, findings: list[Finding]) -> Iterator[tuple[int, dict[str, str]]]:
    with open(path, encoding="utf-8-sig", newline="") as file:
        table = csv.reader(file)
        try:
            header = [each.strip().lower() for each in next(table, [])]
            _check_columns(header, f"{source}:1", findings)
            for row in table:
                if not row:
                    continue
                if len(row) != len(header):
                    raise DataError(
                        f"this line has {len(row)} values, and the first line names {len(header)} columns",
                        place=f"{source}:{table.line_num}",
                        expected="as many values as columns",
                        cure='a value with a comma in it stands in quotes: "a,b.jpg"',
                    )
                yield table.line_num, dict(zip(header, map(unguarded, row), strict=True))
        except csv.Error as problem:
            raise DataError(
                f"this is no CSV: {problem}", place=f"{source}:{table.line_num}", expected=EXPECTED
            ) from None


def _json_rows(path: Path, source: str, findings: list[Finding]) -> Iterator[tuple[int, dict[str, str]]]:
    known: set[str] = set()
    with open(path, encoding="utf-8-sig") as file:
        for number, text in enumerate(file, start=1):
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
                    excerpt=f"    {shown(text.strip())[:80]}",
                    expected='{"path": "a.jpg", "label": "cat"}',
                )
            if not row.keys() <= known:
                _check_columns(list(row), place, findings)
                known |= row.keys()
            for key in (*NEEDED, *OPTIONAL):
                value = row.get(key)
                if value is not None and (isinstance(value, bool) or not isinstance(value, str | int)):
                    raise DataError(
                        f"{key} is {json.dumps(value)[:80]}",
                        place=place,
                        expected="a text or a whole number",
                    )
            yield number, {key: "" if value is None else str(value) for key, value in row.items()}


def _check_columns(names: list[str], place: str, findings: list[Finding]) -> None:
    """Raises: DataError where a column is missing, twice there, or nearly one that has a meaning."""
    for needed in NEEDED:
        if needed not in names:
            # Where the other is missing, too, this is probably the first picture and no header.
            headless = not any(each in names for each in NEEDED)
            near = None if headless else nearest(needed, [each for each in names if each not in NEEDED])
            raise DataError(
                f"there is no column `{needed}`",
                place=place,
                excerpt=f"    {shown(','.join(names))[:100]}",
                expected=EXPECTED,
                cure=f"rename `{shown(near)}` to `{needed}`"
                if near
                else "name the columns in the first line, as path,label",
            )
    for each in names:
        if each in NEEDED or each in OPTIONAL:
            if names.count(each) > 1:
                raise DataError(f"the column `{each}` is there twice", place=place, expected=EXPECTED)
            continue
        near = nearest(each, [column for column in OPTIONAL if column not in names])
        if near:
            # Ignored, a mistyped `split` would train on the test pictures.
            raise DataError(
                f"the column `{shown(each)}` is not known",
                place=place,
                expected=EXPECTED,
                cure=f"rename it to `{near}`, or remove it",
            )
        ignored = Finding(
            "ignored-column", shown(each), "a column without a meaning here", "nothing needs to be done"
        )
        if ignored not in findings:
            findings.append(ignored)


def _checked(row: dict[str, str], place: str) -> tuple[str, str, str | None, str | None]:
    path, label = row.get("path", ""), row.get("label", "").strip()
    for key, value in (("path", path), ("label", label)):
        if not value.strip():
            raise DataError(f"the {key} is empty", place=place, expected="a path and a label in each line")
    split = (row.get("split") or "").strip()
    if split and split.lower() not in SPLIT_NAMES:
        near = nearest(split, SPLIT_NAMES)
        raise DataError(
            f"there is no split `{shown(split)}`",
            place=place,
            expected="train, val (valid, validation) or test",
            cure=near or "train",
        )
    group = (row.get("group") or "").strip()
    return path, label, SPLIT_NAMES[split.lower()] if split else None, group or None


def _whole(text: str) -> bool:
    # Two spellings of one number (07 and 7) are two classes: only plain ones sort as numbers.
    digits = text.removeprefix("-")
    return len(text) < 19 and digits.isascii() and digits.isdigit() and str(int(text)) == text
