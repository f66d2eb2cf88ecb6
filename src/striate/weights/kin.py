"""Which network of the zoo a file belongs to, for the cure of an error."""

from __future__ import annotations

import torch

from striate.build.module import build
from striate.notation.reader import read_text
from striate.spec.convolution import Conv
from striate.spec.layout import Layout, lay
from striate.spec.linear import Fc
from striate.spec.shape import Map
from striate.weights.align import Ambiguous, Apart, align
from striate.weights.fit import MATRIX, fits, kind
from striate.weights.group import Tree
from striate.weights.slot import Role, slots_of
from striate.zoo.list import zoo_names, zoo_net, zoo_text

_CLASSES = 10


def kin(tree: Tree) -> str | None:
    """The name of the zoo's network whose layers a file has, whatever its classes; None where there is none."""
    matrices = sum(kind(group.tensors) == MATRIX for group in tree.groups)
    for name in zoo_names():
        layout = lay(read_text(zoo_text(name), name), Map(*zoo_net(name).input), _CLASSES)
        if matrices in (_matrices(layout, sides=True), _matrices(layout, sides=False)) and _belongs(
            layout, tree
        ):
            return name
    return None


def _matrices(layout: Layout, *, sides: bool) -> int:
    return sum(isinstance(placed.layer, Conv | Fc) for placed in layout.layers(sides=sides))


def _belongs(layout: Layout, tree: Tree) -> bool:
    with torch.device("meta"):
        slots = slots_of(build(layout))
    body = [slot for slot in slots if slot.role in (Role.BODY, Role.HEAD)]
    for some in (slots, body):
        try:
            align(
                some,
                tree,
                lambda slot, group: fits(slot, group, any_classes=slot.role in (Role.HEAD, Role.SIDE_HEAD)),
            )
        except (Apart, Ambiguous):
            continue
        return True
    return False
