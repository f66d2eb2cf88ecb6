"""Near duplicates: found by hash, verified on pixels; what is only of one kind is not confused."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from checks.hostile import encoded, scene
from striate.checks import duplicates
from striate.checks.duplicates import (
    LEAST_SAME,
    MOST_SAME,
    duplicate_limits,
    find_near,
    near_and_exact_findings,
    perceptual_hashes,
    same_above,
)
from striate.checks.thumbnails import Thumbnail, thumbnail_of
from striate.data.decode.decode import decode
from striate.data.store.samples import Roll


def thumbnail(image: Image.Image) -> Thumbnail:
    found = thumbnail_of(decode(encoded(image, "PNG")), 1)
    assert found is not None
    return found


def compressed(image: Image.Image) -> Image.Image:
    return Image.open(io.BytesIO(encoded(image, "JPEG", quality=50)))


ANEW = {
    "compressed": compressed,
    "halved": lambda image: image.resize((image.width // 2, image.height // 2)),
    "both": lambda image: compressed(image.resize((image.width // 2, image.height // 2))),
    "grey": lambda image: image.convert("L"),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.1),
    "more contrast": ImageOps.autocontrast,
    "paler": lambda image: ImageEnhance.Color(image).enhance(0.6),
}


@pytest.mark.parametrize("how", ANEW)
def test_saved_anew(how: str) -> None:
    images = [scene(seed, (192, 160)) for seed in range(20)]
    thumbnails = [thumbnail(each) for each in (*images, *(ANEW[how](each) for each in images))]
    assert find_near(thumbnails, [0] * 40).groups == [[each, each + 20] for each in range(20)]


def test_other_images_are_not_the_same() -> None:
    image = scene(1, (192, 160))
    others = [
        ImageOps.mirror(image),
        image.rotate(90, expand=True).resize(image.size),
        ImageOps.invert(image),
        Image.merge("RGB", image.split()[::-1]).rotate(180),
        image.crop((40, 30, 192, 160)),
    ]
    found = find_near([thumbnail(each) for each in (image, *others)], range(6))
    assert (found.groups, found.alike) == ([], [])


def test_the_same_shape_in_another_color_is_another_image() -> None:
    drawn = np.zeros((64, 64, 3), np.uint8)
    drawn[16:48, 8:56] = (200, 20, 20)
    other = drawn.copy()
    other[16:48, 8:56] = (20, 60, 230)
    thumbnails = [thumbnail(Image.fromarray(each)) for each in (drawn, other)]
    one, two = (each.grey.astype(float).ravel() for each in thumbnails)
    assert np.corrcoef(one, two)[0, 1] > MOST_SAME
    assert find_near(thumbnails, [0, 1]).groups == []


def test_light_crops_and_what_was_shot_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Among scenes of all kinds a crop of 1 % is the same; where the bar is as high as can be it looks alike."""
    images = [scene(seed, (192, 160)) for seed in range(8)]
    thumbnails = [thumbnail(each) for each in (*images, *(each.crop((2, 2, 189, 157)) for each in images))]
    pairs = [(each, each + 8) for each in range(8)]
    found = find_near(thumbnails, [0] * 16)
    assert found.same < 0.975
    assert found.groups == [list(each) for each in pairs]
    assert found.alike == []
    monkeypatch.setattr(duplicates, "LEAST_SAME", MOST_SAME)
    found = find_near(thumbnails, [0] * 8 + [1] * 8)
    assert (found.groups, found.same) == ([], MOST_SAME)
    strict = {(each.first, each.second) for each in found.alike}
    assert strict < set(pairs), "those within twice the distance"
    assert all(2 * MOST_SAME - 1 <= each.correlation < MOST_SAME for each in found.alike)
    assert find_near(thumbnails, [0] * 16).alike == [], "in one folder, no news"


TINT = np.full((4, 4, 3), 128, np.uint8)


