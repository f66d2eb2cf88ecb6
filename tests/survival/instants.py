"""The instants at which a file is being written: what can go wrong or end at each of them.

Files of a run are written through `striate.disk.atomic` and `striate.runs.events`; both are given an `open` and
an `os` here that count each call and ask what is to happen at it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import pytest

from striate.disk import atomic
from striate.runs import events

KINDS = ("open", "write", "fsync", "replace", "folder", "append", "sync", "truncate")


@dataclass(frozen=True)
class Instant:
    """One call.

    number: the how-manieth it is.  kind: one of KINDS.  path: the file that is written, or its temporary name.
    partly: does a part of what the call would have done, where it has parts.
    """

    number: int
    kind: str
    path: Path
    partly: Callable[[], object] = field(default=lambda: None, compare=False)


Happens = Callable[[Instant], object]


class _File:
    """A file whose `write` and `close` are instants."""

    def __init__(
        self, file: IO[bytes], said: Callable[[str, Path, Callable[[], object]], None], kind: str
    ) -> None:
        self.file, self.said, self.kind = file, said, kind

    def write(self, content: bytes) -> int:
        """All of it, if nothing happens."""

        def half() -> None:
            self.file.write(content[: len(content) // 2])
            self.file.flush()

        self.said(self.kind, Path(self.file.name), half)
        return self.file.write(content)

    def flush(self) -> None:
        """As it is."""
        self.file.flush()

    def fileno(self) -> int:
        """As it is."""
        return self.file.fileno()

    def __enter__(self) -> _File:
        return self

    def __exit__(self, *said: object) -> None:
        self.file.close()


class _System:
    """`os`, with some calls that are instants."""

    def __init__(self, said: Callable[[str, Path, Callable[[], object]], None]) -> None:
        self._said = said

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def fsync(self, handle: int) -> None:
        """Of a file that is written, of a folder, or of the events."""
        path = Path(os.readlink(f"/proc/self/fd/{handle}"))
        self._said(
            "folder" if path.is_dir() else "sync" if path.suffix == ".jsonl" else "fsync", path, lambda: None
        )
        # The tests kill processes, not machines: nothing has to reach the disk.

    def replace(self, source: Path, target: Path) -> None:
        """As it is, if nothing happens."""
        self._said("replace", Path(target), lambda: None)
        os.replace(source, target)

    def truncate(self, path: Path, length: int) -> None:
        """As it is, if nothing happens."""
        self._said("truncate", Path(path), lambda: None)
        os.truncate(path, length)


@contextmanager
def instants(happens: Happens) -> Iterator[None]:
    """Call `happens` at every instant in which a file of a run is written."""
    number = 0

    def said(kind: str, path: Path, partly: Callable[[], object]) -> None:
        nonlocal number
        number += 1
        happens(Instant(number, kind, path, partly))

    def opened(path: Path, mode: str) -> Any:
        if mode == "rb":
            return open(path, mode)
        if mode == "wb":
            said("open", Path(path), lambda: None)
        return _File(open(path, mode), said, "write" if mode == "wb" else "append")

    with pytest.MonkeyPatch.context() as patch:
        for module in (atomic, events):
            patch.setattr(module, "open", opened, raising=False)
            patch.setattr(module, "os", _System(said))
        yield
