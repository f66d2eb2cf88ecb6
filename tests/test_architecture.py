"""ARCHITECTURE.md names places that exist; pages have their pictures."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_every_named_place_exists() -> None:
    named = set(
        re.findall(r"`([\w/]+(?:\.py|/))[:`]", (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8"))
    )
    assert len(named) > 30
    rooms = (ROOT / "src" / "striate", ROOT)
    assert sorted(each for each in named if not any((room / each).exists() for room in rooms)) == []


def test_every_room_is_named() -> None:
    house = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8").split("```")[1]
    rooms = {path.name for path in (ROOT / "src" / "striate").iterdir() if (path / "__init__.py").exists()}
    assert sorted(room for room in rooms if f"{room}/" not in house) == []


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


def test_every_picture_of_the_docs_is_there() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    named = [
        (page, each)
        for page in pages
        for each in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", page.read_text(encoding="utf-8"))
    ]
    assert any(page.name == "gallery.md" for page, _ in named)
    assert [
        each for page, each in named if not each.startswith("http") and not (page.parent / each).is_file()
    ] == []
