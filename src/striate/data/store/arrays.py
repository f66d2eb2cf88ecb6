"""The images of a source that holds arrays: they are in memory already and need no store."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any

import numpy as np
import numpy.typing as npt

from striate.data.decode.image import prepare_image
from striate.data.decode.size import Fit, Size, choose_size, cropped_finding, cropped_share
from striate.data.files.entry import Listing
from striate.data.store.files import Gathered, Progress
from striate.data.store.part import Part, content_hashes
from striate.errors import DataError
from striate.threads import in_order


def gather_arrays(listing: Listing, *, size: Size | None, fit: Fit, progress: Progress | None) -> Gathered:
    """The images of `listing.arrays`, resized where the size asks for it.

    An image's name is its split and its number, as train/00017.  progress: called with (images
    resized, all images), and not at all where nothing is resized.
    Raises: DataError where the splits disagree in their channels.
    """
    shapes = {each.images.shape[1:3] for each in listing.arrays}
    channels = {each.split: each.images.shape[3] for each in listing.arrays}
    if len(set(channels.values())) > 1:
        told = ", ".join(f"{number} in {split}" for split, number in channels.items())
        raise DataError(
            f"the channels differ: {told}", place=listing.source, expected="equally many everywhere"
        )
    sizes = [(height, width) for height, width in shapes]
    net_size, stored_size = choose_size(sizes, size, fit)
    total = sum(len(each.images) for each in listing.arrays)
    parts: dict[str, Part] = {}
    done = 0
    for each in listing.arrays:
        images = each.images
        if images.shape[1:3] != stored_size:

            def step(here: int, before: int = done) -> None:
                if progress is not None:
                    progress(before + here, total)

            images = _resized(images, stored_size, fit, step)
        parts[each.split] = Part(
            images=images,
            labels=each.labels,
            names=each.names,
            groups=(None,) * len(images),
            contents=content_hashes(each.images),
            weights=each.weights,
        )
        done += len(images)
    cropped = cropped_share(sizes, stored_size) if fit == "crop" else 0.0
    much = cropped_finding(listing.source, sizes, net_size) if fit == "crop" else None
    return Gathered(parts, net_size, stored_size, (much,) if much else (), cropped)


def _resized(
    images: npt.NDArray[Any], stored_size: tuple[int, int], fit: Fit, step: Callable[[int], None]
) -> npt.NDArray[Any]:
    channels, dtype = images.shape[3], images.dtype

    def prepare(image: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return prepare_image(image, stored_size=stored_size, channels=channels, dtype=dtype.name, fit=fit)

    made = np.empty((len(images), *stored_size, channels), dtype)
    with closing(in_order(prepare, images)) as prepared:
        for number, image in enumerate(prepared):
            made[number] = image
            step(number + 1)
    return made
