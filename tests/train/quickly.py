"""The self-test of the machine without its measuring time."""

from __future__ import annotations

import pytest

from striate.train import selftest


@pytest.fixture(autouse=True, scope="session")
def no_long_self_test() -> None:
    """Each test has a cache of its own, and there the figures of the machine do not matter."""
    selftest.MEASURED_S = 0.0
