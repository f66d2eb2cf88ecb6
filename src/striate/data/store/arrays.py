"""The pictures of a source that holds arrays: they are in memory already and need no store."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any

import numpy as np
import numpy.typing as npt

from striate.data.decode.picture import prepare_picture
from striate.data.decode.size import Fit, Size, choose_size, cropped_finding, cropped_share
from striate.data.files.entry import Listing
from striate.data.store.files import Gathered, Progress
from striate.data.store.part import Part, content_hashes
from striate.errors import DataError
from striate.threads import in_order


def gather_arrays(listing: Listing, *, size: Size | None, fit: Fit, progress: Progress | None) -> Gathered:
    """The pictures of `listing.arrays`, resized where the size asks for it.

    A picture's name is its split and its number, as train/00017.  progress: called with (pictures
    resized, all pictures), and not at all where nothing is resized.
    Raises: DataError where the splits disagree in their channels.
    """
    shapes = {each.pictures.shape[1:3] for each in listing.arrays}
    channels = {each.split: each.pictures.shape[3] for each in listing.arrays}
    if len(set(channels.values())) > 1:
        told = ", ".join(f"{number} in {split}" for split, number in channels.items())
        raise DataError(
            f"the channels differ: {told}", place=listing.source, expected="equally many everywhere"
        )
    sizes = [(height, width) for height, width in shapes]
    net_size, stored_size = choose_size(sizes, size, fit)
    total = sum(len(each.pictures) for each in listing.arrays)
    parts: dict[str, Part] = {}
    done = 0
    for each in listing.arrays:
        pictures = each.pictures
        if pictures.shape[1:3] != stored_size:

            def step(here: int, before: int = done) -> None:
                if progress is not None:
                    progress(before + here, total)

            pictures = _resized(pictures, stored_size, fit, step)
        parts[each.split] = Part(
            pictures=pictures,
            labels=each.labels,
            names=each.names,
            groups=(None,) * len(pictures),
            contents=content_hashes(each.pictures),
            weights=each.weights,
        )
        done += len(pictures)
    cropped = cropped_share(sizes, stored_size) if fit == "crop" else 0.0
    much = cropped_finding(listing.source, sizes, net_size) if fit == "crop" else None
    return Gathered(parts, net_size, stored_size, (much,) if much else (), cropped)


def _resized(
    pictures: npt.NDArray[Any], stored_size: tuple[int, int], fit: Fit, step: Callable[[int], None]
) -> npt.NDArray[Any]:
    channels, dtype = pictures.shape[3], pictures.dtype

    def prepare(picture: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return prepare_picture(picture, stored_size=stored_size, channels=channels, dtype=dtype.name, fit=fit)

    made = np.empty((len(pictures), *stored_size, channels), dtype)
    with closing(in_order(prepare, pictures)) as prepared:
        for number, picture in enumerate(prepared):
            made[number] = picture
            step(number + 1)
    return made
