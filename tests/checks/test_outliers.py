"""The odd one out: named by format, size and what it shows, where two of these are rare; else not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from checks.hostile import encoded, scene
from striate.checks.check import check
from striate.checks.outliers import Make, Palette, odd_remarks, palette_of
from striate.data.decode.decode import Pixels, decode

PHOTO = Palette(0.2, 9)
USUAL = Make("JPEG", 300, 400, PHOTO)


def placeholder(size: tuple[int, int] = (120, 90)) -> Image.Image:
    """What a server gives in place of a photograph that is gone."""
    image = Image.new("RGB", size, (238, 238, 238))
    ImageDraw.Draw(image).text((15, 40), "image not found", fill=(120, 120, 120))
    return image


def told(*odd: Make, usual: Make = USUAL, among: int = 200) -> list[str]:
    found = list(odd_remarks([*odd, *[usual] * (among - len(odd))]))
    assert all(position < len(odd) for position, _ in found)
    return [reason for _, reason in found]


def test_whole_texts() -> None:
    assert told(Make("GIF", 60, 80, Palette(0.97, 2))) == [
        "it is the only GIF among 200, it is 80 x 60 pixels, unlike the rest, one color covers 97% of it, "
        "and 2 colors make up nearly all of it"
    ]
    assert (
        told(*[Make("PNG", 300, 400, Palette(0.9, 9))] * 2)
        == ["it is one of 2 PNG among 200, and one color covers 90% of it"] * 2
    )


@pytest.mark.parametrize(
    ("odd", "named"),
    [
        (Make("GIF", 300, 400, PHOTO), False),  # another format is no more than that
        (Make("JPEG", 60, 80, PHOTO), False),
        (Make("JPEG", 300, 400, Palette(0.9, 9)), False),
        (Make("JPEG", 300, 400, Palette(0.5, 3)), False),  # as a drawing
        (Make("JPEG", 300, 400, Palette(0.9, 3)), True),
        (Make("GIF", 301, 400, PHOTO), True),
        (Make("GIF", 300, 400, Palette(0.5, 3)), True),
        (Make("", 300, 400, Palette(0.9, 3)), True),
        (Make("", 300, 400, None), False),
    ],
)
def test_two_ways_are_wanted(odd: Make, named: bool) -> None:
    assert bool(told(odd)) == named


def test_what_is_common_is_not_odd() -> None:
    drawing = Make("PNG", 300, 400, Palette(0.9, 3))
    assert told(*[drawing] * 2) != []
    assert told(*[drawing] * 3) == []
    assert told(drawing, usual=drawing) == []
    assert told(drawing, among=19) == []
    assert len(told(drawing, among=20)) == 1


def test_sizes_are_odd_only_where_the_rest_have_one() -> None:
    many = [Make("JPEG", 300 + each, 400, PHOTO) for each in range(100)]
    assert list(odd_remarks([*many, Make("PNG", 200, 400, PHOTO)])) == []
    assert list(odd_remarks([*many, Make("PNG", 60, 100, PHOTO)])) != []


@pytest.mark.parametrize(("form", "options"), [("GIF", {}), ("PNG", {}), ("JPEG", {"quality": 75})])
def test_palettes(form: str, options: dict[str, object]) -> None:
    for size in ((120, 90), (500, 375)):
        found = palette_of(decode(encoded(placeholder(size), form, **options)))
        assert found is not None
        assert found.one > 0.85
        assert found.colors <= 8
    found = palette_of(decode(encoded(scene(1, (200, 160)), "PNG")))
    assert found is not None
    assert (found.one < 0.5, found.colors) == (True, 9)


def test_palettes_of_arrays() -> None:
    half = np.zeros((10, 10, 1), np.uint8)
    half[:4] = 255
    assert palette_of(Pixels(half, 10, 10, 1)) == Palette(0.6, 2)
    assert palette_of(Pixels(half.astype(np.float32), 10, 10, 1)) is None
    assert palette_of(Pixels(np.zeros((10, 10, 5), np.uint8), 10, 10, 1)) is None


def test_the_placeholder_among_photographs(tmp_path: Path) -> None:
    """As in the field: one GIF, saved under a photograph's name."""
    for number in range(60):
        path = tmp_path / "photos" / "ab"[number % 2] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(scene(number, (100 + number, 90)), "JPEG", quality=80))
    assert check(tmp_path / "photos").clean
    (tmp_path / "photos" / "a" / "gone.jpg").write_bytes(encoded(placeholder(), "GIF"))
    found = {each.code: each for each in check(tmp_path / "photos").findings}
    assert found.keys() == {"odd-one-out", "wrong-extension", "grey-among-color"}
    odd = found["odd-one-out"]
    assert (odd.name, odd.severity) == ("a/gone.jpg", "warning")
    assert odd.reason.startswith("it is the only GIF among 61, one color covers 9")
    assert odd.cure == "look at it, and remove it unless it belongs there"
