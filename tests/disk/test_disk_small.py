"""Small files are read whole or refused at once, whatever lies there."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from striate.disk.small import MOST_TOML_BYTES, parse_toml, read_small, read_small_text
from striate.errors import NotationError, RecipeError, RunError


def test_a_small_text(tmp_path: Path) -> None:
    path = tmp_path / "a.net"
    path.write_bytes(b"\xef\xbb\xbffc classes\n")
    assert read_small_text(path, NotationError, "the text of a network") == "fc classes\n"
    assert read_small(path, 14) == b"\xef\xbb\xbffc classes\n"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("pipe", "it cannot be read: it is a pipe or a device"),
        ("folder", "it cannot be read: it is a folder"),
        ("zero", "it cannot be read: it is a pipe or a device"),
        ("large", "it cannot be read: it has more than 1,000,000 bytes"),
        ("latin", "this is not UTF-8 text"),
        ("loop", "it cannot be read: Too many levels of symbolic links"),
        ("null\0", "it cannot be read: embedded null byte"),
    ],
)
def test_what_is_no_small_text(tmp_path: Path, name: str, told: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "large").write_bytes(bytes(1_000_001))
    (tmp_path / "latin").write_bytes("größe".encode("latin-1"))
    (tmp_path / "loop").symlink_to("loop")
    path = tmp_path / name
    with pytest.raises(RunError) as caught:
        read_small_text(path, RunError, "a run's text")
    assert str(caught.value) == f"{path}: {told}\n  expected: a run's text".replace("\0", r"\x00")


def test_a_missing_file_has_the_nearest_name(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").touch()
    with pytest.raises(RecipeError) as caught:
        read_small_text(tmp_path / "mien.toml", RecipeError, "a recipe")
    assert str(caught.value) == f"{tmp_path}/mien.toml: there is no such file\n  try: {tmp_path}/mine.toml"
    with pytest.raises(RecipeError) as caught:
        read_small_text(tmp_path / "none" / "a.toml", RecipeError, "a recipe")
    assert str(caught.value) == f"{tmp_path}/none/a.toml: there is no such file"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a = " + "[" * 3000, "its brackets are nested too deep"),
        ("a = " + "9" * 3999, "line 1 has more than 4,000 characters"),
        ("b = 1\n" + "a." * 2001 + "a = 1", "line 2 has more than 4,000 characters"),
        ("#\n" * 60_000, f"it has more than {MOST_TOML_BYTES:,} characters"),
        ("a = = 1", "Invalid value (at line 1, column 5)"),
    ],
)
def test_what_is_no_small_toml(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(told)}$"):
        parse_toml(text)


def test_a_small_toml() -> None:
    assert parse_toml("a = 1\nb = 'x'") == {"a": 1, "b": "x"}
