"""A place of its own for each test, and one finished run for all."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from striate.cli.main import main
from training.drawn import write_arrays, write_folder
from training.quickly import no_long_measuring as no_long_measuring
from training.quickly import one_thread as one_thread

STRIATE = [sys.executable, "-c", "from striate.cli.main import main; main()"]
NET = "conv 4 3x3 -> bn -> relu -> maxpool 2 -> fc classes"


class Said(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str


Call = Callable[..., Said]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh_cache: Callable[[Path], str]) -> Path:
    """A working directory and a cache of its own, for commands inside and outside this process."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("STRIATE_CACHE", fresh_cache(tmp_path / "cache"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")
    monkeypatch.setenv("COLUMNS", "80")
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "here"


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Call:
    """Call a command in this process."""

    def called(*words: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["striate", *map(str, words)])
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
        out, err = capsys.readouterr()
        return Said(code, out, err)

    return called


@pytest.fixture
def spawn() -> Call:
    """Run a command in a process of its own."""

    def spawned(*words: str, **environment: str) -> Said:
        ended = subprocess.run(
            [*STRIATE, *map(str, words)],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env={**os.environ, **environment},
        )
        return Said(ended.returncode, ended.stdout, ended.stderr)

    return spawned


@pytest.fixture(scope="session")
def bars(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An .npz of 120 training and 30 test images of three classes."""
    return write_arrays(tmp_path_factory.mktemp("drawn") / "bars.npz")


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 36 images in three class folders."""
    return write_folder(tmp_path_factory.mktemp("drawn") / "photos")


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory, photos: Path, fresh_cache: Callable[[Path], str]) -> Path:
    """A run that is finished."""
    import striate

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STRIATE_CACHE", fresh_cache(tmp_path_factory.mktemp("cached") / "cache"))
        out = tmp_path_factory.mktemp("runs") / "photos"
        striate.train(photos, net=NET, epochs=2, batch=8, out=out, device="cpu")
    return out
