"""Runs that are killed without warning, at any moment and in the middle of a write, and resumed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from survival import killing
from survival.soak import SOAK


@pytest.mark.parametrize(
    ("kills", "seed"),
    [(20, 1), pytest.param(200, 2, marks=SOAK)],
    ids=["20 kills", "200 kills"],
)
def test_killed_three_times_and_resumed_is_as_unbroken(tmp_path: Path, kills: int, seed: int) -> None:
    ended = subprocess.run(
        [sys.executable, killing.__file__, str(tmp_path), str(kills), str(seed)],
        capture_output=True, text=True, timeout=1800, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    assert found["failed"] == [], ended.stderr
    assert len(found["kills"]) >= kills
    kinds = Counter(each["kind"] for each in found["kills"])
    assert kinds["within"] + kinds["power"] >= 0.25 * kills
    assert kinds["timed"] >= 0.25 * kills
