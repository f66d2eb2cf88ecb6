"""Files that torch.save writes, read by torch.load with weights_only, after a look at what they would take.

Two forms: a zip file with a pickle and one member a storage (since torch 1.6), and a row of pickles with the
storages behind them (before).  Source: torch/serialization.py, `_save`, `_legacy_save` and their readers.

torch.load refuses every class and function that is not on its list.  What it does not bound is how much a
pickle of a hundred bytes may make it build: a dictionary that is copied ten thousand times, a key whose hash
takes a year, an array of a terabyte.  So each pickle is walked over first, opcode by opcode, and weighed.
"""

from __future__ import annotations

import argparse
import io
import pickletools
import re
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import Any, BinaryIO, TypeGuard

import numpy as np
import torch
from torch import Tensor

from striate.data.files.finding import told
from striate.text.visible import visible
from striate.weights.error import Hostile, clipped, damaged, unreadable

# Of a pickle alone, and of a whole file of the old form, which is read into memory: VGG-19 takes 575 MB.
MOST_PICKLE_BYTES = 1 << 28
MOST_OLD_BYTES = 1 << 31
MOST_MEMBERS = 65_535

# ResNet-152 with its optimizer's state takes about 60,000 steps.
MOST_STEPS = 4_000_000

# Values that calls and keys may go through.
MOST_WORK = 10_000_000

# What torch.save writes, as pickletools calls it; torch.load knows no other.
_WRITTEN_TEXT = """
    PROTO STOP MARK GLOBAL REDUCE NEWOBJ BUILD BINPERSID NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 LONG1
    BINFLOAT BINUNICODE SHORT_BINSTRING EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_LIST APPEND APPENDS
    EMPTY_DICT SETITEM SETITEMS EMPTY_SET BINGET LONG_BINGET BINPUT LONG_BINPUT
"""
_WRITTEN = frozenset(_WRITTEN_TEXT.split())

