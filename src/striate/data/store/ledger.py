"""What was seen of each file last time, so that unchanged files need not be read again."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import PIL

from striate.data.decode.decode import Header

_FORMAT = 1

_FRESH_NS = 2_000_000_000
"""A file changed so shortly before it was looked at could change again within one tick of its clock."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """What tells cheaply that a file may have changed: its length and its two times."""

    size_bytes: int
    modified_ns: int
    changed_ns: int


@dataclass(frozen=True, slots=True)
class Line:
    """One file: either its content's SHA-256 and header, or the (code, reason, cure) of a finding."""

    stamp: Stamp
    sha256: str
    header: Header | None
    trouble: tuple[str, str, str] | None


def stamp_of(stat: os.stat_result) -> Stamp:
    """The stamp of a file that was looked at."""
    return Stamp(stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


def ledger_path(root: Path, source: Path) -> Path:
    """Where the ledger of `source` lies under the cache's root."""
    return root / "ledger" / (hashlib.sha256(os.fsencode(source.resolve())).hexdigest()[:32] + ".json")


def read_ledger(path: Path) -> dict[str, Line]:
    """The lines by the files' paths; empty where there is no ledger, or a damaged or an older one."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != _FORMAT or content["pillow"] != PIL.__version__:
            return {}
        return {str(file): _line(values) for file, values in content["files"].items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return {}


def write_ledger(path: Path, lines: Mapping[str, Line], looked_ns: int) -> None:
    """Keeps `lines` for the next run, without those of files that changed just before `looked_ns`.

    Another process sees the old ledger or the new one, never a half of either.  A ledger only saves
    time: where it cannot be written, the next run reads the files again, and nothing else is lost.
    """
    files = {
        file: [
            [line.stamp.size_bytes, line.stamp.modified_ns, line.stamp.changed_ns],
            line.sha256,
            None
            if line.header is None
            else [line.header.height, line.header.width, line.header.channels, line.header.bytes],
            line.trouble,
        ]
        for file, line in lines.items()
        if max(line.stamp.modified_ns, line.stamp.changed_ns) < looked_ns - _FRESH_NS
    }
    content = json.dumps({"format": _FORMAT, "pillow": PIL.__version__, "files": files})
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(prefix=".writing-", dir=path.parent)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(content)
        os.replace(temporary, path)
    except OSError:
        if temporary is not None and os.path.exists(temporary):
            os.unlink(temporary)


def now_ns() -> int:
    """The time, in the clock that files are stamped with."""
    return time.time_ns()


def _line(values: list[object]) -> Line:
    """Raises: ValueError, TypeError where the ledger was damaged."""
    stamp, sha256, header, trouble = values
    if not isinstance(stamp, list) or not isinstance(sha256, str):
        raise TypeError
    seen = None
    if isinstance(header, list):
        height, width, channels, is_bytes = header
        seen = Header(int(height), int(width), int(channels), bool(is_bytes))
    found = None
    if isinstance(trouble, list):
        code, reason, cure = trouble
        found = (str(code), str(reason), str(cure))
    if (seen is None) == (found is None):
        raise ValueError
    size, modified, changed = stamp
    return Line(Stamp(int(size), int(modified), int(changed)), sha256, seen, found)
