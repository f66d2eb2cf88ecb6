"""The run folder: made, found again, listed."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from striate.errors import ResourceError, RunError
from striate.runs import folder as folder_module
from striate.runs.folder import (
    UNMADE_S,
    RunFolder,
    create_run,
    find_run,
    has_weights,
    is_done,
    is_open,
    list_runs,
    point_latest,
    require_free,
)
from striate.runs.record import RunRecord, Status, to_json


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


FILES = {"net.txt": b"fc classes", "data.json": b"{}", "run.json": to_json(RunRecord(status="stopped"))}


def finished(
    path: str, created: str = "2026-01-02T03:04:05+0000", status: Status = "done", weights: bool = True
) -> RunFolder:
    """A run with a record."""
    run = create_run("x", Path(path), {"run.json": to_json(RunRecord(created=created, status=status))})
    if weights:
        run.weights.touch()
    return run


def test_a_run_of_its_own_name() -> None:
    run = create_run("my photos/of: cats", None, FILES)
    assert run.path.parent == Path("runs")
    assert run.path.name.startswith("my-photos-of--cats-2")
    assert {name: (run.path / name).read_bytes() for name in os.listdir(run.path)} == FILES
    assert os.listdir("runs") == [run.path.name]


@pytest.mark.parametrize(("name", "begin"), [("..", "run-2"), ("", "run-2"), ("x" * 300, "x" * 40 + "-2")])
def test_names_that_are_no_folder_names(name: str, begin: str) -> None:
    assert create_run(name, None, FILES).path.name.startswith(begin)


def test_runs_that_begin_at_once_have_folders_of_their_own() -> None:
    found: list[Path] = []
    threads = [
        threading.Thread(target=lambda: found.append(create_run("x", None, FILES).path)) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 8


def test_a_folder_with_a_run_in_it() -> None:
    finished("mine")
    for take in (lambda: create_run("x", Path("mine"), FILES), lambda: require_free(Path("mine"))):
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
            create_run("x", Path(name), FILES)
        assert str(caught.value) == (
            f"{name}: this exists and is not an empty folder\n"
            "  expected: a new or empty folder\n"
            "  try: another --out"
        )
    assert (tmp_path / "mine" / "letter.txt").read_text() == "dear"


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    number = (tmp_path / "mine").stat().st_ino
    require_free(Path("mine"))
    assert create_run("x", Path("mine"), FILES).path == Path("mine")
    assert sorted(os.listdir("mine")) == sorted([".lock", *FILES])
    # It may be a mount, or the folder that somebody stands in.
    assert (tmp_path / "mine").stat().st_ino == number
    with pytest.raises(RunError, match="there is a run in this folder already"):
        require_free(Path("mine"))


@pytest.mark.parametrize("existing", [False, True], ids=["new", "empty"])
@pytest.mark.parametrize("at", range(3))
def test_killed_while_a_run_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, existing: bool, at: int
) -> None:
    """Nothing is left that is in the way: the same call makes it, and no half of it is a run."""
    if existing:
        (tmp_path / "mine").mkdir()
    child = os.fork()
    if child == 0:
        written: list[str] = []
        real = folder_module.write_atomic

        def write(path: Path, content: bytes) -> None:
            if len(written) == at:
                os._exit(9)
            written.append(path.name)
            real(path, content)

        folder_module.write_atomic = write  # type: ignore[attr-defined]
        try:
            create_run("x", Path("mine"), FILES)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert list_runs(tmp_path) == []
    require_free(Path("mine"))
    assert create_run("x", Path("mine"), FILES).read_record() == RunRecord(status="stopped")
    old = [path for path in tmp_path.iterdir() if path.name.startswith(".mine.")]
    assert len(old) == (not existing)
    for path in old:
        os.utime(path, (0, 0))
    create_run("x", Path("other"), FILES)
    assert sorted(os.listdir(tmp_path)) == ["mine", "other"]
    assert UNMADE_S >= 600


@pytest.mark.parametrize("existing", [False, True], ids=["new", "empty"])
def test_a_run_that_could_not_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, existing: bool
) -> None:
    if existing:
        (tmp_path / "mine").mkdir()
    real = folder_module.write_atomic

    def write(path: Path, content: bytes) -> None:
        if path.name == "run.json":
            raise ResourceError("the disk is full", place=str(path))
        real(path, content)

    monkeypatch.setattr(folder_module, "write_atomic", write)
    with pytest.raises(ResourceError) as caught:
        create_run("x", Path("mine"), FILES)
    monkeypatch.setattr(folder_module, "write_atomic", real)
    assert str(caught.value) == "mine: the disk is full"
    assert [path.name for path in tmp_path.rglob("*")] == ["mine", ".lock"] * existing
    create_run("x", Path("mine"), FILES)


def test_a_folder_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("dear")
    with pytest.raises(ResourceError) as caught:
        create_run("x", Path("file/run"), FILES)
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
    assert [run.path.name for run, _ in list_runs()] == ["a", "c", "b"]
    assert find_run("latest").path.name == "a"


def test_latest_is_by_time_wherever_it_was_made() -> None:
    """Noon in a zone two hours ahead is before eleven in Greenwich; a time that cannot be read comes last."""
    finished("runs/host", "2026-01-01T12:00:00+0200")
    finished("runs/container", "2026-01-01T11:00:00+0000")
    finished("runs/odd", "yesterday")
    assert [run.path.name for run, _ in list_runs()] == ["container", "host", "odd"]


def test_a_folder_named_latest_is_itself() -> None:
    finished("runs/other", "2027-01-01T00:00:00+0000")
    finished("runs/latest")
    assert find_run("runs/latest").path.name == "latest"


def test_latest_is_the_newest_that_can_be_used() -> None:
    finished("runs/good", "2026-01-01T00:00:00+0000")
    finished("runs/stopped", "2026-01-02T00:00:00+0000", "stopped", weights=False)
    finished("runs/nan", "2026-01-03T00:00:00+0000", "diverged")
    (finished("runs/odd", "2026-01-04T00:00:00+0000").record).write_text("[" * 200_000)
    found = [find_run("runs/latest", usable).path.name for usable in (has_weights, is_open, is_done)]
    assert found == ["good", "stopped", "good"]


def test_no_run_can_be_used() -> None:
    finished("elsewhere/nan", status="diverged")
    with pytest.raises(RunError) as caught:
        find_run("elsewhere/latest")
    assert str(caught.value) == (
        "elsewhere: there is no run here with weights that can be used; the newest, nan, is diverged\n"
        "  try: striate runs elsewhere, which lists them"
    )
    with pytest.raises(RunError, match="no run here that was stopped; the newest, nan, is diverged"):
        find_run("elsewhere/latest", is_open)
    finished("elsewhere/x", "2027-01-01T00:00:00+0000").record.write_text("{")
    with pytest.raises(RunError, match="no run here that is finished; the newest, nan, is diverged"):
        find_run("elsewhere/latest", is_done)


def test_latest_is_a_link_on_the_disk_and_is_not_believed(tmp_path: Path) -> None:
    finished("runs/one", "2026-01-01T00:00:00+0000")
    two = finished("runs/two", "2026-01-02T00:00:00+0000")
    point_latest(finished("elsewhere/other", "2026-01-04T00:00:00+0000"))
    assert not os.path.lexists("runs/latest")
    for run in (two, RunFolder(two.path.absolute())):
        point_latest(run)
        assert os.readlink("runs/latest") == "two"
    assert [run.path.name for run, _ in list_runs()] == ["two", "one"]
    os.unlink("runs/latest")
    os.symlink("../elsewhere/other", "runs/latest")
    assert find_run("runs/latest").path.name == "two"
    finished("runs/three", "2026-01-03T00:00:00+0000", "diverged")
    point_latest(two)
    assert os.readlink("runs/latest") == "two"
    assert sorted(os.listdir("runs")) == ["latest", "one", "three", "two"]


def test_what_else_is_named_latest_is_left_alone() -> None:
    run = finished("runs/one")
    Path("runs/latest").write_text("mine")
    point_latest(run)
    assert Path("runs/latest").read_text() == "mine"
    with pytest.raises(RunError, match="runs/latest: there is no such run"):
        find_run("runs/latest")


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
