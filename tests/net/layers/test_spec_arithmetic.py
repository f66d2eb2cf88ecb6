"""Shapes, weights and multiply-adds of every word, worked out by hand."""

from __future__ import annotations

import pytest

from striate.net.layers.layer import Layer
from striate.net.layers.words import WORDS
from striate.net.layout.layout import lay, make_layer
from striate.net.network import Word
from striate.net.notation.reader import read_text
from striate.net.shape import Flat, Map, Shape


def layer(text: str) -> Layer:
    """The layer of a text."""
    (step,) = read_text(text).flow.steps
    assert isinstance(step.atom, Word)
    return make_layer(step.atom, dict(step.atom.arguments))  # type: ignore[arg-type]


# Layer, input, output, weights, multiply-adds.
BY_HAND: list[tuple[str, Shape, Shape, int, int]] = [
    # P = 1 keeps 10x12.  8 * (3*3*3 + 1) weights; 8*10*12 places of 27.
    ("conv 8 3x3", Map(3, 10, 12), Map(8, 10, 12), 224, 25_920),
    ("conv 8 3x3 nobias", Map(3, 10, 12), Map(8, 10, 12), 216, 25_920),
    # 1x1 unless said: 8 * (3 + 1); 960 * 3.
    ("conv 8", Map(3, 10, 12), Map(8, 10, 12), 32, 2_880),
    # (11 + 4 - 5)/2 + 1 = 6, floor((13 - 3)/3) + 1 = 4.  6 * (5*3*4 + 1); 6*6*4 * 60.
    ("conv 6 5x3 stride 2x3 pad 2x0", Map(4, 11, 13), Map(6, 6, 4), 366, 8_640),
    # P = 1: floor((7 + 2 - 3)/2) + 1 = 4, floor((8 + 2 - 3)/2) + 1 = 4.  2 * (9 + 1); 32 * 9.
    ("conv 2 3x3 stride 2", Map(1, 7, 8), Map(2, 4, 4), 20, 288),
    # A window of 3 dilated by 2 reaches over 5: 9 - 5 + 1, 8 - 5 + 1.  4 * (9*2 + 1); 4*5*4 * 18.
    ("conv 4 3 valid dilate 2", Map(2, 9, 8), Map(4, 5, 4), 76, 1_440),
    # P = 2*(3 - 1)/2 = 2 keeps the size.
    ("conv 4 3 dilate 2", Map(2, 9, 8), Map(4, 9, 8), 76, 5_184),
    # ceil(10/3) = 4, ceil(7/3) = 3.  4 * (16 + 1); 4*4*3 * 16.
    ("conv 4 4x4 same stride 3", Map(1, 10, 7), Map(4, 4, 3), 68, 768),
    # Each output channel reads 4/4 channels: 8 * (9 + 1); 8*36 * 9.
    ("conv 8 3x3 groups 4", Map(4, 6, 6), Map(8, 6, 6), 80, 2_592),
    # Depthwise: 4 * (9 + 1); 4*36 * 9.
    ("conv 4 3x3 groups 4", Map(4, 6, 6), Map(4, 6, 6), 40, 1_296),
    # 6 - 3 + 1 = 4, 5 - 3 + 1 = 3: 4*4*3 = 48 places of 9*2 + 1 weights of their own.
    ("local 4 3x3 valid", Map(2, 6, 5), Map(4, 4, 3), 912, 864),
    ("local 4 3x3 valid nobias", Map(2, 6, 5), Map(4, 4, 3), 864, 864),
    # 2*2*3 = 12 places of 2*2 * 4/2 = 8 weights and a bias.
    ("local 2 2x2 stride 2 valid groups 2", Map(4, 4, 6), Map(2, 2, 3), 108, 96),
    # 24 biases; 24 * 5*7 places of 2*2*3 products.
    ("whiten 24", Map(3, 6, 8), Map(24, 5, 7), 24, 10_080),
    # floor((6 - 3)/2) + 1 = 2, floor((8 - 3)/2) + 1 = 3.
    ("whiten 10 3x3 stride 2", Map(1, 6, 8), Map(10, 2, 3), 10, 540),
    # 9 products a number: 9 * 3*5*6; nothing is trained.
    ("filter sobel-x", Map(3, 5, 6), Map(3, 5, 6), 0, 810),
    ("grey", Map(3, 5, 6), Map(1, 5, 6), 0, 0),
    # floor((7 - 2)/2) + 1 = 3, (8 - 2)/2 + 1 = 4.
    ("maxpool 2", Map(3, 7, 8), Map(3, 3, 4), 0, 0),
    # (7 + 2 - 3)/2 + 1 = 4, floor((8 + 2 - 3)/2) + 1 = 4.
    ("maxpool 3 stride 2 pad 1", Map(3, 7, 8), Map(3, 4, 4), 0, 0),
    # (7 - 3)/2 + 1 = 3 is whole; ceil((8 - 3)/2) + 1 = 4, whose window begins at 6, inside.
    ("maxpool 3 stride 2 ceil", Map(3, 7, 8), Map(3, 3, 4), 0, 0),
    # (8 + 2 - 2)/3 is not whole, ceil gives 4, and that window begins at 9 - 1 = 8, outside: 3 remain.
    ("maxpool 2 stride 3 pad 1 ceil", Map(3, 8, 8), Map(3, 3, 3), 0, 0),
    # The stride is the window unless said: 8/2, 8/4.
    ("avgpool 2x4", Map(3, 8, 8), Map(3, 4, 2), 0, 0),
    ("avgpool 2 stride 1", Map(3, 8, 8), Map(3, 7, 7), 0, 0),
    ("pool avg", Map(3, 5, 7), Map(3, 1, 1), 0, 0),
    ("pool max 2x3", Map(3, 5, 7), Map(3, 2, 3), 0, 0),
    # A grid finer than the map repeats rows.
    ("pool avg 7x7", Map(3, 4, 9), Map(3, 7, 7), 0, 0),
    ("depthpool max 3", Map(6, 4, 5), Map(2, 4, 5), 0, 0),
    ("depthpool avg 3", Flat(6), Flat(2), 0, 0),
    ("maxout 2", Map(6, 4, 5), Map(3, 4, 5), 0, 0),
    ("maxout 3", Flat(6), Flat(2), 0, 0),
    # gamma and beta a channel, or a feature.
    ("bn", Map(5, 4, 4), Map(5, 4, 4), 10, 0),
    ("bn", Flat(7), Flat(7), 14, 0),
    ("ln", Map(5, 4, 4), Map(5, 4, 4), 10, 0),
    ("ln", Flat(7), Flat(7), 14, 0),
    ("lrn", Map(5, 4, 4), Map(5, 4, 4), 0, 0),
    ("scale", Map(5, 4, 4), Map(5, 4, 4), 5, 0),
    ("scale", Flat(7), Flat(7), 7, 0),
    ("prelu", Map(5, 4, 4), Map(5, 4, 4), 5, 0),
    ("prelu", Flat(7), Flat(7), 7, 0),
    *[
        (word, shape, shape, 0, 0)
        for word in ("relu", "relu6", "leaky", "elu", "sigmoid", "tanh", "gelu", "silu", "softmax",
                     "identity", "dropout", "droppath")
        for shape in (Map(5, 4, 4), Flat(7))
    ],
    ("dropout2d", Map(5, 4, 4), Map(5, 4, 4), 0, 0),
    # 3*4*5 = 60 numbers: 60 * 10 + 10; 60 * 10.
    ("fc 10", Map(3, 4, 5), Flat(10), 610, 600),
    ("fc 10 nobias", Map(3, 4, 5), Flat(10), 600, 600),
    ("fc 10", Flat(7), Flat(10), 80, 70),
    ("flatten", Map(3, 4, 5), Flat(60), 0, 0),
    ("flatten", Flat(7), Flat(7), 0, 0),
    ("widen 8", Map(3, 4, 5), Map(8, 4, 5), 0, 0),
    ("widen 3", Map(3, 4, 5), Map(3, 4, 5), 0, 0),
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "shape", "out", "weights", "multiply_adds"),
    BY_HAND,
    ids=[f"{text} on {shape}" for text, shape, *_ in BY_HAND],
)
def test_by_hand(text: str, shape: Shape, out: Shape, weights: int, multiply_adds: int) -> None:
    found = layer(text)
    assert found.out(shape) == out
    assert type(found.out(shape)) is type(out)
    assert found.weights(shape) == weights
    assert found.multiply_adds(shape) == multiply_adds


