"""Each warning as a whole text, and where it must not appear."""

from __future__ import annotations

import pytest

from striate.net.layout.layout import lay
from striate.net.notation.reader import read_text
from striate.net.plan.table import plan
from striate.net.shape import Map

# The notes that tell nothing of how a network learns.
ARITHMETIC = (
    "unseen-pixels", "undivided-stride", "heavy-fc", "bias-before-bn", "receptive-field-large",
)  # fmt: skip


def said(text: str, image: Map) -> tuple[str, ...]:
    notes = plan(lay(read_text(text), image, 10)).notes
    return tuple(each.text for each in notes if each.code in ARITHMETIC)


WARNED: list[tuple[str, Map, tuple[str, ...]]] = [
    # Rows and columns that the output never sees.
    (
        "maxpool 2 -> fc classes",
        Map(1, 9, 8),
        (
            "the output never sees row 8 of the 9x8 images, counted from 0",
            "the stride of `maxpool 2` at 0 does not divide (9 - 2) / 2: it leaves 1 row at the far end unread",
        ),
    ),
    (
        "avgpool 5 -> conv 4 1x2 valid stride 1x2 -> fc classes",
        Map(1, 9, 19),
        (
            "the output never sees rows 5 to 8 and columns 10 to 18 of the 9x19 images, counted from 0",
            "the stride of `avgpool 5` at 0 does not divide (9 - 5) / 5: it leaves 4 rows and 4 columns at the "
            "far end unread, as in 1 more layer",
        ),
    ),
    (
        "conv 4 stride 2 -> pool avg -> fc classes",
        Map(1, 9, 4),
        (
            "the output never sees 4 rows (1, 3, 5 ...) and 2 columns (1, 3) of the 9x4 images, counted from 0",
            "the stride of `conv 4 1x1 stride 2` at 0 does not divide (4 - 1) / 2: it leaves 1 column at the far end unread",
        ),
    ),
    (
        "maxpool 3 -> concat { identity | conv 3 3x3 } -> fc classes",
        Map(1, 11, 9),
        (
            "the output never sees rows 9 and 10 of the 11x9 images, counted from 0",
            "the stride of `maxpool 3` at 0 does not divide (11 - 3) / 3: it leaves 2 rows at the far end unread",
        ),
    ),
    (
        # Windows of an adaptive pool, of which the stride behind it skips every second.
        "pool avg 4x1 -> maxpool 1 stride 2x1 -> fc classes",
        Map(1, 8, 3),
        (
            "the output never sees 4 rows (2, 3, 6 ...) of the 8x3 images, counted from 0",
            "the stride of `maxpool 1 stride 2x1` at 1 does not divide (4 - 1) / 2: it leaves 1 row at the far "
            "end unread",
        ),
    ),
    # A stride that does not divide.  What is left may be padding only.
    (
        "conv 4 7x7 stride 2 -> maxpool 3x3 stride 2 pad 1 -> pool avg -> fc classes",
        Map(3, 224, 224),
        (
            "the stride of `conv 4 7x7 stride 2` at 0 does not divide (224 + 6 - 7) / 2: it leaves 1 row and 1 "
            "column of padding at the far end unread, as in 1 more layer",
        ),
    ),
    (
        "stem: local 4 3x3 stride 3 pad 1 -> [maxpool 3 stride 1] -> fc classes",
        Map(1, 9, 12),
        (
            "the output never sees row 8 and column 11 of the 9x12 images, counted from 0",
            "the stride of `local 4 3x3 stride 3 pad 1` at stem does not divide (9 + 2 - 3) / 3: it leaves 2 rows "
            "and 2 columns at the far end unread",
        ),
    ),
    # An fc that holds most of the weights.
    (
        "conv 8 3x3 -> relu -> hidden: fc 100 -> relu -> fc classes",
        Map(1, 8, 8),
        (
            "`fc 100` at hidden holds 51,300 of the 52,390 weights (98%); `pool avg` before it would save most "
            "of them",
        ),
    ),
    (
        "conv 8 3x3 -> flatten -> fc 100 -> relu -> fc classes",
        Map(1, 8, 8),
        (
            "`fc 100` at 2 holds 51,300 of the 52,390 weights (98%); fewer features before it would save most "
            "of them",
        ),
    ),
    (
        "conv 1000 1x1 -> pool avg -> fc classes",
        Map(1, 8, 8),
        (
            "`fc 10` at 2 holds 10,010 of the 12,010 weights (83%); fewer features before it would save most "
            "of them",
        ),
    ),
    # A bias straight before bn.
    (
        "conv 6 5x5 -> bn -> relu -> fc classes",
        Map(1, 8, 8),
        (
            "the 6 biases of `conv 6 5x5` at 0 can do nothing, as the bn behind it takes the mean out: `nobias` "
            "saves them",
        ),
    ),
    (
        "stem: [conv 1 -> bn] -> add { identity | [conv 1 -> bn -> relu] x2 } -> aux { fc 10 -> bn } -> fc classes",
        Map(1, 8, 8),
        (
            "the bias of `conv 1 1x1` at stem.0 can do nothing, as the bn behind it takes the mean out: `nobias` "
            "saves it, as in 3 more layers",
        ),
    ),
    # A receptive field beyond the image.
    (
        "conv 2 3x3 -> [conv 2 5x5] x3 -> conv 2 -> fc classes",
        Map(1, 12, 13),
        (
            "from `conv 2 5x5` at 1.2.0 on, the receptive field, 15x15, is larger than the 12x13 image",
        ),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("text", "image", "warned"), WARNED)
def test_whole_texts(text: str, image: Map, warned: tuple[str, ...]) -> None:
    assert said(text, image) == warned


QUIET = [
    # All is read: by padding, by `ceil`, by `same`, or by a stride that divides.
    ("maxpool 2 -> fc classes", Map(1, 8, 6)),
    ("maxpool 2 ceil -> fc classes", Map(1, 9, 7)),
    ("conv 4 3x3 stride 2 -> fc classes", Map(1, 9, 9)),
    ("conv 4 3x3 stride 2 same -> fc classes", Map(1, 9, 8)),
    ("pool avg 3 -> fc classes", Map(1, 8, 8)),
    # What one branch leaves out another reads; an auxiliary classifier need not read all.
    ("concat { conv 4 stride 3 | maxpool 3 stride 3 pad 1 } -> fc classes", Map(1, 10, 7)),
    ("aux { maxpool 1 stride 2 -> fc classes } -> fc classes", Map(1, 11, 11)),
    # An auxiliary classifier may be heavy: it is not part of what ships.
    ("conv 8 3x3 -> aux { fc 100 -> relu -> fc classes } -> pool avg -> fc classes", Map(1, 8, 8)),
    # A single layer has nothing before it; and few weights are few, whoever holds them.
    ("fc classes", Map(3, 224, 224)),
    ("conv 4 3x3 -> fc classes", Map(1, 8, 8)),
    ("conv 64 3x3 -> conv 64 3x3 -> pool avg -> fc classes", Map(1, 8, 8)),
    # No bias, or not straight before a bn.
    ("conv 6 5x5 nobias -> bn -> relu -> fc 4 nobias -> bn -> fc classes", Map(1, 8, 8)),
    ("conv 6 5x5 -> relu -> bn -> fc classes", Map(1, 8, 8)),
    ("conv 6 5x5 -> ln -> fc classes", Map(1, 8, 8)),
    ("bn -> conv 6 5x5 -> fc classes", Map(1, 8, 8)),
    # Each place has a mean of its own there, so its bias is more than the channel's.
    ("local 2 3x3 -> bn -> fc classes", Map(1, 8, 8)),
    # A field as large as the image; larger along one side only; a dense layer, which sees all.
    ("conv 2 7x7 -> conv 2 -> fc classes", Map(1, 7, 7)),
    ("conv 2 1x9 -> conv 2 -> fc classes", Map(1, 7, 7)),
    ("conv 2 3x3 -> pool avg -> conv 2 -> fc classes", Map(1, 7, 7)),
]


@pytest.mark.parametrize(("text", "image"), QUIET)
def test_no_warning(text: str, image: Map) -> None:
    assert said(text, image) == ()


def test_the_bias_before_bn_does_nothing_indeed() -> None:
    """What the warning says, measured: with another bias the network answers the same in training."""
    torch = pytest.importorskip("torch")
    from striate.modules.module import build

    net = build(lay(read_text("conv 6 5x5 -> bn -> relu -> fc 4 -> bn -> fc classes"), Map(1, 8, 8), 10))
    images = torch.randn(4, 1, 8, 8)
    before = net(images)
    with torch.no_grad():
        for name in ("0.bias", "3.bias"):
            dict(net.named_parameters())[name].add_(3.0)
    torch.testing.assert_close(net(images), before, atol=1e-4, rtol=1e-4)
