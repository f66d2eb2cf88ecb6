"""The members of a zip archive, by its directory, which is checked before it is believed.

Source: PKWARE APPNOTE 6.3.10, sections 4.3.7, 4.3.12, 4.3.14 to 4.3.16, 4.4.4, 4.4.5 and 4.5.3.
"""

from __future__ import annotations

import os
import stat
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from striate.data.allowance import CURE, MOST_MEMBERS, Allowance
from striate.data.directory import (
    ENCRYPTED,
    END,
    END64,
    END64_PLACE,
    ENTRY,
    MOST_COMMENT,
    Cut,
    Entry,
    find_end,
    read_entry,
)
from striate.data.inflate import PIECE_BYTES, Deflate, read_packed
from striate.data.member import Broken, Member, clipped, damaged, hostile
from striate.data.trouble import told
from striate.errors import DataError

_LOCAL = struct.Struct("<4s5H3L2H")
_STRONG, _UTF8, _MASKED = 1 << 6, 1 << 11, 1 << 13
_STORED, _DEFLATED = 0, 8
_ENTRY_BYTES = 512
"""More than an entry of the directory takes on average, as far as memory is given to it."""


def zip_members(file: BinaryIO, size_bytes: int, allowance: Allowance) -> Iterator[Member]:
    """The members in the order of their places.

    Where no name holds a slash, backslashes stand for them, as some programs for Windows write (against 4.4.17.1).
    Raises: DataError where the directory is damaged, or members share bytes of the file, as in archives
    that unpack to far more than any ratio of one stream allows (Fifield 2019, A better zip bomb).
    """
    entries, end = _directory(file, size_bytes)
    entries.sort(key=lambda each: each.header)
    ends = [*(each.header for each in entries[1:]), end][: len(entries)]
    for each, after in zip(entries, ends, strict=True):
        if each.header + _LOCAL.size + len(each.name) + each.packed_bytes > after:
            raise _overlap(each)
    separator = "/" if any(b"/" in each.name for each in entries) else "\\"
    for each, after in zip(entries, ends, strict=True):
        name = _text(each).replace(separator, "/")
        yield Member(name, name.endswith("/"), _trouble(each), _content(file, each, after, allowance))


def _trouble(entry: Entry) -> tuple[str, str] | None:
    if entry.flags & (ENCRYPTED | _STRONG | _MASKED):
        return "archive-encrypted", "it is encrypted"
    kind = stat.S_IFMT(entry.mode)
    if kind == stat.S_IFLNK:
        return "archive-link", "it is a symbolic link"
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "archive-special", "it is a pipe, a device or a socket"
    if entry.method not in (_STORED, _DEFLATED):
        return (
            "archive-damaged",
            f"it is packed by method {entry.method}, and only stored and deflate are read",
        )
    most = Allowance.most_of_member(entry.packed_bytes)
    if entry.size_bytes > most:
        return "archive-ratio", _too_much(entry, most)
    return None


def _too_much(entry: Entry, most: int) -> str:
    return f"its {entry.packed_bytes:,} packed bytes unpack to more than the {most:,} that they may"


def _overlap(entry: Entry) -> DataError:
    return hostile(f"its member `{clipped(_text(entry))}` shares bytes with another")


def _content(file: BinaryIO, entry: Entry, after: int, allowance: Allowance) -> Iterator[bytes]:
    """The plain bytes, compared with what the directory says of them.  after: where the next thing begins."""
    found = _at(file, entry.header, _LOCAL.size)
    mark, _, flags, method, *_, name_bytes, extra_bytes = _LOCAL.unpack(found)
    name = _at(file, entry.header + _LOCAL.size, name_bytes) if mark == b"PK\x03\x04" else b""
    if name != entry.name or method != entry.method or flags & ENCRYPTED:
        raise Broken("archive-damaged", "its own header and the archive's directory contradict each other")
    start = entry.header + _LOCAL.size + name_bytes + extra_bytes
    if start + entry.packed_bytes > after:
        raise _overlap(entry)
    most, checksum, size_bytes = Allowance.most_of_member(entry.packed_bytes), 0, 0
    for piece in _plain(file, start, entry):
        allowance.take(len(piece))
        size_bytes += len(piece)
        if size_bytes > entry.size_bytes:
            raise Broken("archive-damaged", f"it declares {entry.size_bytes:,} bytes and holds more")
        if size_bytes > most:
            raise Broken("archive-ratio", _too_much(entry, most))
        checksum = zlib.crc32(piece, checksum)
        yield piece
    if size_bytes != entry.size_bytes:
        raise Broken("archive-damaged", f"it declares {entry.size_bytes:,} bytes and holds {size_bytes:,}")
    if checksum != entry.checksum:
        raise Broken("archive-damaged", "its checksum is wrong")


