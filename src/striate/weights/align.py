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

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from striate.weights.group import Group, Node, Tree, kind
from striate.weights.target import TargetLayer

Fits = Callable[[TargetLayer, Group], bool]
Order = tuple[int, ...]
NamePair = tuple[str, str]

# Steps of the search.  The networks of the zoo take at most a few thousand.
MOST_STEPS = 200_000

# Orders of one module that are compared.  Where there are more, nothing is concluded from them.
_MOST_ORDERS = 8

# A number, or a letter by itself: `layer10`, `inception3a`, `branch_b`.
_ORDINAL = re.compile(r"(\d+|(?<![A-Za-z])[A-Za-z](?![A-Za-z]))")

Rank = tuple[tuple[int, int], ...]


class Ambiguous(Exception):
    """Two layers of the file fit the same place, and nothing says which belongs there."""

    def __init__(self, target: TargetLayer, one: Group, other: Group) -> None:
        super().__init__(target.path)
        self.target, self.one, self.other = target, one, other


class Apart(Exception):
    """No order fits.  at: how many layers did, in the order that got furthest.  group: what came then."""

    def __init__(self, at: int, group: Group | None) -> None:
        super().__init__(at)
        self.at, self.group = at, group


@dataclass(frozen=True, slots=True)
class Pair:
    """A layer of the network and the layer of the file that fills it."""

    target: TargetLayer
    group: Group


def align(targets: Sequence[TargetLayer], tree: Tree, fits: Fits) -> list[Pair]:
    """A pair for each target.  Raises Apart where the file does not fit, Ambiguous where it fits in two ways."""
    together = _together(targets, tree.groups, fits) if tree.ordered else 0
    numbered = not _against_numbers(tree.root)
    if together == len(targets) == len(tree.groups) and tree.ordered and numbered:
        return [Pair(*each) for each in zip(targets, tree.groups, strict=True)]
    search = Search(targets, fits, frozenset(), {})
    try:
        # Whether it can fit or not: an error shows how far it went.
        search.orders(tree.root, 0, 1)
        if tree.root.count == len(targets) and search.feasible(tree.root, 0):
            return _settle(targets, tree, fits)
    except TooMany:
        pass
    pairs = _by_kind(targets, tree.groups, fits) if tree.ordered and numbered else []
    if pairs:
        return pairs
    if not tree.ordered:
        raise Apart(search.furthest, search.there)
    if together < search.furthest:
        raise Apart(search.furthest, search.there)
    raise Apart(together, tree.groups[together] if together < len(tree.groups) else None)


def _together(targets: Sequence[TargetLayer], groups: Sequence[Group], fits: Fits) -> int:
    """How many of the first fit in the order of the file."""
    for index, (target, group) in enumerate(zip(targets, groups, strict=False)):
        if not fits(target, group):
            return index
    return min(len(targets), len(groups))


def _by_kind(targets: Sequence[TargetLayer], groups: Sequence[Group], fits: Fits) -> list[Pair]:
    """Pairs for a file that lists all its convolutions, then all its norms: each kind in its own order.

    Nothing where any does not fit.
    """
    by_kind: dict[str, list[Group]] = {}
    for group in groups:
        by_kind.setdefault(kind(group.tensors), []).append(group)
    pairs = []
    for target in targets[::-1]:
        same = by_kind.get(kind(target.tensors))
        if not same or not fits(target, same[-1]):
            return []
        pairs.append(Pair(target, same.pop()))
    return [] if any(by_kind.values()) else pairs[::-1]


def _against_numbers(node: Node) -> bool:
    return against_numbers(node) or any(_against_numbers(child) for child in node.children)


def _settle(targets: Sequence[TargetLayer], tree: Tree, fits: Fits) -> list[Pair]:
    """One order for each module: round by round, until nothing is open."""
    rules: frozenset[NamePair] = frozenset()
    fixed: dict[int, Order] = {}
    while True:
        search = Search(targets, fits, rules, fixed)
        groups, open_nodes, learned = _pass(search, tree)
        if not open_nodes:
            return [Pair(target, groups[at]) for at, target in enumerate(targets)]
        more = rules | {pair for pair in learned if pair[::-1] not in learned}
        if more != rules and Search(targets, fits, more, fixed).feasible(tree.root, 0):
            rules = more
            continue
        node, at = open_nodes[0]
        listed = tuple(range(len(node.children)))
        if not tree.ordered or against_numbers(node) or not fit_in(search, node, at, listed):
            raise _ambiguous(search, node, at, search.orders(node, at, 2))
        fixed[id(node)] = listed


def _pass(search: Search, tree: Tree) -> tuple[dict[int, Group], list[tuple[Node, int]], set[NamePair]]:
    """The groups that are certain, by their target; the modules that are open; what the certain ones teach."""
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
            return Ambiguous(search.targets[at], first, second)
        at += node.children[one].count
    raise AssertionError("two orders that are the same")


class TooMany(Exception):
    """The search took too many steps."""


