"""What each word does to an image: answers done by hand, and slow oracles."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from data.augment_draws import Told, assert_same, numbered
from striate.data.augment.chance import Chance, Stream
from striate.data.augment.crop import Crop
from striate.data.augment.cutout import Cutout
from striate.data.augment.flip import Flip, VFlip
from striate.data.augment.grey import Grey
from striate.data.augment.jitter import Jitter
from striate.data.augment.mixup import Mixup, symmetric_beta
from striate.data.augment.noise import Noise, quantiles
from striate.data.augment.rotate import Rotate, turned
from striate.data.augment.zoom import Zoom
from striate.data.images import Images, center


def one_channel(*rows: list[int], dtype: str = "uint8") -> Images:
    """A batch of one image of one channel."""
    return np.array(rows, dtype=dtype)[None, ..., None]


def test_the_comparison_can_fail() -> None:
    image = one_channel([1, 2])
    assert_same(image, [[[[1], [2]]]])
    for other in ([[[[1], [3]]]], [[[[1, 2]]]], image.astype(np.float32)):
        with pytest.raises(AssertionError, match="instead of"):
            assert_same(image, other)


# flip, vflip


def test_flip() -> None:
    images = np.concatenate([one_channel([1, 2, 3], [4, 5, 6])] * 2)
    Flip().change(images, Told({Stream.FLIP: [0.49, 0.5]}))
    assert_same(images[:1], one_channel([3, 2, 1], [6, 5, 4]))
    assert_same(images[1:], one_channel([1, 2, 3], [4, 5, 6]))


def test_two_epochs_show_both_sides() -> None:
    index = np.arange(1000)
    turned = []
    for epoch in range(4):
        images = np.tile(np.array([0, 1], np.uint8).reshape(1, 1, 2, 1), (1000, 1, 1, 1))
        Flip().change(images, Chance(7, epoch, index))
        turned.append(images[:, 0, 0, 0] == 1)
    assert 450 < turned[0].sum() < 550
    assert all((first != second).all() for first, second in pairwise(turned))


def test_vflip() -> None:
    images = np.concatenate([one_channel([1, 2], [3, 4], [5, 6])] * 2)
    VFlip().change(images, Told({Stream.VFLIP: [0.5, 0.0]}))
    assert_same(images[:1], one_channel([1, 2], [3, 4], [5, 6]))
    assert_same(images[1:], one_channel([5, 6], [3, 4], [1, 2]))


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_flip_keeps_channels_in_order(channels: int, dtype: str) -> None:
    images = numbered(1, 5, 6, channels, dtype)
    before = images.copy()
    Flip().change(images, Told({Stream.FLIP: [0.0]}))
    assert_same(images, before[:, :, ::-1])


# crop


@pytest.mark.parametrize(
    ("top", "left", "rows"),
    [
        (0.0, 0.0, ([4, 3], [2, 1])),
        (0.0, 0.5, ([3, 4], [1, 2])),
        (0.5, 0.5, ([1, 2], [3, 4])),
        (0.99, 0.0, ([4, 3], [2, 1])),
        (0.99, 0.99, ([4, 3], [2, 1])),
    ],
)
def test_crop(top: float, left: float, rows: tuple[list[int], list[int]]) -> None:
    windows = np.full((1, 2, 2, 1), 9, dtype=np.uint8)
    Crop(1).cut([one_channel([1, 2], [3, 4])[0]], windows, Told({Stream.TOP: [top], Stream.LEFT: [left]}))
    assert_same(windows, one_channel(*rows))


def test_crop_0_stays_in_the_stored_image() -> None:
    image = one_channel([1, 2, 3], [4, 5, 6], [7, 8, 9])[0]
    found = np.empty((4, 2, 2, 1), dtype=np.uint8)
    Crop(0).cut([image] * 4, found, Told({Stream.TOP: [0, 0, 0.5, 0.5], Stream.LEFT: [0, 0.5, 0, 0.5]}))
    for window, (top, left) in zip(found, [(0, 0), (0, 1), (1, 0), (1, 1)], strict=True):
        assert_same(window, image[top : top + 2, left : left + 2])


@pytest.mark.parametrize("pad", [0, 1, 3, 5, 9])
def test_crop_against_padding_everything(pad: int) -> None:
    images = numbered(40, 5, 7, 3)
    chance = Chance(3, 1, np.arange(40))
    windows = np.empty((40, 4, 5, 3), dtype=np.uint8)
    Crop(pad).cut(list(images), windows, chance)
    wide = np.pad(images, ((0, 0), (pad, pad), (pad, pad), (0, 0)), mode="reflect")
    tops = (chance.uniform(Stream.TOP) * (5 + 2 * pad - 4 + 1)).astype(int)
    lefts = (chance.uniform(Stream.LEFT) * (7 + 2 * pad - 5 + 1)).astype(int)
    for place, (top, left) in enumerate(zip(tops, lefts, strict=True)):
        assert_same(windows[place], wide[place, top : top + 4, left : left + 5])


def test_center() -> None:
    assert_same(center(one_channel([1, 2, 3], [4, 5, 6], [7, 8, 9]), (1, 1)), one_channel([5]))
    assert_same(center(one_channel([1, 2, 3, 4]), (1, 2)), one_channel([2, 3]))


# zoom


def zoom_told(area: float, aspect: float, top: float, left: float) -> Told:
    return Told({Stream.AREA: [area], Stream.ASPECT: [aspect], Stream.TOP: [top], Stream.LEFT: [left]})


def test_zoom_of_a_quarter() -> None:
    # A quarter of the area, as wide as high: 2x2 of 4x4, which the network's 2x2 needs no resizing for.
    image = np.arange(16, dtype=np.uint8).reshape(4, 4, 1)
    windows = np.empty((1, 2, 2, 1), dtype=np.uint8)
    Zoom(0.25).cut([image], windows, zoom_told(0.0, 0.5, 1.0, 0.0))
    assert_same(windows, one_channel([8, 9], [12, 13]))


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_zoom_of_the_whole_changes_nothing(channels: int, dtype: str) -> None:
    image = numbered(1, 6, 5, channels, dtype)
    windows = np.empty_like(image)
    Zoom(0.3).cut(list(image), windows, zoom_told(1.0, 0.7, 0.3, 0.2))
    assert_same(windows, image)


def test_zoom_averages_what_it_makes_smaller() -> None:
    # Every second column is white: without the mean over a pixel's footprint some would be all white or black.
    image = np.zeros((16, 16, 1), dtype=np.uint8)
    image[:, ::2] = 255
    windows = np.empty((1, 4, 4, 1), dtype=np.uint8)
    Zoom(1).cut([image], windows, zoom_told(0.5, 0.5, 0.5, 0.5))
    assert windows.min() >= 110
    assert windows.max() <= 145


@pytest.mark.parametrize("low", [0.01, 0.35, 1.0])
@pytest.mark.parametrize(("width", "height"), [(146, 146), (32, 20), (1, 1)])
def test_zoom_draws_within_bounds(low: float, width: int, height: int) -> None:
    boxes = np.array(Zoom(low).boxes(width, height, Chance(1, 2, np.arange(4000))))
    left, top, right, bottom = boxes.T
    assert left.min() >= 0
    assert top.min() >= 0
    assert right.max() <= width
    assert bottom.max() <= height
    # In whole pixels: each side is off by half a pixel at most.
    across, down = right - left, bottom - top
    assert across.min() >= 1
    assert down.min() >= 1
    assert ((across + 0.5) * (down + 0.5)).min() >= low * width * height - 1e-9
    assert ((across + 0.5) / width / ((down - 0.5) / height)).min() >= 3 / 4 - 1e-9
    assert ((across - 0.5) / width / ((down + 0.5) / height)).max() <= 4 / 3 + 1e-9


def test_zoom_draws_areas_and_places_evenly() -> None:
    boxes = np.array(Zoom(0.2).boxes(10_000, 10_000, Chance(1, 2, np.arange(20_000))))
    left, top, right, bottom = boxes.T / 10_000
    area, aspect = (right - left) * (bottom - top), (right - left) / (bottom - top)
    assert np.histogram(area, np.linspace(0.2, 1, 5))[0] == pytest.approx([5000] * 4, abs=250)
    assert np.log(aspect).mean() == pytest.approx(0, abs=0.01)
    assert ((left + right) / 2).mean() == pytest.approx(0.5, abs=0.01)
    assert ((top + bottom) / 2).mean() == pytest.approx(0.5, abs=0.01)
    # A window as wide as the image has one place.
    across, down = (left + 5e-5) / (1 - right + left + 1e-4), (top + 5e-5) / (1 - bottom + top + 1e-4)
    assert np.abs(np.corrcoef([area, aspect, across, down]) - np.eye(4)).max() < 0.03


# rotate


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize(("angle", "quarters"), [(0.5, 0), (1.0, 1), (0.0, -1)])
def test_rotate_by_right_angles(dtype: str, angle: float, quarters: int) -> None:
    image = numbered(1, 6, 6, 3, dtype)[0]
    (found,) = Rotate(90).turn([image], Told({Stream.ANGLE: [angle]}))
    assert found.dtype == image.dtype
    # Pillow cuts the fraction off, so that a rounding error can take one level.
    assert np.abs(found.astype(float) - np.rot90(image, quarters).astype(float)).max() <= (
        1 if dtype == "uint8" else 1e-5
    )


def test_rotate_takes_angles_from_both_sides_evenly() -> None:
    # A bright pixel right of the middle goes up where the angle is positive: counter-clockwise.
    image = np.zeros((11, 11, 1), dtype=np.float32)
    image[5, 10] = 1
    angles = Chance(0, 0, np.arange(400)).uniform(Stream.ANGLE, -40, 40)
    found = Rotate(40).turn([image] * 400, Chance(0, 0, np.arange(400)))
    up = np.array([each[:5].sum() > each[6:].sum() for each in found])
    far = np.abs(angles) > 8
    assert (up == (angles > 0))[far].all()
    assert 150 < (angles > 0).sum() < 250


@pytest.mark.parametrize("degrees", [-170, -45, -3, 10, 33.3, 90, 135])
@pytest.mark.parametrize("size", [(8, 8), (5, 12), (1, 9), (1, 1)])
def test_rotate_brings_in_no_other_values(degrees: float, size: tuple[int, int]) -> None:
    assert (turned(np.full((*size, 3), 200, dtype=np.uint8), degrees) == 200).all()


@pytest.mark.parametrize("degrees", [-50.0, 12.0, 30.0])
@pytest.mark.parametrize("size", [(9, 9), (6, 11), (2, 13)])
def test_rotate_against_an_oracle(degrees: float, size: tuple[int, int]) -> None:
    image = numbered(1, *size, 2, "float32")[0]
    found, expected = turned(image, degrees), slowly_turned(image, degrees)
    assert np.abs(found - expected).max() < 1e-5
    assert np.abs(found - slowly_turned(image, degrees + 1)).max() > 1e-3


def slowly_turned(image: Images, degrees: float) -> Images:
    """Bilinear, pixel by pixel, in float64, the border continued as in a mirror."""
    height, width = image.shape[:2]
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))

    def at(row: int, column: int) -> Images:
        row, column = row % (2 * height), column % (2 * width)
        return image[min(row, 2 * height - 1 - row), min(column, 2 * width - 1 - column)].astype(np.float64)

    made = np.empty(image.shape)
    for row in range(height):
        for column in range(width):
            x, y = column + 0.5 - width / 2, row + 0.5 - height / 2
            # Counter-clockwise on a screen, where y points down; back from the result to the source.
            u = cos * x - sin * y + width / 2 - 0.5
            v = sin * x + cos * y + height / 2 - 0.5
            left, top = math.floor(u), math.floor(v)
            a, b = u - left, v - top
            made[row, column] = (1 - b) * ((1 - a) * at(top, left) + a * at(top, left + 1)) + b * (
                (1 - a) * at(top + 1, left) + a * at(top + 1, left + 1)
            )
    return made


# jitter, grey


def jitter_told(brightness: float, contrast: float, saturation: float) -> Told:
    """Factors of jitter 1, where 0 stands for 0, 0.5 for 1 and 1 for 2."""
    told = {Stream.BRIGHTNESS: brightness, Stream.CONTRAST: contrast, Stream.SATURATION: saturation}
    return Told({stream: [value / 2] for stream, value in told.items()})


@pytest.mark.parametrize(
    ("factors", "expected"),
    [
        ((1, 1, 1), [[10, 20], [30, 200]]),
        ((0.5, 1, 1), [[5, 10], [15, 100]]),
        ((2, 1, 1), [[20, 40], [60, 255]]),
        ((0, 1, 1), [[0, 0], [0, 0]]),
        ((1, 0, 1), [[65, 65], [65, 65]]),
        ((1, 0.5, 1), [[38, 43], [48, 133]]),
        ((1, 2, 1), [[0, 0], [0, 255]]),
        ((1, 1, 0), [[10, 20], [30, 200]]),
    ],
)
def test_jitter_of_one_channel(factors: tuple[float, float, float], expected: list[list[int]]) -> None:
    # The mean is 65; contrast 0.5 gives 37.5, 42.5, 47.5 and 132.5, which round up.
    images = one_channel([10, 20], [30, 200])
    Jitter(1).change(images, jitter_told(*factors))
    assert_same(images, one_channel(*expected))


def test_jitter_without_saturation_is_grey() -> None:
    images = np.array([[[[255, 0, 0], [0, 255, 0], [0, 0, 255]]]], dtype=np.uint8)
    Jitter(1).change(images, jitter_told(1, 1, 0))
    assert_same(images, [[[[76] * 3, [150] * 3, [29] * 3]]])


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_jitter_against_an_oracle(channels: int, dtype: str) -> None:
    images = numbered(9, 4, 5, channels, dtype)
    chance = Chance(5, 6, np.arange(9))
    found = images.copy()
    Jitter(0.6).change(found, chance)
    streams = (Stream.BRIGHTNESS, Stream.CONTRAST, Stream.SATURATION)
    factors = np.stack([chance.uniform(stream, 0.4, 1.6) for stream in streams], axis=1)
    for image, made, (b, c, s) in zip(images, found, factors, strict=True):
        x = b * image.astype(np.float64)
        luminance = x @ np.array([0.299, 0.587, 0.114]) if channels == 3 else x.mean(axis=2)
        if channels == 3:
            x = s * x + (1 - s) * luminance[..., None]
        x = c * x + (1 - c) * luminance.mean()
        if dtype == "uint8":
            # Either neighbor where the exact value lies between two levels but for rounding.
            assert np.abs(made - np.clip(x, 0, 255)).max() < 0.501
        else:
            assert np.abs(made - x).max() < 1e-5


def test_jitter_draws_within_bounds_and_apart() -> None:
    chance = Chance(0, 0, np.arange(5000))
    streams = (Stream.BRIGHTNESS, Stream.CONTRAST, Stream.SATURATION)
    factors = np.stack([chance.uniform(stream, 0.7, 1.3) for stream in streams])
    assert factors.min() >= 0.7
    assert factors.max() < 1.3
    assert factors.mean(axis=1) == pytest.approx([1, 1, 1], abs=0.01)
    assert np.abs(np.corrcoef(factors) - np.eye(3)).max() < 0.05


def test_grey() -> None:
    images = np.array([[[[255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 9, 9]]]] * 2, dtype=np.uint8)
    before = images.copy()
    Grey(0.25).change(images, Told({Stream.GREY: [0.24, 0.25]}))
    assert_same(images[0], [[[76] * 3, [150] * 3, [29] * 3, [9] * 3]])
    assert_same(images[1], before[1])


def test_grey_is_pillows() -> None:
    images = numbered(3, 40, 50, 3)
    expected = [np.asarray(Image.fromarray(each).convert("L")) for each in images]
    Grey(1).change(images, Chance(0, 0, np.arange(3)))
    for made, wanted in zip(images, expected, strict=True):
        assert (made == made[..., :1]).all()
        assert np.abs(made[..., 0].astype(int) - wanted).max() <= 1


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_grey_leaves_images_without_color_alone(channels: int) -> None:
    images = numbered(3, 4, 5, channels)
    before = images.copy()
    Grey(1).change(images, Chance(0, 0, np.arange(3)))
    assert_same(images, before)


def test_grey_takes_its_share() -> None:
    images = np.broadcast_to(np.array([200, 0, 0], dtype=np.uint8), (4000, 1, 1, 3)).copy()
    Grey(0.3).change(images, Chance(0, 0, np.arange(4000)))
    assert (images[:, 0, 0, 1] > 0).mean() == pytest.approx(0.3, abs=0.03)


# noise


def test_noise_is_gaussian() -> None:
    images = np.full((4, 64, 64, 3), 128, dtype=np.uint8)
    Noise(0.05).change(images, Chance(1, 1, np.arange(4)))
    steps = (images.astype(float) - 128) / (255 * 0.05)
    assert steps.mean() == pytest.approx(0, abs=0.02)
    assert steps.std() == pytest.approx(1, abs=0.02)
    for bound, share in [(0.5, 0.3829), (1, 0.6827), (2, 0.9545)]:
        # Half a level more or less is the rounding to bytes.
        assert (np.abs(steps) <= bound).mean() == pytest.approx(share, abs=0.04)
    flat = steps.reshape(4, -1)
    assert np.abs(np.corrcoef(flat) - np.eye(4)).max() < 0.05
    assert abs(np.corrcoef(flat[0, :-1], flat[0, 1:])[0, 1]) < 0.05


def test_noise_keeps_bytes_in_their_range() -> None:
    images = np.array([0, 255], dtype=np.uint8).repeat(3000).reshape(2, 30, 100, 1)
    Noise(1).change(images, Chance(1, 1, np.arange(2)))
    assert (images[0] == 0).mean() == pytest.approx(0.5, abs=0.05)
    assert (images[1] == 255).mean() == pytest.approx(0.5, abs=0.05)


def test_noise_of_real_numbers_is_in_units_of_their_range() -> None:
    images = np.zeros((2, 60, 60, 2), dtype=np.float32)
    images[0, 0, 0, 0] = 4
    Noise(0.1).change(images, Chance(1, 1, np.arange(2)))
    assert images[0].std() == pytest.approx(0.4, abs=0.02)
    assert not images[1].any()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("least", "most"), [(0, 3e38), (-3e38, 3e38)])
def test_noise_of_the_largest_real_numbers_stays_finite(least: float, most: float) -> None:
    images = np.zeros((2, 60, 60, 1), dtype=np.float32)
    images[0, 0, 0, 0], images[0, 1, 1, 0] = least, most
    Noise(1).change(images, Chance(1, 1, np.arange(2)))
    assert np.isfinite(images).all()
    assert len(np.unique(images[0])) > 1000, "there is noise, and not only the two ends"
    assert not images[1].any()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("channels", [1, 3])
def test_jitter_of_the_largest_real_numbers_stays_finite(channels: int) -> None:
    images = np.random.default_rng(1).uniform(-3.4e38, 3.4e38, (40, 6, 6, channels)).astype(np.float32)
    Jitter(1).change(images, Chance(1, 1, np.arange(40)))
    assert np.isfinite(images).all()


def test_quantiles() -> None:
    found = quantiles()
    assert found.shape == (65536,)
    assert_same(found, -found[::-1])
    assert (np.diff(found) > 0).all()
    # Handbook values: the 97.5 and 84.13 per cent points.
    assert found[round(0.975 * 65536)] == pytest.approx(1.959964, abs=1e-3)
    assert found[round(0.8413447 * 65536)] == pytest.approx(1, abs=1e-3)
    assert found[-1] == pytest.approx(4.33, abs=0.01)


# cutout


@pytest.mark.parametrize(
    ("side", "row", "column", "expected"),
    [
        (1, 0.0, 0.0, [[0, 1, 1], [1, 1, 1], [1, 1, 1]]),
        (1, 0.99, 0.5, [[1, 1, 1], [1, 1, 1], [1, 0, 1]]),
        (2, 0.0, 0.0, [[0, 1, 1], [1, 1, 1], [1, 1, 1]]),
        (2, 0.5, 0.99, [[1, 0, 0], [1, 0, 0], [1, 1, 1]]),
        (3, 0.99, 0.0, [[1, 1, 1], [0, 0, 1], [0, 0, 1]]),
        (3, 0.5, 0.5, [[0, 0, 0], [0, 0, 0], [0, 0, 0]]),
    ],
)
def test_cutout(side: int, row: float, column: float, expected: list[list[int]]) -> None:
    images = np.ones((1, 3, 3, 2), dtype=np.uint8)
    Cutout(side).change(images, Told({Stream.CUTOUT_ROW: [row], Stream.CUTOUT_COLUMN: [column]}))
    for channel in range(2):
        assert_same(images[..., channel : channel + 1], one_channel(*expected))


def test_cutout_middles_are_drawn_from_all_pixels_alike() -> None:
    images = np.ones((6000, 4, 5, 1), dtype=np.uint8)
    Cutout(1).change(images, Chance(0, 0, np.arange(6000)))
    holes = 6000 - images.sum(axis=0)[..., 0]
    assert holes.sum() == 6000
    assert holes.min() > 220
    assert holes.max() < 380


# mixup


@pytest.mark.parametrize("share", [0.0, 1e-6, 0.05, 0.3, 0.5, 0.77, 0.999])
def test_beta_against_closed_forms(share: float) -> None:
    shares = np.array([share])
    assert symmetric_beta(1.0, shares)[0] == pytest.approx(share, abs=1e-4)
    # Beta(1/2, 1/2) is the arcsine distribution.
    assert symmetric_beta(0.5, shares)[0] == pytest.approx(math.sin(math.pi * share / 2) ** 2, abs=1e-4)
    x = symmetric_beta(2.0, shares)[0]
    assert 3 * x**2 - 2 * x**3 == pytest.approx(share, abs=1e-4)
    x = symmetric_beta(3.0, shares)[0]
    assert x**3 * (10 - 15 * x + 6 * x**2) == pytest.approx(share, abs=1e-4)


@pytest.mark.parametrize("alpha", [0.01, 0.2, 0.4, 1.0, 2.5, 10.0])
def test_beta_moments(alpha: float) -> None:
    drawn = symmetric_beta(alpha, (np.arange(100_000) + 0.5) / 100_000)
    assert drawn.min() >= 0
    assert drawn.max() <= 1
    assert drawn.mean() == pytest.approx(0.5, abs=1e-6)
    assert drawn.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=1e-3)
    assert (np.diff(drawn) >= 0).all()


def test_mixup_pairs_each_with_the_next() -> None:
    mix = Mixup(1).mix(Told({Stream.MIXUP: [0.25, 0.5, 1.0]}))
    assert mix.partners.tolist() == [1, 2, 0]
    assert mix.weights.dtype == np.float32
    assert mix.weights.tolist() == pytest.approx([0.25, 0.5, 1.0], abs=1e-4)


def test_mixup_of_one_image_is_that_image() -> None:
    assert Mixup(0.2).mix(Chance(0, 0, np.array([17]))).partners.tolist() == [0]
