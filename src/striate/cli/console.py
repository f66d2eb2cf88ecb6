"""The consoles that commands print on."""

from __future__ import annotations

from rich.console import Console

# Where there is no terminal nothing is cut to its width.
PLAIN_WIDTH = 200


class _Piped(Console):
    def on_broken_pipe(self) -> None:
        """Leave it to whoever called: rich would end the process with exit code 1."""
        raise BrokenPipeError


def prose(*, stderr: bool = False) -> Console:
    """For sentences: printed as they are, a terminal breaks them."""
    return _Piped(stderr=stderr, highlight=False, markup=False, emoji=False, soft_wrap=True)


def tabular() -> Console:
    """For tables: as wide as the terminal, or wide enough where there is none."""
    console = _Piped(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = PLAIN_WIDTH
    return console


def helping() -> Console:
    """For the help of commands."""
    return _Piped()
