"""The layers of a network that weights go to, in the order in which they run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from torch import Tensor, nn

from striate.modules.module import Net
from striate.net.layers.words import write_layer
from striate.net.layout.initial import heads
from striate.net.layout.layout import Placed
from striate.weights.group import Group


class Role(Enum):
    """What a layer is to the network."""

    BODY = "body"
    HEAD = "the classifier"
    AUXILIARY = "an auxiliary classifier"
    AUXILIARY_HEAD = "the last layer of an auxiliary classifier"


@dataclass(frozen=True, slots=True)
class TargetLayer:
    """One layer with weights.

    path: the labels and places that lead to it.  text: the layer as it is written.
    place: where it stands in the text, or nothing where there is no text.
    tensors: what is to be filled, by torch's own names: weight, bias, running_mean, ...
    flattens: whether its matrix may come as a plain matrix, or its plain matrix as windows.
    """

    path: str
    text: str
    place: str
    role: Role
    tensors: Mapping[str, Tensor]
    flattens: bool


def target_layers(net: Net) -> list[TargetLayer]:
    """The targets of a network in the order in which its layers run, auxiliary classifiers where they branch off."""
    found = [(placed, side, _tensors(net, placed)) for placed, side in net.layout.places()]
    found = [each for each in found if each[2]]
    last_ones = heads(net.layout)
    source = net.layout.network.source
    targets = []
    for placed, side, tensors in found:
        last = placed.path in last_ones
        role = (
            (Role.HEAD if last else Role.BODY)
            if side is None
            else Role.AUXILIARY_HEAD
            if last
            else Role.AUXILIARY
        )
        place = source.place(placed.at) if source is not None and placed.at is not None else ""
        module = net.part(placed.path)
        flattens = isinstance(module, nn.Linear) or (isinstance(module, nn.Conv2d) and module.groups == 1)
        targets.append(TargetLayer(placed.path, write_layer(placed.layer), place, role, tensors, flattens))
    return targets


def _tensors(net: Net, placed: Placed) -> dict[str, Tensor]:
    try:
        module = net.part(placed.path)
    except KeyError:
        # A closing softmax, which the logits do without.
        return {}
    return dict(module.state_dict(keep_vars=True))


def fits(target: TargetLayer, group: Group, *, any_classes: bool = False) -> bool:
    """Whether a file's layer can fill a network's: the same tensors, of the same shapes.

    A fully connected layer may come as a convolution over the whole map, and a 1x1 convolution as a matrix;
    factors may come with further dimensions of 1.
    any_classes: only what goes in must agree, as for a classifier that is to be replaced.
    """
    wanted, given = target.tensors, group.tensors
    if "weight" not in given or "weight" not in wanted:
        return False
    weight = given["weight"]
    if any_classes:
        return weight.ndim > 1 and weight.shape[1:].numel() == wanted["weight"].shape[1:].numel()
    for name, tensor in wanted.items():
        if name == "num_batches_tracked" or name == "weight":
            continue
        if name not in given or given[name].shape != tensor.shape:
            return False
    if any(name not in wanted for name in given if name != "num_batches_tracked"):
        return False
    return _weight_fits(target, weight)


def _weight_fits(target: TargetLayer, weight: Tensor) -> bool:
    wanted = target.tensors["weight"]
    if weight.shape == wanted.shape:
        return True
    if wanted.ndim == 1:
        return (
            weight.numel() == wanted.numel() == max(weight.shape, default=0) and "bias" not in target.tensors
        )
    plain = min(weight.ndim, wanted.ndim) == 2
    return (
        target.flattens and plain and weight.shape[0] == wanted.shape[0] and weight.numel() == wanted.numel()
    )