def test_every_word_is_worked_out_by_hand() -> None:
    assert {text.split()[0] for text, *_ in BY_HAND} == set(WORDS)


# Kernel, stride, dilation, padding before and after, of the rows and of the columns.
Sides = tuple[int, int, int, int, int]
AXES: list[tuple[str, Shape, Sides, Sides]] = [
    ("conv 8 3x5", Map(3, 8, 9), (3, 1, 1, 1, 1), (5, 1, 1, 2, 2)),
    ("conv 8 3 dilate 2x3", Map(3, 8, 9), (3, 1, 2, 2, 2), (3, 1, 3, 3, 3)),
    ("conv 8 3 valid stride 2x1", Map(3, 8, 9), (3, 2, 1, 0, 0), (3, 1, 1, 0, 0)),
    ("local 8 3 pad 2x0", Map(3, 8, 9), (3, 1, 1, 2, 2), (3, 1, 1, 0, 0)),
    # (ceil(8/2) - 1)*2 + 3 - 8 = 1 row of padding, at the far end; (5 - 1)*2 + 3 - 9 = 2, one at each.
    ("conv 8 3 same stride 2", Map(3, 8, 9), (3, 2, 1, 0, 1), (3, 2, 1, 1, 1)),
    # No padding where the stride leaves rows over: (3 - 1)*4 + 1 - 9 = 0, and less than 0 is 0.
    ("conv 8 1 same stride 4", Map(3, 8, 9), (1, 4, 1, 0, 0), (1, 4, 1, 0, 0)),
    ("whiten 12 2x3 stride 1x2", Map(3, 8, 9), (2, 1, 1, 0, 0), (3, 2, 1, 0, 0)),
    ("filter blur", Map(3, 8, 9), (3, 1, 1, 1, 1), (3, 1, 1, 1, 1)),
    ("maxpool 2x3", Map(3, 8, 9), (2, 2, 1, 0, 0), (3, 3, 1, 0, 0)),
    ("avgpool 3 stride 2 pad 1x0", Map(3, 8, 9), (3, 2, 1, 1, 1), (3, 2, 1, 0, 0)),
    ("pool avg", Map(3, 8, 9), (8, 8, 1, 0, 0), (9, 9, 1, 0, 0)),
    ("pool max 4x3", Map(3, 8, 9), (2, 2, 1, 0, 0), (3, 3, 1, 0, 0)),
    ("fc 10", Map(3, 8, 9), (8, 8, 1, 0, 0), (9, 9, 1, 0, 0)),
    ("fc 10", Flat(7), (1, 1, 1, 0, 0), (1, 1, 1, 0, 0)),
    ("flatten", Map(3, 8, 9), (8, 8, 1, 0, 0), (9, 9, 1, 0, 0)),
    *[
        (text, Map(4, 8, 9), (1, 1, 1, 0, 0), (1, 1, 1, 0, 0))
        for text in ("grey", "bn", "ln", "lrn", "scale", "relu", "relu6", "leaky", "prelu", "elu", "sigmoid",
                     "tanh", "gelu", "silu", "maxout 2", "depthpool max 2", "dropout", "dropout2d",
                     "droppath", "softmax", "identity", "widen 8")
    ],
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "shape", "rows", "columns"), AXES, ids=[f"{text} on {shape}" for text, shape, *_ in AXES]
)
def test_windows_by_hand(text: str, shape: Shape, rows: Sides, columns: Sides) -> None:
    found = [
        (axis.kernel, axis.stride, axis.dilation, axis.before, axis.after) for axis in layer(text).axes(shape)
    ]
    assert found == [rows, columns]


