"""The one bar: in a notebook without widgets, on a terminal, and nothing where nobody looks."""

from __future__ import annotations

import io
import sys
from types import SimpleNamespace

import pytest

from striate.progress import Progress, Silence, in_notebook, python_progress
from striate.text.console import SafeConsole


class Handle:
    """What IPython's display gives back: it remembers what was shown."""

    def __init__(self, first: str) -> None:
        self.shown = [first]

    def update(self, html: str) -> None:
        self.shown.append(html)


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> list[Handle]:
    """As within the kernel of a notebook."""
    handles: list[Handle] = []

    def display(html: str, *, display_id: bool) -> Handle:
        assert display_id
        handles.append(Handle(html))
        return handles[-1]

    shell = SimpleNamespace(kernel=object())
    inner = SimpleNamespace(display=display, HTML=str)
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell, display=inner))
    monkeypatch.setitem(sys.modules, "IPython.display", inner)
    return handles


def test_a_bar_in_a_notebook(notebook: list[Handle]) -> None:
    assert in_notebook()
    progress = python_progress()
    assert isinstance(progress, Progress)
    progress.begin("epoch <1>", 20)
    progress.advance(20, "loss 0.5")
    progress.end()
    (handle,) = notebook
    assert "<code>epoch &lt;1&gt;</code>" in handle.shown[0]
    assert '<progress value="20" max="20"' in handle.shown[1]
    assert "<code>20 of 20, loss 0.5</code>" in handle.shown[1]
    assert handle.shown[2] == ""


def test_quiet_on_demand(notebook: list[Handle]) -> None:
    assert isinstance(python_progress(quiet=True), Silence)
    assert notebook == []


def test_a_script_without_a_terminal_is_quiet() -> None:
    assert not in_notebook()
    assert isinstance(python_progress(), Silence)


def test_a_bar_on_a_terminal_goes_away() -> None:
    file = io.StringIO()
    progress = Progress(
        SafeConsole(file=file, force_terminal=True, width=80, highlight=False, markup=False), lines=False
    )
    progress.begin("reading", 10)
    progress.advance(5, "")
    progress.say("a line \x1b[2J")
    progress.end()
    assert "a line \\x1b[2J" in file.getvalue()
    assert "reading" in file.getvalue()


def test_plain_lines_only_where_they_are_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("striate.progress.PLAIN_EVERY_S", -1.0)
    for lines, said in ((True, "reading: 5 of 10, fast\n"), (False, "")):
        file = io.StringIO()
        progress = Progress(SafeConsole(file=file, force_terminal=False), lines=lines)
        progress.begin("reading", 10)
        progress.advance(5, "fast")
        progress.end()
        assert file.getvalue() == said
