"""Files of torch.save made by hand, so that they can lie."""

from __future__ import annotations

import collections
import io
import pickle
import struct
import sys
import tracemalloc
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from striate.errors import StriateError
from striate.weights.file import read_tensors

MAGIC = 0x1950A86A20F9469CFC6C


@dataclass(frozen=True)
class Row:
    """A storage as a pickle refers to it.  identity: what it says instead, whole."""

    key: Any = "0"
    numbers: Any = 4
    kind: Any = torch.FloatStorage
    identity: Any = None


@dataclass(frozen=True)
class Claim:
    """A tensor as a pickle describes it, true or not."""

    size: Any = (4,)
    stride: Any = (1,)
    offset: Any = 0
    row: Any = Row()

    def __reduce__(self) -> Any:
        more = (False, collections.OrderedDict())
        return torch._utils._rebuild_tensor_v2, (self.row, self.offset, self.size, self.stride, *more)


@dataclass(frozen=True)
class Run:
    """Asks to have a function called when it is opened."""

    function: Any
    arguments: tuple[Any, ...]

    def __reduce__(self) -> Any:
        return self.function, self.arguments


class _Pickler(pickle.Pickler):
    # The form before zip says which part of a storage is meant: all of it.
    more: tuple[Any, ...] = ()

    def persistent_id(self, value: Any) -> Any:
        if not isinstance(value, Row):
            return None
        return value.identity or ("storage", value.kind, value.key, "cpu", value.numbers, *self.more)


def pickled(value: Any, protocol: int = 2, *, fix_imports: bool = True, form: str = "zip") -> bytes:
    """What torch.save would write of a value.  fix_imports: with the names of Python 2.  form: zip or old."""
    content = io.BytesIO()
    # Deep values need deep recursion in the writer; the reader has none.
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(20_000)
    try:
        pickler = _Pickler(content, protocol, fix_imports=protocol == 2 and fix_imports)
        pickler.more = () if form == "zip" else (None,)
        pickler.dump(value)
    finally:
        sys.setrecursionlimit(limit)
    return content.getvalue()


FOUR = struct.pack("<4f", 1, 2, 3, 4)


def zipped(program: bytes, storages: Mapping[str, bytes] | None = None, *, compress: bool = False) -> bytes:
    """The zip form of a pickle and its storages."""
    content = io.BytesIO()
    method = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    with zipfile.ZipFile(content, "w", method) as archive:
        archive.writestr("w/data.pkl", program)
        archive.writestr("w/byteorder", b"little")
        for key, numbers in ({"0": FOUR} if storages is None else storages).items():
            archive.writestr(f"w/data/{key}", numbers)
        archive.writestr("w/version", b"3\n")
    return content.getvalue()


def old(
    program: bytes,
    storages: Mapping[str, bytes] | None = None,
    *,
    magic: Any = MAGIC,
    version: Any = 1001,
    system: Any = None,
    keys: Any = None,
    counts: Mapping[str, int] | None = None,
) -> bytes:
    """The form before zip.  counts: how many numbers each storage says that it has, 4 bytes each."""
    held = {"0": FOUR} if storages is None else storages
    head = [magic, version, system or {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}]
    content = b"".join(pickled(each) for each in head) + program
    content += pickled(list(held) if keys is None else keys)
    for key, numbers in held.items():
        content += struct.pack("<q", (counts or {}).get(key, len(numbers) // 4)) + numbers
    return content


def both(value: Any) -> dict[str, bytes]:
    """The same value, or pickle, in both forms."""
    programs = {
        form: value if isinstance(value, bytes) else pickled(value, form=form) for form in ("zip", "old")
    }
    return {"zip": zipped(programs["zip"]), "old": old(programs["old"])}


def written(content: bytes, folder: Path) -> Path:
    path = folder / "w.pth"
    path.write_bytes(content)
    return path


# More than any of these files needs, and far less than what they declare.
MOST_BYTES = 20 << 20


def refused(content: bytes, folder: Path) -> str:
    """The first line of the error, without the file's place; little memory was taken on the way to it."""
    path = written(content, folder)
    tracemalloc.start()
    with pytest.raises(StriateError) as caught:
        read_tensors(path)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < MOST_BYTES, f"{most:,} bytes"
    lines = str(caught.value).splitlines()
    assert lines[0].startswith(f"{path}: ")
    assert lines[-2].startswith("  expected: ")
    assert lines[-1].startswith("  try: ")
    return lines[0].removeprefix(f"{path}: ")
