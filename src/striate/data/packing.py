"""How a file is packed, told by its first bytes."""

from __future__ import annotations

from striate.data.tar import is_tar

READ = ("zip", "tar", "gzip", "bzip2", "xz")
"""The kinds that are unpacked here: a tar may be packed by one of the last three."""

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


def packing(head: bytes) -> str | None:
    """The kind of archive whose first 512 bytes are `head`, or None for anything else."""
    for mark, kind in _MARKS:
        if head.startswith(mark) and (kind != "bzip2" or head[4:10] in _BZIP2_BLOCKS):
            return kind
    return "tar" if is_tar(head[:512]) else None


# A text may begin with BZh as well; behind it and a digit stand the digits of pi, or of its root at the end.
_BZIP2_BLOCKS = (b"1AY&SY", b"\x17rE8P\x90")
