"""The tensors of a file as a tree of modules, from the dots in their names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from torch import Tensor

from striate.weights.error import WeightsError, clipped

MATRIX, BATCH_NORM, NORM, VECTOR, OTHER = "matrix", "batch norm", "norm", "vector", "other"

# What torch's own layers call their tensors.  A tensor of any other name stands for itself.
PARTS = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")

_MOST_NAME = 1000
_MOST_STEPS = 30
_MOST_TENSORS = 50_000


@dataclass(frozen=True, slots=True)
class Group:
    """What one layer of a file has.

    name: of the module, or of the tensor where it stands for itself; then its key is `weight`.
    names: the full name of each tensor.
    """

    name: str
    tensors: dict[str, Tensor] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Node:
    """A module that has others in it, or a leaf, which has tensors.

    name: its own, without that of what it is in.  count: how many leaves are in it.
    """

    name: str
    children: list[Node] = field(default_factory=list)
    group: Group | None = None
    count: int = 0

    def leaves(self) -> Iterator[Group]:
        """All leaves in the order of the file."""
        if self.group is not None:
            yield self.group
        for child in self.children:
            yield from child.leaves()


@dataclass(frozen=True, slots=True)
class Tree:
    """The modules of a file.

    groups: its leaves in the order in which the file begins them.
    others: names of tensors that are no weights: whole numbers, and numbers that stand alone.
    ordered: whether the file keeps the order in which the modules were made.
    """

    root: Node
    groups: list[Group]
    others: list[str]
    ordered: bool


def grow(tensors: Mapping[str, Tensor], place: str) -> Tree:
    """The tree of a file's tensors.  Raises WeightsError where names or their number are absurd."""
    if len(tensors) > _MOST_TENSORS:
        raise WeightsError(
            f"it has {len(tensors):,} tensors",
            place=place,
            expected=f"at most {_MOST_TENSORS:,}",
            cure="other weights",
        )
    root = Node("")
    nodes: dict[tuple[str, ...], Node] = {(): root}
    groups: dict[tuple[str, ...], Group] = {}
    others: list[str] = []
    trackers: list[tuple[tuple[str, ...], str]] = []
    for name, tensor in tensors.items():
        if len(name) > _MOST_NAME:
            raise WeightsError(
                f"a tensor's name has {len(name):,} characters: {clipped(name, 40)}",
                place=place,
                expected=f"at most {_MOST_NAME:,}",
                cure="other weights",
            )
        *steps, part = name.split(".", _MOST_STEPS)
        at = tuple(steps) if part in PARTS else (*steps, part)
        if not tensor.is_floating_point() or tensor.ndim == 0:
            if part == "num_batches_tracked":
                trackers.append((at, name))
            else:
                others.append(name)
            continue
        if at not in groups:
            groups[at] = Group(".".join(at))
            _node(nodes, at).group = groups[at]
        key = part if part in PARTS else "weight"
        groups[at].tensors[key], groups[at].names[key] = tensor, name
    for at, name in trackers:
        if at in groups:
            groups[at].tensors["num_batches_tracked"] = tensors[name]
            groups[at].names["num_batches_tracked"] = name
        else:
            others.append(name)
    for node in nodes.values():
        if node.group is not None and node.children:
            # Tensors of its own beside modules: a leaf without a name, in front of them.
            node.children.insert(0, Node("", group=node.group))
            node.group = None
    _count(root)
    return Tree(root, list(groups.values()), others, _keeps_order(tensors, groups.values()))


def _node(nodes: dict[tuple[str, ...], Node], at: tuple[str, ...]) -> Node:
    if at not in nodes:
        nodes[at] = Node(at[-1])
        _node(nodes, at[:-1]).children.append(nodes[at])
    return nodes[at]


def _count(node: Node) -> int:
    node.count = (node.group is not None) + sum(_count(child) for child in node.children)
    return node.count


def _keeps_order(tensors: Mapping[str, Tensor], groups: Iterable[Group]) -> bool:
    """Whether the file lists layers as they were made, and not by name, as safetensors' writers do.

    torch makes a weight before its bias, and nobody names his layers so that they are sorted as they run.
    """
    for group in groups:
        listed = list(group.tensors)
        if "bias" in listed and "weight" in listed and listed.index("bias") < listed.index("weight"):
            return False
    by_type: dict[object, list[str]] = {}
    for name, tensor in tensors.items():
        if tensor.is_floating_point():
            by_type.setdefault(tensor.dtype, []).append(name)
    return any(names != sorted(names) for names in by_type.values())


def kind(tensors: Mapping[str, Tensor]) -> str:
    """What sort of layer has such tensors.

    A matrix has two dimensions or more that are not 1: convolutions and fully connected layers.  A vector
    has a weight and nothing else: the slopes of prelu, the factors of a scale.
    """
    weight = tensors.get("weight")
    if weight is None:
        return OTHER
    if "running_mean" in tensors:
        return BATCH_NORM if "running_var" in tensors and "bias" in tensors else OTHER
    if "bias" not in tensors and (weight.ndim == 1 or weight.numel() == max(weight.shape)):
        # A matrix of one row or column is rare, and one without a bias rarer; `fits` lets it be either.
        return VECTOR
    if weight.ndim > 1:
        return MATRIX
    return NORM
