"""The manifest of what is good: training takes it, and nothing in it can run as a formula."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checks.hostile import draw_hostile, encoded, scene
from striate.checks.check import check
from striate.checks.checked import Checked
from striate.checks.manifest import fixed_manifest, told
from striate.data.formats.table import guarded, unguarded
from striate.data.gather import gather
from striate.errors import DataError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test has a cache of its own."""
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "the cache"))


def draw(folder: Path, images: dict[str, int]) -> Path:
    for name, seed in images.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(encoded(scene(seed), "JPEG" if name.endswith("jpg") else "PNG"))
    return folder


def write(checked: Checked, path: Path) -> str:
    made = fixed_manifest(checked, path)
    path.write_bytes(made.content)
    return told(made)


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_a_hostile_folder_becomes_a_good_manifest(tmp_path: Path, suffix: str) -> None:
    draw_hostile(tmp_path / "photos")
    checked = check(tmp_path / "photos")
    path = tmp_path / "elsewhere" / f"fixed.{suffix}"
    path.parent.mkdir()
    said = write(checked, path)
    again = check(path)
    assert again.number("error") == 0
    assert not {each.code for each in again.findings} & {
        "duplicate", "duplicate-two-labels", "near-duplicate-two-labels", "zeroed-inside", "wrong-checksum",
    }  # fmt: skip
    kept = {each.path.resolve() for each in again.used}
    lost = {each.name for each in checked.used if each.path.resolve() not in kept}
    expected = {
        "cat/zeroed.jpg", "cat/zeroed.webp", "cat/summed.png", "dog/b.png", "dog/c.bmp",
        "cat/two.png", "dog/two.png", "cat/three.jpg", "dog/three.png",
    }  # fmt: skip
    if suffix == "csv":
        expected |= {"cat/\\udcffbytes.png"}
        assert said == (
            f"{len(kept)} images, 10 usable ones left out (1 because their names are no UTF-8: a .jsonl can "
            "hold them)"
        )
    else:
        assert said == f"{len(kept)} images, 9 usable ones left out"
    assert lost == expected
    data = gather(path)
    assert data.classes == ("Dog", "cat", "dog", "solo")


def test_images_of_two_splits_stay_where_they_are_measured(tmp_path: Path) -> None:
    folder = draw(
        tmp_path / "p",
        {
            "train/a/1.png": 1, "train/a/2.png": 2, "train/b/3.png": 3, "train/b/4.png": 4, "train/b/4.jpg": 4,
            "val/a/5.png": 5, "val/b/1.png": 6, "val/b/2.png": 7,
            "test/a/2.png": 2, "test/a/again.png": 2, "test/b/3.jpg": 3, "test/b/8.png": 8, "test/b/7.jpg": 7,
        },
    )  # fmt: skip
    checked = check(folder)
    assert [(each.code, each.name, each.also) for each in checked.findings if each.severity == "warning"] == [
        ("duplicate-across-splits", "train/a/2.png", ("test/a/2.png", "test/a/again.png")),
        ("near-duplicate-across-splits", "train/b/3.png", ("test/b/3.jpg",)),
        ("near-duplicate-across-splits", "val/b/2.png", ("test/b/7.jpg",)),
    ]
    write(checked, tmp_path / "fixed.csv")
    rows = list(csv.DictReader((tmp_path / "fixed.csv").open()))
    assert [(each["path"], each["label"], each["split"]) for each in rows] == [
        ("p/train/a/1.png", "a", "train"),
        ("p/train/b/4.jpg", "b", "train"),
        ("p/train/b/4.png", "b", "train"),
        ("p/val/a/5.png", "a", "val"),
        ("p/val/b/1.png", "b", "val"),
        ("p/test/a/2.png", "a", "test"),
        ("p/test/b/3.jpg", "b", "test"),
        ("p/test/b/7.jpg", "b", "test"),
        ("p/test/b/8.png", "b", "test"),
    ]
    groups = [each["group"] for each in rows]
    assert groups[1] == groups[2] != ""
    assert not any(groups[:1] + groups[3:])
    assert check(tmp_path / "fixed.csv").number("warning") == 0


def test_a_file_that_is_named_twice(tmp_path: Path) -> None:
    draw(tmp_path / "p", {"1.png": 1, "2.png": 2, "3.png": 3})
    lines = "path,label,split\np/1.png,a,\np/1.png,a,\np/2.png,b,\np/3.png,b,train\np/3.png,b,test\n"
    (tmp_path / "m.csv").write_text(lines)
    write(check(tmp_path / "m.csv"), tmp_path / "fixed.csv")
    assert (tmp_path / "fixed.csv").read_text() == (
        "path,label,split,group\np/1.png,a,,\np/2.png,b,,\np/3.png,b,test,\n"
    )


def test_formulas_stay_names(tmp_path: Path) -> None:
    names = ("=1+1", "+x", "-x", "@x", "-5", "plain")
    folder = draw(
        tmp_path / "p", {f"{name}/{n}.png": 10 * at + n for at, name in enumerate(names) for n in (1, 2)}
    )
    os.rename(folder / "plain/1.png", folder / "=HYPERLINK(1).png")
    os.rename(folder / "=HYPERLINK(1).png", folder / "plain/=HYPERLINK(1).png")
    write(check(folder), folder / "plain/fixed.csv")  # the paths are relative to it
    text = (folder / "plain/fixed.csv").read_text()
    for row in csv.reader(text.splitlines()):
        assert not any(each[:1] in ("=", "+", "@") for each in row)
        assert row[1][:1] != "-" or row[1] == "-5"
    assert "./=HYPERLINK(1).png,plain" in text
    assert gather(folder / "plain/fixed.csv").classes == tuple(sorted(names))


@given(st.text())
def test_a_guarded_value_comes_back(value: str) -> None:
    assert unguarded(guarded(value)) == value
    assert guarded(value)[:1] not in ("=", "@", "\t", "\r")


def test_what_cannot_be_a_manifest(tmp_path: Path) -> None:
    folder = draw(tmp_path / "p", {"a/1.png": 1, "b/2.png": 2})
    with pytest.raises(DataError) as error:
        fixed_manifest(check(folder), tmp_path / "fixed.txt")
    assert str(error.value) == (
        "--manifest: a manifest does not end in `.txt`\n  expected: .csv or .jsonl\n  try: fixed.csv"
    )
    with pytest.raises(DataError, match="these images lie in arrays"):
        fixed_manifest(check("digits"), tmp_path / "fixed.csv")
    draw(tmp_path / "q", {"a/1.png": 1, "b/1.png": 1})
    with pytest.raises(DataError, match="no image is left for the manifest"):
        fixed_manifest(check(tmp_path / "q"), tmp_path / "fixed.csv")
