"""The text of an augmentation: reading, writing, and what is refused."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.augment_draws import augments
from striate.data.augment.argument import Argument, written
from striate.data.augment.augment import WORDS, Augment, default_augment, read_augment
from striate.data.augment.crop import Crop
from striate.data.augment.cutout import Cutout
from striate.data.augment.flip import Flip, VFlip
from striate.data.augment.grey import Grey
from striate.data.augment.jitter import Jitter
from striate.data.augment.mixup import Mixup
from striate.data.augment.noise import Noise
from striate.data.augment.rotate import Rotate
from striate.data.augment.zoom import Zoom
from striate.errors import RecipeError

ALL = "none, or words separated by commas out of: rotate DEGREES, crop N, zoom LOW, flip, vflip, jitter S, grey SHARE, noise S, cutout N, mixup A"


def refusal(text: str) -> RecipeError:
    with pytest.raises(RecipeError) as caught:
        read_augment(text)
    return caught.value


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("none", ()),
        ("", ()),
        ("  none ", ()),
        ("flip", (Flip(),)),
        ("crop", (Crop(0),)),
        ("flip, crop 4", (Crop(4), Flip())),
        ("crop 4,flip", (Crop(4), Flip())),
        ("  vflip ,  zoom   0.35 ", (Zoom(0.35), VFlip())),
        (
            "mixup .2, cutout 8, noise 5e-2, grey 0.1, jitter 1, rotate 15",
            (Rotate(15), Jitter(1), Grey(0.1), Noise(0.05), Cutout(8), Mixup(0.2)),
        ),
    ],
)
def test_read(text: str, words: tuple[object, ...]) -> None:
    assert read_augment(text).words == words


@pytest.mark.parametrize(
    "text", ["none", "crop 4, flip", "rotate 15, zoom 0.35, jitter 0.3, noise 0.05, cutout 8, mixup 0.2"]
)
def test_a_text_in_its_own_order_is_written_as_it_was(text: str) -> None:
    assert str(read_augment(text)) == text


@given(augments())
def test_round_trip(augment: Augment) -> None:
    assert read_augment(str(augment)) == augment


def test_round_trip_can_fail() -> None:
    assert read_augment("noise 0.1") != Augment((Noise(math.nextafter(0.1, 1)),))


@given(st.text(max_size=12) | st.text("flipcrozm 0.4,-+e", max_size=16))
@settings(max_examples=300)
def test_any_text_is_read_or_refused_with_cures_that_end(text: str) -> None:
    for _ in range(len(text) + 2):
        try:
            augment = read_augment(text)
        except RecipeError as problem:
            text = problem.cure
        else:
            assert read_augment(str(augment)) == augment
            return
    raise AssertionError(f"the cures never end: {text}")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("flpi", f"augment: `flpi` is not an augmentation\n  expected: {ALL}\n  try: flip"),
        (
            "flip, shift 2",
            f"augment: `shift 2` is not an augmentation\n  expected: {ALL}\n  try: flip, crop 2",
        ),
        (
            "crop(300), flip",
            f"augment: `crop(300)` is not an augmentation\n  expected: {ALL}\n  try: crop 4, flip",
        ),
        ("@", f"augment: `@` is not an augmentation\n  expected: {ALL}\n  try: none"),
        ("flip,,crop", f"augment: nothing stands between two commas\n  expected: {ALL}\n  try: flip, crop"),
        ("none, flip", f"augment: `none` stands beside other words\n  expected: {ALL}\n  try: flip"),
        (
            "crop 300",
            "augment: `crop` cannot take 300\n  expected: crop N with N a whole number from 0 to 256\n  try: crop 4",
        ),
        (
            "crop 1.5",
            "augment: `crop` cannot take 1.5\n  expected: crop N with N a whole number from 0 to 256\n  try: crop 4",
        ),
        (
            "crop -1",
            "augment: `crop` cannot take `-1`\n  expected: crop N with N a whole number from 0 to 256\n  try: crop 4",
        ),
        (
            "flip, zoom 0",
            "augment: `zoom` cannot take 0\n  expected: zoom LOW with LOW from 0.01 to 1\n  try: flip, zoom 0.35",
        ),
        (
            "rotate",
            "augment: `rotate` lacks its number\n  expected: rotate DEGREES with DEGREES above 0, at most 180\n  try: rotate 15",
        ),
        (
            "noise nan",
            "augment: `noise` cannot take `nan`\n  expected: noise S with S above 0, at most 1\n  try: noise 0.05",
        ),
        (
            "vflip 0.5",
            "augment: `vflip` takes no number, and `0.5` stands there\n  expected: vflip\n  try: vflip",
        ),
        (
            "crop 4, flip, crop 2",
            "augment: `crop` stands twice\n  expected: each word once\n  try: crop 4, flip",
        ),
        (
            "crop 4, zoom 0.5, flip",
            "augment: `crop` and `zoom` both choose the window\n  expected: one of them\n  try: zoom 0.5, flip",
        ),
    ],
)
def test_refused(text: str, told: str) -> None:
    problem = refusal(text)
    assert str(problem) == told
    read_augment(problem.cure)


@pytest.mark.parametrize("kind", [each for each in WORDS if each.argument is not None])
def test_domains_hold_for_words_made_without_a_text(kind: type) -> None:
    argument = kind.argument
    kind(argument.often)
    kind(argument.most)
    for value in (argument.least - 1, argument.most + 1, math.nan, math.inf):
        with pytest.raises(RecipeError):
            kind(value)
    if argument.above:
        with pytest.raises(RecipeError):
            kind(argument.least)
    else:
        kind(argument.least)


def test_argument_told() -> None:
    assert str(Argument("N", 0, 256, 4, whole=True)) == "a whole number from 0 to 256"
    assert str(Argument("S", 0, 1, 0.3, above=True)) == "above 0, at most 1"
    assert [written(each) for each in (4, 4.0, 0.35, 1e-7, 1e300)] == ["4", "4", "0.35", "1e-07", "1e+300"]


@pytest.mark.parametrize(
    ("text", "size", "told"),
    [
        (
            "crop 28, flip",
            (28, 40),
            "augment: `crop 28` is too large for images of 28x40\n  expected: a number below 28\n  try: crop 7, flip",
        ),
        (
            "cutout 40",
            (40, 28),
            "augment: `cutout 40` is too large for images of 40x28\n  expected: a number below 28\n  try: cutout 7",
        ),
        (
            "cutout 2",
            (2, 2),
            "augment: `cutout 2` is too large for images of 2x2\n  expected: a number below 2\n  try: none",
        ),
    ],
)
def test_too_large_for_the_images(text: str, size: tuple[int, int], told: str) -> None:
    with pytest.raises(RecipeError) as caught:
        read_augment(text).require_fits(size)
    assert str(caught.value) == told
    read_augment(caught.value.cure).require_fits(size)


def test_what_fits_is_let_through() -> None:
    read_augment("crop 27, cutout 27, rotate 180, mixup 10").require_fits((28, 28))


@pytest.mark.parametrize(
    ("size", "channels", "margin", "text"),
    [
        ((32, 32), 3, False, "crop 4, flip"),
        ((128, 128), 3, True, "crop, flip"),
        ((28, 28), 1, False, "crop 2"),
        ((8, 8), 1, False, "crop 1"),
        ((64, 64), 1, True, "crop"),
        ((4, 4), 5, False, "crop 1"),
        ((4096, 4096), 3, False, "crop 256, flip"),
    ],
)
def test_suited(size: tuple[int, int], channels: int, margin: bool, text: str) -> None:
    augment = default_augment(size, channels, margin=margin)
    assert str(augment) == text
    augment.require_fits(size)


@pytest.mark.parametrize(
    ("text", "share", "milder"),
    [
        ("flip, crop 4, jitter 0.4", 0.5, "crop 2, flip, jitter 0.2"),
        ("zoom 0.2, rotate 30, cutout 9", 0.5, "rotate 15.0, zoom 0.6, cutout 4"),
        ("zoom 0.2, mixup 0.4, noise 0.1, grey 0.5", 0.0, "zoom 1.0"),
        ("crop 4, cutout 8", 0.05, "crop"),
        ("crop 4, cutout 8, flip", 1.0, "crop 4, flip, cutout 8"),
        ("none", 0.3, "none"),
    ],
)
def test_milder_words(text: str, share: float, milder: str) -> None:
    assert read_augment(text).milder(share) == read_augment(milder)
