"""Names that are alike but for numbers, and the order that the numbers give them."""

from __future__ import annotations

import re

# A number, or a letter by itself: `layer10`, `inception3a`, `branch_b`.
_ORDINAL = re.compile(r"(\d+|(?<![A-Za-z])[A-Za-z](?![A-Za-z]))")

Rank = tuple[tuple[int, int], ...]


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