def test_every_word_has_its_windows_worked_out() -> None:
    assert {text.split()[0] for text, *_ in AXES} == set(WORDS)


def costs(text: str, image: Map, classes: int) -> tuple[list[int], int, list[str]]:
    """The weights of each layer that has any, the multiply-adds of all, and the outputs."""
    layers = list(lay(read_text(text), image, classes).layers())
    weights = [part.layer.weights(part.input) for part in layers]
    total = sum(part.layer.multiply_adds(part.input) for part in layers)
    return [each for each in weights if each], total, [str(part.output) for part in layers]


def test_lenet_5() -> None:
    text = """conv 6 5x5 pad 2 -> tanh -> avgpool 2 -> conv 16 5x5 valid -> tanh -> avgpool 2
        -> fc 120 -> tanh -> fc 84 -> tanh -> fc classes"""
    weights, multiply_adds, outputs = costs(text, Map(1, 28, 28), 10)
    assert outputs == [
        "6x28x28",
        "6x28x28",
        "6x14x14",
        "16x10x10",
        "16x10x10",
        "16x5x5",
        "120",
        "120",
        "84",
        "84",
        "10",
    ]
    # 6*(25 + 1), 16*(6*25 + 1), 120*(400 + 1), 84*121, 10*85
    assert weights == [156, 2_416, 48_120, 10_164, 850]
    assert sum(weights) == 61_706
    # 6*784*25 + 16*100*150 + 400*120 + 120*84 + 84*10
    assert multiply_adds == 117_600 + 240_000 + 48_000 + 10_080 + 840 == 416_520


