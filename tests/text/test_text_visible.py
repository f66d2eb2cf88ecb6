"""Hostile text is shown, not obeyed."""

from __future__ import annotations

import io

import pytest
from rich.table import Table
from rich.text import Text

from striate.cli.console import prose, tabular
from striate.errors import StriateError
from striate.text.visible import repeated, visible, visible_lines

ESCAPES = "a\x1b[31mred\x07\r\x9b2J\u202eb\udcff"
SHOWN = r"a\x1b[31mred\x07\r\x9b2J\u202eb\udcff"


@pytest.mark.parametrize("text", ["", "plain", "größe 猫", "café"])
def test_what_shows_stays(text: str) -> None:
    assert visible(text) == visible_lines(text) == text


def test_what_does_not_show_is_its_escape() -> None:
    assert visible(ESCAPES) == visible_lines(ESCAPES) == SHOWN
    assert visible("a\tb\nc") == r"a\tb\nc"
    assert visible_lines("a\tb\nc\x1b") == "a\tb\nc\\x1b"


def test_a_value_is_repeated_within_a_line() -> None:
    assert repeated("x\n") == r"x\n"
    assert repeated([1]) == "[1]"
    assert repeated("9" * 5000) == "9" * 60 + "... (5,000 characters)"
    assert repeated(10**5000) == "a number of thousands of digits"


def test_errors_are_safe_wherever_they_are_printed() -> None:
    error = StriateError(
        f"{ESCAPES} is odd", place="a\x1bb", excerpt="    x\ty\x08", expected="\x00", cure="\x7f"
    )
    assert str(error) == (f"a\\x1bb: {SHOWN} is odd\n    x\ty\\x08\n  expected: \\x00\n  try: \\x7f")


@pytest.mark.parametrize("terminal", [True, False])
def test_nothing_reaches_a_terminal_but_what_rich_means(
    terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In sentences, in cells and in styled text; colors and movements of rich's own remain."""
    for name, value in (("TERM", "xterm"), ("FORCE_COLOR", "1" if terminal else "")):
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_COLOR", raising=False)
    table = Table(ESCAPES, box=None)
    table.add_row(Text(f"{ESCAPES} cell"))
    for made in (prose(), tabular()):
        made.file = io.StringIO()
        made.print(f"{ESCAPES} line\nnext", table, Text("own", style="red"))
        said = made.file.getvalue()
        assert said.startswith(f"{SHOWN} line\nnext\n")
        assert said.count(r"\x1b[31mred") == 3
        assert "\x1b[31mred" not in said
        assert "\x07" not in said
        assert ("\x1b" in said) is terminal
