"""Text to a terminal: control characters in it are shown, not obeyed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from striate.text.visible import visible_lines


class SafeConsole(Console):
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
    return SafeConsole(stderr=stderr, highlight=False, markup=False, emoji=False, soft_wrap=True)
