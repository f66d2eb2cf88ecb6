"""The members of a zip or tar archive, read by Python's own libraries and not believed.

What a header says of itself, its length before all, is only compared with what comes out.  Nothing is
extracted by the libraries: they give names and bytes, and `unpack.py` decides what becomes a file.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

from striate.data.archives.allowance import Allowance, Broken, clipped, damaged, hostile, refuse_many
from striate.data.files.finding import told
from striate.errors import DataError

READ = ("zip", "tar", "gzip", "bzip2", "xz")
"""The kinds that are unpacked here: a tar may be packed by one of the last three."""

PIECE_BYTES = 2**20
"""The most that is unpacked at once."""

_MARKS = (
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),  # an empty one
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"Rar!\x1a\x07", "rar"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"LZIP", "lzip"),
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"\x1f\x9d", "compress"),
    (b"MSCF\x00\x00\x00\x00", "cab"),
)

# A text may begin with BZh as well; behind it and a digit stand the digits of pi, or of its root at the end.
_BZIP2_BLOCKS = (b"1AY&SY", b"\x17rE8P\x90")

_DICTIONARY_BYTES = 2**27
"""Memory that an xz file may ask for: `xz -9` takes half of it."""

_ENTRY_BYTES = 512
"""More than an entry of a zip's directory takes on average, as far as memory is given to it."""

_LOCAL_BYTES = 30
"""What a zip member's own header takes before its name."""

_HEADER_BYTES = 2**16
"""The most that a long name or a pax header of a tar may take."""

_SECRET = 1 | 1 << 6 | 1 << 13
"""A zip member's flags: encrypted, strongly encrypted, its header masked (APPNOTE 4.4.4)."""

_EXTENDED = (
    tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK,
    tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE,
)  # fmt: skip

_LEFT_OUT = {
    tarfile.LNKTYPE: ("archive-link", "it is a hard link"),
    tarfile.SYMTYPE: ("archive-link", "it is a symbolic link"),
    tarfile.CHRTYPE: ("archive-special", "it is a device"),
    tarfile.BLKTYPE: ("archive-special", "it is a device"),
    tarfile.FIFOTYPE: ("archive-special", "it is a pipe"),
    tarfile.GNUTYPE_SPARSE: ("archive-special", "it is a sparse file, with holes"),
    b"M": ("archive-special", "it goes on from another part of the archive"),
}

_DAMAGED = (
    zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, struct.error, EOFError, ValueError,
    OverflowError, RecursionError, NotImplementedError, RuntimeError, LookupError,
)  # fmt: skip
"""What the libraries raise for archives that are not what they say."""


@dataclass(frozen=True, slots=True)
class Member:
    """One member.

    name: as the archive has it; bytes that are no text stand as surrogates.
    trouble: the code and the reason of the finding that leaves it out, or None.
    pieces: its plain content; what is not taken is passed over.  Raises: Broken, DataError, ResourceError.
    """

    name: str
    folder: bool
    trouble: tuple[str, str] | None
    pieces: Iterator[bytes]


def packing(head: bytes) -> str | None:
    """The kind of archive whose first 512 bytes are `head`, or None for anything else."""
    for mark, kind in _MARKS:
        if head.startswith(mark) and (kind != "bzip2" or head[4:10] in _BZIP2_BLOCKS):
            return kind
    try:
        return "tar" if tarfile.TarInfo.frombuf(head[: tarfile.BLOCKSIZE], "utf-8", "replace") else None
    except tarfile.HeaderError:
        return None


def members_of(file: BinaryIO, kind: str, allowance: Allowance) -> Iterator[Member]:
    """The members of an archive, each to be taken before the next is asked for.

    kind: one of READ.  Raises: DataError where it is damaged, hostile or beyond the limits.
    """
    return _zip_members(file, allowance) if kind == "zip" else _tar_members(file, kind, allowance)


