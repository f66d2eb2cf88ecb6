"""All images of a source side by side, and those of them that are there more than once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from striate.data.files.entry import SPLITS
from striate.data.files.finding import Finding

_NAMED = 3
"""How many of an image's duplicates its reason names."""

_CURES = {
    "": "keep one of them",
    "-across-splits": "remove it from {split}, or what is measured flatters",
    "-two-labels": "decide which label is right, and remove the other",
}


@dataclass(frozen=True, eq=False)
class Roll:
    """The images that are used: N names, splits and labels (indices into the classes)."""

    classes: tuple[str, ...]
    names: Sequence[str]
    splits: Sequence[str]
    labels: Sequence[int]


def same_contents(contents: Sequence[str]) -> list[list[int]]:
    """The positions of the images that share their content with another, group by group, in order."""
    groups: dict[str, list[int]] = {}
    for position, each in enumerate(contents):
        groups.setdefault(each, []).append(position)
    return [each for each in groups.values() if len(each) > 1]


def duplicate_findings(roll: Roll, groups: Iterable[Sequence[int]], *, near: bool = False) -> list[Finding]:
    """One finding a group, and two where it lies both in two splits and under two labels.

    groups: positions of images that are one and the same, or (near) one image saved anew.
    The finding's name is that of the image nearest to training, `also` has the others.
    """
    findings = []
    for group in groups:
        members = sorted(group, key=lambda each: (SPLITS.index(roll.splits[each]), each))
        labels = dict.fromkeys(roll.labels[each] for each in members)
        splits = dict.fromkeys(roll.splits[each] for each in members)
        if len(labels) > 1:
            findings.append(_finding(roll, members, "-two-labels", near))
        if len(splits) > 1:
            findings.append(_finding(roll, members, "-across-splits", near))
        if len(labels) == len(splits) == 1:
            findings.append(_finding(roll, members, "", near))
    return findings


def _finding(roll: Roll, members: Sequence[int], kind: str, near: bool) -> Finding:
    first, *others = members
    if kind == "-two-labels":
        others.sort(key=lambda each: roll.labels[each] == roll.labels[first])
    elif kind == "-across-splits":
        others.sort(key=lambda each: roll.splits[each] == roll.splits[first])
    told = ", ".join(_described(roll, each, kind) for each in others[:_NAMED])
    if len(others) > _NAMED:
        told += f" and {len(others) - _NAMED:,} more"
    here = {
        "": "",
        "-two-labels": f"labelled {roll.classes[roll.labels[first]]}, and ",
        "-across-splits": f"in {roll.splits[first]}, and ",
    }[kind]
    return Finding(
        f"{'near-' if near else ''}duplicate{kind}",
        roll.names[first],
        f"{here}{'nearly ' if near else ''}the same image as {told}",
        _CURES[kind].format(split=roll.splits[first]),
        tuple(roll.names[each] for each in others),
    )


def _described(roll: Roll, position: int, kind: str) -> str:
    more = {
        "": "",
        "-two-labels": f", labelled {roll.classes[roll.labels[position]]}",
        "-across-splits": f" in {roll.splits[position]}",
    }[kind]
    return roll.names[position] + more
