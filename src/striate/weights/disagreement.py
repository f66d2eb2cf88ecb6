"""The errors of weights that do not belong to a network: the first layer on which both disagree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from striate.errors import counted
from striate.modules.module import Net, build
from striate.net.layers.convolution import Conv
from striate.net.layers.linear import Fc
from striate.net.layout.layout import Layout, lay
from striate.net.notation.reader import read_text
from striate.net.shape import Map
from striate.net.zoo.list import zoo_names, zoo_net, zoo_text
from striate.weights.align import Ambiguous, Apart, align
from striate.weights.error import WeightsError, clipped
from striate.weights.group import MATRIX, PARTS, Group, Tree, kind
from striate.weights.target import Role, TargetLayer, fits, target_layers

# Whatever a network is built with to compare it.
_CLASSES = 10


def apart(
    problem: Apart, targets: Sequence[TargetLayer], tree: Tree, *, net: Net, name: str, skip_head: bool
) -> WeightsError:
    """The error that a file is of another network.

    targets, tree: the reading of both that agreed for longest.
    """
    target = targets[problem.at] if problem.at < len(targets) else None
    group = problem.group
    if target is not None and group is not None and target.role is Role.HEAD and not skip_head:
        other = _classes(target, group)
        if other is not None:
            return WeightsError(
                f"the checkpoint has {other:,} classes, the network {target.tensors['weight'].shape[0]:,}",
                place=name,
                excerpt=_both(target, group),
                expected="the same number of classes",
                cure="--transfer, which keeps all layers but the last and trains that anew",
            )
    if target is not None and group is None and target.role is Role.HEAD:
        return WeightsError(
            "the file has no classifier",
            place=name,
            excerpt=_both(target, group),
            expected="weights of all layers",
            cure="--transfer, which trains the last layer anew",
        )
    alike = len(tree.groups) == len(targets)
    if problem.at == 0 and alike and target is not None and group is not None:
        channels = _channels(target, group)
        if channels is not None:
            return WeightsError(
                f"the checkpoint is for images of {counted(channels, 'channel')}",
                place=name,
                excerpt=_both(target, group),
                expected=counted(target.tensors["weight"].shape[1], "channel"),
                cure=f"images of {counted(channels, 'channel')}, or no --weights",
            )
    known = identify_network(tree)
    mine = net.layout.network.source
    cure = f"--net {known}, whose layers these are" if known else "striate zoo, for a text with these layers"
    if known and mine is not None and mine.name in (known, f"{known}.net"):
        cure = "--transfer, if the text differs from the zoo's in its classes only; else the zoo's own text"
    where = (
        f"they part at layer {problem.at + 1} of {len(targets)}"
        if target is not None and group is not None
        else f"the network has {len(targets)} layers with weights and the file {len(tree.groups)}"
    )
    return WeightsError(
        f"these are the weights of another network: {where}",
        place=name,
        excerpt=_both(target, group),
        expected="the layers of the text in its order, each with the same tensors",
        cure=cure,
    )


def ambiguous(two: Ambiguous, name: str) -> WeightsError:
    """The error that two layers of a file fit one place."""
    return WeightsError(
        "two layers of the file fit the same place, and the file does not say which comes first",
        place=name,
        excerpt=_both(two.target, two.one) + "\n" + _row("or", *_told_group(two.other)),
        expected="names that are numbered in their order, or a file that keeps the order of the layers",
        cure='torch.save(model.state_dict(), "weights.pth") where the file comes from',
    )


def _classes(target: TargetLayer, group: Group) -> int | None:
    """How many classes a file's classifier has, where that is all that differs."""
    if kind(group.tensors) != MATRIX or set(group.tensors) != set(target.tensors):
        return None
    weight = group.tensors["weight"]
    return weight.shape[0] if fits(target, group, any_classes=True) else None


def _channels(target: TargetLayer, group: Group) -> int | None:
    """How many channels a file's first layer wants, where that is all that differs."""
    wanted, given = target.tensors["weight"], group.tensors.get("weight")
    if given is None or given.ndim != 4 or wanted.ndim != 4 or given.shape[1] == wanted.shape[1]:
        return None
    alike = given.shape[0] == wanted.shape[0] and given.shape[2:] == wanted.shape[2:]
    return given.shape[1] if alike and set(group.tensors) == set(target.tensors) else None


def _both(target: TargetLayer | None, group: Group | None) -> str:
    lines = []
    if target is None:
        lines.append("    the text: ends here")
    else:
        path = f"{target.path} at {target.place}" if target.place else target.path
        lines.append(_row("the text", path, f"`{target.text}`", _shapes(target.tensors)))
    if group is None:
        lines.append("    the file: ends here")
    else:
        lines.append(_row("the file", *_told_group(group)))
    return "\n".join(lines)


def _told_group(group: Group) -> tuple[str, str, str]:
    return clipped(group.name), "", _shapes(group.tensors)


def _row(side: str, name: str, what: str, shapes: str) -> str:
    return f"    {side}: " + ", ".join(part for part in (name, what, shapes) if part)


def _shapes(tensors: Mapping[str, Tensor]) -> str:
    """`weight 64x3x7x7, bias 64`."""
    return ", ".join(
        f"{part} {'x'.join(map(str, tensors[part].shape))}" for part in PARTS[:-1] if part in tensors
    )


def identify_network(tree: Tree) -> str | None:
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
        targets = target_layers(build(layout))
    body = [target for target in targets if target.role in (Role.BODY, Role.HEAD)]
    for some in (targets, body):
        try:
            align(
                some,
                tree,
                lambda target, group: fits(
                    target, group, any_classes=target.role in (Role.HEAD, Role.AUXILIARY_HEAD)
                ),
            )
        except (Apart, Ambiguous):
            continue
        return True
    return False
