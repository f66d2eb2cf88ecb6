"""One image through a flow without weights: values by hand, colors by their meaning, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import striate
from striate.errors import StriateError


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """Left half black, right half 100, of 8x8 pixels; gray."""
    values = np.zeros((8, 8), dtype=np.uint8)
    values[:, 4:] = 100
    Image.fromarray(values).save(tmp_path / "edge.png")
    return tmp_path / "edge.png"


def test_an_edge_is_orange_where_it_becomes_brighter(image: Path) -> None:
    found = striate.filter("sobel-x", image)
    # (1 + 2 + 1) * 100 on both sides of the edge, and -400 at the right end, where 0 follows.
    assert found.values[4, :, 0].tolist() == [0, 0, 0, 400, 400, 0, 0, -400]
    pixels = np.asarray(found.image)
    assert pixels[4, 1].tolist() == [255, 255, 255]
    assert pixels[4, 3].tolist() == [200, 80, 0]
    assert pixels[4, 7].tolist() == [0, 92, 160]
    assert found.how == "blue is below 0, white 0, orange above; the scale is -400 to 400"


def test_brightness_stays_as_it_is(image: Path) -> None:
    found = striate.filter("filter blur", image)
    assert found.image.mode == "L"
    assert np.asarray(found.image)[4].tolist() == [0, 0, 0, 25, 75, 100, 100, 75]
    assert found.how == "values as they are, 0 to 255"
    clipped = striate.filter("sharpen", image)
    # Beside the edge 8 pixels are below 0, and 4 at the corners above 255.
    assert clipped.how == "values as they are, 18.8% of them clipped to 0..255"


def test_without_negative_values_black_is_zero(image: Path) -> None:
    found = striate.filter("filter sobel-x -> relu -> maxpool 2", image)
    assert found.image.size == (4, 4)
    assert np.asarray(found.image)[2].tolist() == [0, 255, 255, 0]
    assert found.how == "black is 0, white 400"


def test_color_is_gray_where_nothing_changes(tmp_path: Path) -> None:
    values = np.zeros((8, 8, 3), dtype=np.uint8)
    values[:, 4:, 0] = 100
    Image.fromarray(values).save(tmp_path / "red.png")
    found = striate.filter("sobel-x", tmp_path / "red.png")
    assert np.asarray(found.image)[4, 1].tolist() == [128, 128, 128]
    assert np.asarray(found.image)[4, 3].tolist() == [255, 128, 128]
    assert found.how == "each channel is gray at 0; the scale is -400 to 400"


@pytest.mark.parametrize(
    ("flow", "said"),
    [
        ("sobelx",
         "filter: there is no filter `sobelx`\n"
         "  expected: one of sobel-x, sobel-y, laplacian, sharpen, blur, emboss, identity; or a flow, as "
         "`grey -> filter sobel-x`\n"
         "  try: sobel-x"),
        ("conv 8 3x3",
         "0: `conv 8 3x3` has weights to be trained, and this has none yet\n"
         "  expected: layers without weights, as filter, grey, maxpool, avgpool, relu\n"
         "  try: striate train DATA, and then striate explain RUN IMAGE"),
        ("filter blur -> flatten",
         "filter: 64 is no image\n"
         "  expected: 1 or 3 channels of a height and a width\n"
         "  try: the flow without its last layer"),
        ("widen 2",
         "filter: 2x8x8 is no image\n"
         "  expected: 1 or 3 channels of a height and a width\n"
         "  try: `grey` as the last layer"),
    ],
)  # fmt: skip
def test_errors(flow: str, said: str, image: Path) -> None:
    with pytest.raises(StriateError) as caught:
        striate.filter(flow, image)
    assert str(caught.value) == said
