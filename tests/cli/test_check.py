"""`striate check`: what it prints, writes, refuses to write, and how it ends."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from checks.hostile import draw_hostile, encoded, scene
from cli.conftest import Call
from striate.data.files.finding import CODES, SEVERITIES


def draw(folder: Path, **images: int) -> Path:
    """Files named a_1 for a/1.png."""
    for name, seed in images.items():
        path = folder / f"{name.replace('_', '/')}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(scene(seed), "PNG"))
    return folder


@pytest.fixture
def clean(here: Path) -> Path:
    return draw(here / "clean", a_1=1, a_2=2, b_1=3, b_2=4)


@pytest.fixture
def odd(here: Path) -> Path:
    folder = draw(here / "odd", a_1=1, a_2=2, b_1=3, b_2=1)
    (folder / "b" / "3.jpg").write_bytes(b"<html>")
    (folder / "b" / ".DS_Store").write_bytes(b"")
    return folder


def test_a_clean_folder(call: Call, clean: Path) -> None:
    said = call("check", "clean")
    assert said == (
        0,
        "clean: 4 of 4 images can be used, in 2 classes\nclasses   a 2, b 2\n\nfound     nothing wrong\n",
        "",
    )  # fmt: skip


def test_what_is_found(call: Call, odd: Path) -> None:
    assert call("check", "odd/") == (
        1,
        "odd/: 4 of 5 images can be used, in 2 classes\n"
        "classes   a 2, b 2\n"
        "\n"
        "error   not-a-image: its content is no image's, whatever its name says\n"
        "     1  b/3.jpg: it is an HTML page\n"
        "        try: move it out of the class folders\n"
        "\n"
        "warning duplicate-two-labels: the same image under two labels\n"
        "     2  a/1.png: labelled a, and the same image as b/2.png, labelled b\n"
        "        try: decide which label is right, and remove the other\n"
        "\n"
        "notes     1 hidden (--all lists them)\n"
        "found     1 error, 1 warning, 1 note\n",
        "",
    )
    assert (
        "     3  b/.DS_Store: a file hidden by its name, not looked at\n" in call("check", "odd", "--all").out
    )


def test_only_notes_are_no_failure(call: Call, clean: Path) -> None:
    (clean / ".hidden").write_bytes(b"")
    said = call("check", "clean")
    assert said.code == 0
    assert said.out.endswith(
        "notes     1 hidden (--all lists them)\nfound     0 errors, 0 warnings, 1 note\n"
    )


def test_many_classes_are_cut(call: Call, here: Path) -> None:
    draw(here / "many", **{f"{each}_1": number for number, each in enumerate("abcdefghijkl")})
    first = ", ".join(f"{each} 1" for each in "abcdefghij")
    assert f"\nclasses   {first} and 2 more (--all)\n" in call("check", "many").out
    assert f"\nclasses   {first}, k 1, l 1\n" in call("check", "many", "--all").out


def test_many_of_one_kind_are_cut(call: Call, clean: Path) -> None:
    for number in range(13):
        (clean / "a" / f"{number}.jpg").write_bytes(b"")
    said = call("check", "clean")
    assert said.out.count("the file is empty") == 10
    assert "        and 3 more (--all)\n" in said.out
    assert call("check", "clean", "--all").out.count("the file is empty") == 13


def test_json(call: Call, odd: Path) -> None:
    said = call("check", "odd", "--json")
    assert (said.code, said.err) == (1, "")
    read = json.loads(said.out)
    assert read["version"] == 1
    assert (read["files"], read["images"]) == (5, 4)
    assert read["splits"] == {"train": {"a": 2, "b": 2}}
    assert read["found"] == {"error": 1, "warning": 1, "note": 1}
    assert [each["number"] for each in read["findings"]] == [1, 2, 3]
    assert read["findings"][1] == {
        "number": 2,
        "code": "duplicate-two-labels",
        "severity": "warning",
        "file": "a/1.png",
        "reason": "labelled a, and the same image as b/2.png, labelled b",
        "cure": "decide which label is right, and remove the other",
        "also": ["b/2.png"],
    }


def test_a_hostile_folder_reaches_no_terminal(call: Call, here: Path) -> None:
    draw_hostile(here / "photos")
    for words in ((), ("--json",), ("--all",)):
        said = call("check", "photos", *words)
        assert said.code == 1
        assert said.err == ""
        assert all(each.isprintable() or each == "\n" for each in said.out)
        said.out.encode("utf-8")


def test_the_files_that_it_writes(call: Call, odd: Path) -> None:
    said = call("check", "odd", "--report", "check.html", "--manifest", "fixed.csv")
    assert said.code == 1
    assert said.out.endswith("report    check.html\nmanifest  fixed.csv: 2 images, 2 usable ones left out\n")
    assert Path("check.html").read_text().startswith("<!doctype html>")
    assert Path("fixed.csv").read_text() == ("path,label,split,group\nodd/a/2.png,a,,\nodd/b/1.png,b,,\n")
    assert call("check", "fixed.csv").code == 1  # one image a class is few
    said = call("check", "odd", "--json", "--report", "check.html", "--force")
    assert json.loads(said.out)["images"] == 4
    assert said.err == "report    check.html\n"


def refusals(here: Path) -> dict[tuple[str, ...], str]:
    return {
        ("check",): "check: no data were given\n  try: striate check photos/\n",
        ("check", "odd", "--report", "odd/check.html"): "--report: odd/check.html would lie among the images, and "
        "nothing is written there\n  expected: a path outside of the data\n  try: --report check.html\n",
        ("check", "odd", "--manifest", "way/in/fixed.csv"): "--manifest: way/in/fixed.csv would lie among the "
        "images, and nothing is written there\n  expected: a path outside of the data\n"
        "  try: --manifest fixed.csv\n",
        ("check", "odd", "--report", "there"): "there: there is a file already\n"
        "  try: --force, or another --report\n",
        ("check", "odd", "--report", "gone/x"): "gone: there is no such folder\n"
        "  expected: a folder for the file\n",
        ("check", "m.csv", "--manifest", "m.csv", "--force"): "--manifest: this is what is to be read\n"
        "  expected: another file\n",
        ("check", "odd", "--max-pixels", "0"): "--max-pixels: the limit is 0\n  expected: at least 1\n",
    }  # fmt: skip


def test_what_it_refuses(call: Call, odd: Path, here: Path) -> None:
    Path("way").symlink_to("odd")
    (odd / "in").mkdir()
    Path("there").write_text("mine")
    Path("m.csv").write_text("path,label\nodd/a/1.png,a\nodd/b/1.png,b\n")
    before = sorted(odd.rglob("*"))
    for words, text in refusals(here).items():
        assert call(*words) == (1, "", f"striate: {text}")
    assert sorted(odd.rglob("*")) == before
    assert Path("there").read_text() == "mine"
    said = call("check", "gone")
    assert said.code == 1
    assert said.err.startswith("striate: gone: there is no such file or folder")


def test_the_limit_on_pixels(call: Call, clean: Path) -> None:
    said = call("check", "clean", "--max-pixels", "7000")
    assert "its header declares 96 x 80 pixels, and 7,000 are the most\n" in said.out
    assert "clean: 0 of 4 images can be used" in said.out


def test_the_table_of_codes(call: Call) -> None:
    said = call("check", "--codes")
    assert said.code == 0
    lines = said.out.splitlines()
    assert len(lines) == 1 + len(CODES)
    for each, line in zip(CODES.values(), lines[1:], strict=True):
        assert line.split()[:2] == [each.code, each.severity]
        assert each.severity in SEVERITIES
        assert each.meaning in line
        assert each.cure in line


def test_labels_of_a_run(call: Call, run: Path, photos: Path, here: Path) -> None:
    said = call("check", str(photos), "--labels", str(run), "--json")
    assert said.err == ""
    for each in json.loads(said.out)["findings"]:
        if each["code"] == "likely-wrong-label":
            assert "by a network that did not train on it" in each["reason"]
    shutil.copytree(photos, "other")
    next(Path("other").rglob("*.png")).unlink()
    said = call("check", "other", "--labels", str(run))
    assert said.code == 1
    assert said.err == (
        f"striate: --labels: the run {run} was trained on other images or labels than these\n"
        "  expected: a run of the same data, so that its validation images are known\n"
        "  try: striate train other, and then its run\n"
    )


def test_it_needs_no_torch(spawn: Call, clean: Path) -> None:
    said = spawn("check", "clean", "--report", "check.html", PYTHONPROFILEIMPORTTIME="1")
    assert said.code == 0
    assert "| torch" not in said.err
    assert "matplotlib" not in said.err


def test_training_says_it_in_one_line(call: Call, odd: Path) -> None:
    for number in range(3, 9):
        draw(odd, **{f"a_{number}": 10 + number, f"b_{number}": 20 + number})
    words = (
        "train",
        "odd",
        "--net",
        "conv 2 3x3 -> fc classes",
        "--epochs",
        "1",
        "--size",
        "16",
        "--device",
        "cpu",
    )
    said = call(*words)
    assert said.code == 0
    assert (
        "check     1 file left out, 1 warning: striate check odd tells all\n"
        "          b/3.jpg: it is an HTML page (try: move it out of the class folders)\n"
    ) in said.out
    assert call(*words, "--strict").err.startswith(
        "striate: odd: 1 file cannot be used, and the check is strict\n"
    )
    (odd / "b" / "3.jpg").unlink()
    assert call(*words, "--strict").err.startswith("striate: odd: 1 warning, and the check is strict\n")


def test_training_names_what_is_about_the_whole(call: Call, here: Path) -> None:
    draw(
        here,
        **{f"{each}_{number}": 10 * number + place for place, each in enumerate("ab") for number in range(6)},
    )
    rows = [f"{each}/{number}.png,{each},{number < 3}" for each in "ab" for number in range(6)]
    (here / "m.csv").write_text("\n".join(["path,label,is_test", *rows]))
    said = call("train", "m.csv", "--net", "conv 2 3x3 -> fc classes", "--epochs", "1", "--size", "16")
    assert (
        "check     1 warning: striate check m.csv tells all\n"
        "warning   is_test: it seems to say in which split an image is (False, True), and is not read\n"
        "          try: a column `split` with test where `is_test` is True, and train elsewhere\n"
    ) in said.out
