"""One process at a time works on a run; the system lets go when the process ends, however it ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from striate.errors import RunError
from striate.runs.folder import RunFolder

try:
    import fcntl
except ImportError:  # Windows has none; two processes on one run are then not told apart
    fcntl = None  # type: ignore[assignment]


@contextmanager
def held(run: RunFolder) -> Iterator[None]:
    """Hold a run while it is worked on.  Raises RunError where another process does."""
    file = _opened(run, create=True)
    if file is None:
        yield
        return
    with file:
        if not _locked(file):
            raise RunError(
                "another process is training this run",
                place=str(run.path),
                expected="a run that nobody works on",
                cure="wait for it, or stop it with Ctrl-C",
            )
        yield


def is_held(run: RunFolder) -> bool:
    """Whether a process works on a run right now."""
    file = _opened(run, create=False)
    if file is None:
        return False
    with file:
        return not _locked(file)


def _opened(run: RunFolder, *, create: bool) -> IO[bytes] | None:
    try:
        return open(run.state / "lock", "ab" if create else "rb")
    except OSError:
        return None


def _locked(file: IO[bytes]) -> bool:
    """Try to lock; True too where files cannot be locked, as on some network drives."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True
