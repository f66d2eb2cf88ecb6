"""Zip files that lie about their members."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path

import pytest
from crafted import FOUR, Claim, Row, pickled, refused


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
        (
            [*pair, ("w/data/0", FOUR)],
            "it is a zip file, but not one of torch.save: there is no data.pkl in it",
        ),
        (
            [pair[0], ("w/data/0", FOUR[:-1]), ("w/version", b"3\n")],
            "its tensors say that they take 16 bytes, and the file has 15",
        ),
        (
            [*pair, ("w/byteorder", b"no such"), ("w/version", b"3\n")],
            "torch cannot read it (Unknown endianness type: no such)",
        ),
        ([("w/data.pkl", b""), pair[1]], "its pickle ends too early, or is none"),
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
    for content in [
        patched(good, end, 10, "<H", 60000),
        patched(good, end, 10, "<H", 3),
        patched(good, end, 12, "<L", 4294967280),
        patched(good, end, 16, "<L", 4294967280),
        patched(good, end, 16, "<L", 0),
        patched(good, end, 16, "<L", 4294967295),
        patched(good, end, 4, "<H", 7),
        patched(patched(good, entry, 20, "<L", 2**31), entry, 24, "<L", 2**31),
        patched(good, entry, 24, "<L", 2**31),
        patched(good, entry, 8, "<H", 1),
        patched(good, entry, 42, "<L", 0),
        patched(good, entry, 42, "<L", 5),
        patched(good, entry, 28, "<H", 60000),
        patched(good, local, 26, "<H", 60000),
        good[:-22] + good[-21:],
        good.replace(FOUR, FOUR[::-1]),
    ]:
        assert refused(content, tmp_path)
    assert refused(good.replace(FOUR, FOUR[::-1]), tmp_path) == (
        "the zip file is damaged or cut off (Bad CRC-32 for file 'w/data/0')"
    )


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
    assert refused(content, tmp_path) == "the members of the zip file are longer than the file has room for"