class _Directory:
    """A zip file as `zipfile` reads it: its directory, which comes in one piece, is refused where it is too long."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, wanted_bytes: int = -1) -> bytes:
        refuse_many(wanted_bytes // _ENTRY_BYTES)
        content = self._file.read(wanted_bytes)
        if content.startswith(b"PK\x01\x02"):
            refuse_many(content.count(b"PK\x01\x02"))  # before an object is made of each line
        return content


def _zip_members(file: BinaryIO, allowance: Allowance) -> Iterator[Member]:
    """The members in the order of their places.

    Where no name holds a slash, backslashes stand for them, as some programs for Windows write against the standard.
    Raises: DataError where the directory is damaged, or members share bytes of the file, as in archives
    that unpack to far more than any ratio of one stream allows (Fifield 2019, A better zip bomb).
    """
    watched: Any = _Directory(file)
    with _reasons():
        archive = zipfile.ZipFile(watched)
    with archive:
        entries = sorted(archive.infolist(), key=lambda each: each.header_offset)
        ends = [*(each.header_offset for each in entries[1:]), archive.start_dir][: len(entries)]
        for each, end in zip(entries, ends, strict=True):
            if each.header_offset < 0:
                raise damaged("its directory contradicts its length")
            header_bytes = _LOCAL_BYTES + len(each.orig_filename)
            if each.header_offset + header_bytes + each.compress_size > end:
                raise hostile(f"its member `{clipped(_zip_name(each))}` shares bytes with another")
        separator = "/" if any("/" in each.orig_filename for each in entries) else "\\"
        for each in entries:
            name = _zip_name(each).replace(separator, "/")
            yield Member(name, name.endswith("/"), _zip_trouble(each), _zip_content(archive, each, allowance))


def _zip_name(entry: zipfile.ZipInfo) -> str:
    """The name: UTF-8 where it says so or looks so (as Macs write it), else code page 437."""
    name = entry.orig_filename
    if not entry.flag_bits & 1 << 11:
        try:
            return name.encode("cp437").decode("utf-8")
        except UnicodeError:
            pass
    return name


def _zip_trouble(entry: zipfile.ZipInfo) -> tuple[str, str] | None:
    if entry.flag_bits & _SECRET:
        return "archive-encrypted", "it is encrypted"
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind == stat.S_IFLNK:
        return "archive-link", "it is a symbolic link"
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "archive-special", "it is a pipe, a device or a socket"
    # Of the other methods zipfile unpacks a whole block at once, however large.
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        reason = f"it is packed by method {entry.compress_type}, and only stored and deflate are read"
        return "archive-damaged", reason
    most = Allowance.most_of_member(entry.compress_size)
    if entry.file_size > most:
        reason = f"its {entry.compress_size:,} packed bytes unpack to more than the {most:,} that they may"
        return "archive-ratio", reason
    return None


def _zip_content(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, allowance: Allowance) -> Iterator[bytes]:
    """The plain bytes: never more than the directory says, which `_zip_trouble` has bounded."""
    size_bytes = 0
    try:
        with archive.open(entry) as content:
            while piece := content.read(PIECE_BYTES):
                allowance.take(len(piece))
                size_bytes += len(piece)
                yield piece
    except (*_DAMAGED, OSError) as problem:
        raise Broken("archive-damaged", f"it is damaged: {told(problem)}") from None
    if size_bytes != entry.file_size:
        reason = f"it declares {entry.file_size:,} bytes and holds {size_bytes:,}"
        raise Broken("archive-damaged", reason)


class _Header(tarfile.TarInfo):
    """A tar header whose lengths are bounded before anything is read for them."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Header:
        """Raises: DataError where tarfile would take a damaged header for the end."""
        try:
            found = super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError:
            if len(buf) < tarfile.BLOCKSIZE:
                raise damaged("its end is missing") from None
            if any(buf):
                raise damaged("a header's checksum or one of its numbers is wrong") from None
            raise
        _refuse_negative(found)
        if found.type in _EXTENDED and found.size > _HEADER_BYTES:
            raise damaged("a member's name or properties are too long")
        return found


