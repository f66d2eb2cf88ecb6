"""Unpacking a stream piece by piece, so that neither its header nor its content can fill the memory."""

from __future__ import annotations

import bz2
import lzma
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import BinaryIO, final

from striate.data.member import damaged
from striate.data.trouble import told
from striate.errors import DataError

PIECE_BYTES = 2**20
"""The most that comes out at once."""

_PACKED_BYTES = 2**16
"""Read at once: of many short streams on end the rest is copied for each."""

_DICTIONARY_BYTES = 2**27
"""Memory that an xz file may ask for: `xz -9` takes half of it."""


class Machine(ABC):
    """Unpacks one stream.  hungry: whether it wants more of it; ended: whether its end came."""

    hungry = True
    ended = False

    @abstractmethod
    def feed(self, packed: bytes) -> bytes:
        """At most PIECE_BYTES of plain bytes.  Raises what its library raises."""

    @property
    @abstractmethod
    def rest(self) -> bytes:
        """What was fed beyond its end."""


@final
class Deflate(Machine):
    """RFC 1951 bare, as in a zip, or within gzip (RFC 1952)."""

    def __init__(self, *, gzip: bool) -> None:
        self._inner = zlib.decompressobj(31 if gzip else -15)

    def feed(self, packed: bytes) -> bytes:
        plain = self._inner.decompress(self._inner.unconsumed_tail + packed, PIECE_BYTES)
        self.hungry = not self._inner.unconsumed_tail
        self.ended = self._inner.eof
        return plain

    @property
    def rest(self) -> bytes:
        return self._inner.unused_data


@final
class Other(Machine):
    """bzip2 or xz."""

    def __init__(self, inner: bz2.BZ2Decompressor | lzma.LZMADecompressor) -> None:
        self._inner = inner

    def feed(self, packed: bytes) -> bytes:
        plain = self._inner.decompress(packed, PIECE_BYTES)
        self.ended = self._inner.eof
        self.hungry = self.ended or self._inner.needs_input
        return plain

    @property
    def rest(self) -> bytes:
        return self._inner.unused_data


_MACHINES: dict[str, Callable[[], Machine]] = {
    "gzip": lambda: Deflate(gzip=True),
    "bzip2": lambda: Other(bz2.BZ2Decompressor()),
    "xz": lambda: Other(lzma.LZMADecompressor(lzma.FORMAT_XZ, _DICTIONARY_BYTES)),
}


def inflated(file: BinaryIO, kind: str) -> Iterator[bytes]:
    """The plain content of a file: of all its streams on end, zero bytes between them left out.

    kind: gzip, bzip2 or xz; anything else is plain.  Raises: DataError where it is damaged or ends too early.
    """
    if kind not in _MACHINES:
        while piece := read_packed(file, PIECE_BYTES):
            yield piece
        return
    machine: Machine | None = _MACHINES[kind]()
    waiting = b""
    while True:
        if machine is None:
            waiting = waiting.lstrip(b"\0") or read_packed(file, _PACKED_BYTES).lstrip(b"\0")
            if not waiting:
                if not (waiting := read_packed(file, _PACKED_BYTES)):
                    return
                continue
            machine = _MACHINES[kind]()
        packed = b""
        if machine.hungry:
            packed, waiting = waiting or read_packed(file, _PACKED_BYTES), b""
        starved = machine.hungry and not packed
        plain = fed(machine, packed)
        if plain:
            yield plain
        if machine.ended:
            waiting, machine = machine.rest, None
        elif starved and not plain:
            raise damaged("it ends too early")


def fed(machine: Machine, packed: bytes) -> bytes:
    """What comes out of the machine.  Raises: DataError where the stream is damaged."""
    try:
        return machine.feed(packed)
    except (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError) as problem:
        raise damaged(told(problem)) from None
    except MemoryError:
        raise damaged("it asks for more memory than is there") from None


def read_packed(file: BinaryIO, most_bytes: int) -> bytes:
    """Some bytes of the archive, none at its end.  Raises: DataError where the system will not give them."""
    try:
        return file.read(most_bytes)
    except OSError as problem:
        raise DataError(
            f"it cannot be read: {problem.strerror or problem}", expected="an archive that you may read"
        ) from None
