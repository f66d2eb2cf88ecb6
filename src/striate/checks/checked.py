"""What a check found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from striate.data.files.entry import Entry
from striate.data.files.finding import CODES, SEVERITIES, Finding

_ORDER = {code: number for number, code in enumerate(CODES)}


@dataclass(frozen=True, eq=False)
class Checked:
    """What a check found.

    files: how many files, or images of arrays, were looked at.
    classes: of the source; `counts`: usable images of each class in each split, by split.
    used: the entries that can be used, in order (none where the source holds arrays).
    findings: the worst first, numbered from 1 in this order.
    limits: sentences on what was not looked for.
    small: a small upright image of what is called so, (H, W, C) uint8, or None.
    unpacked: whether the source is an archive, so that its files lie in the cache.
    """

    source: str
    kind: str
    classes: tuple[str, ...]
    counts: dict[str, tuple[int, ...]]
    files: int
    used: tuple[Entry, ...]
    findings: tuple[Finding, ...]
    limits: tuple[str, ...]
    small: Callable[[str], npt.NDArray[Any] | None]
    unpacked: bool = False

    @property
    def clean(self) -> bool:
        """Whether there are only notes, or nothing."""
        return not self.number("error") and not self.number("warning")

    @property
    def images(self) -> int:
        """How many images can be used."""
        return sum(map(sum, self.counts.values()))

    def number(self, severity: str) -> int:
        """How many findings there are of one severity."""
        return sum(each.severity == severity for each in self.findings)

    def by_code(self) -> dict[str, list[tuple[int, Finding]]]:
        """The numbered findings of each code, in the order of the table."""
        found: dict[str, list[tuple[int, Finding]]] = {}
        for number, each in enumerate(self.findings, start=1):
            found.setdefault(each.code, []).append((number, each))
        return found


def in_order_of_severity(findings: list[Finding]) -> tuple[Finding, ...]:
    """The findings, errors first, then in the order of the table and of their names."""

    def place(each: Finding) -> tuple[int, int, str]:
        return SEVERITIES.index(each.severity), _ORDER[each.code], each.name

    return tuple(sorted(findings, key=place))
