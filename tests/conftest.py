"""What holds for every test: examples that are drawn alike each time, and a cache that is thrown away."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from striate.disk import atomic

# `make test` says the same of the same code twice; `make test-all` looks for what was not thought of.
settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
settings.register_profile("random", derandomize=False, deadline=None)
settings.load_profile(os.environ.get("STRIATE_EXAMPLES", "repeatable"))


@pytest.fixture(scope="session", autouse=True)
def no_cache_of_the_user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Where a test sets no cache of its own, it still reads and writes none of the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STRIATE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def fresh_cache(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], str]:
    """Called with a folder: makes it a cache that is empty but for what the self-test found, for STRIATE_CACHE.

    The self-test takes seconds, and is run once for all tests of a process.
    """
    measured = tmp_path_factory.mktemp("measured")

    def fill(folder: Path) -> str:
        if not any(measured.iterdir()):
            from training.quickly import measure_this_machine

            measure_this_machine(measured)
        shutil.copytree(measured, folder, dirs_exist_ok=True)
        return str(folder)

    return fill


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Called with n: of the files that are written from then on, the n-th and all behind it find the disk full."""

    def fill(nth: int) -> None:
        writes = 0

        def full(path: Path, mode: str) -> Any:
            nonlocal writes
            writes += 1
            if writes >= nth:
                raise OSError(errno.ENOSPC, "No space left on device")
            return open(path, mode)

        monkeypatch.setattr(atomic, "open", full, raising=False)

    return fill
