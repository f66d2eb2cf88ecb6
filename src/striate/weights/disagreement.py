"""The errors of weights that do not belong to a network: the first layer on which both disagree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from striate.build.module import Net
from striate.errors import counted
from striate.weights.align import Ambiguous, Apart
from striate.weights.fit import MATRIX, fits, kind
from striate.weights.group import PARTS, Group, Tree
from striate.weights.kin import kin
from striate.weights.slot import Role, Slot
from striate.weights.trouble import WeightsError, clipped


def apart(
    problem: Apart, slots: Sequence[Slot], tree: Tree, *, net: Net, name: str, skip_head: bool
) -> WeightsError:
    """The error that a file is of another network.

    slots, tree: the reading of both that agreed for longest.
    """
    slot = slots[problem.at] if problem.at < len(slots) else None
    group = problem.group
    if slot is not None and group is not None and slot.role is Role.HEAD and not skip_head:
        other = _classes(slot, group)
        if other is not None:
            return WeightsError(
                f"these weights tell {other:,} classes apart, and the network {slot.tensors['weight'].shape[0]:,}",
                place=name,
                excerpt=_both(slot, group),
                expected="the same number of classes",
                cure="--transfer, which keeps all layers but the last and trains that anew",
            )
    if slot is not None and group is None and slot.role is Role.HEAD:
        return WeightsError(
            "the file has no classifier",
            place=name,
            excerpt=_both(slot, group),
            expected="weights of all layers",
            cure="--transfer, which trains the last layer anew",
        )
    alike = len(tree.groups) == len(slots)
    if problem.at == 0 and alike and slot is not None and group is not None:
        channels = _channels(slot, group)
        if channels is not None:
            return WeightsError(
                f"these weights are for pictures of {counted(channels, 'channel')}",
                place=name,
                excerpt=_both(slot, group),
                expected=counted(slot.tensors["weight"].shape[1], "channel"),
                cure=f"pictures of {counted(channels, 'channel')}, or no --weights",
            )
    known = kin(tree)
    mine = net.layout.network.source
    cure = f"--net {known}, whose layers these are" if known else "striate zoo, for a text with these layers"
    if known and mine is not None and mine.name in (known, f"{known}.net"):
        cure = "--transfer, if the text differs from the zoo's in its classes only; else the zoo's own text"
    where = (
        f"they part at layer {problem.at + 1} of {len(slots)}"
        if slot is not None and group is not None
        else f"the network has {len(slots)} layers with weights and the file {len(tree.groups)}"
    )
    return WeightsError(
        f"these are the weights of another network: {where}",
        place=name,
        excerpt=_both(slot, group),
        expected="the layers of the text in its order, each with the same tensors",
        cure=cure,
    )


def ambiguous(two: Ambiguous, name: str) -> WeightsError:
    """The error that two layers of a file fit one place."""
    return WeightsError(
        "two layers of the file fit the same place, and the file does not say which comes first",
        place=name,
        excerpt=_both(two.slot, two.one) + "\n" + _row("or", *_told_group(two.other)),
        expected="names that are numbered in their order, or a file that keeps the order of the layers",
        cure='torch.save(model.state_dict(), "weights.pth") where the file comes from',
    )


def _classes(slot: Slot, group: Group) -> int | None:
    """How many classes a file's classifier has, where that is all that differs."""
    if kind(group.tensors) != MATRIX or set(group.tensors) != set(slot.tensors):
        return None
    weight = group.tensors["weight"]
    return weight.shape[0] if fits(slot, group, any_classes=True) else None


def _channels(slot: Slot, group: Group) -> int | None:
    """How many channels a file's first layer wants, where that is all that differs."""
    wanted, given = slot.tensors["weight"], group.tensors.get("weight")
    if given is None or given.ndim != 4 or wanted.ndim != 4 or given.shape[1] == wanted.shape[1]:
        return None
    alike = given.shape[0] == wanted.shape[0] and given.shape[2:] == wanted.shape[2:]
    return given.shape[1] if alike and set(group.tensors) == set(slot.tensors) else None


def _both(slot: Slot | None, group: Group | None) -> str:
    lines = []
    if slot is None:
        lines.append("    the text: ends here")
    else:
        path = f"{slot.path} at {slot.place}" if slot.place else slot.path
        lines.append(_row("the text", path, f"`{slot.text}`", _shapes(slot.tensors)))
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
