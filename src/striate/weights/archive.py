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

from striate.weights.inert import Broken

MOST_MEMBERS = 65_535
MOST_DIRECTORY_BYTES = 1 << 25

_END = struct.Struct("<4s4H2LH")
_END64_PLACE = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_MOST_COMMENT = 0xFFFF
_FULL_16, _FULL_32 = 0xFFFF, 0xFFFFFFFF
_ENCRYPTED = 1


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
    if length > MOST_DIRECTORY_BYTES or start + length > size_bytes or count * _ENTRY.size > length:
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
    window = min(size_bytes, _END.size + _MOST_COMMENT)
    tail = _at(file, size_bytes - window, window)
    at = tail.rfind(b"PK\x05\x06")
    while at >= 0:
        if at + _END.size <= len(tail):
            found = _END.unpack_from(tail, at)
            if at + _END.size + found[7] == len(tail):
                break
        at = tail.rfind(b"PK\x05\x06", 0, at)
    if at < 0:
        raise Broken("the zip file ends too early: its directory is missing")
    _, disk, first_disk, _, count, length, start, _ = found
    if disk not in (0, _FULL_16) or first_disk not in (0, _FULL_16):
        raise Broken("the zip file is one of several parts")
    if count != _FULL_16 and length != _FULL_32 and start != _FULL_32:
        return count, length, start
    return _end64(file, size_bytes - window + at, size_bytes)


def _end64(file: BinaryIO, before: int, size_bytes: int) -> tuple[int, int, int]:
    if before < _END64_PLACE.size:
        raise Broken("the zip file ends too early: its directory is missing")
    mark, _, place, _ = _END64_PLACE.unpack(_at(file, before - _END64_PLACE.size, _END64_PLACE.size))
    if mark != b"PK\x06\x07" or place + _END64.size > size_bytes:
        raise Broken("the directory of the zip file contradicts its size")
    found = _END64.unpack(_at(file, place, _END64.size))
    if found[0] != b"PK\x06\x06":
        raise Broken("the directory of the zip file contradicts its size")
    return int(found[7]), int(found[8]), int(found[9])


def _entry(content: bytes, place: int) -> tuple[Member, int]:
    if place + _ENTRY.size > len(content):
        raise Broken("the directory of the zip file ends too early")
    found = _ENTRY.unpack_from(content, place)
    mark, _, _, flags, method, _, _, checksum, packed, size, name_length, extra_length, comment_length = (
        found[:13]
    )
    header = found[16]
    names = place + _ENTRY.size
    extras = names + name_length
    after = extras + extra_length + comment_length
    if mark != b"PK\x01\x02" or after > len(content):
        raise Broken("the directory of the zip file ends too early")
    size, packed, header = _wide(content[extras : extras + extra_length], [size, packed, header])
    name = content[names:extras].decode("utf-8", "replace")
    if name.startswith(("/", "\\")) or ".." in name.replace("\\", "/").split("/") or ":" in name:
        raise Broken(f"the zip file has a member `{name}`, which would lie outside of any folder")
    stored = method == 0 and packed == size and not flags & _ENCRYPTED
    return Member(name, size, header, checksum, stored), after


def _wide(extra: bytes, values: list[int]) -> list[int]:
    """The numbers that need 64 bits, from the extra field, in the order of the directory."""
    place = 0
    while place + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, place)
        if kind == 1:
            field, at = extra[place + 4 : place + 4 + length], 0
            for index, value in enumerate(values):
                if value == _FULL_32:
                    if at + 8 > len(field):
                        raise Broken("the directory of the zip file ends too early")
                    (values[index],) = struct.unpack_from("<Q", field, at)
                    at += 8
            break
        place += 4 + length
    return values
