"""The consoles that commands print on."""

from __future__ import annotations

import json
import webbrowser
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from rich.console import Console

from striate.disk.atomic import write_atomic
from striate.text.console import SafeConsole, prose

__all__ = ["helping", "open_page", "print_found", "print_json", "prose", "tabular"]

# Of everything that --json prints; a key that goes, or means something else, raises it.
JSON_VERSION = 1

# Where there is no terminal nothing is cut to its width.
PLAIN_WIDTH = 200


def tabular() -> Console:
    """For tables: as wide as the terminal, or wide enough where there is none."""
    console = SafeConsole(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = PLAIN_WIDTH
    return console


def helping(*, stderr: bool = False) -> Console:
    """For the help of commands, and for wrong calls."""
    return SafeConsole(stderr=stderr)


def print_json(value: Mapping[str, object], *, indent: int | None = None) -> None:
    """One JSON object with the `version` of what --json prints; on one line without `indent`.

    Raises ValueError for NaN and infinity, which JSON does not have.
    """
    print(json.dumps({"version": JSON_VERSION, **value}, indent=indent, allow_nan=False))


class Shown(Protocol):
    """What a command found: printed as its text or its record, and written as its page."""

    def page(self) -> str:
        """One HTML page that needs nothing else."""

    def to_record(self) -> Mapping[str, object]:
        """What --json prints."""


def print_found(found: Shown, *, json_: bool, page: Path | None, open_: bool) -> None:
    """Print it, or its JSON; write its page where one is asked for, and show it where that is asked for, too."""
    if page is not None:
        write_atomic(page, found.page().encode())
    if json_:
        print_json(found.to_record(), indent=2)
        return
    prose().print(str(found))
    if page is not None:
        prose().print(f"\npage  {page}")
        if open_:
            open_page(page)


def open_page(page: Path) -> None:
    """Show a page of ours in the browser, or say that there is none."""
    if not webbrowser.open(page.resolve().as_uri()):
        prose(stderr=True).print(f"no browser was found to open {page}")
