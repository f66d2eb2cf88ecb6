"""Files that torch.save writes, read without running any of their code.

Two forms: a zip file with a pickle and one member a storage (since torch 1.6), and a row of pickles with the
storages behind them (before).  Source: torch/serialization.py, `_save`, `_legacy_save` and their readers.
"""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from striate.errors import counted
from striate.weights.archive import Member, check_sum, content_place, read_directory
from striate.weights.inert import Broken, View
from striate.weights.machine import MOST_BYTES, Forbidden
from striate.weights.pickled import Pickled, read_pickle
from striate.weights.trouble import Hostile, clipped, damaged, unreadable

# The long number that every file of the old form begins with, and the version behind it.
MAGIC = 0x1950A86A20F9469CFC6C
_VERSION = 1001


@dataclass(frozen=True, slots=True)
class Region:
    """Where the bytes of a storage stand in the file, and the zip member that they are, if any."""

    place: int
    size_bytes: int
    member: Member | None


@dataclass(frozen=True, slots=True)
class Pth:
    """A file of torch.save, its tensors described but not made.

    value: what was saved: plain values, Views, and Opaques for objects of foreign classes.
    foreign: the names of what was not made.  regions: the storages by their key.
    """

    path: Path
    value: object
    foreign: tuple[str, ...]
    regions: Mapping[str, Region]

    def tensors(self, views: Mapping[str, View]) -> dict[str, Tensor]:
        """Make tensors; those that share a storage in the file share it here.

        Takes no more memory than the storages that they use.  Raises WeightsError where the file is damaged.
        """
        rows: dict[tuple[str, torch.dtype], Tensor] = {}
        made: dict[str, Tensor] = {}
        try:
            with open(self.path, "rb") as file:
                for name, each in views.items():
                    row = (each.storage.key, each.dtype)
                    if row not in rows:
                        rows[row] = _numbers(self.regions[each.storage.key], each.dtype, file)
                    start = each.storage.start * each.storage.item_bytes // each.dtype.itemsize
                    made[name] = rows[row].as_strided(each.size, each.stride, start + each.offset)
        except Broken as problem:
            raise damaged(self.path, str(problem)) from None
        except OSError as problem:
            raise unreadable(self.path, problem) from None
        return made


def read_pth(path: Path) -> Pth:
    """Read a file of torch.save of either form.

    Raises Hostile, with the name, where its pickle names what could run code; WeightsError where it is
    damaged, contradicts itself or passes a limit.  Nothing of it is run, and no tensor is made.
    """
    try:
        with open(path, "rb") as file:
            size_bytes = os.fstat(file.fileno()).st_size
            zipped = file.read(4) == b"PK\x03\x04"
            file.seek(0)
            read = _read_zip if zipped else _read_old
            pickled, regions = read(file, size_bytes)
            _check(pickled, regions)
    except Broken as problem:
        raise damaged(path, clipped(str(problem), 300)) from None
    except Forbidden as name:
        raise Hostile(
            f"the file asks to run `{clipped(str(name))}`; it was not run, and nothing of the file is used",
            place=str(path),
            expected="tensors and plain values only",
            cure="throw the file away, and take weights in a .safetensors file from a source you trust",
        ) from None
    except OSError as problem:
        raise unreadable(path, problem) from None
    return Pth(path, pickled.value, pickled.foreign, regions)


def _read_zip(file: io.BufferedReader, size_bytes: int) -> tuple[Pickled, dict[str, Region]]:
    members = read_directory(file, size_bytes)
    pickles = [
        name
        for name in members
        if name == "data.pkl" or (name.endswith("/data.pkl") and name.count("/") == 1)
    ]
    if len(pickles) != 1:
        raise Broken("it is a zip file, but not one of torch.save: there is no data.pkl in it")
    folder = pickles[0].removesuffix("data.pkl")

    def content(member: Member) -> bytes:
        place = content_place(file, member, size_bytes)
        if member.size_bytes > MOST_BYTES:
            raise Broken(
                f"member `{member.name}` takes {member.size_bytes:,} bytes; at most {MOST_BYTES:,} are read"
            )
        file.seek(place)
        found = file.read(member.size_bytes)
        check_sum(member, found)
        return found

    order = members.get(f"{folder}byteorder")
    if order is not None and content(order).strip() != b"little":
        raise Broken("it was written on a big-endian machine; save it again on another")
    program = content(members[pickles[0]])
    pickled = read_pickle(io.BytesIO(program), len(program))
    regions: dict[str, Region] = {}
    for storage in pickled.storages:
        if storage.key in regions:
            continue
        member = members.get(f"{folder}data/{storage.key}")
        if member is None:
            raise Broken(f"storage {clipped(storage.key)!r} is not in the file")
        regions[storage.key] = Region(content_place(file, member, size_bytes), member.size_bytes, member)
    return pickled, regions


def _read_old(file: io.BufferedReader, size_bytes: int) -> tuple[Pickled, dict[str, Region]]:
    def next_pickle() -> Pickled:
        return read_pickle(file, size_bytes - file.tell())

    magic, version, system = (next_pickle().value for _ in range(3))
    if magic != MAGIC:
        raise Broken("it begins as a pickle, but not as torch.save's")
    if version != _VERSION:
        raise Broken("it is of a version of torch.save that is not known")
    if isinstance(system, dict) and system.get("little_endian", True) is not True:
        raise Broken("it was written on a big-endian machine; save it again on another")
    pickled = next_pickle()
    keys = next_pickle().value
    items = {storage.key: storage.item_bytes for storage in pickled.storages}
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise Broken("the list of its storages is no list of names")
    regions: dict[str, Region] = {}
    for key in keys:
        if key not in items or key in regions:
            raise Broken(f"storage {clipped(key)!r} is in the file and no tensor is on it")
        header = file.read(8)
        if len(header) != 8:
            raise Broken(f"it ends in front of storage {clipped(key)!r}")
        (numbers,) = struct.unpack("<q", header)
        region = Region(file.tell(), numbers * items[key], None)
        if numbers < 0 or region.place + region.size_bytes > size_bytes:
            raise Broken(
                f"storage {clipped(key)!r} says that it has {counted(numbers, 'number')}, and the file ends before"
            )
        regions[key] = region
        file.seek(region.place + region.size_bytes)
    return pickled, regions


def _check(pickled: Pickled, regions: Mapping[str, Region]) -> None:
    for storage in pickled.storages:
        region = regions.get(storage.key)
        if region is None:
            raise Broken(f"storage {clipped(storage.key)!r} is not in the file")
        if storage.end_bytes > region.size_bytes:
            raise Broken(
                f"storage {clipped(storage.key)!r} says that it takes {storage.end_bytes:,} bytes, and the file has "
                f"{region.size_bytes:,}"
            )


def _numbers(region: Region, dtype: torch.dtype, file: io.BufferedReader) -> Tensor:
    """All numbers of a storage, in memory of their own."""
    file.seek(region.place)
    content = bytearray(region.size_bytes)
    if file.readinto(content) != region.size_bytes:
        raise Broken("the file ends too early")
    if region.member is not None:
        check_sum(region.member, content)
    count = region.size_bytes // dtype.itemsize
    if count == 0:
        return torch.empty(0, dtype=dtype)
    if dtype == torch.bool:
        return torch.frombuffer(content, dtype=torch.uint8, count=count) != 0
    return torch.frombuffer(content, dtype=dtype, count=count)
