"""The records of a zip file's directory, read and not yet believed.

Source: PKWARE APPNOTE 6.3.10, sections 4.3.12, 4.3.14 to 4.3.16 and 4.5.3.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

ENTRY = struct.Struct("<4s6H3L5H2L")
END = struct.Struct("<4s4H2LH")
END64_PLACE = struct.Struct("<4sLQL")
END64 = struct.Struct("<4sQ2H2L4Q")
MOST_COMMENT = 0xFFFF
FULL_16, FULL_32 = 0xFFFF, 0xFFFFFFFF
ENCRYPTED = 1


class Cut(Exception):
    """The directory ends in the middle of an entry."""


class Entry(NamedTuple):
    """One line of the directory.  header: where the member's own header stands; mode: of Unix, 0 if not given."""

    name: bytes
    flags: int
    method: int
    checksum: int
    packed_bytes: int
    size_bytes: int
    header: int
    mode: int


class End(NamedTuple):
    """The last record.  at: where it stands in what was searched.

    parts: whether the file is one of several.  wide: whether a larger record may hold the true numbers.
    """

    at: int
    members: int
    length: int
    start: int
    parts: bool
    wide: bool


def find_end(tail: bytes) -> End | None:
    """The last record that ends where the file does, its comment counted; None where there is none."""
    at = tail.rfind(b"PK\x05\x06")
    while at >= 0:
        if at + END.size <= len(tail):
            _, disk, first_disk, _, count, length, start, comment = END.unpack_from(tail, at)
            if at + END.size + comment == len(tail):
                parts = disk not in (0, FULL_16) or first_disk not in (0, FULL_16)
                wide = count == FULL_16 or length == FULL_32 or start == FULL_32
                return End(at, count, length, start, parts, wide)
        at = tail.rfind(b"PK\x05\x06", 0, at)
    return None


def read_entry(content: bytes, place: int) -> tuple[Entry, int]:
    """The entry at a place of the directory, and where the next one begins.  Raises Cut."""
    if place + ENTRY.size > len(content):
        raise Cut
    (mark, _, _, flags, method, _, _, checksum, packed, size, name_bytes, extra_bytes, comment_bytes, _, _,
     attributes, header) = ENTRY.unpack_from(content, place)  # fmt: skip
    names = place + ENTRY.size
    extras = names + name_bytes
    after = extras + extra_bytes + comment_bytes
    if mark != b"PK\x01\x02" or after > len(content):
        raise Cut
    size, packed, header = _wide(content[extras : extras + extra_bytes], [size, packed, header])
    return Entry(
        content[names:extras], flags, method, checksum, packed, size, header, attributes >> 16
    ), after


def _wide(extra: bytes, values: list[int]) -> list[int]:
    """The numbers that need 64 bits, from the extra field, in the order of the directory."""
    place = 0
    while place + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, place)
        if kind == 1:
            field, at = extra[place + 4 : place + 4 + length], 0
            for index, value in enumerate(values):
                if value == FULL_32:
                    if at + 8 > len(field):
                        raise Cut
                    (values[index],) = struct.unpack_from("<Q", field, at)
                    at += 8
            break
        place += 4 + length
    return values
