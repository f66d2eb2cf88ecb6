"""Small networks, their drawn weights, and the same under other names."""

from __future__ import annotations

import torch
from torch import Tensor

from striate.modules.module import Net, build
from striate.net.layout.layout import lay
from striate.net.notation.reader import read_text
from striate.net.shape import Map
from striate.net.zoo.list import zoo_net, zoo_text

State = dict[str, Tensor]

TEXT = "a: conv 4 3x3 nobias -> b: bn -> relu -> c: conv 4 3x3 -> pool avg -> head: fc classes"
NAMES = {"a": "first", "b": "second", "c": "third", "head": "last"}


def net_of(text: str, input: tuple[int, int, int], classes: int = 10, name: str = "net") -> Net:
    return build(lay(read_text(text, name), Map(*input), classes))


def zoo(name: str, classes: int | None = None) -> Net:
    net = zoo_net(name)
    return net_of(zoo_text(name), net.input, classes or net.classes, f"{name}.net")


def random_state(net: Net, seed: int = 1) -> State:
    """A state_dict of another network of the same text, with drawn weights."""
    torch.manual_seed(seed)
    return {
        name: torch.rand(tensor.shape) if tensor.is_floating_point() else torch.tensor(7)
        for name, tensor in net.state_dict().items()
    }


def renamed(state: State, names: dict[str, str]) -> State:
    """The same tensors with their modules called otherwise."""
    found = {}
    for name, tensor in state.items():
        module, _, part = name.rpartition(".")
        found[f"{names[module]}.{part}"] = tensor
    return found


def in_order(state: State) -> State:
    """The same, sorted by name as in a safetensors file."""
    return {name: state[name] for name in sorted(state)}


def require_filled(net: Net, state: State) -> None:
    """Every tensor of the network is the one that `state` has under the network's own name."""
    for name, tensor in net.state_dict().items():
        assert torch.equal(tensor, state[name].to(tensor.dtype).reshape(tensor.shape)), name