def _refuse_negative(member: tarfile.TarInfo) -> None:
    if member.size < 0:
        raise damaged("a member's length is no number")


class _Plain(io.RawIOBase):
    """The plain content of a file, counted as it comes out, a piece at a time."""

    def __init__(self, file: BinaryIO, kind: str, allowance: Allowance) -> None:
        self._allowance = allowance
        self._inner: Any = file
        if kind == "gzip":
            self._inner = gzip.GzipFile(fileobj=file, mode="rb")
        elif kind == "bzip2":
            self._inner = bz2.BZ2File(file)
        elif kind == "xz":
            # LZMAFile has no limit on memory; whoever asks for more does so in the first block.
            with _reasons():
                lzma.LZMADecompressor(lzma.FORMAT_XZ, _DICTIONARY_BYTES).decompress(file.read(2**12), 1)
            file.seek(0)
            self._inner = lzma.LZMAFile(  # noqa: SIM115 - its reader is closed with the archive
                file, format=lzma.FORMAT_XZ
            )

    def read(self, most_bytes: int = -1) -> bytes:
        with _reasons():
            piece: bytes = self._inner.read(PIECE_BYTES if most_bytes < 0 else min(most_bytes, PIECE_BYTES))
        self._allowance.take(len(piece))
        return piece


def _tar_members(file: BinaryIO, kind: str, allowance: Allowance) -> Iterator[Member]:
    """The members in order.

    Raises: DataError where a header is damaged, or the end is missing: what was lost nobody could tell.
    """
    plain = _Plain(file, kind, allowance)
    first = plain.read(tarfile.BLOCKSIZE)
    if packing(first) != "tar" and any(first):
        raise DataError(
            "what is packed in it is no tar archive",
            expected="a .tar, or a .tar within .gz, .bz2 or .xz",
            cure="unpack it and give the folder that it lies in",
        )
    file.seek(0)
    plain = _Plain(file, kind, allowance)
    with (
        _reasons(),
        tarfile.open(
            fileobj=plain,
            mode="r|",
            tarinfo=_Header,
            encoding="utf-8",
            errors="surrogateescape",
            bufsize=2**16,
        ) as archive,
    ):
        while (member := archive.next()) is not None:
            _refuse_negative(member)
            vars(archive)["members"] = []  # else every one that was seen is kept
            name = member.name
            folder = member.isdir() or (member.isreg() and name.endswith("/"))
            yield Member(name, folder, _tar_trouble(member, folder), _tar_content(archive, member))
        # The packed stream's own checksum stands at its end.
        rest = archive.fileobj
        more = False
        while rest is not None and (piece := rest.read(PIECE_BYTES)):
            more = more or any(piece)
        if more:
            raise damaged("something stands behind its end, as where two were joined to one")


def _tar_trouble(member: tarfile.TarInfo, folder: bool) -> tuple[str, str] | None:
    if member.type in _LEFT_OUT:
        return _LEFT_OUT[member.type]
    if any(each.startswith("GNU.sparse.") for each in member.pax_headers):
        return _LEFT_OUT[tarfile.GNUTYPE_SPARSE]
    if not folder and not member.isreg():
        kind = ascii(member.type.decode("latin-1"))[1:-1]
        return "archive-special", f"it is of a kind that is not known, `{kind}`"
    return None


def _tar_content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Iterator[bytes]:
    with _reasons():
        content = archive.extractfile(member)
        while content is not None and (piece := content.read(PIECE_BYTES)):
            yield piece


@contextmanager
def _reasons() -> Iterator[None]:
    """Turns what Python's libraries raise of a damaged archive into an error of the whole."""
    try:
        yield
    except MemoryError:
        raise damaged("it asks for more memory than is there") from None
    except (*_DAMAGED, OSError) as problem:
        if isinstance(problem, OSError) and problem.errno is not None:
            raise DataError(
                f"it cannot be read: {problem.strerror or problem}", expected="an archive that you may read"
            ) from None
        raise damaged(told(problem)) from None
