"""A cache that is thrown away, and one thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from training.drawn import write_arrays
from training.quickly import no_long_measuring as no_long_measuring
from training.quickly import one_thread as one_thread


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory, fresh_cache: Callable[[Path], str]) -> Iterator[None]:
    """Of each module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STRIATE_CACHE", fresh_cache(tmp_path_factory.mktemp("cached") / "cache"))
        yield


@pytest.fixture(scope="session")
def arrays(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 training and 30 test images of three classes."""
    return write_arrays(tmp_path_factory.mktemp("drawn") / "bars.npz")
