"""Networks laid out: paths, labels, repeats, branches, definitions, auxiliary classifiers."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from networks import fitting_networks, shape_after
from striate.net.layers.axis import Axis
from striate.net.layout.layout import Chain, Join, Layout, Part, Placed, Side, lay
from striate.net.network import Network
from striate.net.notation.reader import read_text
from striate.net.shape import Flat, Map

IMAGE = Map(3, 8, 8)


def laid(text: str, image: Map = IMAGE, classes: int | None = 10) -> Layout:
    return lay(read_text(text), image, classes)


def paths(text: str) -> list[str]:
    """`path word` of every layer."""
    return [f"{part.path} {part.layer.word}" for part in laid(text).layers()]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("relu -> tanh", ["0 relu", "1 tanh"]),
        ("stem: relu -> tanh", ["stem relu", "1 tanh"]),
        ("[relu -> tanh] -> relu", ["0.0 relu", "0.1 tanh", "1 relu"]),
        ("body: [relu -> out: tanh]", ["body.0 relu", "body.out tanh"]),
        # A repeat counts its turns; once is no repeat.
        ("relu x2 -> tanh", ["0.0 relu", "0.1 relu", "1 tanh"]),
        ("relu x1", ["0 relu"]),
        ("body: [relu -> tanh] x2", ["body.0.0 relu", "body.0.1 tanh", "body.1.0 relu", "body.1.1 tanh"]),
        ("relu x classes -> tanh x channels", [*(f"0.{i} relu" for i in range(10)), *(f"1.{i} tanh" for i in range(3))]),
        ("add { relu | tanh -> relu }", ["0.0.0 relu", "0.1.0 tanh", "0.1.1 relu"]),
        ("j: concat { a: relu | a: tanh } x2", ["j.0.0.a relu", "j.0.1.a tanh", "j.1.0.a relu", "j.1.1.a tanh"]),
        ("relu -> side: aux { fc 10 } -> fc 10", ["0 relu", "side.0 fc", "2 fc"]),
        ("let b(n) = relu -> tanh x n; b(1) -> last: b(2)", ["0.0 relu", "0.1 tanh", "last.0 relu", "last.1.0 tanh", "last.1.1 tanh"]),
    ],
)  # fmt: skip
def test_paths(text: str, expected: list[str]) -> None:
    assert paths(text) == expected


def test_parts_of_every_kind() -> None:
    layout = laid("conv 8 -> [relu] -> add { relu | tanh } -> aux 0.5 { fc 10 } -> fc classes")
    conv, bracket, join, side, fc = layout.root.parts
    assert isinstance(conv, Placed)
    assert (conv.path, conv.input, conv.output) == ("0", Map(3, 8, 8), Map(8, 8, 8))
    assert isinstance(bracket, Chain)
    assert (bracket.path, bracket.input, bracket.output) == ("1", Map(8, 8, 8), Map(8, 8, 8))
    assert isinstance(join, Join)
    assert (join.path, join.kind, [chain.path for chain in join.chains]) == ("2", "add", ["2.0", "2.1"])
    assert isinstance(side, Side)
    assert (side.path, side.weight, side.chain.output) == ("3", 0.5, Flat(10))
    # What follows an auxiliary classifier reads its input.
    assert side.input == side.output == Map(8, 8, 8)
    assert isinstance(fc, Placed)
    assert (fc.input, fc.output, layout.output) == (Map(8, 8, 8), Flat(10), Flat(10))
    assert (layout.input, layout.classes, layout.root.path) == (Map(3, 8, 8), 10, "")


def test_layers_with_and_without_side_classifiers() -> None:
    layout = laid("relu -> aux { tanh -> fc 10 } -> add { identity | aux { gelu } -> silu } -> fc 10")
    every = ["relu", "tanh", "fc", "identity", "gelu", "silu", "fc"]
    assert [part.layer.word for part in layout.layers()] == every
    assert [part.layer.word for part in layout.layers(sides=False)] == ["relu", "identity", "silu", "fc"]


def test_concat_adds_up_the_channels() -> None:
    assert laid("concat { conv 4 | conv 5 | identity }").output == Map(12, 8, 8)
    assert laid("fc 4 -> concat { identity | fc 5 }").output == Flat(9)


def test_parameters_pass_through_calls() -> None:
    text = """
        let inner(n, k) = conv n k;
        let outer(n, m) = inner(n, 3x1) -> inner(m, 5);
        outer(4, classes) -> outer(channels, 2)
    """
    kernels = [(part.layer.channels, part.layer.kernel) for part in laid(text).layers()]  # type: ignore[attr-defined]
    assert kernels == [(4, (3, 1)), (10, (5, 5)), (3, (3, 1)), (2, (5, 5))]


def test_a_parameter_hides_nothing_of_the_caller() -> None:
    # `n` inside of `inner` is its own; the caller's stays what it was.
    text = "let inner(n) = fc n; let outer(n) = inner(2) -> fc n; outer(5)"
    assert [part.output for part in laid(text).layers()] == [Flat(2), Flat(5)]


def test_weights_of_side_classifiers_may_be_passed() -> None:
    layout = laid("let head(w) = aux w { fc classes }; head(1) -> head(0.25) -> aux { fc 10 }")
    found = []
    for part in layout.root.parts:
        side = part.parts[0] if isinstance(part, Chain) else part
        assert isinstance(side, Side)
        found.append(side.weight)
    assert found == [1.0, 0.25, 0.3]


def test_classes_are_asked_for_only_where_the_text_does() -> None:
    assert laid("relu", classes=None).classes is None
    assert laid("fc classes", classes=7).output == Flat(7)


def test_channels_are_those_of_the_image() -> None:
    assert laid("conv 8 -> conv channels", Map(5, 8, 8)).output == Map(5, 8, 8)


def walk(part: Part) -> list[Part]:
    inner: tuple[Part, ...] = ()
    if isinstance(part, Chain):
        inner = part.parts
    elif isinstance(part, Join):
        inner = part.chains
    elif isinstance(part, Side):
        inner = (part.chain,)
    return [part, *(each for one in inner for each in walk(one))]


@settings(deadline=None, max_examples=120)
@given(fitting_networks(classified=False))
def test_shapes_follow_on_one_another(case: tuple[Network, Map, int]) -> None:
    network, image, classes = case
    layout = lay(network, image, classes)
    parts = walk(layout.root)
    found = [part.path for part in parts if isinstance(part, Placed)]
    assert len(found) == len(set(found))
    for part in parts:
        if isinstance(part, Chain):
            shapes = [part.input, *(each.output for each in part.parts)]
            assert [each.input for each in part.parts] == shapes[:-1]
            assert part.output == shapes[-1]
        elif isinstance(part, Join):
            assert all(chain.input == part.input for chain in part.chains)
            if part.kind == "add":
                assert all(chain.output == part.output for chain in part.chains)
            else:
                assert part.output.channels == sum(chain.output.channels for chain in part.chains)
        elif isinstance(part, Side):
            assert part.input == part.output == part.chain.input
        else:
            assert part.output == part.layer.out(part.input)
    # The drawing keeps track of the shapes by itself.
    values = {"channels": image.channels, "classes": classes}
    assert shape_after(network.flow, image, list(network.defines), values) == layout.output


@settings(deadline=None, max_examples=120)
@given(fitting_networks(classified=False))
def test_the_windows_of_a_layer_give_its_shape(case: tuple[Network, Map, int]) -> None:
    for part in lay(*case).layers():
        if part.layer.word in (
            "conv",
            "local",
            "whiten",
            "filter",
            "maxpool",
            "avgpool",
            "fc",
            "grey",
            "lrn",
        ):
            rows, columns = part.layer.axes(part.input)
            if isinstance(part.input, Map):
                windows = rows.out(part.input.height), columns.out(part.input.width)
                assert windows == (part.output[1:] if isinstance(part.output, Map) else (1, 1))
            else:
                assert (rows, columns) == (Axis(1), Axis(1))


@settings(deadline=None, max_examples=100)
@given(fitting_networks())
def test_drawn_classifiers_answer_one_logit_for_each_class(case: tuple[Network, Map, int]) -> None:
    network, image, classes = case
    lay(network, image, classes).require_classes(classes)
