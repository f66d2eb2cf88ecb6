"""Every command that README, guide and --help show can be typed: its flags exist, and its values are read."""

from __future__ import annotations

import re
import shlex
from importlib import import_module
from pathlib import Path

import pytest

from striate.cli.foreign import translated
from striate.cli.main import COMMANDS, application
from striate.cli.values import with_whole_sizes

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "docs" / "commands.md", *sorted((ROOT / "docs" / "guide").glob("*.md"))]


def commands_of_page(path: Path) -> list[str]:
    """Lines of its code blocks, and what its tables have between backquotes."""
    text = path.read_text(encoding="utf-8")
    blocks = "\n".join(re.findall(r"^```\n(.*?)^```", text, re.M | re.S))
    found = re.findall(r"^(?:\$ )?(striate [^\n#]+)", blocks, re.M)
    return found + re.findall(r"^\|[^\n]*?`(striate [^`\n]+)`", text, re.M)


def commands_of_help(name: str) -> list[str]:
    """The examples of a command: two or more spaces before what they are for."""
    examples = getattr(import_module(f"striate.cli.{name}"), name).__doc__ or ""
    found = re.findall(r"^      (striate [^\n]+)", examples, re.M)
    return [re.split(r" {2,}| > |; ", each)[0] for each in found]


EXAMPLES = [
    *((path.name, each) for path in PAGES for each in commands_of_page(path)),
    *((name, each) for name in COMMANDS for each in commands_of_help(name)),
]


@pytest.mark.parametrize(("place", "typed"), EXAMPLES, ids=lambda text: text[:60])
def test_it_can_be_typed(place: str, typed: str) -> None:
    words = with_whole_sizes(translated(shlex.split(typed.strip())[1:]))
    command, bound, _ = application(words[0]).parse_args(words, exit_on_error=False, print_error=False)
    assert command.__name__.rstrip("_") == words[0], place
    assert bound.arguments or len(words) == 1


def test_there_are_examples_of_every_command() -> None:
    assert sorted(name for name in COMMANDS if not commands_of_help(name)) == []
    assert len(EXAMPLES) > 120
