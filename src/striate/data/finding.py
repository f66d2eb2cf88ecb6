"""What is wrong with one file, or one corner, of a data set, without being fatal to the whole.

The table of all codes stands in `codes.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from striate.data.codes import CODES


@dataclass(frozen=True, slots=True)
class Finding:
    """One trouble: its stable code, the file or thing as shown, the reason and the cure.

    also: the names of the other files that it is about, as a picture's duplicates.
    """

    code: str
    name: str
    reason: str
    cure: str
    also: tuple[str, ...] = ()

    @property
    def severity(self) -> str:
        """`error`, `warning` or `note`."""
        return CODES[self.code].severity

    @property
    def left_out(self) -> bool:
        """Whether it names a file that is therefore not among the pictures."""
        return self.severity == "error"


def listed(findings: Iterable[Finding], most: int = 5) -> str:
    """The first `most` findings as lines of an error's excerpt, and how many more there are."""
    every = list(findings)
    lines = [f"    {each.name}: {each.reason}" for each in every[:most]]
    if len(every) > most:
        lines.append(f"    and {len(every) - most:,} more")
    return "\n".join(lines)


def tally(findings: Iterable[Finding]) -> dict[str, int]:
    """How many findings there are of each code, in the order of the codes."""
    counts: dict[str, int] = {}
    for each in findings:
        counts[each.code] = counts.get(each.code, 0) + 1
    return dict(sorted(counts.items()))