def test_the_bar_is_higher_where_all_look_alike() -> None:
    draw = np.random.default_rng(0)
    ground = draw.integers(0, 256, (32, 32))
    bars = []
    for spread in (0.0, 0.3, 1.0, 10.0):
        greys = (1 - 1 / (1 + spread)) * draw.integers(0, 256, (60, 32, 32)) + ground / (1 + spread)
        bars.append(same_above([Thumbnail(each, TINT) for each in greys.astype(np.uint8)]))
    assert bars[0] == MOST_SAME
    assert bars == sorted(bars, reverse=True)
    assert bars[1] == pytest.approx(1 - (1 - 0.92) / 25, abs=1e-3), "a correlation of 1 / (1 + 0.3^2)"
    assert bars[-1] == LEAST_SAME


def test_by_brute_force() -> None:
    """All pairs, correlated one by one in float64, are what the hashes and blocks find."""
    draw = np.random.default_rng(0)
    grounds = draw.integers(0, 256, (12, 5, 5))
    greys = []
    for number in range(300):
        soft = Image.fromarray(grounds[number % 12].astype(np.uint8)).resize(
            (32, 32), Image.Resampling.BICUBIC
        )
        noise = draw.normal(0, [0.5, 4, 12][number % 3], (32, 32))
        greys.append(np.clip(np.asarray(soft) + noise, 0, 255).astype(np.uint8))
    tint = np.full((4, 4, 3), 128, np.uint8)
    found = find_near([Thumbnail(each, tint) for each in greys], range(300))
    matrix = np.corrcoef([each.astype(float).ravel() for each in greys])
    label = list(range(300))
    for a in range(300):
        for b in range(a + 1, 300):
            if matrix[a, b] >= found.same:
                old, new = max(label[a], label[b]), min(label[a], label[b])
                label = [new if each == old else each for each in label]
    groups: dict[int, list[int]] = {}
    for position, each in enumerate(label):
        groups.setdefault(each, []).append(position)
    assert found.groups == [each for each in groups.values() if len(each) > 1]
    assert len(found.groups) > 3
    assert len(found.alike) > 100
    for each in found.alike:
        assert each.correlation == pytest.approx(matrix[each.first, each.second], abs=1e-5)


def test_flat_images_and_strangers_are_like_nothing() -> None:
    flat = Thumbnail(np.full((32, 32), 90, np.uint8), np.full((4, 4, 3), 90, np.uint8))
    assert find_near([flat, flat, None, None], [0, 1, 2, 3]).groups == []
    assert find_near([], []).groups == []


def test_a_still_camera() -> None:
    """Thousands of frames of few scenes: grouped at once, without proving every pair."""
    thumbnails = [thumbnail(scene(seed)) for seed in range(5)]
    groups = find_near([thumbnails[each % 5] for each in range(3000)], [0] * 3000).groups
    assert [len(each) for each in groups] == [600] * 5


def test_hashes_have_balanced_bits() -> None:
    draw = np.random.default_rng(0)
    hashes = perceptual_hashes(draw.integers(0, 256, (500, 32, 32), dtype=np.uint8))
    assert set(np.bitwise_count(hashes).tolist()) == {32}
    shares = np.unpackbits(hashes.view(np.uint8).reshape(500, 8), axis=1).mean(axis=0)
    assert 0.35 < shares.min() < shares.max() < 0.65


def test_copies_of_near_duplicates_come_with_them() -> None:
    thumbnails = [
        thumbnail(scene(1)),
        thumbnail(scene(1)),
        thumbnail(compressed(scene(1))),
        thumbnail(scene(2)),
    ]
    roll = Roll(("cat", "dog"), ["a", "b", "c", "d"], ["train", "test", "train", "val"], [0, 0, 0, 1])
    found = near_and_exact_findings(roll, ["same", "same", "other", "fourth"], thumbnails)
    assert [(each.code, each.name, each.also) for each in found] == [
        ("duplicate-across-splits", "a", ("b",)),
        ("near-duplicate-across-splits", "a", ("b", "c")),
    ]
    assert found[0].reason == "in train, and the same image as b in test"
    assert found[0].cure == "remove it from train, or what is measured flatters"


def test_limits_are_told() -> None:
    assert duplicate_limits([thumbnail(scene(1))]) == ()
    assert duplicate_limits([None]) == (
        "near duplicates are looked for among 8-bit grey and color images of at least 32 x 32 pixels only",
    )
    assert duplicate_limits([None] * 200_001) == (
        "near duplicates are not looked for among more than 200,000 images",
    )
