"""The page of a check: whole, without a script, and nothing in it breaks out."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import pytest
from PIL import Image

from checks.hostile import draw_hostile, encoded, scene
from report.report_reader import PageReader
from striate.checks.check import check
from striate.report.check import check_page


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("page") / "photos"
    draw_hostile(folder)
    return check_page(check(folder))


def test_it_tells_all(page: str) -> None:
    read = PageReader(page)
    for text in (
        "127 images can be used of 169", "43 errors left out", "Left out", "To be looked at", "Noted", "Classes",
        "empty-file 2", "zeroed-inside 2", "cat/two.png labelled cat, and the same image as dog/two.png",
    ):  # fmt: skip
        assert text in read.text


def test_nothing_breaks_out(page: str) -> None:
    read = PageReader(page)
    names = {name for name, _ in read.elements}
    assert not names & {"script", "iframe", "object", "form", "link", "base"}
    assert "cat/<img src=x onerror=alert(1)>.png" in read.text
    assert not [key for _, found in read.elements for key in found if key.startswith("on")]
    assert all(each.startswith("data:image/jpeg;base64,") for each in read.attributes("src"))
    assert "\x1b" not in page
    assert "\u202e" not in page
    page.encode("utf-8")


def test_the_images_are_small(page: str) -> None:
    sources = PageReader(page).attributes("src")
    assert len(sources) > 40
    for each in sources:
        with Image.open(io.BytesIO(base64.b64decode(each.partition(",")[2]))) as image:
            assert max(image.size) <= 160
    assert not re.search(r"https?://", page)


def test_a_clean_folder(tmp_path: Path) -> None:
    for number in range(4):
        path = tmp_path / "photos" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(scene(number), "PNG"))
    read = PageReader(check_page(check(tmp_path / "photos")))
    assert "Nothing is wrong with it." in read.text
    assert "To be looked at" not in read.text
