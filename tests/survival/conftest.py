"""A cache that is thrown away, one thread, drawn data, and a run that nothing happened to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from striate.training.loop import loop
from survival.tiny import ALWAYS, train
from training.drawn import write_arrays
from training.quickly import no_long_measuring as no_long_measuring


@pytest.fixture(scope="module", autouse=True)
def one_thread(
    tmp_path_factory: pytest.TempPathFactory, fresh_cache: Callable[[Path], str]
) -> Iterator[None]:
    """The last bit of a sum depends on how many there are."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STRIATE_CACHE", fresh_cache(tmp_path_factory.mktemp("cached") / "cache"))
        patch.setattr(loop, "CHECKPOINT_SHARE", ALWAYS)
        yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def arrays(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 training and 15 test images of three classes."""
    return write_arrays(tmp_path_factory.mktemp("drawn") / "bars.npz", train=60, test=15)


@pytest.fixture(scope="module")
def unbroken(arrays: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run."""
    out = tmp_path_factory.mktemp("unbroken") / "run"
    train(arrays, out)
    return out
