"""The run folder: made, found again, listed."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from striate.errors import ResourceError, RunError
from striate.runs.folder import (
    FORMAT,
    RunFolder,
    create_run,
    find_run,
    json_bytes,
    list_runs,
    require_free,
)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def finished(path: str, created: str = "2026-01-02T03:04:05+0000") -> RunFolder:
    """A run with a record."""
    run = create_run("x", Path(path))
    run.write_record({"format": FORMAT, "created": created, "status": "done"})
    return run


def test_a_run_of_its_own_name() -> None:
    run = create_run("my photos/of: cats", None)
    assert run.path.parent == Path("runs")
    assert run.path.name.startswith("my-photos-of--cats-2")
    assert os.listdir(run.path) == ["state"]


@pytest.mark.parametrize(("name", "begin"), [("..", "run-2"), ("", "run-2"), ("x" * 300, "x" * 40 + "-2")])
def test_names_that_are_no_folder_names(name: str, begin: str) -> None:
    assert create_run(name, None).path.name.startswith(begin)


def test_runs_that_begin_at_once_have_folders_of_their_own() -> None:
    found: list[Path] = []
    threads = [threading.Thread(target=lambda: found.append(create_run("x", None).path)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 8


def test_a_folder_with_a_run_in_it() -> None:
    finished("mine")
    for take in (lambda: create_run("x", Path("mine")), lambda: require_free(Path("mine"))):
        with pytest.raises(RunError) as caught:
            take()
        assert str(caught.value) == (
            "mine: there is a run in this folder already\n"
            "  expected: a new or empty folder\n"
            "  try: another --out, or striate resume mine"
        )


def test_a_folder_with_something_else_in_it(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    (tmp_path / "file").write_text("dear")
    for name in ("mine", "file"):
        with pytest.raises(RunError) as caught:
            create_run("x", Path(name))
        assert str(caught.value) == (
            f"{name}: this exists and is not an empty folder\n"
            "  expected: a new or empty folder\n"
            "  try: another --out"
        )
    assert (tmp_path / "mine" / "letter.txt").read_text() == "dear"


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    require_free(Path("mine"))
    assert create_run("x", Path("mine")).path == Path("mine")


def test_a_folder_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("dear")
    with pytest.raises(ResourceError) as caught:
        create_run("x", Path("file/run"))
    assert str(caught.value) == (
        "file/run: cannot be written: Not a directory\n"
        "  expected: a folder that may be written to\n"
        "  try: another place, or the permission to write there"
    )


def test_runs_are_found() -> None:
    run = finished("runs/one")
    for said in ("runs/one", "one", Path("runs/one"), "latest", "runs/latest", os.path.abspath("runs/one")):
        assert find_run(said).path.resolve() == run.path.resolve()


def test_latest_is_by_time_not_by_name() -> None:
    finished("runs/b", "2026-01-01T00:00:00+0000")
    finished("runs/a", "2026-01-03T00:00:00+0000")
    finished("runs/c", "2026-01-02T00:00:00+0000")
    assert [run.path.name for run in list_runs()] == ["a", "c", "b"]
    assert find_run("latest").path.name == "a"


def test_latest_is_by_time_wherever_it_was_made() -> None:
    """Noon in a zone two hours ahead is before eleven in Greenwich; a time that cannot be read comes last."""
    finished("runs/host", "2026-01-01T12:00:00+0200")
    finished("runs/container", "2026-01-01T11:00:00+0000")
    finished("runs/odd", "yesterday")
    assert [run.path.name for run in list_runs()] == ["container", "host", "odd"]


def test_a_folder_named_latest_is_itself() -> None:
    finished("runs/other", "2027-01-01T00:00:00+0000")
    finished("runs/latest")
    assert find_run("runs/latest").path.name == "latest"


def test_there_is_no_run() -> None:
    with pytest.raises(RunError) as caught:
        find_run("runs/latest")
    assert str(caught.value) == "runs: there is no run here yet\n  try: striate train DATA"
    with pytest.raises(RunError) as caught:
        find_run("runs/digits")
    assert str(caught.value) == (
        "runs/digits: there is no such run\n"
        "  expected: a folder with run.json in it, as `striate train` leaves it\n"
        "  try: striate runs, which lists them"
    )


def test_the_nearest_run_is_named_and_is_one(tmp_path: Path) -> None:
    finished("elsewhere/digits-1")
    for said in ("elsewhere/digits-2", "elsewhere/digit-1"):
        with pytest.raises(RunError) as caught:
            find_run(said)
        assert caught.value.cure == "elsewhere/digits-1"
        assert find_run(caught.value.cure).path == Path("elsewhere/digits-1")
    (tmp_path / "photos").mkdir()
    with pytest.raises(RunError, match="photos: this folder holds no run"):
        find_run("photos")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"{", "run.json cannot be read: Expecting property name"),
        (b"\xff\xfe", "run.json cannot be read: "),
        (b"[]", "run.json is not a record"),
        (b'{"format": "new"}', "run.json is not a record"),
        (b'{"format": 99}', "the run is of format 99, and this striate knows 1"),
    ],
)
def test_damaged_records(content: bytes, told: str) -> None:
    run = finished("runs/one")
    (run.path / "run.json").write_bytes(content)
    with pytest.raises(RunError) as caught:
        run.read_record()
    assert str(caught.value).startswith(f"runs/one: {told}")
    assert [each.path.name for each in list_runs()] == ["one"]


def test_a_missing_record() -> None:
    with pytest.raises(RunError) as caught:
        create_run("x", Path("one")).read_data()
    assert str(caught.value) == "one: the run has no data.json\n  try: striate runs"


def test_a_record_keeps_names_that_are_not_utf8() -> None:
    run = finished("runs/one")
    source = os.fsdecode(b"/photos/caf\xe9 \xf0\x9f\x90\x88")
    run.write_record({"source": source})
    assert run.read_record()["source"] == source
    assert json_bytes("é") == '"é"\n'.encode()
