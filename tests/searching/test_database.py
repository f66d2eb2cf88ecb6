"""Who works on what: leases, what comes too late, and databases that are gone."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from striate.errors import StriateError
from striate.runs.folder import RunFolder
from striate.searching import database as module
from striate.searching.checkpoints import Checkpoints, steps_reached
from striate.searching.database import Database, Rung, is_abandoned, searches_in, shown_address


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(f"sqlite:///{tmp_path / 'study.db'}", "s")


RESULT = {"metric": 0.5, "accuracy": 0.5, "loss": 1.0, "seconds": 1.0}


def test_a_trial_has_one_number_and_one_worker(database: Database) -> None:
    first = database.add_trial(0, 0, {"a": 1}, {"weights": 7}, 10, "w:1:x")
    assert first is not None
    assert database.add_trial(0, 0, {"a": 2}, {}, 10, "w:2:y") is None
    assert [(each.trial, each.values, each.cost) for each in database.trials()] == [
        (0, {"a": 1}, {"weights": 7})
    ]
    assert database.finish(first, state="done", **RESULT)
    # Noted once: what is sent again is refused.
    assert not database.finish(first, state="done", **{**RESULT, "metric": 0.9})
    assert [(each.state, each.metric) for each in database.rungs()] == [("done", 0.5)]


def test_what_a_dead_worker_sends_is_refused(database: Database) -> None:
    held = database.add_trial(0, 0, {}, {}, 10, "elsewhere:1:x", lease_s=-1)
    assert held is not None
    (there,) = database.rungs()
    assert is_abandoned(there)
    taken = database.lease(there, "w:2:y")
    assert taken is not None
    assert database.lease(there, "w:3:z") is None
    assert not database.renew(held)
    assert not database.finish(held, state="done", **{**RESULT, "metric": 0.9})
    assert database.renew(taken)
    assert database.finish(taken, state="done", **RESULT)
    assert database.rungs()[0].metric == 0.5


def test_a_process_of_this_machine_that_ended(database: Database) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    host = platform.node()

    def leased(process: int) -> Rung:
        return Rung(0, 0, "leased", f"{host}:{process}:x", 1, 1e12, 10, None, None, None, None, None)

    assert is_abandoned(leased(ended.pid))
    assert not is_abandoned(leased(os.getpid()))


def test_a_rung_is_opened_once_and_given_back(database: Database) -> None:
    database.add_trial(0, 0, {}, {}, 10, "w:1:x")
    database.open_rung(0, 1, 30)
    database.open_rung(0, 1, 30)
    assert [each.rung for each in database.rungs()] == [0, 1]
    held = database.lease(database.rungs()[1], "w:1:x")
    assert held is not None
    assert database.release(held)
    assert database.rungs()[1].state == "open"
    database.drop_open(1, {0})
    assert database.rungs()[1].state == "dropped"


def test_settings_are_kept(database: Database) -> None:
    database.note("a", {"b": [1, 2.5]})
    database.note("a", {"b": [3]})
    assert database.noted("a") == {"b": [3]}
    assert database.noted("c") is None
    assert searches_in(database.url) == ["s"]


def test_a_database_that_is_gone(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'nowhere' / 'study.db'}"
    with pytest.raises(StriateError) as caught:
        Database(url, "s")
    assert str(caught.value) == (
        f"{url}: the database of the search cannot be used: unable to open database file\n"
        "  expected: a database that can be read and written\n"
        "  try: bring it back, then the same command again; what was acknowledged is kept in it"
    )


def test_no_address_and_no_password() -> None:
    with pytest.raises(StriateError) as caught:
        Database("study.db", "s")
    assert str(caught.value) == (
        "--storage: `study.db` is not the address of a database\n"
        "  expected: sqlite:///FILE, or postgresql+psycopg://USER@HOST/DATABASE\n"
        "  try: --storage sqlite:///study.db"
    )
    assert shown_address("postgresql+psycopg://me:secret@host/db") == "postgresql+psycopg://me:***@host/db"
    assert module.LEASE_S > module.RENEWALS


def test_checkpoints_of_other_workers(tmp_path: Path) -> None:
    kept = Checkpoints(str(tmp_path / "shared"), "s")
    run = RunFolder(tmp_path / "0003")
    run.state.mkdir(parents=True)
    (run.state / "00000012-0.safetensors").write_bytes(b"weights")
    run.record.write_text("{}")
    assert steps_reached(run) == 12
    assert kept.keep(3, run) is None
    other = RunFolder(tmp_path / "other" / "0003")
    assert steps_reached(other) == -1
    assert kept.fetch(3, other) is None
    assert steps_reached(other) == 12
    assert other.record.read_text() == "{}"
    assert kept.fetch(4, other) == "it is not there"
    kept.forget(3)
    kept.forget(3)
    assert kept.fetch(3, other) == "it is not there"
    (tmp_path / "full").touch()
    assert Checkpoints(str(tmp_path / "full"), "s").keep(3, run) is not None
    with pytest.raises(StriateError) as caught:
        Checkpoints("nowhere://bucket", "s")
    assert str(caught.value) == (
        "--checkpoints: `nowhere://bucket` is not a place for checkpoints: Protocol not known: nowhere\n"
        "  expected: a folder that every worker sees, or a URL as s3://bucket/folder\n"
        "  try: --checkpoints /mnt/shared/checkpoints"
    )
