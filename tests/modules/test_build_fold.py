"""Folded batch norms: the same answers, and none left."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from torch import nn

from exporting.living import lived, off
from networks import fitting_networks
from striate.api.networks import read
from striate.modules.fold import folded
from striate.modules.initial import initialize
from striate.modules.module import build
from striate.net.layout.layout import lay
from striate.net.plan.table import plan
from striate.net.zoo.list import zoo_net


@pytest.mark.parametrize("name", ["resnet20", "mobilenet_v2", "googlenet", "efficientnet_lite0"])
def test_the_zoo_folds_to_the_same_answers(name: str) -> None:
    known = zoo_net(name)
    channels, side = known.input[0], min(known.input[1], 64)
    if name == "googlenet":
        side = 224
    net = lived(read(name).build((channels, side, side), known.classes))
    made = folded(net)
    x = torch.randn(2, channels, side, side, generator=torch.Generator().manual_seed(0))
    assert off(net, made, x) < 1e-4
    assert not [each for each in made.modules() if isinstance(each, nn.BatchNorm2d)]


def test_what_cannot_be_folded_stays() -> None:
    # A maximum does not commute with a factor that is not positive, nor a relu with a shift.
    text = "conv 4 3x3 -> maxpool 2 -> bn -> conv 4 -> relu -> bn -> add { conv 4 -> bn | bn -> conv 4 } -> bn -> fc classes"
    net = lived(read(text).build((3, 8, 8), 5))
    with torch.no_grad():
        net.get_parameter("2.weight")[1] = -0.5
    made = folded(net)
    left = [name for name, each in made.named_modules() if isinstance(each, nn.BatchNorm2d)]
    assert len(left) == 4
    assert off(net, made, torch.randn(4, 3, 8, 8)) < 1e-5


def test_a_norm_folds_over_a_maximum_where_its_factors_are_positive() -> None:
    net = lived(
        read("conv 4 3x3 -> maxpool 3 stride 2 pad 1 -> bn -> relu -> fc classes").build((3, 8, 8), 5)
    )
    made = folded(net)
    assert not [each for each in made.modules() if isinstance(each, nn.BatchNorm2d)]
    assert off(net, made, torch.randn(4, 3, 8, 8)) < 1e-5


def test_a_norm_folds_over_brackets_dropout_and_side_classifiers() -> None:
    text = "[conv 4 3x3] -> dropout 0.5 -> aux 0.3 { fc classes } -> [bn -> relu] -> fc 6 -> bn -> fc classes"
    net = lived(read(text).build((3, 8, 8), 5))
    made = folded(net)
    assert not [each for each in made.modules() if isinstance(each, nn.BatchNorm1d | nn.BatchNorm2d)]
    assert off(net, made, torch.randn(4, 3, 8, 8)) < 1e-5


def test_the_network_itself_stays_as_it_is() -> None:
    net = lived(read("conv 4 3x3 -> bn -> fc classes").build((3, 8, 8), 5))
    before = {name: each.clone() for name, each in net.state_dict().items()}
    folded(net)
    assert all(torch.equal(each, before[name]) for name, each in net.state_dict().items())


@given(fitting_networks())
@settings(max_examples=60, deadline=None)
def test_drawn_networks_fold_to_the_same_answers(drawn: tuple) -> None:  # type: ignore[type-arg]
    network, shape, classes = drawn
    torch.manual_seed(0)
    net = build(lay(network, shape, classes))
    initialize(net)
    lived(net)
    assert off(net, folded(net), torch.randn(2, *shape)) < 1e-3


def test_a_norm_without_gamma_has_shifts_alone() -> None:
    text = "conv 4 3x3 nobias -> bn nogamma -> relu -> add { identity | conv 4 1x1 nobias -> bn nogamma } -> fc 6 -> bn nogamma -> fc 2"
    net = read(text).build((3, 8, 8), 2, initial="he, zero-last")
    shifts = [name for name, _ in net.named_parameters() if name.endswith(".bias")]
    norms = [name for name, each in net.named_modules() if isinstance(each, nn.BatchNorm1d | nn.BatchNorm2d)]
    assert not {f"{name}.weight" for name in norms} & set(dict(net.named_parameters()))
    assert {f"{name}.bias" for name in norms} <= set(shifts)
    assert sum(each.numel() for each in net.parameters()) == plan(net.layout).weights
    x = torch.randn(4, 3, 8, 8)
    net = lived(net)
    assert off(net, folded(net), x) < 1e-5
