"""From what a user calls DATA to the arrays that a network is trained and measured on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from striate.data.decode.decode import MAX_PIXELS
from striate.data.decode.size import Fit, Size
from striate.data.files.entry import SPLITS, Listing
from striate.data.files.finding import Finding, listed, tally
from striate.data.formats.folder import one_class
from striate.data.formats.listing import list_data
from striate.data.makeup import empty_classes, makeup_findings
from striate.data.split import joined, make_validation
from striate.data.store.arrays import gather_arrays
from striate.data.store.files import Gathered, Progress, Suit, gather_files, nothing_left
from striate.data.store.part import Part, split_hash
from striate.data.store.samples import Roll, duplicate_findings, same_contents
from striate.disk.cache import cache_root
from striate.errors import DataError, counted

JSON: TypeAlias = bool | int | float | str | list["JSON"] | dict[str, "JSON"] | None

RECORD_FORMAT = 1


@dataclass(frozen=True, eq=False)
class Split:
    """The images of one split.

    images: (N, H, W, C), C-contiguous: uint8, or float32 where the source holds arrays of other
    numbers.  H and W are the stored size.  It may be a read-only memory map.
    labels: (N,) int64, indices into the classes.  names: N names, as they are shown.
    contents: N SHA-256 of their files or values, where they are known.
    weights: how much the loss of each counts, N, or None where all count alike.
    groups: N names of what has to stay on one side of a split, None for an image by itself.
    """

    images: npt.NDArray[Any]
    labels: npt.NDArray[np.int64]
    names: tuple[str, ...]
    contents: tuple[str, ...] = ()
    weights: npt.NDArray[np.float32] | None = None
    groups: tuple[str | None, ...] = ()


@dataclass(frozen=True, eq=False)
class Data:
    """A data set, ready.

    size: (height, width) that the network sees.  stored_size: that of the images, from which training
    takes random crops and evaluation the center; the same where images are small and of one size.
    record: what goes to the run's data.json.  fit: how images of another shape were brought to this one.
    cropped_share: of its area that an image loses on average where it is cropped for that.
    """

    name: str
    classes: tuple[str, ...]
    channels: int
    size: tuple[int, int]
    stored_size: tuple[int, int]
    train: Split
    val: Split
    test: Split | None
    findings: tuple[Finding, ...]
    record: dict[str, JSON]
    fit: Fit = "crop"
    cropped_share: float = 0.0


def gather(
    source: str | Path | Listing,
    *,
    size: Size | None = None,
    fit: Fit = "crop",
    val_share: float = 0.1,
    seed: int = 0,
    strict: bool = False,
    progress: Progress | None = None,
    cache: Path | None = None,
    max_pixels: int = MAX_PIXELS,
    suit: Suit | None = None,
) -> Data:
    """The data set that `source` stands for (`list_data` says what it may be), or that is listed already.

    Files are decoded once, in parallel, into a store under the cache; later runs of unchanged files
    read none of them.  A file that cannot be used becomes a finding and is left out.  A class left
    without one image is left out of the index.  Without a validation split, one is made of the
    training images (`make_validation`); of an image that is there more than once no copy is moved
    there alone.

    size: a side in pixels, or height and width (`read_size`), or None to choose (`choose_size`).  fit: how a
    image of another shape is brought to it (`prepare_image`).  val_share: of the training images.
    strict: whether an error or a warning among the findings is fatal; notes never are.  cache: None for the usual place.
    progress: called with (images done, all images) while files are read and decoded.
    max_pixels: images that declare more are left out.
    suit: asked for the side that files get where none is said, once their headers are known.
    Raises: DataError, ResourceError, MissingExtra.
    """
    root = cache_root(cache)
    listing = source if isinstance(source, Listing) else list_data(source, cache=root)
    if listing.arrays:
        gathered = gather_arrays(listing, size=size, fit=fit, progress=progress)
    else:
        gathered = gather_files(
            listing, size=size, fit=fit, max_pixels=max_pixels, root=root, progress=progress, suit=suit
        )
    findings = [*listing.findings, *gathered.findings]
    left_out = [each for each in findings if each.left_out]
    if strict and left_out:
        raise DataError(
            f"{counted(len(left_out), 'file')} cannot be used, and the check is strict",
            place=listing.source,
            excerpt=listed(left_out),
            expected="only images that can be read, in class folders",
            cure="mend or move them, or leave the check less strict",
        )
    classes, parts = _without_empty_classes(listing, gathered, findings)
    if "train" not in parts:
        raise nothing_left(listing.source, findings)
    made = "val" not in parts
    grouped = made and any(each is not None for each in parts["train"].groups)
    if made:
        whole = parts["train"]
        # Where there are groups, copies join theirs; else none is torn apart by moving a copy.
        groups = joined(whole.groups, whole.contents) if grouped else None
        try:
            aside = make_validation(whole.labels, groups, val_share, seed)
        except DataError as problem:
            problem.place = listing.source
            raise
        if not grouped:
            aside = without_copies(aside, whole.contents)
        rest = np.setdiff1d(np.arange(len(whole.labels)), aside)
        parts["train"], parts["val"] = whole.pick(rest, root), whole.pick(aside, root)
    findings += _findings_of_whole(classes, parts)
    warnings = [each for each in findings if each.severity == "warning"]
    if strict and warnings:
        raise DataError(
            f"{counted(len(warnings), 'warning')}, and the check is strict",
            place=listing.source,
            excerpt=listed(warnings),
            expected="images of which nothing is odd",
            cure=f"striate check {listing.source}, which tells all",
        )
    splits = {
        split: Split(part.images, part.labels, part.names, part.contents, part.weights, part.groups)
        for split, part in parts.items()
        if split in SPLITS
    }
    validation: dict[str, JSON] = {"made": made}
    if made:
        validation |= {"seed": seed, "share": val_share, "stratified": True, "grouped": grouped}
    channels = int(splits["train"].images.shape[3])
    return Data(
        name=listing.name,
        classes=classes,
        channels=channels,
        size=gathered.size,
        stored_size=gathered.stored_size,
        train=splits["train"],
        val=splits["val"],
        test=splits.get("test"),
        findings=tuple(findings),
        record={
            "format": RECORD_FORMAT,
            "source": listing.source,
            "kind": listing.kind,
            "classes": list(classes),
            "channels": channels,
            "size": list(gathered.size),
            "stored_size": list(gathered.stored_size),
            "fit": fit,
            "dtype": splits["train"].images.dtype.name,
            "splits": {split: _split_record(parts[split], classes) for split in SPLITS if split in parts},
            "validation": validation,
            "findings": dict(tally(findings)),
        },
        fit=fit,
        cropped_share=gathered.cropped_share,
    )


def _without_empty_classes(
    listing: Listing, gathered: Gathered, findings: list[Finding]
) -> tuple[tuple[str, ...], dict[str, Part]]:
    """The classes that have an image in any split, and the parts with labels that count only them."""
    present = np.unique(np.concatenate([part.labels for part in gathered.parts.values()]))
    classes = tuple(listing.classes[each] for each in present)
    findings += empty_classes(listing.classes, present.tolist())
    if len(classes) < 2:
        inner = (each.name.split("/")[1:-1] for each in listing.entries if listing.kind == "folder")
        raise one_class(listing.source, classes, sorted({each[0] for each in inner if each}))
    parts = {
        split: replace(part, labels=np.searchsorted(present, part.labels).astype(np.int64))
        for split, part in gathered.parts.items()
    }
    return classes, parts


def _findings_of_whole(classes: tuple[str, ...], parts: dict[str, Part]) -> list[Finding]:
    every = [(split, part) for split, part in parts.items() if split in SPLITS]
    roll = Roll(
        classes,
        [name for _, part in every for name in part.names],
        [split for split, part in every for _ in part.names],
        [int(label) for _, part in every for label in part.labels],
    )
    groups = same_contents([content for _, part in every for content in part.contents])
    return [
        *makeup_findings(
            classes,
            {split: part.labels for split, part in every},
            {split: part.groups for split, part in every},
        ),
        *duplicate_findings(roll, groups),
    ]


def without_copies(aside: npt.NDArray[np.int64], contents: Sequence[str]) -> npt.NDArray[np.int64]:
    """The positions set aside, without images of which a copy stays in training."""
    chosen = set(aside.tolist())
    staying = {content for position, content in enumerate(contents) if position not in chosen}
    kept = np.array([each for each in aside if contents[each] not in staying], dtype=np.int64)
    return kept if len(kept) else aside


def _split_record(part: Part, classes: tuple[str, ...]) -> JSON:
    counts = np.bincount(part.labels, minlength=len(classes))
    return {
        "count": len(part.labels),
        "per_class": {each: int(count) for each, count in zip(classes, counts, strict=True)},
        "sha256": split_hash(part.names, part.labels, part.contents),
    }
