"""Put the tensors of a file into a network, by order and shape and not by tables of names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

from striate.build.module import Net
from striate.errors import counted
from striate.weights.align import Ambiguous, Apart, Pair, align
from striate.weights.disagreement import ambiguous, apart
from striate.weights.fit import fits
from striate.weights.group import Group, Tree, grow
from striate.weights.side import without_sides
from striate.weights.slot import Role, Slot, slots_of
from striate.weights.trouble import WeightsError, clipped


@dataclass(frozen=True, slots=True)
class Report:
    """What became of a file's tensors.

    layers, numbers: how many were filled, and how many numbers they have, running statistics counted.
    left: paths of the network's layers that were left as they were: a classifier of other classes, and side
    classifiers that the file lacks.
    unused: names of the file's tensors that went nowhere: side classifiers that the network lacks, the
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
            said += f"; left as begun: {_few(self.left)}"
        if self.unused:
            said += f"; not used: {_few(self.unused)}"
        return said


def fill(
    net: Net, tensors: Mapping[str, Tensor], *, skip_head: bool = False, name: str = "the weights"
) -> Report:
    """Fill a network with the tensors of a file.

    The names are those of this network, as in the weights of a run of the same text, or the layers of both
    are matched by the order in which they run and by their shapes; see `align`.  Numbers of any real type
    become the network's.  Side classifiers may be missing on either side.
    skip_head: leave the classifier, and the last layer of each side classifier, as they are, whatever
    classes the file has; for new classes.
    name: of the file, for errors.

    Raises WeightsError, with the first layer on which both disagree, where the file is of another network,
    would fit in more than one way, or has NaN in it.  The network is then as it was.
    """
    tree = grow(tensors, name)
    slots = slots_of(net)
    pairs, gone = _same_names(slots, tree, skip_head), list[str]()
    if pairs is None:
        pairs, gone = _matched(net, slots, tree, skip_head, name)
    _require_finite([pair for pair in pairs if not _kept(pair.slot, skip_head)], name)
    return _write(slots, pairs, tree, gone, skip_head)


def _kept(slot: Slot, skip_head: bool) -> bool:
    """Whether a layer is to stay as it is."""
    return skip_head and slot.role in (Role.HEAD, Role.SIDE_HEAD)


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


def _same_names(slots: Sequence[Slot], tree: Tree, skip_head: bool) -> list[Pair] | None:
    """Pairs by name, where the file has exactly the names of the network."""
    by_name = {group.name: group for group in tree.groups}
    if {slot.path for slot in slots} != set(by_name):
        return None
    pairs = [Pair(slot, by_name[slot.path]) for slot in slots]
    return pairs if all(_suits(skip_head, pair.slot, pair.group) for pair in pairs) else None


def _suits(skip_head: bool, slot: Slot, group: Group) -> bool:
    return fits(slot, group, any_classes=_kept(slot, skip_head))


def _matched(
    net: Net, slots: Sequence[Slot], tree: Tree, skip_head: bool, name: str
) -> tuple[list[Pair], list[str]]:
    """Pairs, and the names of what was left out of the file; of several readings the first that fits."""
    body = [slot for slot in slots if slot.role in (Role.BODY, Role.HEAD)]
    wanted: list[Sequence[Slot]] = [slots] if len(body) == len(slots) else [slots, body]
    if skip_head:
        wanted += [[slot for slot in each if slot.role not in (Role.HEAD, Role.SIDE_HEAD)] for each in wanted]
    head = next((slot for slot in slots if slot.role is Role.HEAD), None)
    classes = None if skip_head or head is None else head.tensors["weight"].shape[0]
    pruned = without_sides(tree, classes)
    given: list[tuple[Tree, list[str]]] = [(tree, [])] + ([pruned] if pruned else [])
    best: tuple[Apart, Sequence[Slot], Tree] | None = None
    for (some, gone), places in product(given, wanted):
        try:
            return align(places, some, lambda slot, group: _suits(skip_head, slot, group)), gone
        except Ambiguous as two:
            raise ambiguous(two, name) from None
        except Apart as problem:
            if best is None or problem.at > best[0].at:
                best = problem, places, some
    assert best is not None
    raise apart(*best, net=net, name=name, skip_head=skip_head)


def _write(
    slots: Sequence[Slot], pairs: Sequence[Pair], tree: Tree, gone: list[str], skip_head: bool
) -> Report:
    filled: set[str] = set()
    unused = [*gone, *tree.others]
    numbers = 0
    with torch.no_grad():
        for pair in pairs:
            if _kept(pair.slot, skip_head):
                unused.extend(pair.group.names.values())
                continue
            filled.add(pair.slot.path)
            for part, target in pair.slot.tensors.items():
                if part in pair.group.tensors:
                    target.copy_(pair.group.tensors[part].reshape(target.shape))
                    numbers += target.numel() if part != "num_batches_tracked" else 0
    left = tuple(slot.path for slot in slots if slot.path not in filled)
    return Report(len(filled), numbers, left, tuple(unused))


def _few(names: Sequence[str], most: int = 4) -> str:
    said = ", ".join(map(clipped, names[:most]))
    return said + (f" and {len(names) - most} more" if len(names) > most else "")