def test_alexnet() -> None:
    text = """conv 64 11x11 stride 4 pad 2 -> relu -> maxpool 3x3 stride 2
        -> conv 192 5x5 -> relu -> maxpool 3x3 stride 2
        -> conv 384 3x3 -> relu -> conv 256 3x3 -> relu -> conv 256 3x3 -> relu -> maxpool 3x3 stride 2
        -> pool avg 6x6 -> [dropout -> fc 4096 -> relu] x2 -> fc classes"""
    weights, multiply_adds, outputs = costs(text, Map(3, 224, 224), 1000)
    # floor((224 + 4 - 11)/4) + 1 = 55, (55 - 3)/2 + 1 = 27, (27 - 3)/2 + 1 = 13, (13 - 3)/2 + 1 = 6
    assert [outputs[i] for i in (0, 2, 5, 12, 13)] == [
        "64x55x55",
        "64x27x27",
        "192x13x13",
        "256x6x6",
        "256x6x6",
    ]
    # 64*(3*121 + 1), 192*(64*25 + 1), 384*(192*9 + 1), 256*(384*9 + 1), 256*(256*9 + 1),
    # 4096*(9216 + 1), 4096*4097, 1000*4097
    assert weights == [23_296, 307_392, 663_936, 884_992, 590_080, 37_752_832, 16_781_312, 4_097_000]
    assert sum(weights) == 61_100_840
    # 64*3025*363 + 192*729*1600 + 384*169*1728 + 256*169*3456 + 256*169*2304 + the products of the fcs
    by_layer = [
        70_276_800,
        223_948_800,
        112_140_288,
        149_520_384,
        99_680_256,
        37_748_736,
        16_777_216,
        4_096_000,
    ]
    assert multiply_adds == sum(by_layer) == 714_188_480


@pytest.mark.parametrize("word", sorted(WORDS))
def test_docstrings_are_contracts(word: str) -> None:
    from striate.net.layers.argument import arguments

    told = WORDS[word].__doc__
    assert told is not None
    for part in ("Shapes: ", "Use: ", "Not: ", "Source: "):
        assert f"\n    {part}" in told
    for name, argument in arguments(WORDS[word]).items():
        # `local` takes all that `conv` takes and says so.
        assert not argument.keyed or name in told or "all that `conv` takes" in told
    if not arguments(WORDS[word]):
        assert f"{word} takes no arguments" in told
