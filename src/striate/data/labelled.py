"""Labelled images that a network has not been trained on, each prepared as it wants them, one at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from striate.data.decode.decode import MAX_PIXELS, quiet_pillow
from striate.data.decode.image import prepare_image
from striate.data.decode.size import Fit
from striate.data.files.file import content_hash
from striate.data.files.finding import Finding, Unreadable
from striate.data.formats.listing import list_data
from striate.threads import in_order


@dataclass(frozen=True, slots=True)
class Wanted:
    """How a network wants its images: see `prepare_image`."""

    stored_size: tuple[int, int]
    channels: int
    dtype: str
    fit: Fit
    values: tuple[float, float] | None
    max_pixels: int = MAX_PIXELS


@dataclass(frozen=True, slots=True)
class Item:
    """One image before it is decoded: its name, the index of its class, and its file or its values."""

    name: str
    label: int
    source: Path | npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Image:
    """One image, prepared, H x W x C.  content: its SHA-256, as a run notes those that it was trained on."""

    item: Item
    values: npt.NDArray[Any]
    content: str


@dataclass(frozen=True, eq=False)
class Labelled:
    """The images of a source.

    split: `test` where the source has a test split, whose images alone these are; else `all`.
    classes: their names.  findings: on files that the listing left out.
    """

    source: str
    name: str
    split: str
    classes: tuple[str, ...]
    items: tuple[Item, ...]
    findings: tuple[Finding, ...]

    def images(self, wanted: Wanted) -> Iterator[Image | Finding]:
        """Each image as a network wants it, in order, or why it cannot be used."""

        def prepare(item: Item) -> Image | Finding:
            try:
                return _prepared(item, wanted)
            except Unreadable as problem:
                return problem.finding(item.name)

        with quiet_pillow(), closing(in_order(prepare, self.items)) as found:
            yield from found


def label_images(source: str | Path) -> Labelled:
    """The labelled images that `source` stands for (see `list_data`); none is read yet, but for arrays.

    Raises: DataError, ResourceError, MissingExtra.
    """
    listing = list_data(source)
    tested = "test" in {*(each.split for each in listing.entries), *(each.split for each in listing.arrays)}
    items = [
        Item(each.name, each.label, each.path)
        for each in listing.entries
        if not tested or each.split == "test"
    ]
    for part in listing.arrays:
        if not tested or part.split == "test":
            items += [
                Item(name, int(label), image)
                for name, label, image in zip(part.names, part.labels, part.images, strict=True)
            ]
    return Labelled(
        listing.source,
        listing.name,
        "test" if tested else "all",
        listing.classes,
        tuple(items),
        listing.findings,
    )


def _prepared(item: Item, wanted: Wanted) -> Image:
    source = item.source
    values = prepare_image(
        source,
        stored_size=wanted.stored_size,
        channels=wanted.channels,
        dtype=wanted.dtype,
        max_pixels=wanted.max_pixels,
        fit=wanted.fit,
        values=wanted.values,
    )
    if isinstance(source, Path):
        return Image(item, values, content_hash(source))
    return Image(item, values, hashlib.sha256(np.ascontiguousarray(source).data).hexdigest())
