"""Pickles that are no programs, or programs that would take for ever or all memory."""

from __future__ import annotations

import pickle
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from crafted import Run, both, pickled, refused, zipped


def repeat(piece: bytes, times: int, before: bytes = b"", after: bytes = b".") -> bytes:
    return b"\x80\x04" + before + piece * times + after


BOMBS: dict[str, Callable[[], bytes]] = {
    "tuples of the tuple before": lambda: repeat(b"2\x86", 50_000, b")", b"N\x86}\x94h\x00\x85s."),
    "a key that takes for ever to hash": lambda: repeat(b"2\x86", 60, b"}K\x01K\x02\x86", b"K\x01s."),
    "deep lists": lambda: repeat(b"](", 30_000, b"", b"N" + b"e" * 30_000 + b"."),
    "deep dictionaries": lambda: repeat(b"}K\x01", 50_000, b"", b"N" + b"s" * 50_000 + b"."),
    "a list in itself": lambda: b"\x80\x02]q\x00(h\x00h\x00e.",
    "a dictionary in itself": lambda: b"\x80\x02}q\x00(X\x01\x00\x00\x00ah\x00X\x01\x00\x00\x00bh\x00u.",
    "objects in themselves": lambda: (
        b"\x80\x02ca\nb\n)\x81q\x00}(X\x01\x00\x00\x00ah\x00X\x01\x00\x00\x00bh\x00ub."
    ),
    "a copied dictionary": lambda: (
        b"\x80\x02]("
        + b"K\x01K\x02\x86" * 5000
        + b"e\x94"
        + b"ccollections\nOrderedDict\nh\x00\x85R" * 2000
        + b"."
    ),
    "a text that is not there": lambda: b"\x80\x04\x8d" + struct.pack("<Q", 2**62) + b".",
    "bytes that are not there": lambda: b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b".",
    "a number that is not there": lambda: b"\x80\x02\x8b\xff\xff\xff\x7f.",
    "a number of many digits": lambda: b"L" + b"9" * 60_000 + b"L\n.",
    "a line without an end": lambda: b"V" + b"a" * 100_000,
    "an empty stack": lambda: b"\x80\x022.",
    "no mark": lambda: b"\x80\x02t.",
    "nothing": lambda: b"\x80\x02",
    "nothing to stop at": lambda: b"\x80\x02N",
    "a memo of nothing": lambda: b"\x80\x02h\x07.",
    "a huge place in the memo": lambda: b"\x80\x02Nr\xff\xff\xff\xff0.",
    "an unknown opcode": lambda: b"\x80\x05\xff.",
    "buffers": lambda: b"\x80\x05\x97.",
    "a name of bytes": lambda: b"\x80\x04C\x02osC\x06system\x93.",
    "a long name": lambda: b"c" + b"a" * 1000 + b"\nb\n.",
    "append to a number": lambda: b"\x80\x02K\x01K\x02a.",
    "keys of a number": lambda: b"\x80\x02K\x01K\x02K\x03s.",
    "a key without a value": lambda: b"\x80\x02}(K\x01u.",
    "call without arguments": lambda: b"\x80\x02ca\nb\nK\x01R.",
    "pairs that are none": lambda: pickled(Run(dict, ([1, 2],))).replace(
        b"__builtin__\ndict", b"collections\nOrderedDict"
    ),
    "a mark to stop at": lambda: b"\x80\x02(.",
}


@pytest.mark.parametrize("form", ["zip", "old"])
@pytest.mark.parametrize("name", BOMBS)
def test_bombs_and_broken_programs(name: str, form: str, tmp_path: Path) -> None:
    assert refused(both(BOMBS[name]())[form], tmp_path)


def test_too_many_containers_and_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("striate.weights.machine.MOST_CONTAINERS", 1000)
    monkeypatch.setattr("striate.weights.pickled.MOST_STEPS", 10_000)
    assert refused(zipped(repeat(b"]0", 1001)), tmp_path) == "its pickle makes more than 1,000 containers"
    assert refused(zipped(repeat(b"(0", 1001)), tmp_path) == "its pickle makes more than 1,000 containers"
    assert refused(zipped(repeat(b"N0", 5001)), tmp_path) == "its pickle takes more than 10,000 steps"


def test_a_pickle_that_is_no_file_of_torch(tmp_path: Path) -> None:
    for value in ({"a": 1}, [1, 2], 3, "text"):
        for protocol in (0, 2, 4):
            assert refused(pickle.dumps(value, protocol), tmp_path)
