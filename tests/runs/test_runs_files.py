"""Atomic files, events, and the lock: what is left when a write fails anywhere."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from striate.disk import atomic
from striate.disk.atomic import write_atomic
from striate.errors import ResourceError, RunError
from striate.runs.events import EVENT, EventFile, RollbackEvent, StepEvent, read_events
from striate.runs.folder import RunFolder, create_run
from striate.runs.lock import held, is_held


def fails(number: int) -> Callable[..., Any]:
    """A function that fails as the system does."""

    def fail(*said: object, **named: object) -> Any:
        raise OSError(number, os.strerror(number))

    return fail


class Full:
    """A file on a full disk."""

    def __init__(self, *said: object, **named: object) -> None:
        self.write = fails(errno.ENOSPC)

    def __enter__(self) -> Full:
        return self

    def __exit__(self, *said: object) -> None:
        pass


def test_atomic_writes_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomic(path, b"old")
    write_atomic(path, b"new")
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("where", ["open", "write", "fsync", "rename"])
def test_a_failing_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    path = tmp_path / "file"
    write_atomic(path, b"old")
    if where == "open":
        monkeypatch.setattr(atomic, "open", fails(errno.ENOSPC), raising=False)
    elif where == "write":
        monkeypatch.setattr(atomic, "open", Full, raising=False)
    elif where == "fsync":
        monkeypatch.setattr(os, "fsync", fails(errno.ENOSPC))
    else:
        monkeypatch.setattr(os, "replace", fails(errno.ENOSPC))
    with pytest.raises(ResourceError) as caught:
        write_atomic(path, b"newer")
    assert str(caught.value) == (
        f"{path}: the disk is full: 5 bytes could not be written\n"
        "  expected: room for the run folder\n"
        "  try: free some space, or --out on another disk; what was written before is still good"
    )
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_ctrl_c_in_a_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_atomic(path, b"old")

    def interrupted(handle: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_folder_that_cannot_be_synced_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.fsync

    def not_folders(handle: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{handle}"):
            raise OSError(errno.EINVAL, "Invalid argument")
        real(handle)

    monkeypatch.setattr(os, "fsync", not_folders)
    write_atomic(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"new"


def test_a_folder_that_may_not_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(atomic, "open", fails(errno.EACCES), raising=False)
    with pytest.raises(ResourceError) as caught:
        write_atomic(tmp_path / "file", b"new")
    assert str(caught.value) == (
        f"{tmp_path / 'file'}: cannot be written: Permission denied\n"
        "  expected: a folder that may be written to\n"
        "  try: another place, or the permission to write there"
    )


def step(number: int, loss: float = 0.5) -> StepEvent:
    """A step."""
    return StepEvent(step=number, loss=loss, learning_rate=0.1)


def test_events_are_appended_cut_and_read(tmp_path: Path) -> None:
    events = EventFile(tmp_path / "events.jsonl")
    assert events.length() == 0
    events.sync()
    events.append(step(1))
    length = events.length()
    events.append(RollbackEvent(step=0, failed_step=1, rate_share=0.3, best_epoch=-1))
    events.sync()
    assert events.path.read_text() == (
        '{"event": "step", "step": 1, "loss": 0.5, "learning_rate": 0.1}\n'
        '{"event": "rollback", "step": 0, "failed_step": 1, "rate_share": 0.3, "problem": "", "best_epoch": -1}\n'
    )
    assert read_events(events.path, EVENT) == [
        step(1), RollbackEvent(step=0, failed_step=1, rate_share=0.3, best_epoch=-1),
    ]  # fmt: skip
    events.cut(10_000)
    assert len(read_events(events.path, EVENT)) == 2
    events.cut(length)
    assert read_events(events.path, EVENT) == [step(1)]


@pytest.mark.parametrize(
    "line",
    [
        b'{"event": "step", "step": 3, "los',
        b"[1]",
        b"null",
        b'{"event": "step", "step": 2, "loss": "x", "learning_rate": 0.1}',
        b'{"event": "step", "step": 0, "loss": 0.5, "learning_rate": 0.1}',
        b'{"event": "step", "step": true, "loss": 0.5, "learning_rate": 0.1}',
        b'{"event": "walk", "step": 2}',
        b'{"event": "step", "step": 1' + b"0" * 5000 + b"}",
        b"[" * 9000,
        b"[" * 90_000,
        b"\xff\xfe",
    ],
    ids=lambda line: line[:12].decode("latin-1"),
)
def test_lines_that_are_no_events_are_left_out(tmp_path: Path, line: bytes) -> None:
    """As the last one, cut off by a crash."""
    path = tmp_path / "events.jsonl"
    good = b'{"event": "step", "step": 1, "loss": 0.5, "learning_rate": 0.1, "later": 1}\n'
    path.write_bytes(good + line + b"\n" + good + line)
    assert [each.step for each in read_events(path, EVENT)] == [1, 1]  # type: ignore[union-attr]
    assert read_events(tmp_path / "none", EVENT) == []


def test_numbers_that_nobody_can_draw_are_none(tmp_path: Path) -> None:
    events = EventFile(tmp_path / "events.jsonl")
    for loss in (1e31, float("inf"), -float("inf"), float("nan")):
        events.append(step(1, loss))
    assert [each.loss for each in read_events(events.path, EVENT)] == [None] * 4  # type: ignore[union-attr]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_events_on_a_full_disk(tmp_path: Path, number: int) -> None:
    missing = EventFile(tmp_path / "gone" / "events.jsonl")
    with pytest.raises(ResourceError, match=r"events\.jsonl: cannot be written: No such file"):
        missing.append(step(1))


def test_one_process_at_a_time(tmp_path: Path) -> None:
    run = create_run("digits", tmp_path / "run", {})
    assert not is_held(run)
    asks = (
        "import sys; from pathlib import Path\n"
        "from striate.runs.folder import RunFolder; from striate.runs.lock import is_held\n"
        "sys.exit(3 if is_held(RunFolder(Path(sys.argv[1]))) else 0)"
    )
    with held(run):
        assert subprocess.run([sys.executable, "-c", asks, run.path], check=False).returncode == 3
        with pytest.raises(RunError) as caught, held(run):
            pass
        assert str(caught.value) == (
            f"{run.path}: another process is training this run\n"
            "  expected: a run that nobody works on\n"
            "  try: wait for it, or stop it with Ctrl-C"
        )
    assert not is_held(run)
    assert not is_held(RunFolder(tmp_path / "none"))


def test_a_folder_whose_lock_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    run = RunFolder(tmp_path / "file")
    with pytest.raises(ResourceError) as caught, held(run):
        pass
    assert str(caught.value).startswith(f"{run.path}/.lock: cannot be written: ")


def test_a_drive_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run is trained all the same."""
    run = create_run("digits", tmp_path / "run", {".lock": b""})

    def fail(self: object, **said: object) -> None:
        raise NotImplementedError("FileSystem does not appear to support flock")

    monkeypatch.setattr("filelock.FileLock.acquire", fail)
    with held(run):
        assert not is_held(run)
