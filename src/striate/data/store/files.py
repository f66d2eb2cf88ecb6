"""The images of a listing of files: looked at, prepared once, and kept in a store."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np

from striate.data.decode.decode import Header
from striate.data.decode.size import (
    Fit,
    Size,
    choose_channels,
    choose_size,
    cropped_finding,
    cropped_share,
    fits,
)
from striate.data.files.entry import SPLITS, Entry, Listing
from striate.data.files.finding import EXPECTED, Finding, listed
from striate.data.store.ledger import ledger_path, now_ns, read_ledger, write_ledger
from striate.data.store.part import Part
from striate.data.store.store import Normalization, Store, build_store, open_store, store_key
from striate.data.store.survey import Seen, Survey, survey
from striate.errors import DataError, counted

Progress = Callable[[int, int], None]

# Of a side that was chosen for images: their channels, classes and numbers by split say which one to take.
Suit = Callable[[int, int, int, dict[str, int]], int]


class _Headed(Protocol):
    @property
    def entry(self) -> Entry: ...

    @property
    def header(self) -> Header: ...


Headed = TypeVar("Headed", bound=_Headed)
"""Anything of which the entry and the header are known."""


@dataclass(frozen=True, eq=False)
class Gathered:
    """The splits of a source that say which they are, before a validation split is made.

    cropped_share: of its area that an image loses on average where it is cropped to another shape.
    """

    parts: dict[str, Part]
    size: tuple[int, int]
    stored_size: tuple[int, int]
    findings: tuple[Finding, ...]
    cropped_share: float


def gather_files(
    listing: Listing,
    *,
    size: Size | None,
    fit: Fit,
    max_pixels: int,
    root: Path,
    progress: Progress | None,
    suit: Suit | None = None,
) -> Gathered:
    """The images of `listing.entries`, by split; an image without a split is in train.

    progress: called with (files done, all files): half of it is done when a file's header is read and its
    content hashed, the other half when it is decoded; not called for what is known from an earlier run.
    Raises: DataError where no file can be used; ResourceError where the store cannot be written.
    """
    entries = sorted(listing.entries, key=lambda each: SPLITS.index(_split_of(each)))
    looked = _look(listing, entries, max_pixels, root, progress)
    findings = list(looked.findings)
    seen = of_one_kind(looked.seen, findings)
    if not seen:
        raise nothing_left(listing.source, [*listing.findings, *findings])
    channels = choose_channels([each.header.channels for each in seen])
    counts = Counter(_split_of(each.entry) for each in seen)

    def side(chosen: int) -> int:
        return chosen if suit is None else suit(chosen, channels, len(listing.classes), dict(counts))

    sizes = [(each.header.height, each.header.width) for each in seen]
    net_size, stored_size = choose_size(sizes, size, fit, side)
    much = cropped_finding(listing.source, sizes, net_size) if fit == "crop" else None
    if much is not None:
        findings.append(much)
    preparation = Normalization(
        stored_size,
        channels,
        "uint8" if seen[0].header.bytes else "float32",
        fit,
    )
    store = _store(root, seen, preparation, max_pixels, len(entries), progress)
    for position, code, reason, cure in store.failed:
        findings.append(Finding(code, seen[position].entry.name, reason, cure))
    lost = {each[0] for each in store.failed}
    kept = [each for position, each in enumerate(seen) if position not in lost]
    if not kept:
        raise nothing_left(listing.source, findings)
    cropped = cropped_share(sizes, stored_size) if fit == "crop" else 0.0
    return Gathered(_parts(kept, store), net_size, stored_size, tuple(findings), cropped)


def nothing_left(source: str, findings: Sequence[Finding]) -> DataError:
    """The error that not one file of a source can be used."""
    left_out = [each for each in findings if each.left_out]
    files = (
        f"not one of its {len(left_out):,} files" if len(left_out) != 1 else "its only file cannot be used"
    )
    return DataError(
        f"{files} can be used" if len(left_out) != 1 else files,
        place=source,
        excerpt=listed(left_out),
        expected=EXPECTED,
        cure=next(
            (each.cure for each in findings if each.code == "files-elsewhere"),
            " and ".join(dict.fromkeys(each.cure for each in left_out[:2])),
        ),
    )


def _split_of(entry: Entry) -> str:
    return entry.split or "train"


def _look(
    listing: Listing, entries: Sequence[Entry], max_pixels: int, root: Path, progress: Progress | None
) -> Survey:
    ledger = ledger_path(root, Path(os.path.expanduser(listing.source)))
    looked_ns = now_ns()

    def step(done: int) -> None:
        if progress is not None:
            progress(done // 2, len(entries))

    result = survey(entries, read_ledger(ledger), max_pixels, step)
    if result.read:
        write_ledger(ledger, result.lines, looked_ns)
    return result


def of_one_kind(seen: Sequence[Headed], findings: list[Finding]) -> list[Headed]:
    """Those that agree with most in the kind of their values and in their channels; the rest become findings."""
    # A scale of 0..255 beside another would teach the network which file is which; and one stray
    # array of real numbers must not make ten thousand photographs four times as large.
    in_bytes = 2 * sum(each.header.bytes for each in seen) >= len(seen)
    for each in seen:
        if each.header.bytes != in_bytes:
            there, most = ("real numbers", "8-bit values") if in_bytes else ("8-bit values", "real numbers")
            findings.append(
                Finding(
                    "values-differ",
                    each.entry.name,
                    f"it holds {there}, where most hold {most}",
                    "save all with one kind of number, on one scale",
                )
            )
    seen = [each for each in seen if each.header.bytes == in_bytes]
    if not seen:
        return []
    chosen = choose_channels([each.header.channels for each in seen])
    for each in seen:
        if not fits(each.header.channels, chosen):
            there = counted(each.header.channels, "channel")
            findings.append(
                Finding(
                    "channels-differ",
                    each.entry.name,
                    f"it has {there}, where most have {chosen}",
                    "give images with equally many channels",
                )
            )
    return [each for each in seen if fits(each.header.channels, chosen)]


def _store(
    root: Path,
    seen: Sequence[Seen],
    preparation: Normalization,
    max_pixels: int,
    files: int,
    progress: Progress | None,
) -> Store:
    key = store_key([each.sha256 for each in seen], preparation)
    store = open_store(root / "store" / key, len(seen), preparation)
    if store is not None:
        return store

    def step(done: int) -> None:
        if progress is not None:
            progress((2 * files - len(seen) + done) // 2, files)

    return build_store(root, key, seen, preparation, max_pixels, step)


def _parts(kept: Sequence[Seen], store: Store) -> dict[str, Part]:
    parts: dict[str, Part] = {}
    start = 0
    for split in SPLITS:
        mine = [each for each in kept if _split_of(each.entry) == split]
        if not mine:
            continue
        parts[split] = Part(
            images=store.images[start : start + len(mine)],
            labels=np.array([each.entry.label for each in mine], dtype=np.int64),
            names=tuple(each.entry.name for each in mine),
            groups=tuple(each.entry.group for each in mine),
            contents=tuple(each.sha256 for each in mine),
            store=store.folder,
            offset=start,
        )
        start += len(mine)
    return parts