def _plain(file: BinaryIO, start: int, entry: Entry) -> Iterator[bytes]:
    machine = Deflate(gzip=False) if entry.method == _DEFLATED else None
    at, end = start, start + entry.packed_bytes
    while True:
        packed = b""
        if machine is None or machine.hungry:
            packed = _at(file, at, min(PIECE_BYTES, end - at))
            at += len(packed)
        if machine is None:
            if not packed:
                return
            yield packed
            continue
        starved = machine.hungry and not packed
        try:
            plain = machine.feed(packed)
        except zlib.error as problem:
            raise Broken("archive-damaged", f"it is damaged: {told(problem)}") from None
        if plain:
            yield plain
        if machine.ended:
            return
        if starved and not plain:
            raise Broken("archive-damaged", "it ends too early")


def _directory(file: BinaryIO, size_bytes: int) -> tuple[list[Entry], int]:
    """The lines of the directory, and where it begins."""
    count, length, start = _end(file, size_bytes)
    if count > MOST_MEMBERS or length > _ENTRY_BYTES * MOST_MEMBERS:
        raise DataError(
            f"it holds {count:,} members", expected=f"at most {MOST_MEMBERS:,} in an archive", cure=CURE
        )
    if start + length > size_bytes or count * ENTRY.size > length:
        raise damaged("its directory contradicts its length")
    content = _at(file, start, length)
    entries = []
    place = 0
    for _ in range(count):
        try:
            entry, place = read_entry(content, place)
        except Cut:
            raise damaged("its directory ends too early") from None
        entries.append(entry)
    if place != length:
        raise damaged("its directory holds more than the members that it declares")
    return entries, start


def _end(file: BinaryIO, size_bytes: int) -> tuple[int, int, int]:
    """Number of members, length and place of the directory."""
    window = min(size_bytes, END.size + MOST_COMMENT)
    end = find_end(_at(file, size_bytes - window, window))
    if end is None:
        raise damaged("it ends too early, its directory is missing")
    if end.parts:
        raise damaged("it is one of several parts")
    if not end.wide:
        return end.members, end.length, end.start
    before = size_bytes - window + end.at - END64_PLACE.size
    if before < 0:
        raise damaged("its directory contradicts its length")
    mark, _, place, _ = END64_PLACE.unpack(_at(file, before, END64_PLACE.size))
    if mark != b"PK\x06\x07":
        # As many as fit into the small record, by chance.
        return end.members, end.length, end.start
    found = END64.unpack(_at(file, place, END64.size))
    if found[0] != b"PK\x06\x06":
        raise damaged("its directory contradicts its length")
    return int(found[7]), int(found[8]), int(found[9])


def _text(entry: Entry) -> str:
    """The name: UTF-8 where it says so or looks so (as Macs write it), else code page 437."""
    if entry.flags & _UTF8:
        return entry.name.decode("utf-8", "surrogateescape")
    try:
        return entry.name.decode("utf-8")
    except UnicodeDecodeError:
        return entry.name.decode("cp437")


def _at(file: BinaryIO, place: int, wanted_bytes: int) -> bytes:
    try:
        file.seek(place, os.SEEK_SET)
    except (OSError, OverflowError, ValueError):
        raise damaged("its directory contradicts its length") from None
    content = read_packed(file, wanted_bytes)
    if len(content) != wanted_bytes:
        raise damaged("it ends too early")
    return content
