"""What the classes and splits of a source are made of, and what is odd about it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from striate.data.files.entry import SPLITS
from striate.data.files.finding import Finding
from striate.errors import counted
from striate.text.visible import visible

HEAVY = 20
"""So many times the images of the smallest class make the largest one heavy."""

_NAMED = 8


def makeup_findings(
    classes: tuple[str, ...],
    labels: Mapping[str, npt.NDArray[np.int64]],
    groups: Mapping[str, Sequence[str | None]],
) -> list[Finding]:
    """What is odd about the classes and the splits.

    labels: of each split, (N,) indices into the classes.  groups: of each split, N names or None.
    """
    counts = {split: np.bincount(each, minlength=len(classes)) for split, each in labels.items()}
    return [
        *_of_classes(classes, np.sum(list(counts.values()), axis=0)),
        *_lacking(classes, counts),
        *_parted(groups),
    ]


def empty_classes(classes: tuple[str, ...], present: Collection[int]) -> list[Finding]:
    """A finding for each class none of whose files can be used.  present: the indices of the others."""
    return [
        Finding("empty-class", each, "not one of its files can be used", "add images, or remove it")
        for label, each in enumerate(classes)
        if label not in present
    ]


def _of_classes(classes: tuple[str, ...], counts: npt.NDArray[np.int64]) -> list[Finding]:
    findings = []
    alike: dict[str, list[str]] = {}
    for each in classes:
        alike.setdefault(_key(each), []).append(each)
    for names in alike.values():
        if len(names) > 1:
            told = " and ".join(f"`{each}`" for each in names)
            findings.append(
                Finding(
                    "similar-classes",
                    names[0],
                    f"{told} are two classes" if len(names) == 2 else f"{told} are {len(names)} classes",
                    "join them into one, or give them names that nobody confuses",
                    tuple(names[1:]),
                )
            )
    for name, count in zip(classes, counts, strict=True):
        if count == 1:
            findings.append(
                Finding(
                    "one-image-class",
                    name,
                    "it has one image in all",
                    "add images, or remove the class",
                )
            )
    several = [each for each in range(len(classes)) if counts[each] > 1]
    if several:
        least, most = (
            min(several, key=lambda each: counts[each]),
            max(several, key=lambda each: counts[each]),
        )
        if counts[most] > HEAVY * counts[least]:
            findings.append(
                Finding(
                    "imbalance",
                    classes[least],
                    f"it has {counted(int(counts[least]), 'image')}, and {classes[most]} has "
                    f"{int(counts[most]):,}: {counts[most] / counts[least]:.0f} times as many",
                    "add images of the small classes, and look at the recall of each class",
                )
            )
    return findings


def _key(name: str) -> str:
    """What is left of a class's name without case, spacing, hyphens and ways to write a letter."""
    return re.sub(r"[\s_-]+", " ", unicodedata.normalize("NFKC", name).strip().casefold())


def _lacking(classes: tuple[str, ...], counts: Mapping[str, npt.NDArray[np.int64]]) -> list[Finding]:
    findings = []
    for split, count in counts.items():
        lacking = [classes[each] for each in np.flatnonzero(count == 0)]
        if lacking:
            more = f" and {len(lacking) - _NAMED:,} more" if len(lacking) > _NAMED else ""
            told = ", ".join(lacking[:_NAMED]) + more
            findings.append(
                Finding("split-lacks-class", split, f"it has no image of {told}", "add images of each class")
            )
    return findings


def _parted(groups: Mapping[str, Sequence[str | None]]) -> list[Finding]:
    homes: dict[str, set[str]] = {}
    for split, names in groups.items():
        for name in names:
            if name is not None:
                homes.setdefault(name, set()).add(split)
    return [
        Finding(
            "group-in-two-splits",
            visible(name),
            f"it has images in {' and '.join(each for each in SPLITS if each in where)}",
            "keep a group in one split, or what is measured flatters",
        )
        for name, where in sorted(homes.items())
        if len(where) > 1
    ]
