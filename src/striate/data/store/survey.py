"""The first look at every file: is it an image, how large, of how many channels, with what content."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

from striate.data.decode.decode import Header, quiet_pillow, read_header, refuse_too_long, refuse_too_much
from striate.data.files.entry import Entry
from striate.data.files.file import content_hash, opening_failed
from striate.data.files.finding import Finding, Unreadable
from striate.data.store.ledger import Line, Stamp, stamp_of
from striate.threads import in_order

# Of these another run may judge differently though the file is the same.
_NOT_REMEMBERED = frozenset(
    {
        "too-many-pixels",
        "too-many-bytes",
        "no-permission",
        "missing-file",
        "special-file",
        "unsupported-format",
    }
)


@dataclass(frozen=True, slots=True)
class Seen:
    """A file that is an image, as far as its header tells."""

    entry: Entry
    stamp: Stamp
    sha256: str
    header: Header


@dataclass(frozen=True)
class Survey:
    """What a look at all files gave.

    lines: what to remember, by path.  read: how many files had to be read for it.
    """

    seen: tuple[Seen, ...]
    findings: tuple[Finding, ...]
    lines: Mapping[str, Line]
    read: int


def survey(
    entries: Sequence[Entry],
    remembered: Mapping[str, Line],
    max_pixels: int,
    step: Callable[[int], None],
) -> Survey:
    """Reads each file's header and content hash, unless it is remembered and its stamp is the same.

    step: called with the number of files that are done, after each that had to be read.
    Raises: MissingExtra where a many-band TIFF needs tifffile.
    """
    stamps = [_stamp(entry) for entry in entries]
    lines: list[Line | Unreadable] = []
    to_read: list[tuple[int, Entry, Stamp]] = []
    for position, (entry, stamp) in enumerate(zip(entries, stamps, strict=True)):
        if isinstance(stamp, Unreadable):
            lines.append(stamp)
            continue
        line = remembered.get(str(entry.path))
        if line is None or line.stamp != stamp:
            to_read.append((position, entry, stamp))
            line = Line(stamp, "", None, None)
        lines.append(line)

    def look(item: tuple[int, Entry, Stamp]) -> tuple[int, Line | Unreadable]:
        position, entry, stamp = item
        return position, _read(entry, stamp, max_pixels)

    done = len(entries) - len(to_read)
    with quiet_pillow(), closing(in_order(look, to_read)) as answers:
        for position, answer in answers:
            lines[position] = answer
            done += 1
            step(done)
    return _sorted_out(entries, lines, max_pixels, len(to_read))


def _stamp(entry: Entry) -> Stamp | Unreadable:
    try:
        looked = os.stat(entry.path)
    except OSError as problem:
        return opening_failed(entry.path, problem)
    except ValueError:
        return Unreadable("missing-file", "there cannot be a file of this name", "mend its path")
    if not stat.S_ISREG(looked.st_mode):
        return Unreadable("special-file", "it is no ordinary file", "remove it")
    return stamp_of(looked)


def _read(entry: Entry, stamp: Stamp, max_pixels: int) -> Line | Unreadable:
    try:
        header = read_header(entry.path, max_pixels)
        return Line(stamp, content_hash(entry.path), header, None)
    except Unreadable as problem:
        if problem.passing or problem.code in _NOT_REMEMBERED:
            return problem
        return Line(stamp, "", None, (problem.code, problem.problem, problem.cure))


def _sorted_out(
    entries: Sequence[Entry], lines: Sequence[Line | Unreadable], max_pixels: int, read: int
) -> Survey:
    seen: list[Seen] = []
    findings: list[Finding] = []
    kept: dict[str, Line] = {}
    for entry, line in zip(entries, lines, strict=True):
        if isinstance(line, Unreadable):
            findings.append(line.finding(entry.name))
            continue
        kept[str(entry.path)] = line
        if line.trouble is not None:
            code, reason, cure = line.trouble
            findings.append(Finding(code, entry.name, reason, cure))
        elif line.header is not None:
            try:
                refuse_too_long(line.stamp.size_bytes, max_pixels)
                refuse_too_much(line.header.height, line.header.width, line.header.channels, max_pixels)
            except Unreadable as problem:
                findings.append(problem.finding(entry.name))
                continue
            seen.append(Seen(entry, line.stamp, line.sha256, line.header))
    return Survey(tuple(seen), tuple(findings), kept, read)
