"""Files that lie about themselves: refused with the lie, before memory is taken for it."""

from __future__ import annotations

import io
import json
import pickle
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from crafted import FOUR, Claim, Row, Run, both, old, pickled, written, zipped
from safetensors.torch import save

from striate.errors import StriateError
from striate.weights.file import read_tensors

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


FITS = "does not fit in storage '0' of 4"

CLAIMS: list[tuple[Any, str]] = [
    (Claim(size=(5,)), f"a tensor of 5 from number 0 with strides 1 {FITS}"),
    (Claim(offset=1), f"a tensor of 4 from number 1 with strides 1 {FITS}"),
    (Claim(offset=2**62), f"a tensor of 4 from number 4611686018427387904 with strides 1 {FITS}"),
    (Claim(offset=-1), "a tensor begins at -1 in storage '0'"),
    (Claim(offset=True), "a tensor begins at True in storage '0'"),
    (Claim(offset="0"), "a tensor begins at a str in storage '0'"),
    (Claim(size=(2, 2), stride=(3, 1)), f"a tensor of 2x2 from number 0 with strides 3x1 {FITS}"),
    (Claim(size=(2, 2), stride=(-2, 1)), "the stride of a tensor has -2 in it"),
    (Claim(size=(-4,)), "the size of a tensor has -4 in it"),
    (Claim(size=(4.0,)), "the size of a tensor has a float in it"),
    (Claim(size=((4,),)), "the size of a tensor has a tuple in it"),
    (Claim(size="4"), "the size of a tensor is a str"),
    (
        Claim(size=(2**40, 2**40), stride=(0, 0)),
        f"a tensor of 1099511627776x1099511627776 from number 0 with strides 0x0 {FITS}",
    ),
    (Claim(size=(100, 100), stride=(0, 0)), f"a tensor of 100x100 from number 0 with strides 0x0 {FITS}"),
    (Claim(size=(10**30,)), "the size of a tensor has a huge number in it"),
    (Claim(size=(0, 2**62), stride=(1, 1)), "a tensor without numbers has impossible sizes"),
    (Claim(size=(1,) * 65, stride=(1,) * 65), "a tensor has 65 sizes and 65 strides"),
    (Claim(size=(2, 2), stride=(2,)), "a tensor has 2 sizes and 1 strides"),
    (Claim(row=None), "a tensor without a storage"),
    (Claim(row="0"), "a tensor without a storage"),
    (Claim(row=Row(numbers=5)), "storage '0' says that it takes 20 bytes, and the file has 16"),
    (
        Claim(row=Row(numbers=2**50)),
        "storage '0' says that it takes 4,503,599,627,370,496 bytes, and the file has 16",
    ),
    (Claim(row=Row(numbers=10**30)), "a storage without a name or with an impossible length"),
    (Claim(row=Row(numbers=-4)), "a storage without a name or with an impossible length"),
    (Claim(row=Row(numbers="4")), "a storage without a name or with an impossible length"),
    (
        Claim(row=Row(kind=torch.DoubleStorage)),
        "storage '0' says that it takes 32 bytes, and the file has 16",
    ),
    (Claim(row=Row(kind="torch.FloatStorage")), "a storage without a type"),
    (Claim(row=Row(key="1")), "storage '1' is not in the file"),
    (Claim(row=Row(key="../../etc/passwd")), "storage '../../etc/passwd' is not in the file"),
    (Claim(row=Row(key=0)), "a storage without a name or with an impossible length"),
    (
        Claim(row=Row(identity=("file", "/etc/passwd"))),
        "a reference to something outside the file that is no storage",
    ),
    (Claim(row=Row(identity="0")), "a reference to something outside the file that is no storage"),
    (
        Claim(row=Row(identity=("storage", torch.FloatStorage, "0", "cpu", 4, ("v", 3, 4)))),
        "storage '0' is seen through a window that lies outside it",
    ),
]


OLD = ("storage '0' says that it has 4 numbers, and the file ends before",)


@pytest.mark.parametrize("form", ["zip", "old"])
@pytest.mark.parametrize(("claim", "problem"), CLAIMS)
def test_tensors_that_cannot_be(claim: Claim, problem: str, form: str, tmp_path: Path) -> None:
    content = zipped(pickled({"a": claim})) if form == "zip" else old(pickled({"a": claim, "b": Claim()}))
    said = refused(content, tmp_path)
    # The old form has the lengths of all storages at once, and may meet the lie there.
    assert said == problem or (form == "old" and said in OLD)


def test_the_claims_are_true_by_default(tmp_path: Path) -> None:
    for content in both(pickled({"a": Claim(), "b": Claim((2, 2), (1, 2))})).values():
        found = read_tensors(written(content, tmp_path))
        assert found["b"].tolist() == [[1, 3], [2, 4]]


