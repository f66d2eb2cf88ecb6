"""Side classifiers that a file has and the network lacks."""

from __future__ import annotations

from collections import Counter

from striate.weights.fit import MATRIX, kind
from striate.weights.group import Group, Node, Tree

_MOST_LEAVES = 12
_MOST_SIDES = 3


def without_sides(tree: Tree, classes: int | None) -> tuple[Tree, list[str]] | None:
    """The tree without its side classifiers, and the names of their tensors; None where it has none.

    A side classifier is a small module beside others that ends, as one other beside it does, in a layer with
    one output a class.
    classes: how many, or None for what at least two modules end in.
    """
    node = tree.root
    while len(node.children) == 1:
        node = node.children[0]
    ends = {id(child): _ends(child) for child in node.children}
    counts = Counter(width for width in ends.values() if width is not None)
    if classes is None:
        classes = max((width for width, number in counts.items() if number > 1), default=None)
    alike = [child for child in node.children if ends[id(child)] == classes]
    sides = [child for child in alike if child.group is None and child.count <= _MOST_LEAVES]
    # The classifier itself is a leaf, or what is left over.
    if len(sides) == len(alike):
        sides = sides[:-1] if tree.ordered else []
    if classes is None or not 0 < len(sides) <= _MOST_SIDES:
        return None
    gone = [group for side in sides for group in side.leaves()]
    kept = [group for group in tree.groups if all(group is not each for each in gone)]
    root = _copy(tree.root, sides)
    names = [name for group in gone for name in group.names.values()]
    return Tree(root, kept, tree.others, tree.ordered), names


def _ends(node: Node) -> int | None:
    """The outputs of the last matrix of a module by the order of its name, where it has one."""
    last: Group | None = None
    for group in node.leaves():
        if kind(group.tensors) == MATRIX:
            last = group
    return None if last is None else last.tensors["weight"].shape[0]


def _copy(node: Node, gone: list[Node]) -> Node:
    children = [_copy(child, gone) for child in node.children if all(child is not each for each in gone)]
    return Node(
        node.name, children, node.group, (node.group is not None) + sum(child.count for child in children)
    )
