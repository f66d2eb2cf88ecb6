"""Pickles that are no programs, or programs that would take for ever or all memory."""

from __future__ import annotations

import pickle
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from crafted import Claim, Run, both, old, pickled, refused, written, zipped

from striate.weights.file import read_tensors


def shared_tuples(times: int) -> bytes:
    """A tuple of twice the tuple before, and so on: 2 ** times values in a few bytes."""
    twice = b"".join(
        b"h" + bytes([at]) + b"h" + bytes([at]) + b"\x86q" + bytes([at + 1]) for at in range(times)
    )
    return b"](K\x01\x85q\x00" + twice + b"e"


# Ten thousand copies of a dictionary of five thousand keys; each pair is another.
COPIES = (
    b"\x80\x02](("
    + b"".join(b"(M" + struct.pack("<H", at) + b"Nl".replace(b"l", b"t") for at in range(5000))
    + b"lq\x00".replace(b"l", b"t")
    + b"ccollections\nOrderedDict\nh\x00\x85R" * 3000
    + b"e."
)


def repeat(piece: bytes, times: int, before: bytes = b"", after: bytes = b".") -> bytes:
    return b"\x80\x04" + before + piece * times + after


BOMBS: dict[str, Callable[[], bytes]] = {
    "tuples of the tuple before": lambda: repeat(b"2\x86", 50_000, b")", b"N\x86}\x94h\x00\x85s."),
    "a key that takes for ever to hash": lambda: repeat(b"2\x86", 60, b"}K\x01K\x02\x86", b"K\x01s."),
    "a key out of the memo that takes for ever to hash": lambda: (
        b"\x80\x02" + shared_tuples(60) + b"](}h\x3cK\x01se."
    ),
    "the same in a set": lambda: b"\x80\x02" + shared_tuples(60) + b"](cbuiltins\nset\nh\x3c\x85Re.",
    "the same as a storage": lambda: (
        b"\x80\x02" + shared_tuples(60) + b"](X\x07\x00\x00\x00storagectorch\nFloatStorage\n"
        b"q\xfah\x3cX\x03\x00\x00\x00cpuK\x04tQe."
    ),
    "copies of a dictionary": lambda: COPIES,
    "an array of any length": lambda: b"\x80\x02cbuiltins\nbytearray\nJ\xff\xff\xff\x7f\x85R.",
    "deep lists": lambda: repeat(b"](", 3000, b"", b"N" + b"e" * 3000 + b"."),
    "deep dictionaries": lambda: repeat(b"}K\x01", 3000, b"", b"N" + b"s" * 3000 + b"."),
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


def test_what_would_never_end_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    endless = "its pickle would have values copied or compared without end"
    assert refused(zipped(BOMBS["a key out of the memo that takes for ever to hash"]()), tmp_path) == endless
    assert refused(zipped(COPIES), tmp_path) == endless
    monkeypatch.setattr("striate.weights.pth.MOST_STEPS", 1000)
    assert refused(zipped(b"\x80\x02](" + b"N" * 1001 + b"e."), tmp_path) == (
        "its pickle takes more than 1,000 steps"
    )
    monkeypatch.setattr("striate.weights.pth.MOST_OLD_BYTES", 100)
    said = refused(old(pickled({"a": Claim()}, form="old")), tmp_path)
    assert said.startswith("it is of torch's form before 1.6 and takes ")
    assert said.endswith(" bytes; at most 100 of that form are read")


def test_an_honest_pickle_is_light(tmp_path: Path) -> None:
    # A tuple that many groups of an optimizer share is written once.
    betas = (0.9, 0.999)
    value = {"a": Claim(), "groups": [{"betas": betas, "more": (betas, betas)} for _ in range(1000)]}
    for content in both(value).values():
        assert list(read_tensors(written(content, tmp_path))) == ["a"]


def test_a_pickle_that_is_no_file_of_torch(tmp_path: Path) -> None:
    for value in ({"a": 1}, [1, 2], 3, "text"):
        for protocol in (0, 2, 4):
            assert refused(pickle.dumps(value, protocol), tmp_path)
