"""Names, texts and images that were made to break out of the page."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_reader import PageReader
from report_sample import edit, image_code, make_run

from striate.report.element import Html, joined, spoken, tag, verbatim
from striate.report.mistakes import image_source
from striate.report.page import write_report
from striate.text.visible import visible

NAMES = (
    "<script>alert(1)</script>",
    "\"><img src=x onerror='alert(1)'>",
    "</style></pre></table><h1>big",
    "a\nb\r\tc",
    "{} {0} %s %(x)s ${y} {{z}}",
    "&amp; &lt;b&gt; &#60;",
    "turned \u202egnp.exe",
    "javascript:alert(1)",
    "half \udcff name",
    "-->]]><!--",
)


def test_hostile_names_stay_names(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a 'run' <b>&", classes=NAMES, epochs=2, source=NAMES[1])
    hostile = {"name": NAMES[0], "label": NAMES[2], "answer": NAMES[1], "probability": 0.5, "png": NAMES[1]}
    (run.path / "mistakes.json").write_text(json.dumps([hostile, {**hostile, "name": NAMES[3]}]))
    edit(run.path / "run.json", name=NAMES[0], created=NAMES[1], network={"name": NAMES[2], "why": NAMES[1]})
    edit(run.path / "run.json", versions={NAMES[0]: NAMES[1]}, machine={"processor": NAMES[2]})
    edit(run.path / "data.json", kind=NAMES[0], findings={NAMES[1]: 3})
    run.net.write_text(f"# {NAMES[2]} {NAMES[5]}\nconv 4 3x3 -> fc classes\n", encoding="utf-8")
    run.recipe.write_text(f'# {NAMES[0]} `{NAMES[2]}`\naugment = "{NAMES[0]}"\n', encoding="utf-8")

    write_report(run)
    text = run.report.read_text(encoding="utf-8")
    page = PageReader(text)

    assert {"script", "h1"} & {tag for tag, _ in page.elements} == {"h1"}
    assert sum(tag == "h1" for tag, _ in page.elements) == 1
    assert not page.attributes("onerror")
    assert not page.attributes("src")
    assert page.text.count("no image") == 2
    assert "<!--" not in text
    assert "\u202e" not in text
    for name in NAMES:
        assert " ".join(visible(name).split()) in page.text
    assert r"a\nb\r\tc" in page.text
    assert r"turned \u202egnp.exe" in page.text
    assert r"half \udcff name" in page.text


@given(st.text())
def test_any_text_comes_back_as_it_was(text: str) -> None:
    page = PageReader(tag("p", text, attributes={"title": text}))
    assert "".join(page.texts) == visible(text)
    assert page.attributes("title") == [visible(text)]
    tag("p", text).encode()


@given(st.text(alphabet="ab`<&\n"))
def test_sentences_and_lines_are_escaped_too(text: str) -> None:
    assert set("".join(PageReader(spoken(text)).texts)) <= set("ab`<&\\n")
    lines = [visible(line) for line in text.split("\n")]
    assert "".join(PageReader(verbatim(text)).texts) == "\n".join(lines)


def test_markup_is_escaped_once_it_is_handled_as_text() -> None:
    assert joined([Html("<b>"), "<b>"]) == "<b>&lt;b&gt;"
    assert tag("p", Html("<b>").upper()) == "<p>&lt;B&gt;</p>"


@pytest.mark.parametrize(
    "code",
    [
        "",
        "not base64!",
        "QUJD",
        "QUJD\n",
        '"><script>',
        base64.b64encode(b"<svg onload=alert(1)>").decode(),
        base64.b64encode(b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR").decode(),
        base64.b64encode(b"GIF89a" + bytes(64)).decode(),
    ],
)
def test_what_is_no_png_is_not_shown(code: str) -> None:
    assert image_source(code) == ""


def test_a_png_that_would_fill_the_memory_is_not_opened() -> None:
    chunk = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    assert image_source(base64.b64encode(bomb + bytes(100)).decode()) == ""


def test_a_large_image_is_packed_anew() -> None:
    small = image_code(np.random.default_rng(0), 48)
    assert image_source(small) == f"data:image/png;base64,{small}"
    large = image_code(np.random.default_rng(0), 192)
    packed = image_source(large)
    assert packed.startswith("data:image/jpeg;base64,")
    assert len(packed) < len(large) / 2


def test_damaged_pngs_never_raise() -> None:
    draw = np.random.default_rng(3)
    sound = base64.b64decode(image_code(draw, 32))
    for _ in range(300):
        content = bytearray(sound)
        for place in draw.integers(8, len(content), 3):
            content[place] = draw.integers(256)
        cut = int(draw.integers(8, len(content)))
        for damaged in (bytes(content), bytes(content[:cut])):
            image_source(base64.b64encode(damaged).decode())
