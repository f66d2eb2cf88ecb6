"""The tree of a plan and the drawing of a network: the sums, the rows, and what stands in the image."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
import pytest
from PIL import Image

import striate
from striate.errors import StriateError
from striate.net.layout.layout import Layout
from striate.net.plan.table import plan
from striate.net.plan.tree import lines
from striate.net.zoo.list import zoo_names, zoo_net

SVG = "{http://www.w3.org/2000/svg}"


def laid(name: str) -> Layout:
    known = zoo_net(name)
    return striate.read(name).lay(known.input, known.classes)


def rows(text: str, input: tuple[int, int, int] = (3, 32, 32)) -> list[str]:
    layout = striate.read(text).lay(input, 10)
    return [
        f"{before}{node.text}{f' x{node.times}' if node.times > 1 else ''}: {node.output}, {node.weights}"
        for before, node in lines(plan(layout).nodes)
    ]


@pytest.mark.parametrize("name", zoo_names())
def test_rows_add_up_to_the_plan(name: str) -> None:
    layout = laid(name)
    table = plan(layout)
    nodes = table.nodes
    shown = [node for _, node in lines(nodes)]
    assert sum(node.weights for node in shown) == table.weights + table.side_weights
    assert sum(node.saved_bytes for node in shown) == table.saved_bytes
    assert sum(node.total("multiply_adds") for node in nodes if node.kind != "aux") == table.multiply_adds
    # A screen, for the networks that the notes draw.
    assert len(shown) <= 64
    assert len(shown) <= 60 or name == "convnext_tiny"


def test_branches_are_indented_and_repeats_folded() -> None:
    found = rows(
        "stem: [conv 8 3x3 nobias -> bn -> relu -> maxpool 2]"
        "-> body: [add { conv 8 3x3 nobias -> bn -> relu -> conv 8 3x3 -> bn | identity } -> relu] x3"
        "-> concat { conv 4 5x5 | add { conv 4 3x3 | conv 4 7x7 } } -> aux 0.4 { fc classes } -> head: fc classes"
    )
    assert found == [
        "conv 8 3x3 bn relu: 8x32x32, 232",
        "maxpool 2: 8x16x16, 0",
        "add relu x3: 8x16x16, 0",
        "├ conv 8 3x3 bn relu -> conv 8 3x3 bn: 8x16x16, 3576",
        "└ identity: 8x16x16, 0",
        "concat: 8x16x16, 0",
        "├ conv 4 5x5: 4x16x16, 804",
        "└ add: 4x16x16, 0",
        "  ├ conv 4 3x3: 4x16x16, 292",
        "  └ conv 4 7x7: 4x16x16, 1572",
        "aux 0.4: fc 10: 10, 20490",
        "fc 10: 10, 20490",
    ]


def test_what_differs_in_a_shape_is_not_folded() -> None:
    assert len(rows("[add { conv 4 3x3 | conv 4 5x5 } -> maxpool 2] x2 -> fc classes")) == 9


@pytest.mark.parametrize("name", ["lenet5", "googlenet", "resnet152", "mobilenet_v2", "vgg16"])
def test_a_drawing_is_one_self_contained_svg(name: str) -> None:
    made = striate.draw(name)
    assert made == striate.draw(name)
    assert len(made) < 60_000
    root = ET.fromstring(made)
    texts = ["".join(each.itertext()) for each in root.iter(f"{SVG}text")]
    layout = laid(name)
    assert any(str(layout.output).replace("x", "×") in text for text in texts)
    assert "http" not in made.replace("http://www.w3.org/2000/svg", "")
    # A front, a top and a side for each volume: the input, and each node but auxiliary classifiers.
    nodes = plan(layout).nodes
    volumes = 1 + sum(node.kind != "aux" for node in nodes)
    slabs = [each for each in root.iter(f"{SVG}path") if (each.get("class") or "").endswith("top")]
    assert len(slabs) == volumes


def test_maps_shrink_and_deepen() -> None:
    root = ET.fromstring(striate.draw("vgg16"))
    fronts = [
        (float(each.get("height") or 0), float(each.get("width") or 0))
        for each in root.iter(f"{SVG}rect")
        if each.get("class") in ("conv", "pool")
    ]
    heights, widths = zip(*fronts, strict=True)
    assert list(heights) == sorted(heights, reverse=True)
    assert widths[0] < widths[-1]


def test_what_a_layer_sees_is_marked_on_an_image() -> None:
    image = Image.fromarray(np.zeros((300, 224, 3), dtype=np.uint8))
    text = striate.read("conv 4 3x3 -> maxpool 2 -> deep: [conv 4 3x3 -> relu] -> pool avg -> fc classes")
    root = ET.fromstring(striate.draw(text, (3, 40, 80), at="deep", image=image))
    (mark,) = (each for each in root.iter(f"{SVG}rect") if each.get("class") == "field")
    # 3 + 1 + 2 * 2 = 8 pixels each way; 260 pixels stand for 80.
    assert (float(mark.get("width") or 0), float(mark.get("height") or 0)) == (26.0, 26.0)
    assert any(
        "deep sees 8×8 pixels, 2% of the image" in "".join(each.itertext())
        for each in root.iter(f"{SVG}text")
    )
    (drawn,) = root.iter(f"{SVG}image")
    assert (drawn.get("href") or "").startswith("data:image/png;base64,")
    whole = striate.draw(text, (3, 40, 80), at="4")
    assert "sees the whole image" in whole


def test_a_layer_that_is_not_there() -> None:
    with pytest.raises(StriateError) as caught:
        striate.draw("resnet18", at="stage9")
    assert str(caught.value) == (
        "--at: there is no layer `stage9`\n"
        "  expected: one of stem, stage1, stage2, stage3, stage4, 5, head\n"
        "  try: --at stage4"
    )


def test_other_programs_draw_it() -> None:
    text = "conv 4 3x3 -> add { conv 4 3x3 | identity } -> fc classes"
    assert striate.draw(text, (1, 8, 8), format="mermaid") == (
        "flowchart TD\n"
        '  n0["input<br/>1x8x8"]\n'
        '  n1["conv 4 3x3<br/>4x8x8"]\n'
        '  n2["conv 4 3x3<br/>4x8x8"]\n'
        '  n3["identity<br/>4x8x8"]\n'
        '  n4["add<br/>4x8x8"]\n'
        '  n5["fc 10<br/>10"]\n'
        "  n0 --> n1\n  n1 --> n2\n  n1 --> n3\n  n2 --> n4\n  n3 --> n4\n  n4 --> n5\n"
    )
    dot = striate.draw(text, (1, 8, 8), format="dot")
    assert dot.startswith("digraph network {\n")
    assert '  n4 [label="add\\n4x8x8"];\n' in dot
    assert dot.count("->") == 6
