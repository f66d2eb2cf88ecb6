"""A table that names each image and its label: CSV or JSON lines."""

from __future__ import annotations

import os
import re
from itertools import islice
from pathlib import Path

from striate.data.files.entry import Entry, Listing, split_of
from striate.data.files.finding import Finding
from striate.data.files.magic import IMAGE_SUFFIXES
from striate.data.formats.columns import EXPECTED, Columns, read_columns, unread_columns
from striate.data.formats.folder import one_class
from striate.data.formats.table import Row, table_rows
from striate.errors import DataError, counted, nearest
from striate.text.visible import visible

SUFFIXES = {".csv", ".tsv", ".jsonl", ".ndjson"}

# What stands between several labels in one.
_BETWEEN = re.compile(r"\s*[;|,]\s*")


def list_manifest(path: Path, source: str, name: str) -> Listing:
    """The images that a manifest names.

    `table_rows` says what tables are read, and `read_columns` what their columns may be called.
    path: relative to the manifest's folder; \\ means / where there is no file of the name.  label: any text or
    whole number; classes are sorted as numbers where all are numbers, else by code point.  split: train, val,
    test, or what else `split_of` knows, or empty, which means train.  group: images of one group stay on one
    side of a made split.  Lines that say the same as one before are not read twice.
    A value of a CSV that begins with an apostrophe and one of = + - @ means what stands behind the
    apostrophe: so `striate check` writes it, lest a spreadsheet run it as a formula.

    Nothing is opened here: an image that is missing is found when it is read.

    Raises: DataError, with the line, for what is no manifest.
    """
    findings: list[Finding] = []
    known: list[Columns] = []

    def named(names: list[str], place: str) -> list[str]:
        columns = read_columns(names, place, findings)
        if known:
            columns.values.update(known.pop().values)
        known.append(columns)
        return [each for each in (columns.path, columns.label, columns.split, columns.group) if each]

    rows: dict[tuple[str, str, str | None, str | None], int] = {}
    try:
        for line, row in table_rows(path, source, named):
            columns = known[0]
            checked = _checked(row, columns, source, line)
            rows[checked] = rows.get(checked, 0) + 1
            for column, values in columns.values.items():
                values.add(row.get(column, ""), checked[1])
    except UnicodeError:
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
        raise DataError("the manifest names no images", place=source, expected=EXPECTED)
    findings += unread_columns(known[0].values)
    labels = {row[1] for row in rows}
    numbers = all(_whole(each) for each in labels)
    classes = tuple(sorted(labels, key=int) if numbers else sorted(labels))
    if len(classes) < 2:
        raise one_class(source, classes)
    findings += _several(labels, source)
    findings += _repeated(rows)
    index = {each: label for label, each in enumerate(classes)}
    entries = tuple(
        Entry(visible(file), index[label], split, group, _path(path.parent, file))
        for file, label, split, group in rows
    )
    return Listing(
        source=source,
        name=name,
        kind="manifest",
        classes=tuple(map(visible, classes)),
        entries=entries,
        findings=(*findings, *_elsewhere(entries, path.parent, source)),
    )


def _path(folder: Path, file: str) -> Path:
    """Where a file lies.

    On Windows paths are written with \\, and exported with blanks around them; a column of ids has no suffixes.
    """
    there = folder / file
    bare = os.path.splitext(file)[1].lower() not in IMAGE_SUFFIXES
    if not (bare or "\\" in file or file != file.strip()) or os.path.lexists(there):
        return there
    plain = folder / file.strip().replace("\\", "/")
    with_suffix = (f"{plain}{each}" for each in sorted(IMAGE_SUFFIXES) if bare)
    return Path(next((each for each in with_suffix if os.path.isfile(each)), plain))


def _elsewhere(entries: tuple[Entry, ...], folder: Path, source: str) -> list[Finding]:
    """A finding where not one file is there, and one of the first one's name in a folder beside the manifest."""
    if any(os.path.lexists(each.path) for each in entries):
        return []
    name = entries[0].path.name
    below = (Path(each) for each, _, files in islice(os.walk(folder), _MOST_FOLDERS) if name in files)
    found = next((each.relative_to(folder) for each in below), None)
    if found is None:
        return []
    return [
        Finding(
            "files-elsewhere",
            visible(source),
            f"not one of its files is where it says, beside it, as {entries[0].name}; one of that name lies in "
            f"{visible(str(found))}/",
            f"write the paths as {visible(str(found / name))}",
        )
    ]


_MOST_FOLDERS = 1_000


def _several(labels: set[str], source: str) -> list[Finding]:
    """A finding where labels are made of other labels, as `cat;small` is beside `cat`."""
    several = [
        each
        for each in sorted(labels)
        if len(parts := _BETWEEN.split(each)) > 1 and any(part in labels for part in parts)
    ]
    if not several:
        return []
    others = len(several) - 1
    more = f", as {'does' if others == 1 else 'do'} {counted(others, 'other')}" if others else ""
    return [
        Finding(
            "several-labels",
            visible(source),
            f"`{visible(several[0])}` looks like several labels in one{more}, and is learnt as a class of its own",
            "one label an image: a column `label` with the one that matters",
        )
    ]


def _repeated(rows: dict[tuple[str, str, str | None, str | None], int]) -> list[Finding]:
    """A finding for all lines that say the same as one before."""
    repeated = [(row[0], times) for row, times in rows.items() if times > 1]
    if not repeated:
        return []
    file, times = repeated[0]
    return [
        Finding(
            "repeated-row",
            visible(file),
            f"{times:,} lines say the same of it, and it is read once"
            + (
                f"; the same goes for {counted(len(repeated) - 1, 'other file')}" if len(repeated) > 1 else ""
            ),
            "remove the lines, unless it is meant so",
        )
    ]


def _checked(row: Row, columns: Columns, source: str, line: int) -> tuple[str, str, str | None, str | None]:
    """Path, label, split and group of a row.  Raises: DataError where one is no such."""
    path, label = row.get(columns.path, ""), row.get(columns.label, "").strip()
    if not label or not path.strip():
        raise DataError(
            f"the {'label' if path.strip() else 'path'} is empty",
            place=f"{source}:{line}",
            expected="a path and a label in each line",
        )
    split = row.get(columns.split, "").strip() if columns.split else ""
    meant = split_of(split) if split else None
    if split and meant is None:
        raise DataError(
            f"there is no split `{visible(split)}`",
            place=f"{source}:{line}",
            expected="train, val (valid, validation) or test",
            cure=nearest(split, ("train", "val", "valid", "validation", "test")) or "train",
        )
    group = row.get(columns.group, "").strip() if columns.group else ""
    return path, label, meant, group or None


def _whole(text: str) -> bool:
    # Two spellings of one number (07 and 7) are two classes: only plain ones sort as numbers.
    digits = text.removeprefix("-")
    return len(text) < 19 and digits.isascii() and digits.isdigit() and str(int(text)) == text
