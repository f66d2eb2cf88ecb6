"""How large pictures are seen and stored, and that shrinking them is fair."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from striate.data.decode import decode
from striate.data.picture import centre_box, prepare_picture
from striate.data.size import choose_channels, choose_size
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
    ],
)
def test_choose_size(
    sizes: list[tuple[int, int]], wanted: int | None, size: tuple[int, int], stored: tuple[int, int]
) -> None:
    assert choose_size(sizes, wanted) == (size, stored)


@pytest.mark.parametrize("wanted", [0, -3, 4097])
def test_size_out_of_its_domain(wanted: int) -> None:
    with pytest.raises(DataError) as error:
        choose_size([(9, 9)], wanted)
    assert str(error.value) == (f"the size is {wanted}\n  expected: a side of 1 to 4,096 pixels\n  try: 128")


@pytest.mark.parametrize(
    ("channels", "chosen"),
    [([1, 1], 1), ([1, 3], 3), ([3], 3), ([5, 5, 3, 1], 3), ([5, 5, 5, 3, 1], 5), ([4], 4), ([2, 7], 2)],
)
def test_choose_channels(channels: list[int], chosen: int) -> None:
    assert choose_channels(channels) == chosen


def test_centre_box() -> None:
    assert centre_box(300, 200, 100, 100) == (50, 0, 250, 200)
    assert centre_box(200, 300, 100, 100) == (0, 50, 200, 250)
    assert centre_box(300, 200, 90, 30) == (0, 50, 300, 150)
    for width in range(1, 400, 7):
        for target in (8, 37, 146):
            left, top, right, bottom = centre_box(width, 301, target, target)
            assert 0 <= left < right <= width
            assert 0 <= top < bottom <= 301


def test_the_centre_is_cut_out_unchanged_where_the_short_side_fits() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (20, 50, 3), dtype=np.uint8)
    assert (prepare_picture(noise, stored_size=(20, 20), channels=3) == noise[:, 15:35]).all()


def test_shrinking_takes_the_mean_over_the_footprint() -> None:
    """A fine chequerboard becomes grey; taking single pixels would leave black and white."""
    board = (np.indices((256, 256)).sum(0) % 2 * 255).astype(np.uint8)
    small = prepare_picture(board, stored_size=(16, 16), channels=1)
    assert np.abs(small.astype(int) - 127).max() <= 1


@pytest.mark.parametrize("side", [900, 1001, 2048])
def test_a_jpeg_decoded_at_a_reduced_scale_is_nearly_the_same(side: int) -> None:
    down, across = np.mgrid[0 : side - 60, 0:side].astype(float)
    waves = 128 + 60 * np.sin(across / 40) + 60 * np.cos(down / 55)
    file = io.BytesIO()
    Image.fromarray(waves.astype(np.uint8)).save(file, "JPEG", quality=95)
    fast = prepare_picture(file.getvalue(), stored_size=(73, 73), channels=1).astype(int)
    with Image.open(file) as whole:
        fair = prepare_picture(np.asarray(whole), stored_size=(73, 73), channels=1).astype(int)
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
    picture = prepare_picture(file.getvalue(), stored_size=(146, 146), channels=1)
    assert picture.shape == (146, 146, 1)
    assert (picture == 77).all()
