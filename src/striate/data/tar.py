"""The members of a tar archive: ustar, GNU's long names and pax headers.

Source: POSIX.1-2024, pax, "ustar Interchange Format" and "pax Header Block"; GNU tar manual, "Basic Tar Format".
"""

from __future__ import annotations

from collections.abc import Iterator

from striate.data.allowance import Allowance
from striate.data.member import Member, damaged
from striate.errors import DataError

BLOCK_BYTES = 512
_HEADER_BYTES = 2**16
"""The most that a long name or a pax header may take."""

_HEADERS = 8
"""So many of them before one member, of which honest writers put four at most."""

_SIZE = range(2**60)

_LEFT_OUT = {
    b"1": ("archive-link", "it is a hard link"),
    b"2": ("archive-link", "it is a symbolic link"),
    b"3": ("archive-special", "it is a device"),
    b"4": ("archive-special", "it is a device"),
    b"6": ("archive-special", "it is a pipe"),
    b"S": ("archive-special", "it is a sparse file, with holes"),
    b"M": ("archive-special", "it goes on from another part of the archive"),
}
_WITHOUT_CONTENT = frozenset(b"123456")
_FILES = frozenset(b"\x000 7")


def is_tar(block: bytes) -> bool:
    """Whether these are the first 512 bytes of a tar archive: the sum over its first header is right."""
    if len(block) < BLOCK_BYTES or not block[0]:
        return False
    try:
        return _number(block[148:156]) == _sum(block)
    except DataError:
        return False


class Stream:
    """Plain bytes, taken as many at a time as one wants."""

    def __init__(self, pieces: Iterator[bytes], allowance: Allowance) -> None:
        self._pieces = pieces
        self._allowance = allowance
        self._here = b""
        self._at = 0

    def some(self, most_bytes: int) -> bytes:
        """Between 1 and `most_bytes`, or none at the end."""
        if self._at == len(self._here):
            self._here, self._at = next(self._pieces, b""), 0
            self._allowance.take(len(self._here))
        found = self._here[self._at : self._at + most_bytes]
        self._at += len(found)
        return found

    def exactly(self, wanted_bytes: int) -> bytes:
        """So many, or fewer at the end."""
        found = bytearray()
        while len(found) < wanted_bytes and (piece := self.some(wanted_bytes - len(found))):
            found += piece
        return bytes(found)

    def content(self, size_bytes: int) -> Iterator[bytes]:
        """A member's content, and past the zero bytes that fill its last block."""
        left = size_bytes
        while left:
            if not (piece := self.some(left)):
                raise damaged("it ends within a member")
            left -= len(piece)
            yield piece
        fill = -size_bytes % BLOCK_BYTES
        if len(self.exactly(fill)) < fill:
            raise damaged("it ends within a member")


def tar_members(pieces: Iterator[bytes], allowance: Allowance) -> Iterator[Member]:
    """The members in order.  pieces: the plain archive.

    Raises: DataError where a header is damaged, or the end is missing: what was lost nobody could tell.
    """
    stream = Stream(pieces, allowance)
    said: dict[str, bytes] = {}  # by the headers before a member
    before = 0
    begun = False
    while True:
        block = stream.exactly(BLOCK_BYTES)
        if len(block) == BLOCK_BYTES and not any(block):
            break
        if not begun and not is_tar(block):
            raise DataError(
                "what is packed in it is no tar archive",
                expected="a .tar, or a .tar within .gz, .bz2 or .xz",
                cure="unpack it and give the folder that it lies in",
            )
        if len(block) < BLOCK_BYTES:
            raise damaged("its end is missing")
        if not is_tar(block):
            raise damaged("a header's checksum is wrong")
        begun = True
        kind, size_bytes = block[156:157], _number(block[124:136])
        if kind in (b"L", b"K", b"x", b"X", b"g"):
            before += 1
            if size_bytes > _HEADER_BYTES or before > _HEADERS:
                raise damaged("a member's name or properties are too long")
            content = b"".join(stream.content(size_bytes))
            if kind == b"L":
                said["path"] = content.rstrip(b"\0")
            elif kind in (b"x", b"X"):
                said |= _records(content)
            continue
        member, left = _member(block, kind, size_bytes, said, stream)
        yield member
        for _ in left:  # what nobody took
            pass
        said, before = {}, 0
    # The packed stream's own checksum stands at its end.
    more = False
    while piece := stream.some(BLOCK_BYTES**2):
        more = more or any(piece)
    if more:
        raise damaged("something stands behind its end, as where two were joined to one")


def _member(
    block: bytes, kind: bytes, size_bytes: int, said: dict[str, bytes], stream: Stream
) -> tuple[Member, Iterator[bytes]]:
    name = said.get("path", b"") or _ustar_name(block)
    if "size" in said:
        if not said["size"].isdigit() or len(said["size"]) > 18:
            raise damaged("a member's length is no number")
        size_bytes = int(said["size"])
    folder = kind == b"5" or (kind[0] in _FILES and name.endswith(b"/"))
    trouble = _LEFT_OUT.get(kind)
    if trouble is None and any(each.startswith("GNU.sparse.") for each in said):
        trouble = _LEFT_OUT[b"S"]
    if trouble is None and not folder and kind[0] not in _FILES:
        trouble = (
            "archive-special",
            f"it is of a kind that is not known, `{ascii(kind.decode('latin-1'))[1:-1]}`",
        )
    content = stream.content(0 if kind[0] in _WITHOUT_CONTENT else size_bytes)
    return Member(name.decode("utf-8", "surrogateescape"), folder, trouble, content), content


def _ustar_name(block: bytes) -> bytes:
    name = block[:100].split(b"\0")[0]
    # GNU's own format, `ustar  `, keeps times where this one keeps folders.
    prefix = block[345:500].split(b"\0")[0] if block[257:263] == b"ustar\0" else b""
    return prefix + b"/" + name if prefix else name


def _records(content: bytes) -> dict[str, bytes]:
    """The properties of a pax header.  record = LENGTH " " KEY "=" VALUE "\\n"; LENGTH counts all of it."""
    found: dict[str, bytes] = {}
    while content.rstrip(b"\0"):
        length, _, rest = content[:20].partition(b" ")
        size = int(length) if length.isdigit() and rest else 0
        key, mark, value = content[len(length) + 1 : size].partition(b"=")
        if not (mark and key and value.endswith(b"\n")) or size > len(content):
            raise damaged("a member's properties cannot be read")
        found[key.decode("utf-8", "replace")] = value[:-1]
        content = content[size:]
    return found


def _number(field: bytes) -> int:
    """Octal digits, or where the first bit is set, a whole number of 8-bit digits (GNU)."""
    if field[0] == 0x80:
        value = int.from_bytes(field[1:], "big")
    else:
        digits = field.split(b"\0")[0].strip(b" ")
        if digits.strip(b"01234567"):
            raise damaged("a number in a header is none")
        value = int(digits or b"0", 8)
    if value not in _SIZE:
        raise damaged("a number in a header is none")
    return value


def _sum(block: bytes) -> int:
    return sum(block) - sum(block[148:156]) + 8 * ord(" ")
