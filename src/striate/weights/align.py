"""Which layer of a file belongs to which layer of a network, by order and shape.

A file names its modules as its author liked, and lists them as he made them, or sorted; a network runs its
layers in an order of its own.  What both share is the sequence of shapes.  So an order of the children of
each module is looked for in which the layers of the file, read from the first to the last, fit those of the
network one by one.  Children that are alike but for a number stay in the order of their numbers.

Where more than one order fits, the modules that fit in one way only teach the others (`conv3` comes before
`downsample` in every block if it does in one).  What then is still open, the order of the file decides, and
if the file keeps none, nothing does: that is an error and not a guess.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from striate.weights.fit import kind
from striate.weights.group import Group, Node, Tree
from striate.weights.search import Fits, NamePair, Order, Search, TooMany, against_numbers, fit_in
from striate.weights.slot import Slot

# Orders of one module that are compared.  Where there are more, nothing is concluded from them.
_MOST_ORDERS = 8


class Ambiguous(Exception):
    """Two layers of the file fit the same place, and nothing says which belongs there."""

    def __init__(self, slot: Slot, one: Group, other: Group) -> None:
        super().__init__(slot.path)
        self.slot, self.one, self.other = slot, one, other


class Apart(Exception):
    """No order fits.  at: how many layers did, in the order that got furthest.  group: what came then."""

    def __init__(self, at: int, group: Group | None) -> None:
        super().__init__(at)
        self.at, self.group = at, group


@dataclass(frozen=True, slots=True)
class Pair:
    """A layer of the network and the layer of the file that fills it."""

    slot: Slot
    group: Group


def align(slots: Sequence[Slot], tree: Tree, fits: Fits) -> list[Pair]:
    """A pair for each slot.  Raises Apart where the file does not fit, Ambiguous where it fits in two ways."""
    together = _together(slots, tree.groups, fits) if tree.ordered else 0
    numbered = not _against_numbers(tree.root)
    if together == len(slots) == len(tree.groups) and tree.ordered and numbered:
        return [Pair(*each) for each in zip(slots, tree.groups, strict=True)]
    search = Search(slots, fits, frozenset(), {})
    try:
        # Whether it can fit or not: an error shows how far it went.
        search.orders(tree.root, 0, 1)
        if tree.root.count == len(slots) and search.feasible(tree.root, 0):
            return _settle(slots, tree, fits)
    except TooMany:
        pass
    pairs = _by_kind(slots, tree.groups, fits) if tree.ordered and numbered else []
    if pairs:
        return pairs
    if not tree.ordered:
        raise Apart(search.furthest, search.there)
    if together < search.furthest:
        raise Apart(search.furthest, search.there)
    raise Apart(together, tree.groups[together] if together < len(tree.groups) else None)


def _together(slots: Sequence[Slot], groups: Sequence[Group], fits: Fits) -> int:
    """How many of the first fit in the order of the file."""
    for index, (slot, group) in enumerate(zip(slots, groups, strict=False)):
        if not fits(slot, group):
            return index
    return min(len(slots), len(groups))


def _by_kind(slots: Sequence[Slot], groups: Sequence[Group], fits: Fits) -> list[Pair]:
    """Pairs for a file that lists all its convolutions, then all its norms: each kind in its own order.

    Nothing where any does not fit.
    """
    by_kind: dict[str, list[Group]] = {}
    for group in groups:
        by_kind.setdefault(kind(group.tensors), []).append(group)
    pairs = []
    for slot in slots[::-1]:
        same = by_kind.get(kind(slot.tensors))
        if not same or not fits(slot, same[-1]):
            return []
        pairs.append(Pair(slot, same.pop()))
    return [] if any(by_kind.values()) else pairs[::-1]


def _against_numbers(node: Node) -> bool:
    return against_numbers(node) or any(_against_numbers(child) for child in node.children)


def _settle(slots: Sequence[Slot], tree: Tree, fits: Fits) -> list[Pair]:
    """One order for each module: round by round, until nothing is open."""
    rules: frozenset[NamePair] = frozenset()
    fixed: dict[int, Order] = {}
    while True:
        search = Search(slots, fits, rules, fixed)
        groups, open_nodes, learned = _pass(search, tree)
        if not open_nodes:
            return [Pair(slot, groups[at]) for at, slot in enumerate(slots)]
        more = rules | {pair for pair in learned if pair[::-1] not in learned}
        if more != rules and Search(slots, fits, more, fixed).feasible(tree.root, 0):
            rules = more
            continue
        node, at = open_nodes[0]
        listed = tuple(range(len(node.children)))
        if not tree.ordered or against_numbers(node) or not fit_in(search, node, at, listed):
            raise _ambiguous(search, node, at, search.orders(node, at, 2))
        fixed[id(node)] = listed


def _pass(search: Search, tree: Tree) -> tuple[dict[int, Group], list[tuple[Node, int]], set[NamePair]]:
    """The groups that are certain, by their slot; the modules that are open; what the certain ones teach."""
    groups: dict[int, Group] = {}
    open_nodes: list[tuple[Node, int]] = []
    learned: set[NamePair] = set()
    waiting: list[tuple[Node, int]] = [(tree.root, 0)]
    while waiting:
        node, at = waiting.pop()
        if node.group is not None:
            groups[at] = node.group
            continue
        found = search.orders(node, at, _MOST_ORDERS)
        if len(found) == 1:
            _refuse_against_numbers(search, tree, node, at, found[0])
        else:
            open_nodes.append((node, at))
        if len(found) < _MOST_ORDERS:
            learned |= set.intersection(*(_precedence(node, order) for order in found))
            certain = set.intersection(*(_places(node, at, order) for order in found))
            waiting.extend((node.children[index], place) for index, place in certain)
    return groups, open_nodes, learned


def _precedence(node: Node, order: Order) -> set[NamePair]:
    names = [node.children[index].name for index in order]
    return {(name, later) for place, name in enumerate(names) for later in names[place + 1 :]}


def _places(node: Node, at: int, order: Order) -> set[tuple[int, int]]:
    places = set()
    for index in order:
        places.add((index, at))
        at += node.children[index].count
    return places


def _refuse_against_numbers(search: Search, tree: Tree, node: Node, at: int, order: Order) -> None:
    """The file's order fits, and its numbers say another that fits as well: nobody can know."""
    listed = tuple(range(len(node.children)))
    if tree.ordered and order != listed and against_numbers(node) and fit_in(search, node, at, listed):
        raise _ambiguous(search, node, at, [order, listed])


def _ambiguous(search: Search, node: Node, at: int, two: Sequence[Order]) -> Ambiguous:
    for one, other in zip(*two, strict=True):
        if one != other:
            first, second = (next(node.children[index].leaves()) for index in (one, other))
            return Ambiguous(search.slots[at], first, second)
        at += node.children[one].count
    raise AssertionError("two orders that are the same")
