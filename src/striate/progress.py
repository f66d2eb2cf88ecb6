"""What a training tells whoever watches it, and how they can stop it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol


class Watch(Protocol):
    """A watcher; the command line draws bars, a notebook may do nothing."""

    def say(self, text: str) -> None:
        """One line of news."""

    def begin(self, what: str, total: int) -> None:
        """Something countable begins; what began before has ended."""

    def advance(self, done: int, note: str) -> None:
        """So much of it is done; note: figures that change as it goes."""

    def end(self) -> None:
        """What began last has ended."""

    def stopping(self) -> bool:
        """Whether somebody asked to stop; asked after every step."""


class Silence:
    """A watcher that looks away."""

    def say(self, text: str) -> None:
        """Nothing."""

    def begin(self, what: str, total: int) -> None:
        """Nothing."""

    def advance(self, done: int, note: str) -> None:
        """Nothing."""

    def end(self) -> None:
        """Nothing."""

    def stopping(self) -> bool:
        """Never."""
        return False


@contextmanager
def counting(watch: Watch, what: str) -> Iterator[Callable[[int, int | None], None]]:
    """A callback of (done, total) that tells `watch`; `what` begins with its first call, if one comes."""
    begun = False

    def progress(done: int, total: int | None) -> None:
        nonlocal begun
        if not begun:
            watch.begin(what, total or 0)
            begun = True
        watch.advance(done, "")

    yield progress
    if begun:
        watch.end()


class Clock(Protocol):
    """What tells the time to a job; the module `time` is one, and tests have one that they turn by hand."""

    def monotonic(self) -> float:
        """Seconds since some moment."""

    def process_time(self) -> float:
        """Seconds that the processors computed for this process."""