# Harmless classes that scripts save beside the weights: their arguments, and NumPy's single numbers.
_HARMLESS: list[Any] = [
    argparse.Namespace,
    np.dtype,
    *(type(np.dtype(each)) for each in ("float64", "float32", "int64", "int32", "bool")),
    *((np.float64(0).__reduce__()[0], f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
]

# How torch.load names what it will not make.
_NAMED = re.compile(r"(?:GLOBAL|unrecognized function|class) `?<?(?:class '|built-in function )?([\w.]+)")


class Broken(Exception):
    """A file contradicts itself; the text says how, without a place."""


def read_pth(path: Path, file: BinaryIO, size_bytes: int) -> object:
    """What was saved, its tensors in memory, wherever they were.

    file: stands at its beginning.
    Raises Hostile, with the name, where its pickle asks for a class or function that is neither a tensor's
    nor a plain value's; WeightsError where it is damaged, contradicts itself or passes a limit.
    """
    try:
        if file.read(4) == b"PK\x03\x04":
            held_bytes = _look_at_zip(file, size_bytes)
            file.seek(0)
            # Of such a name torch believes that it is what the name says.
            named = path.suffix == ".safetensors"
            value = _load(path, file if named else path, mmap=not named)
        else:
            if size_bytes > MOST_OLD_BYTES:
                raise Broken(
                    f"it is of torch's form before 1.6 and takes {size_bytes:,} bytes; at most "
                    f"{MOST_OLD_BYTES:,} of that form are read"
                )
            file.seek(0)
            content = io.BytesIO(file.read(size_bytes))
            held_bytes = size_bytes
            _look_at_old(content)
            content.seek(0)
            value = _load(path, content, mmap=False)
        _require_held(value, held_bytes)
    except Broken as problem:
        raise damaged(path, clipped(str(problem), 300)) from None
    except OSError as problem:
        raise unreadable(path, problem) from None
    return value


def weigh(program: BinaryIO) -> None:
    """Walk over one pickle, to behind its end; nothing of it is built.

    Each value weighs as much as it would take written out: a tuple of twice the tuple before twice as much.
    Raises Broken where it is not torch.save's, ends too early, or asks for more than it could honestly.
    """
    try:
        _weigh(program)
    except (ValueError, LookupError):
        raise Broken("its pickle ends too early, or is none") from None


def _weigh(program: BinaryIO) -> None:
    stack: list[list[int]] = []
    below: list[list[list[int]]] = []
    memo: dict[object, list[int]] = {}
    work = 0
    for steps, (code, argument, _) in enumerate(pickletools.genops(program)):
        if code.name not in _WRITTEN:
            raise Broken(f"its pickle has the opcode {code.name}, which torch.save does not write")
        if steps > MOST_STEPS:
            raise Broken(f"its pickle takes more than {MOST_STEPS:,} steps")
        if code.name == "GLOBAL" and str(argument).endswith(" bytearray"):
            # It would be given any length.
            raise Broken("its pickle asks for a bytearray, which no weights have")
        if code.name == "MARK":
            below.append(stack)
            stack = []
            continue
        if code.name.endswith("PUT"):
            memo[argument] = stack[-1]
            continue
        if code.name.endswith("GET"):
            stack.append(memo[argument])
            continue
        taken = code.stack_before
        parts: list[list[int]] = []
        if pickletools.markobject in taken:
            parts, stack = stack, below.pop()
            taken = taken[: taken.index(pickletools.markobject)]
        if len(taken) > len(stack):
            raise Broken("its pickle takes from an empty stack")
        parts = stack[len(stack) - len(taken) :] + parts
        del stack[len(stack) - len(taken) :]
        weight = 1 + sum(each[0] for each in parts)
        if code.name in ("REDUCE", "NEWOBJ", "BUILD", "BINPERSID"):
            work += weight
        if code.name.startswith("SETITEM"):
            work += sum(each[0] for each in parts[1::2])
        if work > MOST_WORK:
            raise Broken("its pickle would have values copied or compared without end")
        if code.name.startswith(("APPEND", "SETITEM", "BUILD")):
            # What stands there already is filled, and everything that recalls it is.
            parts[0][0] = min(weight, MOST_WORK + 1)
            stack.append(parts[0])
        elif code.stack_after:
            stack.append([min(weight, MOST_WORK + 1)])


class _Directory:
    """A zip file whose directory, which `zipfile` reads in one piece, is refused where it is too long."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, wanted_bytes: int = -1) -> bytes:
        content = self._file.read(wanted_bytes)
        mark = b"PK\x01\x02"
        # Before an object is made of each line.
        if content.startswith(mark) and (members := content.count(mark)) > MOST_MEMBERS:
            raise Broken(f"it is a zip file of {members:,} members; at most {MOST_MEMBERS:,} are read")
        return content


def _look_at_zip(file: BinaryIO, size_bytes: int) -> int:
    """The bytes of all storages.  Raises Broken where the zip file is not as torch.save writes it."""
    try:
        watched: Any = _Directory(file)
        with zipfile.ZipFile(watched) as archive:
            members = archive.infolist()
            names = {each.filename for each in members}
            pickles = [each for each in members if re.fullmatch(r"([^/]+/)?data\.pkl", each.filename)]
            if len(pickles) != 1 or len(names) != len(members):
                raise Broken("it is a zip file, but not one of torch.save: there is no data.pkl in it")
            if f"{pickles[0].filename.removesuffix('data.pkl')}constants.pkl" in names:
                raise Broken("it is a program of torch.jit, not weights")
            for each in members:
                if each.compress_type != zipfile.ZIP_STORED or each.flag_bits & 1:
                    raise Broken(
                        f"member `{each.filename}` is compressed or encrypted, and torch.save does neither"
                    )
            if sum(each.file_size for each in members) > size_bytes:
                raise Broken("the members of the zip file are longer than the file has room for")
            if pickles[0].file_size > MOST_PICKLE_BYTES:
                raise Broken(
                    f"its pickle takes {pickles[0].file_size:,} bytes; at most {MOST_PICKLE_BYTES:,} are read"
                )
            for each in members:
                _check_sum(archive, each)
            if not pickles[0].CRC:
                # Else the library takes 0 for its sum.
                pickles[0].CRC = None  # type: ignore[assignment]
            weigh(io.BytesIO(archive.read(pickles[0])))
            return sum(each.file_size for each in members if "/data/" in f"/{each.filename}")
    except (zipfile.BadZipFile, NotImplementedError, EOFError, ValueError, zlib.error) as problem:
        raise Broken(f"the zip file is damaged or cut off ({told(problem)})") from None


def _check_sum(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    """Read a member once, so that a bit that was lost is found; torch may leave the sum out, as 0."""
    if member.CRC:
        with archive.open(member) as content:
            while content.read(1 << 20):
                pass


def _look_at_old(content: BinaryIO) -> None:
    """Weigh the five pickles in front of the storages: magic number, version, system, value, keys."""
    for _ in range(5):
        weigh(content)


def _load(path: Path, source: Path | BinaryIO, *, mmap: bool) -> object:
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(_HARMLESS):
            warnings.simplefilter("ignore")
            return torch.load(source, map_location="cpu", weights_only=True, mmap=mmap)
    except OSError:
        raise
    except Exception as problem:
        # A damaged file makes it raise nearly anything.
        said = str(problem)
        named = _NAMED.search(said) if "Unsupported global" in said or "unsupported GLOBAL" in said else None
        if named is None:
            raise Broken(f"torch cannot read it ({_reason(problem)})") from None
        raise Hostile(
            f"the file asks for `{clipped(named[1])}`; it was not run, and nothing of the file is used",
            place=visible(str(path)),
            expected="tensors and plain values only",
            cure='torch.save(model.state_dict(), "weights.pth") where the file comes from, or a .safetensors '
            "file from a source you trust",
        ) from None


def _reason(problem: Exception) -> str:
    """What torch says is wrong, without its advice, which is to run the file."""
    said = str(problem)
    said = said.rpartition("WeightsUnpickler error:")[2] if "weights_only" in said else said
    line = next((each for each in said.splitlines() if each.strip()), "")
    return visible(line.strip().split(". ")[0])[:200] or type(problem).__name__


def is_plain(value: object) -> TypeGuard[Tensor]:
    """Whether a value is a tensor whose numbers lie in memory, one by one."""
    return (
        isinstance(value, Tensor)
        and value.layout is torch.strided
        and value.device.type == "cpu"
        and not value.is_quantized
    )


def _require_held(value: object, held_bytes: int) -> None:
    """Raise Broken where tensors say that they have more numbers than the file does."""
    rows: dict[int, int] = {}
    waiting, seen = [value], set[int]()
    while waiting:
        each = waiting.pop()
        if is_plain(each):
            row = each.untyped_storage()
            rows[row.data_ptr()] = row.nbytes()
            if each.numel() * each.element_size() > row.nbytes():
                raise Broken(f"a tensor of {'x'.join(map(str, each.shape))} does not fit in its storage")
        elif isinstance(each, dict | list | tuple) and id(each) not in seen:
            seen.add(id(each))
            waiting.extend(each.values() if isinstance(each, dict) else each)
    if sum(rows.values()) > held_bytes:
        raise Broken(
            f"its tensors say that they take {sum(rows.values()):,} bytes, and the file has {held_bytes:,}"
        )
