"""What a long command shows while it works, and how Ctrl-C stops it."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

# Where there is no terminal, a line of progress at most this often.
PLAIN_EVERY_S = 10.0


class Screen:
    """Bars on a terminal, plain lines elsewhere; it also carries the wish to stop."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.console = Console(highlight=False, markup=False, soft_wrap=True)
        self.quiet = quiet
        self.asked = False
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._what, self._total, self._told = "", 0, 0.0

    def say(self, text: str) -> None:
        """A line, above the bar if there is one."""
        if not self.quiet:
            (self._progress.console if self._progress else self.console).print(text)
            if not self.console.is_terminal:
                sys.stdout.flush()

    def begin(self, what: str, total: int) -> None:
        """A new bar in place of the one before."""
        self.end()
        self._what, self._total, self._told = what, total, time.monotonic()
        if self.quiet or not self.console.is_terminal:
            return
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=self.console,
            transient=True,
        )
        self._task = self._progress.add_task(what, total=total, note="")
        self._progress.start()

    def advance(self, done: int, note: str) -> None:
        """Move the bar."""
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=done, note=note)
        elif not self.quiet and time.monotonic() - self._told > PLAIN_EVERY_S:
            self._told = time.monotonic()
            self.say(f"{self._what}: {done:,} of {self._total:,}{', ' + note if note else ''}")

    def end(self) -> None:
        """Take the bar away."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def stopping(self) -> bool:
        """Whether Ctrl-C or SIGTERM came."""
        return self.asked

    @contextmanager
    def stoppable(self) -> Iterator[None]:
        """The first Ctrl-C or SIGTERM inside asks to stop after the step; the second stops at once."""

        def ask(number: int, frame: FrameType | None) -> None:
            if self.asked:
                raise KeyboardInterrupt
            self.asked = True
            self.say("stopping after this step; once more to stop at once")

        before = {which: signal.signal(which, ask) for which in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            self.end()
            for which, handler in before.items():
                signal.signal(which, handler)
