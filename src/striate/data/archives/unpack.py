"""Writing an archive's members into a folder of ours: plain files in plain folders, and nothing else."""

from __future__ import annotations

import errno
import os
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from striate.data.archives.allowance import Allowance, Broken, parts_of
from striate.data.archives.members import Member, packing
from striate.data.files.entry import is_idx
from striate.data.files.finding import CODES, Finding, listed
from striate.data.files.magic import HEAD_BYTES
from striate.data.files.walk import SYSTEM_NAMES
from striate.errors import DataError
from striate.text.visible import visible

MOST_LEFT_OUT = 10_000
"""An archive of which more is left out is no archive of images."""

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


@dataclass
class Target:
    """The folder, new and empty, and what was put into it.

    folders: as they were first spelled, by what they are but for case and accents; files: the same of files.
    """

    folder: Path
    folders: dict[str, str] = field(default_factory=dict)
    files: set[str] = field(default_factory=set)
    findings: list[Finding] = field(default_factory=list)
    left_out: int = 0
    written_bytes: int = 0
    hidden: set[str] = field(default_factory=set)

    def unpack(self, members: Iterable[Member], allowance: Allowance) -> None:
        """Writes every member that may be; the rest become findings, named as in the archive.

        Raises: DataError where the archive as a whole cannot be used, ResourceError, OSError.
        """
        for member in members:
            allowance.count()
            try:
                self._put(member)
            except Broken as problem:
                self.left_out += 1
                if self.left_out > MOST_LEFT_OUT:
                    raise DataError(
                        f"more than {MOST_LEFT_OUT:,} of its members cannot be used; the last: {problem.reason}",
                        expected="an archive of plain files in folders",
                        cure="unpack it yourself and give the folder",
                    ) from None
                cure = CODES[problem.code].cure
                self.findings.append(Finding(problem.code, visible(member.name), problem.reason, cure))

    def _put(self, member: Member) -> None:
        parts = parts_of(member.name)
        for number, part in enumerate(parts, start=1):
            if part.startswith(".") or part.lower() in SYSTEM_NAMES:
                self._pass_over("/".join(parts[:number]))
                return
        if member.trouble is not None:
            raise Broken(*member.trouble)
        if member.folder:
            self._enter(parts)
        elif parts:
            self._write(parts, member.pieces)

    def _pass_over(self, name: str) -> None:
        if name not in self.hidden:
            self.hidden.add(name)
            reason = "hidden, or left behind by a system, and not unpacked"
            self.findings.append(Finding("hidden", visible(name), reason, CODES["hidden"].cure))

    def _enter(self, parts: tuple[str, ...]) -> None:
        """Makes folders that are not there.  Raises: Broken where one's name is taken by another thing."""
        for number in range(1, len(parts) + 1):
            name = "/".join(parts[:number])
            key = _folded(name)
            known = self.folders.get(key)
            if known == name:
                continue
            if known is not None:
                raise Broken("archive-twice", f"only case or accents tell its folder from {visible(known)}/")
            if key in self.files:
                raise Broken("archive-twice", f"its folder {visible(name)}/ is a file already")
            with _named_here():
                os.mkdir(self.folder.joinpath(*parts[:number]), 0o755)
            self.folders[key] = name

    def _write(self, parts: tuple[str, ...], pieces: Iterator[bytes]) -> None:
        key = _folded("/".join(parts))
        if key in self.folders or key in self.files:
            raise Broken("archive-twice", "its name, but for case or accents, is taken by an earlier member")
        self._enter(parts[:-1])
        first = _first(pieces)
        kind = packing(first)
        if kind is not None and not (kind == "gzip" and is_idx([parts[-1]])):
            raise Broken("archive-nested", f"it is packed itself ({kind})")
        path = self.folder.joinpath(*parts)
        with _named_here():
            opened = os.open(path, _NEW, 0o644)
        try:
            with os.fdopen(opened, "wb") as file:
                for piece in chain((first,), pieces):
                    file.write(piece)
                size_bytes = file.tell()
        except Broken:
            os.unlink(path)
            raise
        self.files.add(key)
        self.written_bytes += size_bytes

    def refuse_empty(self) -> None:
        """Raises: DataError where nothing was written."""
        if self.files:
            return
        worst = [each for each in self.findings if each.left_out]
        raise DataError(
            "it holds no files"
            if not worst
            else "its only file cannot be used"
            if len(worst) == 1
            else f"not one of its {len(worst):,} files can be used",
            excerpt=listed(worst),
            expected="an archive of images in class folders",
            cure=worst[0].cure if worst else "pack a folder with one folder of images a class",
        )


@contextmanager
def _named_here() -> Iterator[None]:
    """Raises: Broken where this system has no such names, or none so long below this folder."""
    try:
        yield
    except OSError as problem:
        if problem.errno not in (errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL):
            raise
        raise Broken("archive-name", "this system does not allow its name") from None


def _first(pieces: Iterator[bytes]) -> bytes:
    """Enough of the content to see what it is."""
    first = b""
    while len(first) < HEAD_BYTES and (piece := next(pieces, b"")):
        first += piece
    return first


def _folded(name: str) -> str:
    """Two names are one file on some system where this is the same."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
