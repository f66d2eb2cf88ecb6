"""A manifest of what is left when the worst that was found is taken away."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from striate.checks.checked import Checked
from striate.data.files.entry import SPLITS, Entry
from striate.data.formats.table import guarded
from striate.data.split import joined
from striate.errors import DataError, counted

_COLUMNS = ("path", "label", "split", "group")
_DAMAGED = ("zeroed-inside", "wrong-checksum")


@dataclass(frozen=True, slots=True)
class Manifest:
    """content: of the file.  images: in it.  without: usable images that are not in it.

    unnameable: those among them whose path a CSV cannot hold.
    """

    content: bytes
    images: int
    without: int
    unnameable: int


def require_manifest(path: Path) -> None:
    """Raise DataError for a name that no manifest has."""
    suffix = path.suffix.lower()
    if suffix not in (".csv", ".jsonl", ".ndjson"):
        raise DataError(
            f"a manifest does not end in `{suffix}`",
            place="--manifest",
            expected=".csv or .jsonl",
            cure="fixed.csv",
        )


def fixed_manifest(checked: Checked, path: Path) -> Manifest:
    """What `path` is to hold, so that training takes it instead of the folder.

    Without: files that cannot be used; files damaged inside; of exact duplicates all but one; of images in
    two splits, exactly or nearly the same, those nearer to training; of images under two labels all.
    Near duplicates within a split become one group, so that a validation split that is made parts none.
    Paths are relative to the manifest.  A CSV's values are `guarded`; a path that begins as a formula does
    gets ./ in front.

    path: ends in .csv, .jsonl or .ndjson.
    Raises: DataError for another suffix, and where the images lie in arrays or in an archive.
    """
    require_manifest(path)
    if checked.files and not checked.used and checked.images:
        raise DataError(
            "a manifest names files, and these images lie in arrays",
            place="--manifest",
            cure="leave it out",
        )
    if checked.unpacked:
        # Paths into the cache would be dead as soon as somebody clears it.
        raise DataError(
            "a manifest names files, and these are packed in an archive",
            place="--manifest",
            expected="a folder",
            cure=f"unpack {checked.source}, and striate check the folder",
        )
    unwanted = set(map(id, _unwanted(checked)))
    groups = {
        name: f"near {number}"
        for number, each in checked.by_code().get("near-duplicate", [])
        for name in (each.name, *each.also)
    }
    kept = [each for each in checked.used if id(each) not in unwanted]
    if not kept:
        raise DataError(
            "no image is left for the manifest", place=str(path), cure="mend what was found first"
        )
    folder = path.resolve().parent
    together = joined([each.group for each in kept], [groups.get(each.name) for each in kept])
    rows = [
        (_relative(each.path, folder), checked.classes[each.label], each.split or "", group or "")
        for each, group in zip(kept, together, strict=True)
    ]
    unnameable = 0
    if path.suffix.lower() == ".csv":
        nameable = [row for row in rows if _is_utf8(row[0])]
        unnameable, rows = len(rows) - len(nameable), nameable
        content = _as_csv(rows)
    else:
        content = _as_json_lines(rows)
    return Manifest(content, len(rows), len(checked.used) - len(rows), unnameable)


def _unwanted(checked: Checked) -> Iterator[Entry]:
    by_name: dict[str, list[Entry]] = {}
    for entry in checked.used:  # a manifest may name one file several times
        by_name.setdefault(entry.name, []).append(entry)
    for each in checked.findings:
        names = dict.fromkeys((each.name, *each.also))
        there = [entry for name in names for entry in by_name.get(name, [])]
        if each.code in _DAMAGED or each.code.endswith("duplicate-two-labels"):
            yield from there
        elif each.code == "duplicate" or each.code.endswith("duplicate-across-splits"):
            yield from _all_but_the_last(there, exact=not each.code.startswith("near"))


def _all_but_the_last(entries: Iterable[Entry], *, exact: bool) -> Iterator[Entry]:
    """What goes: all that are not in the last split of all, and of exact copies there, all but the first."""
    ranked = sorted(entries, key=lambda each: -SPLITS.index(each.split or "train"))
    last = (ranked[0].split or "train") if ranked else None
    for number, each in enumerate(ranked):
        if (each.split or "train") != last or (exact and number > 0):
            yield each


def _relative(path: Path, folder: Path) -> str:
    absolute = Path(os.path.abspath(path))
    try:
        found = os.path.relpath(absolute, folder)
    except ValueError:  # on another drive of Windows
        return str(absolute)
    return found if guarded(found) == found else os.path.join(".", found)


def _is_utf8(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _as_csv(rows: Iterable[tuple[str, ...]]) -> bytes:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows([guarded(value) for value in row] for row in rows)
    return file.getvalue().encode("utf-8")


def _as_json_lines(rows: Iterable[tuple[str, ...]]) -> bytes:
    # Bytes of a name that are no UTF-8 stand as escapes, which JSON can carry.
    return "".join(json.dumps(dict(zip(_COLUMNS, row, strict=True))) + "\n" for row in rows).encode("ascii")


def told(manifest: Manifest) -> str:
    """What is in it, in a sentence."""
    more = f", {counted(manifest.without, 'usable one')} left out" if manifest.without else ""
    if manifest.unnameable:
        more += f" ({manifest.unnameable:,} because their names are no UTF-8: a .jsonl can hold them)"
    return f"{counted(manifest.images, 'image')}{more}"