def test_an_old_file_whose_storages_lie(tmp_path: Path) -> None:
    value = pickled({"a": Claim()})
    says = "storage '0' says that it has {} numbers, and the file ends before"
    assert refused(old(value, counts={"0": 5}), tmp_path) == says.format(5)
    assert refused(old(value, counts={"0": -1}), tmp_path) == says.format(-1)
    assert refused(old(value, counts={"0": 2**62}), tmp_path) == says.format(f"{2**62:,}")
    assert (
        refused(old(value, counts={"0": 3}), tmp_path)
        == "storage '0' says that it takes 16 bytes, and the file has 12"
    )
    assert refused(old(value, keys=[]), tmp_path) == "storage '0' is not in the file"
    assert (
        refused(old(value, keys=["0", "0"]), tmp_path) == "storage '0' is in the file and no tensor is on it"
    )
    assert refused(old(value, keys=["1"]), tmp_path) == "storage '1' is in the file and no tensor is on it"
    assert refused(old(value, keys="0"), tmp_path) == "the list of its storages is no list of names"
    assert refused(old(value, magic=1), tmp_path) == "it begins as a pickle, but not as torch.save's"
    assert refused(old(value, version=2), tmp_path) == "it is of a version of torch.save that is not known"
    assert refused(old(value, system={"little_endian": False}), tmp_path) == (
        "it was written on a big-endian machine; save it again on another"
    )


def archive(members: list[tuple[str, bytes]], method: int = zipfile.ZIP_STORED) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", method) as made:
        for name, data in members:
            made.writestr(name, data)
    return content.getvalue()


GOOD = pickled({"a": Claim()})


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
def test_zip_files_that_are_not_torchs(tmp_path: Path) -> None:
    pair = [("w/data.pkl", GOOD), ("w/data/0", FOUR)]
    for members, problem in [
        ([("a.txt", b"hello")], "it is a zip file, but not one of torch.save: there is no data.pkl in it"),
        (
            [*pair, ("x/data.pkl", GOOD)],
            "it is a zip file, but not one of torch.save: there is no data.pkl in it",
        ),
        ([*pair, ("w/data/0", FOUR)], "the zip file has two members `w/data/0`"),
        (
            [*pair, ("../../canary", b"")],
            "the zip file has a member `../../canary`, which would lie outside of any folder",
        ),
        (
            [*pair, ("/etc/canary", b"")],
            "the zip file has a member `/etc/canary`, which would lie outside of any folder",
        ),
        (
            [*pair, ("a\\..\\b", b"")],
            "the zip file has a member `a\\..\\b`, which would lie outside of any folder",
        ),
        ([*pair, ("C:x", b"")], "the zip file has a member `C:x`, which would lie outside of any folder"),
        ([pair[0], ("w/data/0", FOUR[:-1])], "storage '0' says that it takes 16 bytes, and the file has 15"),
        (
            [*pair, ("w/byteorder", b"big")],
            "it was written on a big-endian machine; save it again on another",
        ),
        ([("w/data.pkl", b""), pair[1]], "its pickle ends too early, or is longer than 268,435,456 bytes"),
    ]:
        assert refused(archive(members), tmp_path) == problem


def test_bombs_are_not_unpacked(tmp_path: Path) -> None:
    bomb = bytes(1 << 24)
    for members in ([("w/data.pkl", bomb)], [("w/data.pkl", GOOD + bomb), ("w/data/0", FOUR)]):
        assert refused(archive(members, zipfile.ZIP_DEFLATED), tmp_path) == (
            "member `w/data.pkl` is compressed or encrypted, and torch.save does neither"
        )
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as made:
        made.writestr("w/data.pkl", pickled({"a": Claim(row=Row(numbers=1 << 22))}))
        made.writestr("w/data/0", bomb, zipfile.ZIP_DEFLATED)
    assert refused(content.getvalue(), tmp_path) == (
        "member `w/data/0` is compressed or encrypted, and torch.save does neither"
    )


