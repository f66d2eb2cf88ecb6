"""The places of a network that weights go to: one a layer that has any, in the order in which they run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from torch import Tensor, nn

from striate.build.module import Net
from striate.spec.initial import heads
from striate.spec.layout import Placed
from striate.spec.words import write_layer


class Role(Enum):
    """What a layer is to the network."""

    BODY = "body"
    HEAD = "the classifier"
    SIDE = "a side classifier"
    SIDE_HEAD = "the last layer of a side classifier"


@dataclass(frozen=True, slots=True)
class Slot:
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


def slots_of(net: Net) -> list[Slot]:
    """The slots of a network in the order in which its layers run, side classifiers where they branch off."""
    found = [(placed, side, _tensors(net, placed)) for placed, side in net.layout.places()]
    found = [each for each in found if each[2]]
    last_ones = heads(net.layout)
    source = net.layout.network.source
    slots = []
    for placed, side, tensors in found:
        last = placed.path in last_ones
        role = (Role.HEAD if last else Role.BODY) if side is None else Role.SIDE_HEAD if last else Role.SIDE
        place = source.place(placed.at) if source is not None and placed.at is not None else ""
        module = net.part(placed.path)
        flattens = isinstance(module, nn.Linear) or (isinstance(module, nn.Conv2d) and module.groups == 1)
        slots.append(Slot(placed.path, write_layer(placed.layer), place, role, tensors, flattens))
    return slots


def _tensors(net: Net, placed: Placed) -> dict[str, Tensor]:
    try:
        module = net.part(placed.path)
    except KeyError:
        # A closing softmax, which the logits do without.
        return {}
    return dict(module.state_dict(keep_vars=True))
