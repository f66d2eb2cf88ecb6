"""`striate show`: the sheet, what it refuses, and that it starts without torch."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from striate.cli.show import show
from striate.data.augment.augment import Augment, augmented, read_augment
from striate.data.images import center
from striate.data.sheet import EPOCHS, Row, draw_sheet, sheet_rows, spread
from striate.errors import RecipeError, StriateError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two classes of ten images of 12 x 10 each: reds and blues."""
    for label, name in ((0, "red"), (2, "blue")):
        for number in range(10):
            pixels = np.random.default_rng(number).integers(0, 40, (12, 10, 3), dtype=np.uint8)
            pixels[..., label] = 230
            (tmp_path / "photos" / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{number}.png")
    return tmp_path / "photos"


def test_show(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    show(str(photos), count=4, augment="crop 2, flip")
    assert capsys.readouterr().out.splitlines() == [
        "augment  crop 2, flip",
        "sheet    sheet.png: 4 images of 3x12x10, epochs 0 to 6",
    ]
    with Image.open("sheet.png") as sheet:
        assert sheet.format == "PNG"
        pixels = np.asarray(sheet.convert("RGB")).astype(int)
    # Blue comes before red, and no color is taken for another one.
    blue = (pixels[..., 2] > 220) & (pixels[..., 0] < 50)
    red = (pixels[..., 0] > 220) & (pixels[..., 2] < 50)
    assert 0 < np.flatnonzero(blue.any(axis=1)).max() < np.flatnonzero(red.any(axis=1)).min()


def test_the_same_sheet_twice_and_another_one_for_another_seed(photos: Path) -> None:
    def made(name: str, **choices: int) -> bytes:
        show(str(photos), out=Path(name), count=3, **choices)
        return Path(name).read_bytes()

    assert made("a.png") == made("b.png")
    assert len({made("c.png"), made("d.png", seed=1), made("e.png", epoch=1), made("f.png", size=32)}) == 4


def test_it_overwrites_nothing_unless_forced(photos: Path) -> None:
    Path("sheet.png").write_bytes(b"mine")
    with pytest.raises(StriateError) as caught:
        show(str(photos))
    assert str(caught.value) == "sheet.png: there is a file already\n  try: --force, or another --out"
    assert Path("sheet.png").read_bytes() == b"mine"
    show(str(photos), force=True)
    assert Path("sheet.png").read_bytes() != b"mine"


@pytest.mark.parametrize(
    ("choices", "told"),
    [
        ({"count": 0}, "--count: 0 images cannot be shown\n  expected: 1 to 200\n  try: --count 24"),
        ({"count": 201}, "--count: 201 images cannot be shown\n  expected: 1 to 200\n  try: --count 24"),
        ({"epoch": -1}, "--epoch: there is no epoch -1\n  expected: 0 or more\n  try: --epoch 0"),
        ({"seed": -1}, "--seed: -1 cannot be a seed\n  expected: 0 to 4294967295\n  try: --seed 0"),
        (
            {"out": Path("sheet.jpg")},
            "sheet.jpg: a sheet is a PNG file\n  expected: a name that ends in .png\n  try: --out sheet.png",
        ),
        (
            {"augment": "crop 10"},
            "augment: `crop 10` is too large for images of 12x10\n"
            "  expected: a number below 10\n  try: crop 2",
        ),
    ],
)
def test_refused(photos: Path, choices: dict[str, object], told: str) -> None:
    with pytest.raises(StriateError) as caught:
        show(str(photos), **choices)
    assert str(caught.value) == told
    assert not list(Path().glob("sheet*"))


def test_words_are_read_before_the_images(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="flpi"):
        show(str(tmp_path / "nothing here"), augment="flpi")


def test_a_folder_that_is_not_there(photos: Path) -> None:
    with pytest.raises(StriateError) as caught:
        show(str(photos), out=Path("nowhere") / "sheet.png")
    assert str(caught.value) == "nowhere: there is no such folder\n  expected: a folder for the file"


def test_nothing_is_written_among_the_images(photos: Path) -> None:
    with pytest.raises(StriateError, match="would lie among the images, and nothing is written there"):
        show(str(photos), out=photos / "sheet.png")


def test_the_words_and_examples_of_its_help_are_those_there_are() -> None:
    told = show.__doc__ or ""
    for text in re.findall(r'--augment "([^"]+)"', told):
        read_augment(text)
    listed = re.search(r"out of (.+?); none", told, re.DOTALL)
    assert listed is not None
    words = [each.split()[0] for each in re.split(r",| and ", listed[1])]
    with pytest.raises(RecipeError) as caught:
        read_augment("?")
    known = caught.value.expected.split(": ", 1)[1]
    assert words == [each.split()[0] for each in known.split(",")]


def test_it_imports_no_torch() -> None:
    asked = "import sys, striate.cli.show; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", asked], check=False).returncode == 0


