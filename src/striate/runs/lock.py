"""One process at a time works on a run; the system lets go when the process ends, however it ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from filelock import FileLock, Timeout

from striate.disk.atomic import cannot_write
from striate.errors import RunError
from striate.runs.folder import RunFolder


@contextmanager
def held(run: RunFolder, cure: str = "wait for it, or stop it with Ctrl-C") -> Iterator[None]:
    """Hold a run while it is worked on.

    Raises RunError where another process does, ResourceError where the folder cannot be written.
    """
    lock = FileLock(run.lock)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise RunError(
            "another process is training this run",
            place=str(run.path),
            expected="a run that nobody works on",
            cure=cure,
        ) from None
    except NotImplementedError:
        # Files cannot be locked on some network drives.
        yield
        return
    except OSError as error:
        raise cannot_write(run.lock, error, 0) from error
    try:
        yield
    finally:
        lock.release()


def is_held(run: RunFolder) -> bool:
    """Whether a process works on a run right now; nothing is made where none ever did."""
    if not run.lock.exists():
        return False
    try:
        FileLock(run.lock).acquire(blocking=False).lock.release()
    except Timeout:
        return True
    except (OSError, NotImplementedError):
        pass
    return False
