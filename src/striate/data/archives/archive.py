"""Archives as DATA: unpacked once into the cache, keyed by their content, and then read as a folder.

    CACHE/archives/KEY/files/      what was unpacked
    CACHE/archives/KEY/index.json  its seal (`seal_of`), and what was left out and why

KEY is a hash of the archive's content and of the version of this extractor.  What is missing, or no longer what
was unpacked, is unpacked anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from striate.data.archives.allowance import Allowance
from striate.data.archives.members import members_of, packing
from striate.data.archives.unpack import Target
from striate.data.files.file import open_regular, opening_failed
from striate.data.files.finding import Finding, Unreadable
from striate.data.files.magic import HEAD_BYTES
from striate.data.store.ledger import stamp_of
from striate.disk.cache import TRIES, building, publish, seal_of, writing_failed
from striate.disk.cached import hold, let_go, make_room
from striate.errors import DataError, ResourceError

_FORMAT = 2


@dataclass(frozen=True, slots=True)
class Unpacked:
    """folder: with what the archive holds.  findings: on what was left out, named as in the archive."""

    folder: Path
    findings: tuple[Finding, ...]


def archive_kind(path: Path, place: str) -> str | None:
    """How the file at `path` is packed, or None where it is no archive.  Raises: DataError where it cannot be read."""
    try:
        file, _ = open_regular(path)
        with file:
            return packing(file.read(HEAD_BYTES))
    except Unreadable as problem:
        raise _unread(problem, place) from None
    except OSError as problem:
        raise _unread(opening_failed(path, problem), place) from None


def unpacked(path: Path, place: str, root: Path) -> Unpacked:
    """What the archive at `path` holds, unpacked under `root` unless it is there from an earlier call.

    Only ordinary files and folders are made, none outside; members that are something else, or that cannot be
    read, become findings.  However it ends, nothing half-unpacked is left that looks whole.
    place: how the archive is shown.
    Raises: DataError where it is damaged, hostile, beyond the limits or holds nothing; ResourceError where the
    cache cannot be written or the disk is full.
    """
    try:
        file, size_bytes = open_regular(path)
    except Unreadable as problem:
        raise _unread(problem, place) from None
    with file:
        stamp = stamp_of(os.fstat(file.fileno()))
        digest = hashlib.sha256(f"archive {_FORMAT} ".encode())
        try:
            digest.update(hashlib.file_digest(file, "sha256").digest())
        except OSError as problem:
            raise _unread(opening_failed(path, problem), place) from None
        archives = root / "archives"
        home = archives / digest.hexdigest()[:32]
        if (found := _open(home)) is not None:
            return found
        file.seek(0)
        make_room(root, size_bytes)
        try:
            with building(archives) as temporary:
                unpack_into(temporary, file, size_bytes, root, place)
                if stamp_of(os.fstat(file.fileno())) != stamp:
                    raise DataError(
                        "the archive changed while it was read",
                        expected="an archive that stays as it is for a moment",
                        cure="run it again once it is complete",
                    )
                publish(temporary, home, lambda folder: _open(folder) is not None)
        except DataError as problem:
            problem.place = problem.place or place
            raise
        except OSError as problem:
            raise writing_failed(problem, root, size_bytes, "the unpacked archive takes more than") from None
    for _ in range(TRIES):
        if (found := _open(home)) is not None:
            make_room(root)
            return found
    raise ResourceError("what was unpacked vanished at once", place=str(root), cure="run it again")


def _unread(problem: DataError, place: str) -> DataError:
    return DataError(problem.problem, place=place, expected="a file that you may read", cure=problem.cure)


def unpack_into(home: Path, file: BinaryIO, size_bytes: int, root: Path, about: str) -> None:
    """Unpack an archive into a folder, and write the index of what came out."""
    allowance = Allowance(size_bytes, root, shutil.disk_usage(home).free)
    target = Target(home / "files")
    os.mkdir(target.folder, 0o755)
    kind = packing(file.read(HEAD_BYTES)) or ""
    file.seek(0)
    target.unpack(members_of(file, kind, allowance), allowance)
    target.refuse_empty()
    index = {
        "format": _FORMAT,
        "about": about,
        "seal": seal_of(target.folder),
        "findings": [[each.code, each.name, each.reason, each.cure] for each in target.findings],
    }
    (home / "index.json").write_text(json.dumps(index), encoding="utf-8")


def _open(home: Path) -> Unpacked | None:
    """What was unpacked there, or None where it is not, or no longer what it was."""
    hold(home)
    found = _read(home)
    if found is None:
        let_go(home)
    return found


def _read(home: Path) -> Unpacked | None:
    try:
        index = json.loads((home / "index.json").read_text(encoding="utf-8"))
        findings = tuple(Finding(*map(str, each)) for each in index["findings"])  # type: ignore[arg-type]
        known = index["format"] == _FORMAT and all(each.severity for each in findings)
        whole = known and index["seal"] == seal_of(home / "files")
        return Unpacked(home / "files", findings) if whole else None
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None
