"""Checkpoints: written whole or not at all, named by their content, found again if sound."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from striate.disk.atomic import write_atomic
from striate.errors import ResourceError, RunError

# 00000120-9f86d081884c7d65.safetensors: the step, and the beginning of the SHA-256 of the file.
_NAME = re.compile(r"(\d{8,})-([0-9a-f]{16})\.safetensors")
KEPT = 2


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What was read back.  damaged: names of newer checkpoints that were not sound."""

    tensors: dict[str, Tensor]
    numbers: dict[str, Any]
    damaged: tuple[str, ...]


def save_checkpoint(
    folder: Path, step: int, tensors: dict[str, Tensor], numbers: dict[str, Any], keep: Collection[int] = ()
) -> None:
    """Write a checkpoint and remove all but the latest two, and those of the steps in `keep`.

    The previous one stays until this one is safe.
    """
    content = save(tensors, metadata={"numbers": json.dumps(numbers)})
    checksum = hashlib.sha256(content).hexdigest()[:16]
    path = folder / f"{step:08d}-{checksum}.safetensors"
    write_atomic(path, content)
    _make_newest(path)
    for old in _newest_first(folder)[KEPT:]:
        if _step(old) not in keep:
            # What cannot be removed is in the way of nothing.
            with contextlib.suppress(OSError):
                old.unlink()


def keep_checkpoints(folder: Path, first: int, last: int) -> None:
    """Remove the checkpoints of steps before `first` and behind `last`.  Raises ResourceError."""
    for path in _newest_first(folder):
        if not first <= _step(path) <= last:
            try:
                path.unlink()
            except OSError as error:
                raise ResourceError(
                    f"a checkpoint cannot be removed: {error.strerror or error}",
                    place=str(path),
                    expected="a folder that may be written to",
                    cure="remove it, then striate resume",
                ) from error


def load_checkpoint(folder: Path, step: int | None = None) -> Checkpoint:
    """The newest sound checkpoint; or that of `step`, and the oldest where it is not there.

    Raises RunError where there is none, naming those that are damaged.
    """
    damaged: list[str] = []
    paths = _newest_first(folder)
    if step is not None:
        paths = [path for path in paths if _step(path) == step] + paths[::-1]
    for path in paths:
        match = _NAME.fullmatch(path.name)
        assert match is not None
        try:
            content = path.read_bytes()
            if hashlib.sha256(content).hexdigest()[:16] != match.group(2):
                damaged.append(path.name)
                continue
            length = int.from_bytes(content[:8], "little")
            header = json.loads(content[8 : 8 + length])
            numbers = json.loads(header["__metadata__"]["numbers"])
            return Checkpoint(load(content), numbers, tuple(damaged))
        except (OSError, ValueError, LookupError, TypeError, SafetensorError):
            damaged.append(path.name)
    raise RunError(
        "every checkpoint is damaged: " + ", ".join(damaged) if damaged else "there is no checkpoint",
        place=str(folder),
        expected="a checkpoint whose content matches the sum in its name",
        cure="striate train, which starts over",
    )


def _step(path: Path) -> int:
    return int(path.name.split("-")[0])


def _make_newest(path: Path) -> None:
    """Of two at one step the later is the newer, even if the clock was set back in between."""
    with contextlib.suppress(OSError):
        before = [other.stat().st_mtime_ns for other in _newest_first(path.parent) if other != path]
        if before and path.stat().st_mtime_ns <= max(before):
            # In steps that every file system can tell apart.
            latest = max(before) + 2_000_000_000
            os.utime(path, ns=(latest, latest))


def _newest_first(folder: Path) -> list[Path]:
    found = (
        [path for path in folder.iterdir() if _NAME.fullmatch(path.name) and path.is_file()]
        if folder.is_dir()
        else []
    )
    return sorted(found, key=lambda path: (_step(path), path.stat().st_mtime_ns), reverse=True)
