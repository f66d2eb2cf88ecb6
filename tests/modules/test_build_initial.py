"""First weights: which distribution, what it draws, and that nothing but the generator decides."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from striate.errors import RecipeError
from striate.modules.initial import INITIALS, initialize
from striate.modules.module import Net, build
from striate.modules.nn.local import LocallyConnected2d
from striate.net.layout.initial import default_initials, heads, last_norms
from striate.net.layout.layout import Layout, lay
from striate.net.notation.reader import read_text
from striate.net.shape import Map

IMAGE = Map(3, 16, 16)


def laid(text: str, image: Map = IMAGE) -> Layout:
    return lay(read_text(text), image, 10)


def drawn(text: str, initial: str, image: Map = IMAGE, seed: int = 0) -> Net:
    net = build(laid(text, image))
    initialize(net, initial=initial, generator=torch.Generator().manual_seed(seed))
    return net


# he or xavier for each matrix in turn, h or x.
SUITED = [
    ("fc classes", "x"),
    ("fc classes -> softmax", "x"),
    ("conv 4 3x3 -> relu -> fc classes", "hx"),
    ("conv 4 3x3 -> bn -> maxpool 2 -> dropout 0.5 -> relu -> fc classes", "hx"),
    ("conv 4 3x3 -> tanh -> avgpool 2 -> fc 8 -> sigmoid -> fc classes", "xxx"),
    ("conv 4 3x3 -> bn -> scale -> ln -> lrn 3 -> widen 8 -> pool avg 2 -> tanh -> fc classes", "xx"),
    ("local 4 3x3 -> leaky -> conv 4 -> prelu -> conv 4 -> elu -> fc 4 -> gelu -> fc classes", "hhhhx"),
    ("conv 4 -> relu6 -> conv 4 -> silu -> conv 4 -> maxout 2 -> conv classes -> pool avg", "hhhx"),
    ("conv 4 -> depthpool max 2 -> tanh -> fc classes", "xx"),
    ("conv 3 -> filter blur -> grey -> relu -> fc classes", "hx"),
    # Read linearly by the next matrix.
    ("conv 8 3x3 groups 1 -> conv 8 -> relu -> fc classes", "hhx"),
    # Branches: what stands behind the join decides, for every branch.
    ("add { conv 3 | conv 3 } -> relu -> fc classes", "hhx"),
    ("add { conv 3 | conv 3 } -> tanh -> fc classes", "xxx"),
    ("add { conv 3 -> bn | identity } -> tanh -> fc classes", "xx"),
    ("conv 3 -> add { identity | tanh } -> relu -> fc classes", "hx"),
    ("conv 3 -> add { tanh | sigmoid } -> relu -> fc classes", "xx"),
    ("concat { conv 3 -> relu | conv 3 } -> fc classes", "hhx"),
    # An auxiliary classifier ends in a loss, and what it stands on goes on without it.
    ("conv 4 -> aux { fc classes } -> relu -> fc classes", "hxx"),
    ("conv 4 -> aux { conv 4 -> relu -> fc classes } -> tanh -> fc classes", "xhxx"),
    ("conv 4 -> aux { fc classes -> softmax } -> conv 4 -> relu -> fc classes", "hxhx"),
    ("[conv 4 -> [bn -> tanh]] x2 -> fc classes", "xxx"),
]


@pytest.mark.parametrize(("text", "words"), SUITED)
def test_auto_takes_what_suits_the_activation_behind(text: str, words: str) -> None:
    layout = laid(text)
    suited = default_initials(layout)
    assert "".join(word[0] for word in suited.values()) == words
    assert list(suited) == [
        placed.path for placed in layout.layers() if placed.layer.word in ("conv", "local", "fc")
    ]


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("fc classes", []),
        ("conv 3 -> bn -> relu -> fc classes", []),
        ("add { conv 3 -> bn -> relu -> conv 3 -> bn | identity } -> fc classes", ["0.0.4"]),
        # In brackets, repeated, and in a definition as well.
        ("add { identity | [conv 3 -> relu] x2 -> [conv 3 -> bn] } -> fc classes", ["0.1.1.1"]),
        ("let b = conv 3 -> relu -> conv 3 -> bn; add { b() | conv 3 -> bn } -> fc classes", ["0.0.0.3"]),
        # There is no gamma to begin at 0.
        ("add { conv 3 -> relu -> conv 3 -> bn nogamma | identity } -> fc classes", []),
        # A shortcut is no residual branch; nor is what ends in something else.
        ("add { conv 3 -> bn | identity } -> fc classes", []),
        ("add { conv 3 -> bn -> relu -> conv 3 | conv 3 -> bn } -> fc classes", []),
        ("concat { conv 3 -> relu -> conv 3 -> bn | identity } -> fc classes", []),
        ("add { conv 3 -> relu -> conv 3 -> bn -> add { identity | relu } | identity } -> fc classes", []),
        ("aux { add { conv 3 -> relu -> bn | identity } -> fc classes } -> fc classes", ["0.0.0.2"]),
    ],
)
def test_zero_last_finds_the_norm_that_ends_a_residual_branch(text: str, paths: list[str]) -> None:
    assert last_norms(laid(text)) == paths
    net = drawn(text, "he, zero-last")
    for name, module in net.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            assert bool((module.weight == 0).all()) == (name in paths)


# A text whose first matrix has many weights, and its fan-in and fan-out by hand.
MATRICES = [
    ("conv 64 3x3 -> relu -> fc classes", Map(8, 8, 8), 8 * 9, 64 * 9),
    ("conv 64 5x3 groups 4 -> relu -> fc classes", Map(64, 4, 4), 16 * 15, 16 * 15),
    ("conv 256 3x3 groups 256 -> relu -> fc classes", Map(256, 4, 4), 9, 9),
    ("local 8 3x3 groups 2 valid -> relu -> fc classes", Map(4, 12, 12), 2 * 9, 4 * 9),
    ("fc 64 -> relu -> fc classes", Map(3, 8, 8), 192, 64),
]


@pytest.mark.parametrize(("text", "image", "fan_in", "fan_out"), MATRICES)
@pytest.mark.parametrize("word", ["he", "lecun", "xavier", "small", "large", "orthogonal"])
def test_the_spread_of_the_weights(text: str, image: Map, fan_in: int, fan_out: int, word: str) -> None:
    net = drawn(text, word, image)
    module = net.part("0")
    assert isinstance(module, nn.Conv2d | nn.Linear | LocallyConnected2d)
    weight = module.weight.detach()
    # An orthogonal matrix of m x n has entries of variance 1 / max(m, n).
    rows = getattr(module, "out_channels", 64) // getattr(module, "groups", 1)
    std = {
        "he": math.sqrt(2 / fan_in),
        "lecun": math.sqrt(1 / fan_in),
        "xavier": math.sqrt(2 / (fan_in + fan_out)),
        "small": 0.01,
        "large": 1.0,
        "orthogonal": math.sqrt(2 / max(rows, fan_in)),
    }[word]
    # Of n normal numbers the standard deviation strays by std / sqrt(2 n); five of these never happen.
    count = weight.numel()
    assert abs(float(weight.std()) / std - 1) < 5 / math.sqrt(2 * count)
    assert abs(float(weight.mean())) < 5 * std / math.sqrt(count)
    if word == "xavier":
        assert float(weight.abs().max()) <= math.sqrt(6 / (fan_in + fan_out))
    assert module.bias is not None
    assert not module.bias.any()


def test_the_spread_is_checked_closely_enough_to_fail() -> None:
    weight = drawn("conv 64 3x3 -> relu -> fc classes", "he", Map(8, 8, 8)).part("0").weight
    assert isinstance(weight, Tensor)
    weight = weight.detach()
    assert abs(float(weight.std()) / math.sqrt(1 / 72) - 1) > 5 / math.sqrt(2 * weight.numel())


@pytest.mark.parametrize(("text", "image", "fan_in", "fan_out"), MATRICES)
def test_orthogonal_in_every_group_and_place(text: str, image: Map, fan_in: int, fan_out: int) -> None:
    module = drawn(text, "orthogonal", image).part("0")
    assert isinstance(module, nn.Conv2d | nn.Linear | LocallyConnected2d)
    groups = 1 if isinstance(module, nn.Linear) else module.groups
    if isinstance(module, LocallyConnected2d):
        stack = module.weight.detach()
    else:
        stack = module.weight.detach().reshape(groups, -1, fan_in)
    rows, columns = stack.shape[-2:]
    product = stack @ stack.mT if rows <= columns else stack.mT @ stack
    torch.testing.assert_close(product, 2 * torch.eye(min(rows, columns)).expand_as(product))


@pytest.mark.parametrize("word", INITIALS)
def test_the_generator_alone_decides(word: str) -> None:
    text = "local 2 3x3 -> relu -> conv 4 3x3 -> bn -> relu -> fc classes"
    before = torch.get_rng_state()
    first = drawn(text, word).state_dict()
    torch.rand(3)
    again, other = drawn(text, word).state_dict(), drawn(text, word, seed=1).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["2.weight"], other["2.weight"])
    assert not any(first[name].any() for name in first if name.endswith(".bias"))
    assert bool((first["3.weight"] == 1).all())
    # Drawing with a generator leaves torch's own alone; building is what used it.
    torch.set_rng_state(before)
    net = build(laid(text))
    after = torch.get_rng_state()
    initialize(net, initial=word, generator=torch.Generator().manual_seed(0))
    assert torch.equal(torch.get_rng_state(), after)


def spread(net: Net, path: str) -> float:
    weight = net.part(path).weight
    assert isinstance(weight, Tensor)
    return float(weight.detach().std())


def test_a_label_has_its_own_word() -> None:
    net = drawn("stem: conv 64 3x3 -> relu -> head: [fc 64 -> relu -> fc classes]", "he, head: small")
    assert spread(net, "stem") == pytest.approx(math.sqrt(2 / 27), rel=0.1)
    assert spread(net, "head.0") == pytest.approx(0.01, rel=0.1)
    assert spread(net, "head.2") == pytest.approx(0.01, rel=0.2)


def test_a_small_head() -> None:
    text = "conv 64 3x3 -> relu -> aux { conv 64 -> fc classes } -> pool avg -> body: fc 64 -> relu -> [fc classes -> softmax]"
    net = drawn(text, "he, small-head")
    assert heads(net.layout) == ["6.0", "2.1"]
    for path in heads(net.layout):
        assert spread(net, path) == pytest.approx(0.01, rel=0.2)
    assert spread(net, "body") > 0.1
    # What is said of a label is said of the head too.
    main = heads(net.layout)[0]
    assert spread(drawn(text, f"he, small-head, {main}: xavier"), main) > 0.1


def test_an_unknown_word() -> None:
    with pytest.raises(RecipeError) as caught:
        drawn("fc classes", "xaver")
    assert str(caught.value) == (
        "initial: initial cannot be `xaver`\n"
        "  expected: words separated by commas: one of auto, he, xavier, lecun, orthogonal, dirac, small, large; "
        "LABEL: WORD; zero-last; small-head\n"
        "  try: xavier"
    )


def test_an_unknown_label() -> None:
    with pytest.raises(RecipeError) as caught:
        drawn("stem: conv 4 -> head: fc classes", "he, heat: small")
    assert str(caught.value) == (
        "initial: no layer with weights is labelled `heat`\n"
        "  expected: a label or path of the network\n"
        "  try: head"
    )