class Search:
    """What fits where.

    rules: pairs of names; in every module that has both children, the first comes before the second.
    fixed: orders of single modules, by identity, that are settled already.
    furthest: how many targets were filled in the order that got furthest.  there: the layer that came then.
    """

    def __init__(
        self, targets: Sequence[TargetLayer], fits: Fits, rules: frozenset[NamePair], fixed: dict[int, Order]
    ) -> None:
        self.targets, self.fits, self.rules, self.fixed = targets, fits, rules, fixed
        self.furthest = 0
        self.there: Group | None = None
        self._steps = 0
        self._known: dict[tuple[int, int], bool] = {}
        self._masks: dict[int, tuple[list[int], list[int]]] = {}

    def feasible(self, node: Node, at: int) -> bool:
        """Whether the leaves of a module fit the targets from `at` on, in some order of its children."""
        key = (id(node), at)
        if key not in self._known:
            self._known[key] = self._feasible(node, at)
        return self._known[key]

    def orders(self, node: Node, at: int, most: int) -> list[Order]:
        """At most `most` orders of a module's children that fit; those that follow the numbers, if any does."""
        if id(node) in self.fixed:
            return [self.fixed[id(node)]] if fit_in(self, node, at, self.fixed[id(node)]) else []
        if id(node) not in self._masks:
            self._masks[id(node)] = self._both_masks(node)
        numbered, free = self._masks[id(node)]
        found = self._orders(node, at, numbered, most)
        return found if found or numbered == free else self._orders(node, at, free, most)

    def _feasible(self, node: Node, at: int) -> bool:
        if node.group is None:
            return at + node.count <= len(self.targets) and bool(self.orders(node, at, 1))
        if at < len(self.targets) and self.fits(self.targets[at], node.group):
            if at + 1 > self.furthest:
                self.furthest, self.there = at + 1, None
            return True
        if at == self.furthest and at < len(self.targets):
            self._note(self.targets[at], node.group)
        return False

    def _note(self, target: TargetLayer, group: Group) -> None:
        """Keep for an error what did not fit at the furthest place: rather a layer of the same kind."""
        wanted = kind(target.tensors)
        if self.there is None or (kind(group.tensors) == wanted and kind(self.there.tensors) != wanted):
            self.there = group

    def _orders(self, node: Node, at: int, masks: list[int], most: int) -> list[Order]:
        children, found, dead = node.children, list[Order](), set[int]()
        # What is placed, where the next one comes, in which order, and which child is tried next.
        path: list[tuple[int, int, Order, int]] = [(0, at, (), 0)]
        while path and len(found) < most:
            used, now, order, trying = path.pop()
            if len(order) == len(children):
                found.append(order)
                continue
            if used in dead:
                continue
            for index in range(trying, len(children)):
                if used >> index & 1 or masks[index] & ~used:
                    continue
                self._steps += 1
                if self._steps > MOST_STEPS:
                    raise TooMany
                if self.feasible(children[index], now):
                    path.append((used, now, order, index + 1))
                    path.append((used | 1 << index, now + children[index].count, (*order, index), 0))
                    break
            else:
                if not any(each[: len(order)] == order for each in found):
                    dead.add(used)
        return found

    def _both_masks(self, node: Node) -> tuple[list[int], list[int]]:
        """For each child, as bits, what must come before it: by numbers and rules, and by rules alone."""
        names = [child.name for child in node.children]
        free = [
            sum(1 << other for other, sibling in enumerate(names) if (sibling, name) in self.rules)
            for name in names
        ]
        return [one | other for one, other in zip(before(names), free, strict=True)], free


def fit_in(search: Search, node: Node, at: int, order: Order) -> bool:
    """Whether a module's children fit in one given order."""
    for index in order:
        if not search.feasible(node.children[index], at):
            return False
        at += node.children[index].count
    return True


def against_numbers(node: Node) -> bool:
    """Whether the file lists a child before one that is alike but for a smaller number."""
    return any(mask >> index for index, mask in enumerate(before([child.name for child in node.children])))


def stem_and_rank(name: str) -> tuple[tuple[str, ...], Rank]:
    """What a name shares with its like, and its place among them.

    `conv2` gives (("conv", ""), ((0, 2),)), which stands in front of that of `conv10`.
    """
    parts = _ORDINAL.split(name)
    ordinals = tuple((0, int(each)) if each.isdigit() else (1, ord(each)) for each in parts[1::2])
    return tuple(parts[::2]), ordinals


def before(names: list[str]) -> list[int]:
    """For each name, as bits, which others must come before it: those alike with a smaller number."""
    alike: dict[tuple[str, ...], list[tuple[Rank, int]]] = {}
    for index, name in enumerate(names):
        stem, rank = stem_and_rank(name)
        alike.setdefault(stem, []).append((rank, index))
    masks = [0] * len(names)
    for family in alike.values():
        smaller = equal = 0
        previous: Rank | None = None
        for rank, index in sorted(family):
            if rank != previous:
                smaller, equal, previous = smaller | equal, 0, rank
            masks[index] = smaller
            equal |= 1 << index
    return masks
