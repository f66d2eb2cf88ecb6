"""What long work tells whoever watches it, how they can stop it, and the bar that shows it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from rich.console import Console

# Where there is no terminal, a line of progress at most this often; and in a notebook, seconds between two updates.
PLAIN_EVERY_S, NOTEBOOK_EVERY_S = 10.0, 0.2


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


class Progress:
    """The one bar of striate: on a terminal, or in a notebook, and plain lines elsewhere.

    console: what is printed on.  quiet: show nothing.  lines: say something now and then where there is neither.
    """

    def __init__(self, console: Console, *, quiet: bool = False, lines: bool = True) -> None:
        self.console = console
        self.quiet = quiet
        self.lines = lines
        self._bar: _TerminalBar | _NotebookBar | None = None
        self._what, self._total, self._told = "", 0, 0.0

    def say(self, text: str) -> None:
        """A line, above the bar if there is one."""
        if self.quiet:
            return
        if isinstance(self._bar, _TerminalBar):
            self._bar.console.print(text)
        elif self.lines or self.console.is_terminal or in_notebook():
            self.console.print(text)
        sys.stdout.flush()

    def begin(self, what: str, total: int) -> None:
        """A new bar in place of the one before."""
        self.end()
        self._what, self._total, self._told = what, total, time.monotonic()
        if self.quiet:
            return
        if in_notebook():
            self._bar = _NotebookBar(what, total)
        elif self.console.is_terminal:
            self._bar = _TerminalBar(self.console, what, total)

    def advance(self, done: int, note: str) -> None:
        """Move the bar."""
        if self._bar is not None:
            self._bar.move(done, note)
        elif self.lines and not self.quiet and time.monotonic() - self._told > PLAIN_EVERY_S:
            self._told = time.monotonic()
            self.say(f"{self._what}: {done:,} of {self._total:,}{', ' + note if note else ''}")

    def end(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            bar, self._bar = self._bar, None
            bar.close()

    def stopping(self) -> bool:
        """Never: Ctrl-C, and the square of a notebook, interrupt Python itself."""
        return False


class _TerminalBar:
    def __init__(self, console: Console, what: str, total: int) -> None:
        # Loaded where it is needed: `import striate` takes none of it.
        from rich import progress

        self._progress = progress.Progress(
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TimeRemainingColumn(),
            progress.TextColumn("{task.fields[note]}"),
            console=console,
            transient=True,
        )
        self._task = self._progress.add_task(what, total=total, note="")
        self._progress.start()

    @property
    def console(self) -> Console:
        """What prints above the bar."""
        return self._progress.console

    def move(self, done: int, note: str) -> None:
        self._progress.update(self._task, completed=done, note=note)

    def close(self) -> None:
        self._progress.stop()


class _NotebookBar:
    """A bar of HTML that is updated in place; it needs no widgets."""

    def __init__(self, what: str, total: int) -> None:
        from IPython.display import display

        self.what, self.total = what, total
        self.began = self._moved = time.monotonic()
        self._handle: Any = display(self._html(0, ""), display_id=True)

    def move(self, done: int, note: str) -> None:
        now = time.monotonic()
        if now - self._moved >= NOTEBOOK_EVERY_S or done >= self.total:
            self._moved = now
            self._handle.update(self._html(done, note))

    def close(self) -> None:
        """Nothing is left of it, as on a terminal."""
        from IPython.display import HTML

        self._handle.update(HTML(""))

    def _html(self, done: int, note: str) -> Any:
        from IPython.display import HTML

        left = ""
        passed_s = time.monotonic() - self.began
        if 0 < done < self.total and passed_s > 1:
            left = f", {passed_s * (self.total - done) / done:.0f} s left"
        said = f"{done:,} of {self.total:,}{left}{', ' + note if note else ''}"
        bar = f'<progress value="{done}" max="{max(self.total, 1)}" style="vertical-align:middle"></progress>'
        return HTML(f"<code>{escape(self.what)}</code> {bar} <code>{escape(said)}</code>")


def in_notebook() -> bool:
    """Whether Python runs as the kernel of a notebook."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", None)
    return shell is not None and hasattr(shell(), "kernel")


def python_progress(quiet: bool = False) -> Watch:
    """What shows long work that was called from Python: a bar on a terminal or in a notebook, else nothing."""
    if quiet or not (in_notebook() or sys.stderr.isatty()):
        return Silence()
    from striate.text.console import prose

    return Progress(prose(stderr=not in_notebook()), lines=False)


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
