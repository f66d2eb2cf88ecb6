"""`striate cache`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import striate
from cli.conftest import Call
from data.packed import zipped
from striate.data.formats.listing import list_data
from striate.disk.cached import let_go


@pytest.fixture
def filled(here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with an archive that is in use, and a measurement.  The archive's home."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("STRIATE_CACHE_LIMIT", "5G")
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "filled"))
    (here / "a.zip").write_bytes(zipped())
    list_data("a.zip")
    (tmp_path / "filled" / "machine").mkdir()
    (tmp_path / "filled" / "machine" / "selftest-12.json").write_bytes(bytes(2000))
    return next((tmp_path / "filled" / "archives").iterdir())


def test_what_lies_there(call: Call, filled: Path, tmp_path: Path) -> None:
    said = call("cache")
    assert (said.code, said.err) == (0, "")
    lines = [line.split() for line in said.out.splitlines()]
    assert lines[1][0] == "archives"
    assert lines[1][3:5] == ["now", "a.zip"]
    assert lines[2][:3] == ["machine", "2.0", "kB"]
    assert said.out.splitlines()[-1].startswith("all       2 entries, ")
    assert said.out.splitlines()[-1].endswith("of at most 5.0 GB")
    told = json.loads(call("cache", "--json").out)
    assert (told["version"], told["limit_bytes"]) == (1, 5 * 10**9)
    assert [(each["kind"], each["in_use"], each["cleared"]) for each in told["entries"]] == [
        ("archives", True, False),
        ("machine", False, False),
    ]
    assert told["folder"] == str(tmp_path / "filled")
    assert [each.path.name for each in striate.cache("machine")] == ["selftest-12.json"]


def test_clearing(call: Call, filled: Path) -> None:
    said = call("cache", "machine", "--clear")
    assert said.out == "cleared   1 entry, 2.0 kB\n"
    said = call("cache", "--clear")
    assert said.out.startswith("cleared   0 entries, 0 bytes\nkept      1 entry in use, ")
    assert filled.exists()
    let_go(filled)
    assert [each.path for each in striate.cache(clear=True)] == [filled]
    assert call("cache").out.startswith("folder    ")


def test_what_is_no_kind(call: Call) -> None:
    said = call("cache", "stores", "--clear")
    assert said.code == 1
    assert said.err == (
        "striate: cache: there is no `stores` in the cache\n"
        "  expected: store, archives, downloads, ledger, machine, explained\n  try: striate cache store\n"
    )
