"""The texts of the zoo answer as an independent rewrite in plain torch does, with the same weights."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from zoo_rewrites import REWRITES, GoogLeNet

from striate.modules.module import Net, build
from striate.net.layout.layout import lay
from striate.net.notation.reader import read_text
from striate.net.shape import Map
from striate.net.zoo.list import zoo_names, zoo_net, zoo_text

# Enough to tell classes apart; the count with 1000 is pinned in test_zoo_counts.
CLASSES = 10

# Sides smaller than published, where the network takes them: large enough for 2x2 maps at the end, and
# such that `ceil` matters where a text says it.
SIDES = {"alexnet": 96, "googlenet": 96, "squeezenet1_0": 96, "squeezenet1_1": 98}

# Their families are in the fast set with a smaller one.
SLOW = {"vgg11", "vgg13", "vgg13_bn", "vgg16", "vgg16_bn", "vgg19", "vgg19_bn", "resnet101", "resnet152"}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    torch.set_rng_state(state)


def side_of(name: str) -> int:
    height = zoo_net(name).input[1]
    return SIDES.get(name, 64 if height == 224 else height)


def built(name: str, height: int, width: int) -> Net:
    """The module of a text; its first weights do not matter and cost no time."""
    layout = lay(read_text(zoo_text(name), name), Map(zoo_net(name).input[0], height, width), CLASSES)
    with torch.device("meta"):
        return build(layout)


def rewritten(name: str, images: Tensor) -> nn.Module:
    """The rewrite with drawn weights, its running statistics those of `images`, so that in a deep
    network the signal neither fades nor explodes and every layer changes the answer."""
    with torch.device("meta"):
        model = REWRITES[name](CLASSES)
    model = model.to_empty(device="cpu").train()
    torch.manual_seed(0)
    with torch.no_grad():
        for module in model.modules():
            for parameter in module.parameters(recurse=False):
                fan_in = math.prod(parameter.shape[1:])
                if parameter.ndim > 1:
                    parameter.normal_(0, math.sqrt(2 / fan_in))
                else:
                    parameter.uniform_(-0.5, 0.5)
            if isinstance(module, nn.BatchNorm2d | nn.LayerNorm):
                module.weight.uniform_(0.5, 1.5)
            if isinstance(module, nn.BatchNorm2d):
                module.reset_running_stats()
                module.momentum = 1.0
        model(images)
    return model.eval()


def hand_over(source: nn.Module, target: nn.Module) -> None:
    """The weights of one network to another, by order.  The shapes are the same but for a matrix in
    place of a 1x1 convolution."""
    given, wanted = source.state_dict(), target.state_dict()
    assert len(given) == len(wanted)
    state = {}
    for (key, tensor), (name, like) in zip(given.items(), wanted.items(), strict=True):
        assert like.shape in (tensor.shape, (*tensor.shape, 1, 1)), (key, tensor.shape, name, like.shape)
        state[name] = tensor.reshape(like.shape)
    target.load_state_dict(state, assign=True)


def require_same(one: Tensor, other: Tensor) -> None:
    """Logits that agree to 1e-5 of the largest, and differ between images far more than that."""
    largest = one.abs().max().item()
    assert math.isfinite(largest)
    apart = (one[0] - one[1]).abs().max().item()
    assert apart > 1e-3 * largest, f"the images look alike: {apart} of {largest}"
    off = (one - other).abs().max().item()
    assert off <= 1e-5 * largest, f"logits differ by {off} of {largest}"


def images_for(name: str, height: int, width: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(2, zoo_net(name).input[0], height, width, generator=generator)
    # So dark that the eps of its first layer normalization counts.
    return images / 100 if name == "convnext_tiny" else images


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in REWRITES]
)
def test_it_answers_as_its_rewrite(name: str) -> None:
    side = side_of(name)
    images = images_for(name, side, side)
    rewrite, net = rewritten(name, images), built(name, side, side)
    hand_over(rewrite, net)
    net.eval()
    with torch.no_grad():
        require_same(rewrite(images), net(images))


def test_every_published_network_has_a_rewrite() -> None:
    assert [name for name in zoo_names() if not name.startswith(("small", "swift"))] == list(REWRITES)


@pytest.mark.parametrize(("height", "width"), [(75, 90), (97, 65)])
def test_same_padding_follows_odd_sides(height: int, width: int) -> None:
    images = images_for("efficientnet_lite0", height, width)
    rewrite, net = (
        rewritten("efficientnet_lite0", images),
        built("efficientnet_lite0", height, width),
    )
    hand_over(rewrite, net)
    net.eval()
    with torch.no_grad():
        require_same(rewrite(images), net(images))


def test_the_side_classifiers_of_googlenet_answer_as_the_rewrite() -> None:
    images = images_for("googlenet", 96, 96)
    rewrite, net = rewritten("googlenet", images), built("googlenet", 96, 96)
    assert isinstance(rewrite, GoogLeNet)
    hand_over(rewrite, net)
    net.eval()
    for name in ("stage4.aux1", "stage4.aux2"):
        # They run in training only; the layers in them stay as at inference.
        net.part(name).training = True
    with torch.no_grad():
        rewrite(images)
        net(images)
    assert [weight for weight, _ in net.auxiliary_logits] == [0.3, 0.3]
    for one, (_, other) in zip(rewrite.sides, net.auxiliary_logits, strict=True):
        require_same(one, other)


@pytest.mark.parametrize("name", ["small28", "small32", "small64", "small128", "swift28", "swift32"])
def test_the_small_ones_train_on_their_smallest_and_odd_images(name: str) -> None:
    smallest = {"small28": 8, "small32": 16, "small64": 32, "small128": 64,
                "swift28": 12, "swift32": 16}[name]  # fmt: skip
    for height, width in ((smallest, smallest), (smallest + 3, smallest + 6)):
        images = images_for(name, height, width)
        layout = lay(read_text(zoo_text(name)), Map(*images.shape[1:]), CLASSES)
        logits = build(layout)(images)
        assert logits.shape == (2, CLASSES)
        logits.sum().backward()


def test_comparing_fails_where_one_layer_differs() -> None:
    images = images_for("resnet20", 32, 32)
    rewrite, net = rewritten("resnet20", images), built("resnet20", 32, 32)
    hand_over(rewrite, net)
    net.eval()
    with torch.no_grad():
        logits = rewrite(images)
        require_same(logits, net(images))
        norm = net.part("stage2.0.0.0.1")
        assert isinstance(norm, nn.BatchNorm2d)
        norm.eps = 1e-3
        with pytest.raises(AssertionError, match="logits differ by"):
            require_same(logits, net(images))
    with pytest.raises(AssertionError, match="the images look alike"):
        require_same(torch.ones(2, 10), torch.ones(2, 10))


def test_handing_over_fails_where_the_order_differs() -> None:
    images = images_for("resnet20", 32, 32)
    with pytest.raises(AssertionError):
        hand_over(rewritten("resnet20", images), built("resnet32", 32, 32))
    with pytest.raises(AssertionError):
        hand_over(nn.Linear(3, 4), nn.Linear(4, 3))
