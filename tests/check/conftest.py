"""Every test has a cache of its own."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where prepared pictures go."""
    folder = tmp_path / "the cache"
    monkeypatch.setenv("STRIATE_CACHE", str(folder))
    return folder
