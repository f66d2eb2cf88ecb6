"""Zeros inside of a file: found where they were written over it, and not where an encoder wrote them."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw

from checks.hostile import encoded, scene, zeroed
from striate.checks.damage import damage, image_spans, is_animated_gif, zero_runs
from striate.data.decode.decode import decode
from striate.data.files.finding import Unreadable

FORMS: dict[str, dict[str, object]] = {
    "baseline": {"format": "JPEG"},
    "fine": {"format": "JPEG", "quality": 95, "optimize": True, "subsampling": 0},
    "progressive": {"format": "JPEG", "progressive": True, "quality": 90},
    "webp": {"format": "WEBP", "quality": 90},
    "avif": {"format": "AVIF", "quality": 90, "speed": 10},
}


def written(image: Image.Image, options: dict[str, object]) -> bytes:
    file = io.BytesIO()
    image.save(file, **options)
    return file.getvalue()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("grey", [False, True])
def test_zeros_written_over_a_photo(form: str, grey: bool) -> None:
    kind = str(FORMS[form]["format"])
    for seed in range(3):
        image = scene(seed, (320, 240))
        whole = written(image.convert("L") if grey else image, FORMS[form])
        assert damage(whole, kind, lambda: 0.0) is None
        for start, length in ((0.4, 512), (0.5, 1000), (0.7, 300)):
            broken = zeroed(whole, start, length)
            try:
                decode(broken)
            except Unreadable:
                continue  # the decoder has seen it
            found = damage(broken, kind, lambda: 10.0)
            assert found is not None
            assert found[0] == "zeroed-inside"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_drawings_are_no_damage(form: str, mode: str) -> None:
    """Flat areas are coded as zeros: the flat fields that are really there excuse them."""
    for side in (200, 1200):
        for ground in ("white", "black", (10, 200, 30)):
            image = Image.new("RGB", (side, side), ground)
            ImageDraw.Draw(image).ellipse((20, 20, 120, 150), fill=(200, 30, 10))
            whole = written(image.convert(mode), FORMS[form])
            grey = np.asarray(decode(whole).content.convert("L"))
            fields = grey.reshape(side // 8, 8, side // 8, 8)
            flat = int((fields.max(axis=(1, 3)) == fields.min(axis=(1, 3))).sum())
            assert damage(whole, str(FORMS[form]["format"]), lambda flat=flat: flat) is None


def test_zeros_beside_the_coded_image_are_no_damage() -> None:
    exif = Image.Exif()
    exif[0x010E] = "x" + "\0" * 200 + "y"
    for form in ("JPEG", "WEBP"):
        assert b"\0" * 100 in encoded(scene(1), form, exif=exif)
        assert damage(encoded(scene(1), form, exif=exif), form, lambda: 0.0) is None
    assert damage(encoded(scene(1), "JPEG") + bytes(4096), "JPEG", lambda: 0.0) is None
    assert damage(encoded(Image.new("L", (99, 99)), "BMP"), "BMP", lambda: 0.0) is None


def test_runs_of_zeros() -> None:
    content = b"a" + bytes(63) + b"b" + bytes(64) + b"c" + bytes(100)
    assert list(zero_runs(content, 0, len(content))) == [(65, 64), (130, 100)]
    assert list(zero_runs(content, 66, 228)) == [(130, 98)]
    assert list(zero_runs(content, 0, 120)) == []


def test_the_blocks_of_a_gif() -> None:
    one = encoded(scene(1), "GIF")
    several = encoded(scene(1), "GIF", save_all=True, append_images=[scene(2), scene(3)])
    assert len(list(image_spans(one))) == 1
    assert len(list(image_spans(several))) == 3
    (start, end), *_ = image_spans(one)
    assert one[end] == 0x3B
    assert (is_animated_gif(one), is_animated_gif(several), is_animated_gif(b"GIF89a")) == (
        False,
        True,
        False,
    )
    for cut in range(len(one)):
        assert len(list(image_spans(one[:cut]))) <= 1
    assert start < end
