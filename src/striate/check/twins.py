"""Pictures that are there more than once, exactly or nearly."""

from __future__ import annotations

from collections.abc import Sequence

from striate.check.face import SIDE, Face
from striate.check.near import Alike, near
from striate.data.entry import SPLITS
from striate.data.finding import Finding
from striate.data.roll import Roll, duplicate_findings, same_contents

MOST = 200_000
"""Among more pictures near duplicates are not looked for: the time grows with the square of their number."""


def twin_findings(roll: Roll, contents: Sequence[str], faces: Sequence[Face | None]) -> list[Finding]:
    """Duplicates, near duplicates and what looks alike.

    contents: a hash of the pixels of each picture.  faces: None where there is none to compare.
    """
    exact = same_contents(contents)
    findings = duplicate_findings(roll, exact)
    if len(faces) > MOST:
        return findings
    copies = {group[0]: group for group in exact}
    further = {each for group in exact for each in group[1:]}
    homes = [
        len(roll.classes) * SPLITS.index(split) + label
        for split, label in zip(roll.splits, roll.labels, strict=True)
    ]
    found = near([None if at in further else face for at, face in enumerate(faces)], homes)
    groups = [[copy for each in group for copy in copies.get(each, [each])] for group in found.groups]
    findings += duplicate_findings(roll, groups, near=True)
    findings += [_alike(roll, each) for each in found.alike]
    return findings


def twin_limits(faces: Sequence[Face | None]) -> tuple[str, ...]:
    """What of it was not looked for, as sentences."""
    if len(faces) > MOST:
        return (f"near duplicates are not looked for among more than {MOST:,} pictures",)
    if any(each is None for each in faces):
        return (
            f"near duplicates are looked for among 8-bit grey and colour pictures of at least {SIDE} x {SIDE} "
            "pixels only",
        )
    return ()


def _alike(roll: Roll, pair: Alike) -> Finding:
    first, second = sorted(
        (pair.first, pair.second), key=lambda each: (SPLITS.index(roll.splits[each]), each)
    )
    here, there = (f"{roll.classes[roll.labels[each]]} in {roll.splits[each]}" for each in (first, second))
    return Finding(
        "look-alike",
        roll.names[first],
        f"{here}, and looks nearly as {roll.names[second]}, {there} (correlation {pair.correlation:.3f})",
        "look at both: they may be one thing, shot twice",
        (roll.names[second],),
    )
