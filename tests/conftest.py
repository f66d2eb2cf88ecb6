"""For all tests."""

from __future__ import annotations

import pytest

try:
    from striate.train import selftest
except ImportError:  # without torch
    selftest = None  # type: ignore[assignment]


@pytest.fixture(autouse=True, scope="session")
def _no_long_self_test() -> None:
    """Each test has a cache of its own; the figures of the machine do not matter."""
    if selftest is not None:
        selftest.MEASURED_S = 0.0
