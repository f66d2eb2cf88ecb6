"""A cache that is thrown away, one thread, and drawn data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from training.drawn import write_arrays
from training.quickly import no_long_measuring as no_long_measuring


@pytest.fixture(autouse=True)
def cache(
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    fresh_cache: Callable[[Path], str],
) -> Path:
    """Every test has a cache of its own, beside its folder."""
    folder = tmp_path_factory.mktemp("cache") / "cache"
    monkeypatch.setenv("STRIATE_CACHE", fresh_cache(folder))
    return folder


@pytest.fixture(scope="module", autouse=True)
def one_thread(
    tmp_path_factory: pytest.TempPathFactory, fresh_cache: Callable[[Path], str]
) -> Iterator[None]:
    """Small networks are faster on one, and the last bit of a sum depends on how many there are."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STRIATE_CACHE", fresh_cache(tmp_path_factory.mktemp("cached") / "cache"))
        yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def arrays(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 training and 30 test images of three classes."""
    return write_arrays(tmp_path_factory.mktemp("drawn") / "bars.npz")
