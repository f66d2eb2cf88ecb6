"""How large images are seen and stored, and that shrinking them is fair."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from striate.data.decode.decode import decode
from striate.data.decode.image import center_box, prepare_image
from striate.data.decode.size import (
    Fit,
    Size,
    choose_channels,
    choose_size,
    cropped_finding,
    cropped_share,
    read_size,
    write_size,
)
from striate.data.files.finding import Finding
from striate.errors import DataError


@pytest.mark.parametrize(
    ("sizes", "wanted", "size", "stored"),
    [
        ([(28, 28)] * 3, None, (28, 28), (28, 28)),
        ([(48, 96)] * 3, None, (48, 96), (48, 96)),
        ([(8, 8)], None, (8, 8), (8, 8)),
        ([(28, 28)] * 3, 32, (32, 32), (32, 32)),
        ([(97, 97)] * 3, None, (64, 64), (73, 73)),
        ([(28, 28), (29, 28)], None, (32, 32), (37, 37)),
        ([(200, 300), (300, 200)], None, (128, 128), (146, 146)),
        ([(2000, 3000), (127, 127), (127, 500)], None, (64, 64), (73, 73)),
        ([(2000, 3000)], None, (128, 128), (146, 146)),
        ([(2000, 3000)], 224, (224, 224), (256, 256)),
        ([(2000, 3000)], "60x180", (60, 180), (69, 206)),
        ([(60, 180)] * 2, "60x180", (60, 180), (60, 180)),
        ([(60, 180), (60, 181)], (28, 84), (28, 84), (32, 96)),
        ([(8, 9)], "16x24", (16, 24), (16, 24)),
    ],
)
def test_choose_size(
    sizes: list[tuple[int, int]], wanted: Size | None, size: tuple[int, int], stored: tuple[int, int]
) -> None:
    assert choose_size(sizes, wanted) == (size, stored)


@pytest.mark.parametrize("fit", ["pad", "stretch"])
def test_what_is_not_cropped_has_no_border_to_crop(fit: Fit) -> None:
    assert choose_size([(2000, 3000)], None, fit) == ((128, 128), (128, 128))
    assert choose_size([(2000, 3000)], "60x180", fit) == ((60, 180), (60, 180))


@pytest.mark.parametrize(
    ("said", "size"),
    [
        (128, (128, 128)),
        ("128", (128, 128)),
        ("60x180", (60, 180)),
        (" 60 X 180 ", (60, 180)),
        ("60×180", (60, 180)),
        ("60,180", (60, 180)),
        ("60 180", (60, 180)),
        ("60*180", (60, 180)),
        ((60, 180), (60, 180)),
        ([60, 180], (60, 180)),
    ],
)
def test_sizes_as_they_are_written(said: object, size: tuple[int, int]) -> None:
    assert read_size(said) == size
    assert read_size(write_size(size)) == size


def test_the_share_that_a_crop_costs() -> None:
    assert cropped_share([(60, 180)], (32, 32)) == pytest.approx(2 / 3)
    assert cropped_share([(180, 60)], (32, 32)) == pytest.approx(2 / 3)
    assert cropped_share([(60, 180)], (30, 90)) == pytest.approx(0)
    assert cropped_share([(100, 100), (100, 200)], (50, 50)) == pytest.approx(0.25)
    assert cropped_share([(100, 100)], (60, 180)) == pytest.approx(2 / 3)


def test_what_is_said_of_a_crop() -> None:
    assert cropped_finding("p", [(1080, 1920)], (128, 128)) is None
    assert cropped_finding("p", [(60, 180)] * 3, (32, 32)) == Finding(
        "cropped",
        "p",
        "the crop to 32x32 cuts off 67% of an image on average",
        "--size 32x96, --set fit=pad or --set fit=stretch",
    )
    tall = cropped_finding("p", [(500, 200)] * 3, (128, 128))
    assert tall is not None
    assert tall.cure == "--size 320x128, --set fit=pad or --set fit=stretch"


def test_padding_and_stretching_by_hand() -> None:
    wide = np.array([[10, 20, 30, 40]], dtype=np.uint8)
    padded = prepare_image(wide, stored_size=(3, 4), channels=1, fit="pad")
    assert padded[..., 0].tolist() == [[0, 0, 0, 0], [10, 20, 30, 40], [0, 0, 0, 0]]
    tall = prepare_image(wide.T, stored_size=(4, 4), channels=3, fit="pad")
    assert tall[..., 1].tolist() == [[0, each, 0, 0] for each in (10, 20, 30, 40)]
    stretched = prepare_image(wide, stored_size=(2, 4), channels=1, fit="stretch")
    assert stretched[..., 0].tolist() == [[10, 20, 30, 40]] * 2
    floats = prepare_image(
        wide.astype(np.float32), stored_size=(3, 4), channels=1, dtype="float32", fit="pad"
    )
    assert (floats == padded).all()


@pytest.mark.parametrize("orientation", [1, 6])
def test_padding_a_jpeg_that_is_turned(orientation: int) -> None:
    """An image far larger than its target, decoded at a reduced scale, turned, and no part of it lost."""
    ramp = np.tile(np.linspace(40, 240, 1200), (400, 1)).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    Image.fromarray(ramp).save(file, "JPEG", quality=95, exif=exif)
    made = prepare_image(file.getvalue(), stored_size=(60, 60), channels=1, fit="pad")[..., 0].astype(int)
    along = made if orientation == 1 else made.T
    assert (along[:19] == 0).all()
    assert (along[41:] == 0).all()
    assert abs(along[30] - np.linspace(40, 240, 60)).max() < 4


@pytest.mark.parametrize("wanted", [0, -3, 4097, "wide", "60x", "60x180x3"])
def test_size_out_of_its_domain(wanted: int | str) -> None:
    with pytest.raises(DataError) as error:
        choose_size([(9, 9)], wanted)
    assert str(error.value) == (
        f"the size is {wanted}\n  expected: a side of 1 to 4,096 pixels, or HEIGHTxWIDTH\n  try: 128, or 96x128"
    )


@pytest.mark.parametrize(
    ("channels", "chosen"),
    [([1, 1], 1), ([1, 3], 3), ([3], 3), ([5, 5, 3, 1], 3), ([5, 5, 5, 3, 1], 5), ([4], 4), ([2, 7], 2)],
)
def test_choose_channels(channels: list[int], chosen: int) -> None:
    assert choose_channels(channels) == chosen


def test_center_box() -> None:
    assert center_box(300, 200, 100, 100) == (50, 0, 250, 200)
    assert center_box(200, 300, 100, 100) == (0, 50, 200, 250)
    assert center_box(300, 200, 90, 30) == (0, 50, 300, 150)
    for width in range(1, 400, 7):
        for target in (8, 37, 146):
            left, top, right, bottom = center_box(width, 301, target, target)
            assert 0 <= left < right <= width
            assert 0 <= top < bottom <= 301


def test_the_center_is_cut_out_unchanged_where_the_short_side_fits() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (20, 50, 3), dtype=np.uint8)
    assert (prepare_image(noise, stored_size=(20, 20), channels=3) == noise[:, 15:35]).all()


def test_shrinking_takes_the_mean_over_the_footprint() -> None:
    """A fine chequerboard becomes grey; taking single pixels would leave black and white."""
    board = (np.indices((256, 256)).sum(0) % 2 * 255).astype(np.uint8)
    small = prepare_image(board, stored_size=(16, 16), channels=1)
    assert np.abs(small.astype(int) - 127).max() <= 1


@pytest.mark.parametrize("side", [900, 1001, 2048])
def test_a_jpeg_decoded_at_a_reduced_scale_is_nearly_the_same(side: int) -> None:
    down, across = np.mgrid[0 : side - 60, 0:side].astype(float)
    waves = 128 + 60 * np.sin(across / 40) + 60 * np.cos(down / 55)
    file = io.BytesIO()
    Image.fromarray(waves.astype(np.uint8)).save(file, "JPEG", quality=95)
    fast = prepare_image(file.getvalue(), stored_size=(73, 73), channels=1).astype(int)
    with Image.open(file) as whole:
        fair = prepare_image(np.asarray(whole), stored_size=(73, 73), channels=1).astype(int)
    assert np.abs(fast - fair).max() <= 3


def test_a_large_jpeg_is_decoded_at_a_reduced_scale_and_a_small_one_is_not() -> None:
    """A fifth more than the target remains at least, so that the rest of the way averages over pixels."""
    for side, decoded in ((2048, 256), (600, 150), (400, 100), (280, 140), (170, 170)):
        file = io.BytesIO()
        Image.new("L", (side, side)).save(file, "JPEG")
        content = decode(file.getvalue(), cover=(73, 73)).content
        assert isinstance(content, Image.Image)
        assert content.size == (decoded, decoded)


@pytest.mark.parametrize("shape", [(1, 1), (1, 10_000), (10_000, 1), (3, 9999)])
def test_extreme_shapes_become_no_larger_than_the_result(shape: tuple[int, int]) -> None:
    """Resized as a whole, 1 x 10,000 to a short side of 146 would be 213 million pixels."""
    file = io.BytesIO()
    Image.fromarray(np.full(shape, 77, np.uint8)).save(file, "PNG")
    image = prepare_image(file.getvalue(), stored_size=(146, 146), channels=1)
    assert image.shape == (146, 146, 1)
    assert (image == 77).all()
