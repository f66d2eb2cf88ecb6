"""Put the tensors of a file into a network, by order and shape and not by tables of names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

from striate.errors import counted
from striate.modules.module import Net
from striate.weights.align import Ambiguous, Apart, Pair, align
from striate.weights.disagreement import ambiguous, apart
from striate.weights.error import WeightsError, clipped
from striate.weights.group import MATRIX, Group, Node, Tree, grow, kind
from striate.weights.target import Role, TargetLayer, fits, target_layers

# Auxiliary classifiers are small, and few.
_MOST_LEAVES = 12
_MOST_AUXILIARY = 3


@dataclass(frozen=True, slots=True)
class Report:
    """What became of a file's tensors.

    layers, numbers: how many were filled, and how many numbers they have, running statistics counted.
    left: paths of the network's layers that were left as they were: a classifier of other classes, and
    auxiliary classifiers that the file lacks.
    unused: names of the file's tensors that went nowhere: auxiliary classifiers that the network lacks, the
    classifier that is to be trained anew, and what are no weights.
    """

    layers: int
    numbers: int
    left: tuple[str, ...]
    unused: tuple[str, ...]

    def line(self) -> str:
        """The same in one line, for a person."""
        said = f"{counted(self.layers, 'layer')} filled, {self.numbers:,} numbers"
        if self.left:
            said += f"; kept at initialization: {_few(self.left)}"
        if self.unused:
            said += f"; not used: {_few(self.unused)}"
        return said


def fill(
    net: Net, tensors: Mapping[str, Tensor], *, skip_head: bool = False, name: str = "the weights"
) -> Report:
    """Fill a network with the tensors of a file.

    The names are those of this network, as in the weights of a run of the same text, or the layers of both
    are matched by the order in which they run and by their shapes; see `align`.  Numbers of any real type
    become the network's.  Auxiliary classifiers may be missing on either side.
    skip_head: leave the classifier, and the last layer of each auxiliary classifier, as they are, whatever
    classes the file has; for new classes.
    name: of the file, for errors.

    Raises WeightsError, with the first layer on which both disagree, where the file is of another network,
    would fit in more than one way, or has NaN in it.  The network is then as it was.
    """
    tree = grow(tensors, name)
    targets = target_layers(net)
    pairs, gone = _same_names(targets, tree, skip_head), list[str]()
    if pairs is None:
        pairs, gone = _matched(net, targets, tree, skip_head, name)
    _require_finite([pair for pair in pairs if not _kept(pair.target, skip_head)], name)
    return _write(targets, pairs, tree, gone, skip_head)


def _kept(target: TargetLayer, skip_head: bool) -> bool:
    """Whether a layer is to stay as it is."""
    return skip_head and target.role in (Role.HEAD, Role.AUXILIARY_HEAD)


def _require_finite(pairs: Sequence[Pair], name: str) -> None:
    for pair in pairs:
        for part, tensor in pair.group.tensors.items():
            if not tensor.float().isfinite().all():
                raise WeightsError(
                    f"`{clipped(pair.group.names[part])}` has NaN or infinity in it",
                    place=name,
                    expected="finite numbers, as float32 can hold them",
                    cure="an earlier checkpoint of the same training, or fetch the file again",
                )


def _same_names(targets: Sequence[TargetLayer], tree: Tree, skip_head: bool) -> list[Pair] | None:
    """Pairs by name, where the file has exactly the names of the network."""
    by_name = {group.name: group for group in tree.groups}
    if {target.path for target in targets} != set(by_name):
        return None
    pairs = [Pair(target, by_name[target.path]) for target in targets]
    return pairs if all(_suits(skip_head, pair.target, pair.group) for pair in pairs) else None


def _suits(skip_head: bool, target: TargetLayer, group: Group) -> bool:
    return fits(target, group, any_classes=_kept(target, skip_head))


def _matched(
    net: Net, targets: Sequence[TargetLayer], tree: Tree, skip_head: bool, name: str
) -> tuple[list[Pair], list[str]]:
    """Pairs, and the names of what was left out of the file; of several readings the first that fits."""
    body = [target for target in targets if target.role in (Role.BODY, Role.HEAD)]
    wanted: list[Sequence[TargetLayer]] = [targets] if len(body) == len(targets) else [targets, body]
    if skip_head:
        wanted += [
            [target for target in each if target.role not in (Role.HEAD, Role.AUXILIARY_HEAD)]
            for each in wanted
        ]
    head = next((target for target in targets if target.role is Role.HEAD), None)
    classes = None if skip_head or head is None else head.tensors["weight"].shape[0]
    pruned = without_auxiliary(tree, classes)
    given: list[tuple[Tree, list[str]]] = [(tree, [])] + ([pruned] if pruned else [])
    best: tuple[Apart, Sequence[TargetLayer], Tree] | None = None
    for (some, gone), places in product(given, wanted):
        try:
            return align(places, some, lambda target, group: _suits(skip_head, target, group)), gone
        except Ambiguous as two:
            raise ambiguous(two, name) from None
        except Apart as problem:
            if best is None or problem.at > best[0].at:
                best = problem, places, some
    assert best is not None
    raise apart(*best, net=net, name=name, skip_head=skip_head)


def _write(
    targets: Sequence[TargetLayer], pairs: Sequence[Pair], tree: Tree, gone: list[str], skip_head: bool
) -> Report:
    filled: set[str] = set()
    unused = [*gone, *tree.others]
    numbers = 0
    with torch.no_grad():
        for pair in pairs:
            if _kept(pair.target, skip_head):
                unused.extend(pair.group.names.values())
                continue
            filled.add(pair.target.path)
            for part, target in pair.target.tensors.items():
                if part in pair.group.tensors:
                    target.copy_(pair.group.tensors[part].reshape(target.shape))
                    numbers += target.numel() if part != "num_batches_tracked" else 0
    left = tuple(target.path for target in targets if target.path not in filled)
    return Report(len(filled), numbers, left, tuple(unused))


def _few(names: Sequence[str], most: int = 4) -> str:
    said = ", ".join(map(clipped, names[:most]))
    return said + (f" and {len(names) - most} more" if len(names) > most else "")


def without_auxiliary(tree: Tree, classes: int | None) -> tuple[Tree, list[str]] | None:
    """The tree without its auxiliary classifiers, and the names of their tensors; None where it has none.

    An auxiliary classifier is a small module beside others that ends, as one other beside it does, in a layer with
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
    extra = [child for child in alike if child.group is None and child.count <= _MOST_LEAVES]
    # The classifier itself is a leaf, or what is left over.
    if len(extra) == len(alike):
        extra = extra[:-1] if tree.ordered else []
    if classes is None or not 0 < len(extra) <= _MOST_AUXILIARY:
        return None
    gone = [group for each in extra for group in each.leaves()]
    kept = [group for group in tree.groups if all(group is not each for each in gone)]
    root = _copy(tree.root, extra)
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
