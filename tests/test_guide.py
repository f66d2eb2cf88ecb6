"""The guide: every command in it runs, and every picture is one that its commands make."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
MAKE = runpy.run_path(str(DOCS / "make_guide.py"))
PAGES = {page: (DOCS / "guide" / f"{page}.md").read_text(encoding="utf-8") for page in MAKE["PAGES"]}


@pytest.mark.parametrize("page", PAGES)
def test_pictures_are_there_and_made_by_its_commands(page: str) -> None:
    shown = re.findall(r"\]\(images/([^)]+)\)", PAGES[page])
    assert sorted(shown) == sorted(MAKE["PICTURES"][page])
    assert [name for name in shown if not (DOCS / "guide" / "images" / name).exists()] == []


@pytest.mark.parametrize("page", PAGES)
def test_what_plan_and_words_print_is_what_stands_there(page: str, tmp_path: Path) -> None:
    for body in re.findall(r"^```console\n(.*?)^```$", PAGES[page], flags=re.M | re.S):
        typed = list(MAKE["commands"](body))
        if all(command.split()[1] in ("plan", "words") for command in typed):
            printed = [f"$ {command}\n{MAKE['run'](command, tmp_path).rstrip()}" for command in typed]
            assert body.rstrip() == "\n\n".join(printed)


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_every_command_runs(page: str, tmp_path: Path) -> None:
    MAKE["prepare"](tmp_path)
    MAKE["run_page"](PAGES[page], tmp_path)
    missing = [made for made, _, _ in MAKE["PICTURES"][page].values() if not (tmp_path / made).exists()]
    assert missing == []