def test_a_hundred_thousand_members_are_not_listed(tmp_path: Path) -> None:
    entry = struct.pack("<4s6H3L5H2L", b"PK\x01\x02", 20, 20, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"a"
    directory = entry * 100_000
    local = b"PK\x03\x04" + bytes(26)
    end64 = struct.pack(
        "<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 100_000, 100_000, len(directory), len(local)
    )
    place = struct.pack("<4sLQL", b"PK\x06\x07", 0, len(local) + len(directory), 1)
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    assert refused(local + directory + end64 + place + end, tmp_path) == (
        "it is a zip file of 100,000 members; at most 65,535 are read"
    )


def patched(content: bytes, mark: bytes, at: int, form: str, value: int, *, last: bool = True) -> bytes:
    """One number of a zip file's record changed."""
    start = (content.rfind if last else content.find)(mark) + at
    return content[:start] + struct.pack(form, value) + content[start + struct.calcsize(form) :]


def test_a_zip_directory_that_lies(tmp_path: Path) -> None:
    good = archive([("w/data.pkl", GOOD), ("w/data/0", FOUR)])
    end, entry, local = b"PK\x05\x06", b"PK\x01\x02", b"PK\x03\x04"
    contradicts = "the directory of the zip file contradicts its size"
    for content, problem in [
        (patched(good, end, 10, "<H", 60_000), contradicts),
        (patched(good, end, 10, "<H", 3), contradicts),
        (patched(good, end, 12, "<L", 0xFFFFFFF0), contradicts),
        (patched(good, end, 16, "<L", 0xFFFFFFF0), contradicts),
        (patched(good, end, 16, "<L", 0), "the directory of the zip file ends too early"),
        (patched(good, end, 16, "<L", 0xFFFFFFFF), "the directory of the zip file contradicts its size"),
        (patched(good, end, 4, "<H", 7), "the zip file is one of several parts"),
        (
            patched(patched(good, entry, 20, "<L", 2**31), entry, 24, "<L", 2**31),
            "member `w/data/0` of the zip file is longer than the file has room for",
        ),
        (
            patched(good, entry, 24, "<L", 2**31),
            "member `w/data/0` is compressed or encrypted, and torch.save does neither",
        ),
        (
            patched(good, entry, 8, "<H", 1),
            "member `w/data/0` is compressed or encrypted, and torch.save does neither",
        ),
        (
            patched(good, entry, 42, "<L", 0),
            "member `w/data/0` differs from its own checksum: the file was damaged",
        ),
        (patched(good, entry, 42, "<L", 5), "member `w/data/0` is not where the zip file's directory says"),
        (patched(good, entry, 28, "<H", 60_000), "the directory of the zip file ends too early"),
        (
            patched(good, local, 26, "<H", 60_000),
            "member `w/data/0` of the zip file is longer than the file has room for",
        ),
        (good[:-22] + good[-21:], "the zip file ends too early: its directory is missing"),
        (
            good.replace(FOUR, FOUR[::-1]),
            "member `w/data/0` differs from its own checksum: the file was damaged",
        ),
    ]:
        assert refused(content, tmp_path) == problem


def test_members_that_share_their_bytes_are_refused(tmp_path: Path) -> None:
    # A thousand storages that are all the whole file would take a thousand times its size.
    numbers = bytes(1 << 16)
    members = [("w/data.pkl", GOOD), ("w/data/0", numbers), *((f"w/data/{at}", b"") for at in range(1, 40))]
    content = archive(members)
    start = content.find(b"PK\x01\x02")
    first = content.find(b"PK\x03\x04", 4)
    for at in range(1, 40):
        entry = content.find(f"w/data/{at}".encode(), start) - 46
        content = (
            content[: entry + 20] + struct.pack("<2L", len(numbers), len(numbers)) + content[entry + 28 :]
        )
        content = content[: entry + 42] + struct.pack("<L", first) + content[entry + 46 :]
    assert "of the zip file is longer than the file has room for" in refused(content, tmp_path)


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


HEADERS: list[tuple[bytes, int]] = [
    (b"{}", 2**62),
    (b"{}", 1000),
    (b"{" + b"a" * 50, 51),
    (b'{"a":[[[[' + b"[" * 5000, 5009),
    (json.dumps({"a": {"dtype": "F32", "shape": [5], "data_offsets": [0, 16]}}).encode(), 0),
    (json.dumps({"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 2**40]}}).encode(), 0),
    (json.dumps({"a": {"dtype": "F32", "shape": [4], "data_offsets": [16, 0]}}).encode(), 0),
    (json.dumps({"a": {"dtype": "F32", "shape": [-4], "data_offsets": [0, 16]}}).encode(), 0),
    (json.dumps({"a": {"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 16]}}).encode(), 0),
    (json.dumps({"a": {"dtype": "F33", "shape": [4], "data_offsets": [0, 16]}}).encode(), 0),
    (json.dumps({"a": {"dtype": "F32", "shape": [4]}}).encode(), 0),
    (json.dumps({"a": 1}).encode(), 0),
    (json.dumps({k: {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]} for k in "ab"}).encode(), 0),
    (b"{}", 2),
]


@pytest.mark.parametrize(("header", "length"), HEADERS)
def test_safetensors_whose_header_lies(header: bytes, length: int, tmp_path: Path) -> None:
    content = struct.pack("<Q", length or len(header)) + header + FOUR
    said = refused(content, tmp_path)
    assert said.startswith(("its header ", "there is no tensor in it"))


def test_safetensors_cut_anywhere(tmp_path: Path) -> None:
    content = save({"a": torch.ones(20), "b": torch.ones(3, dtype=torch.int64)})
    for end in range(0, len(content), 7):
        assert refused(content[:end], tmp_path)


@pytest.mark.parametrize("form", [True, False])
def test_torchs_files_cut_anywhere(form: bool, tmp_path: Path) -> None:
    content = io.BytesIO()
    torch.save({"a": torch.ones(20), "b": {"c": torch.ones(3)}}, content, _use_new_zipfile_serialization=form)
    whole = content.getvalue()
    for end in range(0, len(whole), 11):
        assert refused(whole[:end], tmp_path)


def test_a_pickle_that_is_no_file_of_torch(tmp_path: Path) -> None:
    for value in ({"a": 1}, [1, 2], 3, "text"):
        for protocol in (0, 2, 4):
            assert refused(pickle.dumps(value, protocol), tmp_path)
