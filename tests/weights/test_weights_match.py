"""Tensors of published checkpoints find their layers, whatever they are called, and never a wrong one."""

from __future__ import annotations

import random

import pytest
import torch
from networks_for_weights import State, in_order, zoo
from published_names import CHECKPOINTS, saved

from striate.weights.align import Ambiguous, Pair, align
from striate.weights.group import grow
from striate.weights.target import fits, target_layers


def placed(pairs: list[Pair]) -> list[int]:
    """The place that each tensor says it belongs to, in the order of the targets."""
    return [int(pair.group.tensors["weight"].flatten()[0]) for pair in pairs]


def shuffled(state: State, seed: int) -> State:
    """The children of every module in a drawn order; the tensors of one layer stay together."""
    drawn: dict[str, float] = {}
    chance = random.Random(seed)

    def rank(name: str) -> list[float]:
        steps = name.split(".")[:-1]
        paths = [".".join(steps[: end + 1]) for end in range(len(steps))]
        return [drawn.setdefault(path, chance.random()) for path in paths]

    return {name: state[name] for name in sorted(state, key=rank)}


@pytest.mark.parametrize("order", ["as saved", "sorted"])
@pytest.mark.parametrize("name", CHECKPOINTS)
def test_each_tensor_of_a_published_checkpoint_finds_its_layer(name: str, order: str) -> None:
    net, make = CHECKPOINTS[name]
    state = saved(make())
    if order == "sorted":
        state = in_order(state)
    with torch.device("meta"):
        targets = target_layers(zoo(net))
    pairs = align(targets, grow(state, "it"), fits)
    assert placed(pairs) == list(range(len(targets)))


@pytest.mark.parametrize(
    "name", ["resnet50", "resnet50 of transformers", "googlenet", "convnext_tiny", "resnet18"]
)
def test_in_no_order_does_a_tensor_find_a_wrong_layer(name: str) -> None:
    net, make = CHECKPOINTS[name]
    state = saved(make())
    with torch.device("meta"):
        targets = target_layers(zoo(net))
    for seed in range(12):
        try:
            pairs = align(targets, grow(shuffled(state, seed), "it"), fits)
        except Ambiguous:
            # Modules are listed against their numbers, and both orders fit.
            assert name != "googlenet"
            continue
        assert placed(pairs) == list(range(len(targets)))
