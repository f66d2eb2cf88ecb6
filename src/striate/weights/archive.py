"""The members of a zip file whose content is stored as it is, found by the file's own directory.

Nothing is extracted or decompressed: a member is a stretch of the file.  The directory is checked before
memory is taken for it.  Source: PKWARE APPNOTE 6.3, sections 4.3.7, 4.3.12 and 4.3.14 to 4.3.16.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO

from striate.data.directory import (
    ENCRYPTED,
    END,
    END64,
    END64_PLACE,
    ENTRY,
    MOST_COMMENT,
    Cut,
    find_end,
    read_entry,
)
from striate.weights.inert import Broken

MOST_MEMBERS = 65_535
MOST_DIRECTORY_BYTES = 1 << 25

_LOCAL = struct.Struct("<4s5H3L2H")


@dataclass(frozen=True, slots=True)
class Member:
    """One member.

    size_bytes: of its content.  header: where its local header stands.  checksum: CRC-32, 0 if not given.
    stored: whether the content stands in the file as it is.
    """

    name: str
    size_bytes: int
    header: int
    checksum: int
    stored: bool


def read_directory(file: BinaryIO, size_bytes: int) -> Mapping[str, Member]:
    """The members by name, in the order of the directory.  Raises Broken where they contradict the file."""
    count, length, start = _end(file, size_bytes)
    if count > MOST_MEMBERS:
        raise Broken(f"it is a zip file of {count:,} members; at most {MOST_MEMBERS:,} are read")
    if length > MOST_DIRECTORY_BYTES or start + length > size_bytes or count * ENTRY.size > length:
        raise Broken("the directory of the zip file contradicts its size")
    content = _at(file, start, length)
    members: dict[str, Member] = {}
    place = total = 0
    for _ in range(count):
        member, place = _entry(content, place)
        if member.name in members:
            raise Broken(f"the zip file has two members `{member.name}`")
        total += member.size_bytes if member.stored else 0
        end = member.header + _LOCAL.size + member.size_bytes
        if (member.stored and end > start) or total > size_bytes:
            raise Broken(f"member `{member.name}` of the zip file is longer than the file has room for")
        members[member.name] = member
    return members


def content_place(file: BinaryIO, member: Member, size_bytes: int) -> int:
    """Where the content of a stored member begins in the file."""
    if not member.stored:
        raise Broken(f"member `{member.name}` is compressed or encrypted, and torch.save does neither")
    found = _LOCAL.unpack(_at(file, member.header, _LOCAL.size))
    if found[0] != b"PK\x03\x04":
        raise Broken(f"member `{member.name}` is not where the zip file's directory says")
    start = int(member.header + _LOCAL.size + found[9] + found[10])
    if start + member.size_bytes > size_bytes:
        raise Broken(f"member `{member.name}` of the zip file is longer than the file has room for")
    return start


def check_sum(member: Member, content: bytes | bytearray) -> None:
    """Raise Broken where the content is not what was written.  torch may leave the sum out, as 0."""
    if member.checksum and zlib.crc32(content) != member.checksum:
        raise Broken(f"member `{member.name}` differs from its own checksum: the file was damaged")


def _at(file: BinaryIO, place: int, length: int) -> bytes:
    file.seek(place)
    content = file.read(length)
    if len(content) != length:
        raise Broken("the zip file ends too early")
    return content


def _end(file: BinaryIO, size_bytes: int) -> tuple[int, int, int]:
    """Number of members, length and place of the directory."""
    window = min(size_bytes, END.size + MOST_COMMENT)
    end = find_end(_at(file, size_bytes - window, window))
    if end is None:
        raise Broken("the zip file ends too early: its directory is missing")
    if end.parts:
        raise Broken("the zip file is one of several parts")
    if not end.wide:
        return end.members, end.length, end.start
    return _end64(file, size_bytes - window + end.at, size_bytes)


def _end64(file: BinaryIO, before: int, size_bytes: int) -> tuple[int, int, int]:
    if before < END64_PLACE.size:
        raise Broken("the zip file ends too early: its directory is missing")
    mark, _, place, _ = END64_PLACE.unpack(_at(file, before - END64_PLACE.size, END64_PLACE.size))
    if mark != b"PK\x06\x07" or place + END64.size > size_bytes:
        raise Broken("the directory of the zip file contradicts its size")
    found = END64.unpack(_at(file, place, END64.size))
    if found[0] != b"PK\x06\x06":
        raise Broken("the directory of the zip file contradicts its size")
    return int(found[7]), int(found[8]), int(found[9])


def _entry(content: bytes, place: int) -> tuple[Member, int]:
    try:
        entry, after = read_entry(content, place)
    except Cut:
        raise Broken("the directory of the zip file ends too early") from None
    name = entry.name.decode("utf-8", "replace")
    if name.startswith(("/", "\\")) or ".." in name.replace("\\", "/").split("/") or ":" in name:
        raise Broken(f"the zip file has a member `{name}`, which would lie outside of any folder")
    stored = entry.method == 0 and entry.packed_bytes == entry.size_bytes and not entry.flags & ENCRYPTED
    return Member(name, entry.size_bytes, entry.header, entry.checksum, stored), after