# the sheet


def test_spread_takes_all_classes_alike() -> None:
    labels = np.array([0, 0, 0, 1, 2, 2, 0, 1])
    assert spread(labels, 3).tolist() == [0, 3, 4]
    assert spread(labels, 6).tolist() == [0, 1, 3, 7, 4, 5]
    assert spread(labels, 7).tolist() == [0, 1, 2, 3, 7, 4, 5]
    assert sorted(spread(labels, 99).tolist()) == list(range(8))
    assert spread(labels, 2).tolist() == [0, 4]
    assert spread(np.array([5]), 1).tolist() == [0]


def test_rows_are_the_middle_and_what_training_sees() -> None:
    stored = np.random.default_rng(0).integers(0, 256, (6, 9, 9, 3), dtype=np.uint8)
    labels, names, augment = (
        np.array([1, 0, 1, 0, 1, 0]),
        [f"{i}.png" for i in range(6)],
        "zoom 0.5, noise 0.1",
    )
    rows = sheet_rows(
        stored,
        labels,
        names,
        ("cat", "dog"),
        (7, 7),
        read_augment(augment),
        count=4,
        epochs=range(3, 5),
        seed=8,
    )
    assert [(row.label, row.name) for row in rows] == [
        ("cat", "1.png"),
        ("cat", "3.png"),
        ("dog", "0.png"),
        ("dog", "2.png"),
    ]
    for row, place in zip(rows, (1, 3, 0, 2), strict=True):
        assert (row.images[0] == center(stored, (7, 7))[place]).all()
        for column, epoch in ((1, 3), (2, 4)):
            index = np.array([place])
            expected = augmented(stored, index, (7, 7), read_augment(augment), seed=8, epoch=epoch)
            assert (row.images[column] == expected[0]).all()


def test_mixup_is_shown_with_the_next_row() -> None:
    stored = np.array([0, 200], dtype=np.uint8).reshape(2, 1, 1, 1).repeat(4, axis=1).repeat(4, axis=2)
    rows = sheet_rows(
        stored, np.array([0, 1]), ["a", "b"], ("0", "1"), (4, 4), read_augment("mixup 10"), count=2,
        epochs=range(50), seed=0,
    )  # fmt: skip
    values = [int(each[0, 0, 0]) for each in rows[0].images[1:]]
    assert 0 < min(values) < 80
    assert 120 < max(values) < 200


def test_images_of_other_kinds_are_shown_in_grey() -> None:
    stored = np.linspace(-3, 5, 2 * 16 * 5).reshape(2, 4, 4, 5).astype(np.float32)
    rows = sheet_rows(
        stored, np.array([0, 1]), ["a", "b"], ("0", "1"), (4, 4), Augment(), count=2, epochs=range(1), seed=0
    )
    first, last = rows[0].images[0], rows[1].images[0]
    assert first.shape == (4, 4, 3)
    assert (first == first[..., :1]).all()
    assert first[0, 0, 0] == 0
    assert last[-1, -1, 0] > 240


def test_a_sheet_holds_each_image_enlarged_in_whole_steps() -> None:
    image = np.zeros((2, 2, 3), dtype=np.uint8)
    image[0, 0], image[1, 1] = (255, 0, 0), (0, 0, 255)
    sheet = draw_sheet("title", ["stored"], [Row("cat", "1.png", (image,))])
    pixels = np.asarray(sheet)
    for color in ((255, 0, 0), (0, 0, 255)):
        rows, columns = np.nonzero((pixels == color).all(axis=2))
        assert len(rows) == 48 * 48
        assert np.ptp(rows) == np.ptp(columns) == 47


@pytest.mark.parametrize("name", ["a" * 500, "naïve/\n\x1b[31m.png", "\udcff.png", "猫/1.png", ""])
def test_any_name_can_be_drawn(name: str) -> None:
    row = Row(name, name, (np.zeros((8, 8, 3), dtype=np.uint8),) * (EPOCHS + 1))
    heads = ["stored", *(f"epoch {each}" for each in range(EPOCHS))]
    sheet = draw_sheet(name, heads, [row])
    # What is written stays left of the first image.
    names = np.asarray(sheet)[60:]
    assert (names[:, 156:162] == (226, 228, 231)).all()
    assert (names[:, 162:170] == 0).any()
