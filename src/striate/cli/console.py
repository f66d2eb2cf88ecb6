"""The consoles that commands print on."""

from __future__ import annotations

import json
import webbrowser
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from striate.text.visible import visible_lines

# Of everything that --json prints; a key that goes, or means something else, raises it.
JSON_VERSION = 1

# Where there is no terminal nothing is cut to its width.
PLAIN_WIDTH = 200


class _Safe(Console):
    """The one way of text to the terminal: control characters in it are shown, not obeyed."""

    def render_str(self, text: str, **style: Any) -> Text:
        """As rich, which would drop some control characters without a word."""
        return super().render_str(visible_lines(text), **style)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """As rich, for what was made into styled text elsewhere as well."""
        for segment in super().render(renderable, options):
            if segment.control:
                yield segment
            else:
                yield Segment(visible_lines(segment.text), segment.style)

    def on_broken_pipe(self) -> None:
        """Leave it to whoever called: rich would end the process with exit code 1."""
        raise BrokenPipeError


def prose(*, stderr: bool = False) -> Console:
    """For sentences: printed as they are, a terminal breaks them."""
    return _Safe(stderr=stderr, highlight=False, markup=False, emoji=False, soft_wrap=True)


def tabular() -> Console:
    """For tables: as wide as the terminal, or wide enough where there is none."""
    console = _Safe(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = PLAIN_WIDTH
    return console


def helping(*, stderr: bool = False) -> Console:
    """For the help of commands, and for wrong calls."""
    return _Safe(stderr=stderr)


def print_json(value: Mapping[str, object], *, indent: int | None = None) -> None:
    """One JSON object with the `version` of what --json prints; on one line without `indent`.

    Raises ValueError for NaN and infinity, which JSON does not have.
    """
    print(json.dumps({"version": JSON_VERSION, **value}, indent=indent, allow_nan=False))


def open_page(page: Path) -> None:
    """Show a page of ours in the browser, or say that there is none."""
    if not webbrowser.open(page.resolve().as_uri()):
        prose(stderr=True).print(f"no browser was found to open {page}")
