"""What a long command shows while it works, and how Ctrl-C stops it."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from striate.progress import Progress
from striate.text.console import prose

# What asks a program to end: Ctrl-C, `kill`, and a terminal that was closed.
_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class Screen(Progress):
    """The progress of a command; it also carries the wish to stop."""

    def __init__(self, *, quiet: bool = False) -> None:
        super().__init__(prose(), quiet=quiet)
        self.asked = False
        self._heeded = False
        self._answered = False

    def say(self, text: str) -> None:
        """A line, above the bar if there is one."""
        try:
            super().say(text)
        except OSError as error:
            self._fall_silent(error)

    def end(self) -> None:
        """Take the bar away."""
        try:
            super().end()
        except OSError as error:
            self._fall_silent(error)

    def stopping(self) -> bool:
        """Whether Ctrl-C, SIGTERM or SIGHUP came, or the reader of the lines left."""
        self._heeded = True
        if self.asked and not self._answered:
            self._answered = True
            self.say("stopping")
        return self.asked

    @contextmanager
    def stoppable(self) -> Iterator[None]:
        """How a wish to stop is met inside.

        Once somebody calls `stopping` the first signal only asks, and the second stops at once; before
        that there is nothing to save and the first does.  Any further one comes while the end is written
        down, which takes a moment, and is not heard.  However it ends, the bar is taken away.
        """

        def ask(number: int, frame: FrameType | None) -> None:
            # No word here: what it interrupts may be in the middle of a line.
            if self.asked or not self._heeded:
                self.asked = True
                for which in heard:
                    signal.signal(which, signal.SIG_IGN)
                raise KeyboardInterrupt
            self.asked = True

        # What is ignored stays so: `nohup` does that.
        heard = [which for which in _SIGNALS if signal.getsignal(which) != signal.SIG_IGN]
        before = {which: signal.signal(which, ask) for which in heard}
        try:
            yield
        finally:
            self.end()
            for which, handler in before.items():
                # Who was asked to stop is at the end: nothing is left that a signal could cut short.
                signal.signal(which, signal.SIG_IGN if self.asked else handler)

    def _fall_silent(self, error: OSError) -> None:
        """Nobody can read on.  Where a reader left, that is a wish to stop: save, as after Ctrl-C."""
        self.quiet = True
        self.asked = self.asked or isinstance(error, BrokenPipeError)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
