"""The cache: what is in use stays, what was not used for longest goes first, and a seal breaks by one bit."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from data.packed import zipped
from striate.data.formats.listing import list_data
from striate.data.gather import gather
from striate.disk import cache as place
from striate.disk import cached
from striate.disk.cache import seal_of
from striate.disk.cached import bytes_said, hold, inventory, let_go, limit_bytes, make_room, remove
from striate.errors import StriateError


def entry(folder: Path, used: float, size_bytes: int = 1000) -> Path:
    """An entry that was used last so many seconds after 1970."""
    folder.mkdir(parents=True)
    (folder / "images").write_bytes(bytes(size_bytes))
    os.utime(folder, (used, used))
    return folder


def names(cache: Path) -> set[str]:
    return {each.path.name for each in inventory(cache)}


def test_a_seal_breaks_by_one_bit_and_by_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place, "BLOCK_BYTES", 1000)
    monkeypatch.setattr(place, "PIECE_BYTES", 300)
    (tmp_path / "f" / "inner").mkdir(parents=True)
    (tmp_path / "f" / "a").write_bytes(bytes(range(250)) * 17)
    (tmp_path / "f" / "inner" / "b").write_bytes(b"")
    whole = seal_of(tmp_path / "f")
    assert whole | {"blake2b": ""} == {"files": 2, "bytes": 4250, "blake2b": ""}
    assert seal_of(tmp_path / "f") == whole
    for at in (0, 999, 1000, 4249):
        content = bytearray(bytes(range(250)) * 17)
        content[at] ^= 1
        (tmp_path / "f" / "a").write_bytes(content)
        assert seal_of(tmp_path / "f") != whole
    (tmp_path / "f" / "a").write_bytes(bytes(range(250)) * 17)
    assert seal_of(tmp_path / "f") == whole
    (tmp_path / "f" / "a").rename(tmp_path / "f" / "c")
    assert seal_of(tmp_path / "f") != whole
    (tmp_path / "f" / "link").symlink_to("c")
    with pytest.raises(OSError, match="neither a file nor a folder"):
        seal_of(tmp_path / "f")


def test_what_lies_there(photos: Path, cache: Path, tmp_path: Path) -> None:
    gather(photos)
    (tmp_path / "a.zip").write_bytes(zipped())
    list_data(tmp_path / "a.zip")
    (cache / "machine").mkdir()
    (cache / "machine" / "selftest-12.json").write_bytes(b"{}")
    (cache / "store" / ".building-x").mkdir()
    (tmp_path / "web").mkdir()
    for name in ("12-net.pth", "12-net.pth.lock"):
        (tmp_path / "web" / name).write_bytes(b"1234")
    found = inventory(cache, tmp_path / "web")
    assert [(each.kind, each.about, each.in_use) for each in found] == [
        ("store", "20 images of 3x37x37, uint8", True),
        ("archives", str(tmp_path / "a.zip"), True),
        ("downloads", "12-net.pth", False),
        ("ledger", "", False),
        ("machine", "selftest-12", False),
    ]
    assert found[0].size_bytes > 20 * 3 * 37 * 37
    unpacked = sum(each.stat().st_size for each in (found[1].path / "files").rglob("*.png"))
    assert unpacked < found[1].size_bytes < unpacked + 1000
    assert [each.size_bytes for each in found[2::2]] == [4, 2]


HOLDS = """
import sys, pathlib
from striate.disk.cached import hold
hold(pathlib.Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_what_another_process_uses_is_never_removed(cache: Path) -> None:
    used, free = entry(cache / "store" / "used", 1), entry(cache / "store" / "free", 2)
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(used)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    assert {each.path.name: each.in_use for each in inventory(cache)} == {"used": True, "free": False}
    assert [each.path for each in remove(inventory(cache))] == [free]
    process.kill()
    process.communicate()
    assert [each.in_use for each in inventory(cache)] == [False], "a killed process uses nothing"
    assert [each.path for each in remove(inventory(cache))] == [used]
    assert os.listdir(cache / "store") == []


def test_what_this_process_uses_stays_until_it_lets_go(cache: Path) -> None:
    mine = entry(cache / "archives" / "mine", 1)
    hold(mine)
    hold(mine)
    (found,) = inventory(cache)
    assert found.in_use
    assert found.used > 1
    assert remove([found]) == []
    shutil.rmtree(mine)
    hold(mine)  # it is gone
    entry(mine, 1)
    hold(mine)
    assert remove([found]) == []
    let_go(mine)
    let_go(mine)
    assert remove([found]) == [found]


def test_a_weight_that_is_being_fetched_stays(cache: Path, tmp_path: Path) -> None:
    from filelock import FileLock

    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "net.pth.partial").write_bytes(b"12")
    with FileLock(tmp_path / "web" / "net.pth.lock"):
        (found,) = inventory(cache, tmp_path / "web")
        assert found.in_use
        assert remove([found]) == []
    assert remove([found]) == [found]


def test_the_oldest_goes_first(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, kind in enumerate(("store", "archives", "store", "machine")):
        entry(cache / kind / f"{number}", 10.0 + number)
    monkeypatch.setenv("STRIATE_CACHE_LIMIT", "3000")
    assert make_room(cache) == []
    assert [each.path.name for each in make_room(cache, 500)] == ["0"]
    hold(cache / "archives" / "1")
    monkeypatch.setenv("STRIATE_CACHE_LIMIT", "0")
    assert [each.path.name for each in make_room(cache)] == ["2"]
    assert names(cache) == {"1", "3"}, "what is in use, and what is no data"
    monkeypatch.setenv("STRIATE_CACHE_LIMIT", "none")
    assert make_room(cache, 10**15) == []
    let_go(cache / "archives" / "1")


def test_a_new_store_makes_room_and_stays(photos: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIATE_CACHE_LIMIT", "1k")
    old = entry(cache / "store" / "old", 10)
    assert gather(photos).train.images.shape == (18, 37, 37, 3)
    assert not old.exists()
    assert len(list((cache / "store").iterdir())) == 1


def test_the_bound(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = shutil._ntuple_diskusage(10**12, 0, 10**12)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: disk)
    assert limit_bytes(cache) == 10**11
    disk = shutil._ntuple_diskusage(10**11, 0, 10**11)
    assert limit_bytes(cache) == 20 * 10**9
    monkeypatch.setenv("STRIATE_CACHE_LIMIT", "1.5g")
    assert limit_bytes(cache) == 1_500_000_000
    monkeypatch.setenv("STRIATE_CACHE_LIMIT", "much")
    with pytest.raises(StriateError) as error:
        limit_bytes(cache)
    assert str(error.value) == (
        "STRIATE_CACHE_LIMIT: `much` is not a size\n"
        "  expected: a size as 20G or 500M, 0 to keep only what is in use, or none for no bound\n"
        "  try: STRIATE_CACHE_LIMIT=20G"
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [("0", 0), ("12", 12), ("2G", 2 * 10**9), ("1.5 MB", 1_500_000), ("3kb", 3000), ("1T", 10**12)]
    + [(each, None) for each in ("", "G", "-1", "1e9", "2GiB", "nan", "1" * 30)],
)
def test_sizes(text: str, told: int | None) -> None:
    assert bytes_said(text) == told


def test_what_was_left_of_holding_goes_after_a_day(cache: Path) -> None:
    used = entry(cache / "store" / "used", 1)
    for name, age in ((".used-1-old", 1.0), (".used-2-new", 0.0)):
        (used / name).touch()
        if age:
            os.utime(used / name, (age, age))
    assert not cached.in_use(used)
    assert sorted(os.listdir(used)) == [".used-2-new", "images"]
