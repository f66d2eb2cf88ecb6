"""Fixtures that spare time: one thread, and no measuring of the machine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from striate.training import selftest


@pytest.fixture(autouse=True, scope="session")
def no_long_self_test() -> None:
    """Each test has a cache of its own, and there the figures of the machine do not matter."""
    selftest.MEASURED_S = 0.0


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Small networks are faster on one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
