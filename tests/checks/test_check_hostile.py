"""A hostile folder: every file named with the right code, none silent, none blocks, none is changed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hostile import draw_hostile, encoded, scene

from striate.checks.check import check
from striate.checks.checked import Checked
from striate.data.gather import gather


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test has a cache of its own."""
    folder = tmp_path / "the cache"
    monkeypatch.setenv("STRIATE_CACHE", str(folder))
    return folder


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, set[str]]]:
    folder = tmp_path_factory.mktemp("hostile") / "photos"
    return folder, draw_hostile(folder)


@pytest.fixture(scope="module")
def checked(drawn: tuple[Path, dict[str, set[str]]]) -> Checked:
    return check(drawn[0])


def test_every_file_with_its_code(drawn: tuple[Path, dict[str, set[str]]], checked: Checked) -> None:
    found: dict[str, set[str]] = {}
    for each in checked.findings:
        found.setdefault(each.name, set()).add(each.code)
    assert found == drawn[1]
    assert len(found) >= 60


def test_whole_texts(checked: Checked) -> None:
    told = {(each.code, each.name): f"{each.reason} | {each.cure}" for each in checked.findings}
    for key, text in TEXTS.items():
        assert told[key] == text


TEXTS = {
    ("too-many-pixels", "cat/bomb.tif"): "its header declares 60,000 x 60,000 pixels, and 100,000,000 are the "
    "most | shrink it, or raise max_pixels if you trust it",
    ("missing-file", "cat/circle.jpg"): "a link that leads in a circle | remove the link",
    ("missing-file", "cat/nowhere.jpg"): "a link that leads nowhere | mend its path",
    ("special-file", "cat/zeros.jpg"): "it is no ordinary file | remove it",
    ("link-outside", "cat/zeros.jpg"): "a link to /dev/zero, outside of the folder | copy what it leads to",
    ("linked-twice", "cat/up"): "a link to a folder that was already walked | remove the link",
    ("wrong-extension", "cat/png.jpg"): "it is named JPEG, and its content is PNG | rename it",
    ("exif-rotated", "cat/turned.tif"): "turned as its EXIF orientation 6 says | ",
    ("animated", "cat/moving.gif"): "it has several frames or pages, of which the first is used | save the one "
    "you want",
    ("cmyk-converted", "cat/inks.jpg"): "its inks were made into red, green and blue; color profiles are not "
    "applied | ",
    ("sixteen-bit", "cat/deep.png"): "its 16-bit values were brought to 8 bits: 0 to 65535 became 0 to 255 | ",
    ("transparent", "cat/palette.png"): "a palette with transparency, laid on white | ",
    ("hidden-color", "cat/hidden.png"): "colors under its fully transparent pixels are neither seen nor used | ",
    ("grey-among-color", "cat/grey.jpg"): "it is grey, and gets three equal channels, as others are colored | ",
    ("extreme-aspect", "cat/long.png"): "it is 600 x 40 pixels, 15 times as long as wide | crop it",
    ("tiny", "cat/tiny.png"): "it is 9 x 8 pixels, and the median short side is 80 | find it in its full size, "
    "or remove it",
    ("blank", "cat/blank.png"): "it is of one color | remove it, unless that is its class",
    ("near-black", "cat/night.png"): "100.0% of its pixels are darker than 16 of 255 | remove it, unless that is "
    "its class",
    ("unsafe-name", "cat/two\\nlines.png"): "its name holds control characters, or such as turn or hide others | "
    "rename it",
    ("unsafe-name", "cat/\\udcffbytes.png"): "its name is no UTF-8 | rename it",
    ("unsafe-name", "cat/=HYPERLINK(1).png"): "its name begins with =, as a formula or an option does | rename it",
    ("hidden", "dog/._x.jpg"): "a file that a Mac leaves beside each file, not looked at | ",
    ("similar-classes", "Dog"): "`Dog` and `dog` are two classes | join them into one, or give them names that "
    "nobody confuses",
    ("duplicate", "dog/a.png"): "the same image as dog/b.png, dog/c.bmp | keep one of them",
    ("near-duplicate", "dog/a.png"): "nearly the same image as dog/b.png, dog/c.bmp, dog/d.jpg | keep one of "
    "them",
    ("duplicate-two-labels", "cat/two.png"): "labelled cat, and the same image as dog/two.png, labelled dog | "
    "decide which label is right, and remove the other",
}  # fmt: skip


def test_training_leaves_out_the_same_files(
    drawn: tuple[Path, dict[str, set[str]]], checked: Checked
) -> None:
    data = gather(drawn[0])
    left_out = sorted(each.name for each in checked.findings if each.left_out)
    assert len(left_out) > 40
    assert sorted(each.name for each in data.findings if each.left_out) == left_out
    names = {name for split in (data.train, data.val) for name in split.names}
    assert names == {each.name for each in checked.used}


def test_nothing_is_written_and_nothing_left_open(
    drawn: tuple[Path, dict[str, set[str]]], cache: Path
) -> None:
    def state() -> list[tuple[str, int, int, int]]:
        found = []
        for folder, folders, files in os.walk(drawn[0]):
            for each in (*folders, *files, "."):
                stat = os.lstat(os.path.join(folder, each))
                found.append((os.path.join(folder, each), stat.st_mode, stat.st_size, stat.st_mtime_ns))
        return sorted(found)

    before, descriptors = state(), len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc") else 0
    check(drawn[0])
    assert state() == before
    assert not cache.exists()
    if descriptors:
        assert len(os.listdir("/proc/self/fd")) == descriptors


def test_the_limit_is_the_callers(drawn: tuple[Path, dict[str, set[str]]]) -> None:
    found = [each for each in check(drawn[0], max_pixels=9000).findings if each.code == "too-many-pixels"]
    told = {each.name: each.reason for each in found}
    assert told["cat/long.png"] == "its header declares 600 x 40 pixels, and 9,000 are the most"


def test_the_images_are_shown_small_and_upright(checked: Checked) -> None:
    assert checked.small("cat/empty.jpg") is None
    assert checked.small("Dog") is None
    turned, long = checked.small("cat/turned.jpg"), checked.small("cat/long.png")
    assert turned is not None
    assert long is not None
    assert (turned.shape, long.shape) == ((96, 80, 3), (11, 160, 3))


def test_progress(tmp_path: Path) -> None:
    for name in ("a/1.png", "b/1.png"):
        (tmp_path / "p" / name).parent.mkdir(parents=True)
        (tmp_path / "p" / name).write_bytes(encoded(scene(len(name) + ord(name[0])), "PNG"))
    steps: list[tuple[int, int]] = []
    check(tmp_path / "p", progress=lambda *step: steps.append(step))
    assert steps == [(1, 2), (2, 2)]


def test_a_folder_whose_own_name_is_odd(tmp_path: Path) -> None:
    folder = tmp_path / "two\nlines \udcff"
    for name in ("a/1.png", "b/1.png", "a/.hidden"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(encoded(scene(ord(name[0])), "PNG"))
    checked = check(folder)
    assert checked.source.endswith("two\\nlines \\udcff")
    assert "hidden" in checked.by_code()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    for name in ("a/1.png", "b/1.png", "b/2.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(encoded(scene(sum(name.encode())), "PNG"))
    (tmp_path / "b/2.png").chmod(0)
    assert [(each.code, each.name) for each in check(tmp_path).findings if each.left_out] == [
        ("no-permission", "b/2.png")
    ]
