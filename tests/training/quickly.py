"""What spares time: one thread, and a machine that is measured once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from striate.training import layout, selftest


@pytest.fixture(autouse=True, scope="session")
def no_long_measuring() -> None:
    """How fast something is does not matter in a test: each is timed once."""
    selftest.MEASURED_S = layout.MOST_S = 0.0


def measure_this_machine(cache: Path) -> None:
    """Run the self-test, on one thread as the tests do, and keep what it finds in a cache."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STRIATE_CACHE", str(cache))
        patch.setattr(selftest, "MEASURED_S", 0.0)
        selftest.self_test(torch.device("cpu"))
    torch.set_num_threads(threads)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Small networks are faster on one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
