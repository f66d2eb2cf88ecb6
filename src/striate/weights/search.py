"""Orders of a file's modules in which its layers fit those of a network one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from striate.weights.fit import kind
from striate.weights.group import Group, Node
from striate.weights.rank import before
from striate.weights.slot import Slot

Fits = Callable[[Slot, Group], bool]
Order = tuple[int, ...]
NamePair = tuple[str, str]

# Steps of the search.  The networks of the zoo take at most a few thousand.
MOST_STEPS = 200_000


class TooMany(Exception):
    """The search took too many steps."""


class Search:
    """What fits where.

    rules: pairs of names; in every module that has both children, the first comes before the second.
    fixed: orders of single modules, by identity, that are settled already.
    furthest: how many slots were filled in the order that got furthest.  there: the layer that came then.
    """

    def __init__(
        self, slots: Sequence[Slot], fits: Fits, rules: frozenset[NamePair], fixed: dict[int, Order]
    ) -> None:
        self.slots, self.fits, self.rules, self.fixed = slots, fits, rules, fixed
        self.furthest = 0
        self.there: Group | None = None
        self._steps = 0
        self._known: dict[tuple[int, int], bool] = {}
        self._masks: dict[int, tuple[list[int], list[int]]] = {}

    def feasible(self, node: Node, at: int) -> bool:
        """Whether the leaves of a module fit the slots from `at` on, in some order of its children."""
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
            return at + node.count <= len(self.slots) and bool(self.orders(node, at, 1))
        if at < len(self.slots) and self.fits(self.slots[at], node.group):
            if at + 1 > self.furthest:
                self.furthest, self.there = at + 1, None
            return True
        if at == self.furthest and at < len(self.slots):
            self._note(self.slots[at], node.group)
        return False

    def _note(self, slot: Slot, group: Group) -> None:
        """Keep for an error what did not fit at the furthest place: rather a layer of the same kind."""
        wanted = kind(slot.tensors)
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
