"""Several workers on one search, killed at random: nothing that was acknowledged is lost, nothing is done twice."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sql

from striate.runs.search import SearchFolder
from striate.searching.database import Database, searches_in

NET = "conv ?(2, 4) 3x3 -> relu -> ?(maxpool 2, avgpool 2) -> fc classes"
BIN = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)


@pytest.fixture(scope="module")
def postgresql() -> Iterator[str]:
    """The address of a server of this test's own, run as the user postgres."""
    if BIN is None or os.getuid() != 0:
        pytest.skip(
            "PostgreSQL is not installed here (Debian: apt install postgresql), or the test is not root"
        )
    pytest.importorskip("psycopg")
    with tempfile.TemporaryDirectory(prefix="pg-", dir="/tmp") as folder:
        os.chmod(folder, 0o777)
        data = f"{folder}/data"

        def run(*words: str) -> None:
            subprocess.run(
                ["runuser", "-u", "postgres", "--", *words], check=True, capture_output=True, cwd="/tmp"
            )

        run(f"{BIN}/initdb", "-D", data, "-A", "trust", "--no-sync")
        run(
            f"{BIN}/pg_ctl",
            "-D",
            data,
            "-w",
            "-l",
            f"{folder}/log",
            "-o",
            f"-k {folder} -c listen_addresses=''",
            "start",
        )
        try:
            yield f"postgresql+psycopg://postgres@/postgres?host={folder}"
        finally:
            run(f"{BIN}/pg_ctl", "-D", data, "-m", "immediate", "stop")


def worker(*words: str) -> subprocess.Popen[bytes]:
    code = "import torch; torch.set_num_threads(1)\nfrom striate.cli.main import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", code, "search", *words, "--quiet"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def searched_by(url: str, arrays: Path, folder: Path, workers: int, kills: int) -> Database:
    """A search begun by one worker and gone on with by several, some of them killed."""
    chance = random.Random(7)
    first = worker(
        str(arrays), "--net", NET, "--set", "batch=16", "--set", "augment=none", "--set", "precision=fp32",
        "--set", "layout=channels_last", "--epochs", "18", "--trials", "12", "--out", str(folder), "--storage", url,
    )  # fmt: skip
    began = time.monotonic()
    while not (folder / "search.toml").exists() and time.monotonic() - began < 120:
        assert first.poll() is None, first.communicate()
        time.sleep(0.2)
    beside = [first] + [worker("--join", url, "--out", str(folder)) for _ in range(workers - 1)]
    name = searches_in(url)[-1]
    database = Database(url, name)
    acknowledged: dict[tuple[int, int], float | None] = {}
    while any(each.poll() is None for each in beside) or kills:
        time.sleep(chance.uniform(0.5, 2.0))
        rungs = database.rungs()
        for each in rungs:
            if each.state == "done":
                key = each.trial, each.rung
                assert acknowledged.setdefault(key, each.metric) == each.metric
        alive = [each for each in beside if each.poll() is None]
        if kills and alive and any(each.state == "leased" for each in rungs):
            victim = chance.choice(alive)
            victim.send_signal(signal.SIGKILL)
            victim.wait()
            kills -= 1
            beside.append(worker("--join", url, "--out", str(folder)))
        assert time.monotonic() - began < 500
        if not alive:
            kills = 0
    assert any(each.returncode == 0 for each in beside), [each.communicate()[0][-2000:] for each in beside]
    rungs = database.rungs()
    for each in rungs:
        if (key := (each.trial, each.rung)) in acknowledged:
            assert each.metric == acknowledged[key]
    # A rung has one result, and each trial came to its end once at most.
    assert max(Counter((each.trial, each.rung) for each in rungs).values()) == 1
    assert all(each.state in ("done", "diverged", "dropped") for each in rungs)
    assert sorted(each.trial for each in database.trials()) == list(range(12))
    record = SearchFolder(folder).read_record()
    assert len(record.trials) == 12
    assert record.test is not None
    return database


@pytest.mark.slow
def test_four_workers_on_postgresql(postgresql: str, arrays: Path, tmp_path: Path) -> None:
    database = searched_by(postgresql, arrays, tmp_path / "s", 4, 6)
    engine = sql.create_engine(postgresql)
    with engine.connect() as connection:
        trials = connection.execute(sql.text("select count(*) from trials")).scalar()
    # Optuna's own tables have each once.
    assert trials == 12
    database.close()
    engine.dispose()


@pytest.mark.slow
def test_two_workers_on_sqlite(arrays: Path, tmp_path: Path) -> None:
    (tmp_path / "db").mkdir()
    searched_by(f"sqlite:///{tmp_path / 'db' / 'study.db'}", arrays, tmp_path / "s", 2, 2).close()
