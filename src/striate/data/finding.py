"""What is wrong with one file, or one corner, of a data set, without being fatal to the whole.

Stable codes, one a kind of trouble:

    a file that was left out
        empty-file            it has no bytes
        truncated             it ends too early
        unreadable            it is damaged, or the decoder does not know it
        not-a-picture         its content is no picture's, whatever its name says
        unsupported-format    a picture or document of a kind that is never opened
        too-many-pixels       its header declares more pixels than the limit
        too-many-bytes        the file is longer than a picture within the limit could be
        missing-file          it is not there
        special-file          a pipe, device, socket or folder where a file should be
        no-permission         it may not be read
        not-finite            an array with NaN or infinity in it
        channels-first        an array whose shape looks like (C, H, W)
        channels-differ       it cannot be given the number of channels of the rest
        values-differ         it holds real numbers where most are 8-bit pictures, or the other way round
        outside-class         a picture that lies in no class folder
    a trait of the whole
        empty-class           a class without one usable picture, left out of the index
        split-lacks-class     a split without one picture of a class
        unlabelled-split      a split folder without class folders, left out
        ignored-folder        a folder that is no split, beside folders that are
        ignored-column        a manifest's column without a meaning here
        linked-twice          a link to a folder that was already walked, not followed
        group-in-two-splits   one group has pictures in more than one split
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

TRAITS = frozenset(
    {
        "empty-class",
        "split-lacks-class",
        "unlabelled-split",
        "ignored-folder",
        "ignored-column",
        "linked-twice",
        "group-in-two-splits",
    }
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One trouble: its stable code, the file or thing as shown, the reason and the cure."""

    code: str
    name: str
    reason: str
    cure: str

    @property
    def left_out(self) -> bool:
        """Whether it names a file that is therefore not among the pictures."""
        return self.code not in TRAITS


def shown(name: str) -> str:
    """`name` in one printable line: control characters and undecodable bytes become escapes.

    A newline in a file's name becomes `\\n`, a byte that is not UTF-8 `\\udcff`; everything
    printable, in any script, stays.
    """
    if name.isprintable():
        return name
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode("ascii") for each in name
    )


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
