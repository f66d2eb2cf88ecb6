"""Mutated images: each becomes a tensor or our error; no crash, no hang, no descriptor left open."""

from __future__ import annotations

import collections
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

IMAGES = int(os.environ.get("STRIATE_MUTANTS", "20000"))
PARTS, IN_A_CHILD = 8, 2500


def survive(count: int, seed: int, folder: Path) -> tuple[int, dict[str, int], dict[str, int]]:
    """What became of so many images in a child with limits on memory and time."""
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("mutants.py")), str(count), str(seed), str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"seed {seed} ended with {done.returncode}: {done.stderr[-2000:]}"
    assert done.stderr == ""  # no library prints, either
    found = json.loads(done.stdout)
    return found["read"], found["forms"], found["codes"]


@pytest.mark.skipif(sys.platform == "win32", reason="limits and alarms are of POSIX")
def test_mutated_images(tmp_path: Path) -> None:
    read, forms, codes = survive(1500, 0, tmp_path)
    assert set(forms) == {"JPEG", "PNG", "WEBP", "AVIF", "TIFF", "BMP", "GIF"}
    assert min(forms.values()) > 40
    assert read > 300
    assert {"truncated", "unreadable", "not-a-image", "too-many-pixels"} <= set(codes)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="limits and alarms are of POSIX")
@pytest.mark.parametrize("part", range(PARTS))
def test_many_mutated_images(part: int, tmp_path: Path) -> None:
    total: collections.Counter[str] = collections.Counter()
    children = -(-IMAGES // (PARTS * IN_A_CHILD))
    for number in range(children):
        total.update(survive(IN_A_CHILD, 1 + part * children + number, tmp_path)[1])
    assert sum(total.values()) * PARTS >= IMAGES
