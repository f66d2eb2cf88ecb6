"""What takes minutes, and is run by `make soak` alone."""

from __future__ import annotations

import os

import pytest

SOAK = (
    pytest.mark.slow,
    pytest.mark.skipif(not os.environ.get("STRIATE_SOAK"), reason="takes minutes; make soak runs it"),
)
