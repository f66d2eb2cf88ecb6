"""The check of a data set: every image looked at once, then all of them beside one another."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from striate.checks.checked import Checked, in_order_of_severity
from striate.checks.duplicates import duplicate_limits, near_and_exact_findings
from striate.checks.files import check_files
from striate.checks.outliers import Make, odd_remarks, palette_of, uniform_remark
from striate.checks.thumbnails import Thumbnail, is_comparable, preview, thumbnail_of
from striate.data.decode.decode import MAX_PIXELS, Pixels
from striate.data.decode.size import choose_size, cropped_finding
from striate.data.files.entry import Listing
from striate.data.files.finding import CODES, Finding
from striate.data.formats.listing import list_data
from striate.data.makeup import empty_classes, makeup_findings
from striate.data.store.part import content_hashes
from striate.data.store.samples import Roll


def check(
    source: str | Path,
    *,
    max_pixels: int = MAX_PIXELS,
    progress: Callable[[int, int], None] | None = None,
) -> Checked:
    """What is wrong with the images and labels that `source` stands for (`list_data` says what it may be).

    Nothing is written, but that an archive is unpacked into the cache.  Each file is read and decoded once, by as many threads as there are cores; what
    lies in arrays is in memory already.
    max_pixels: an image whose header declares more is refused before it is decoded.
    progress: called with (images looked at, all).
    Raises: DataError where the source cannot be told apart into classes at all, ResourceError, MissingExtra.
    """
    listing = list_data(source)

    def step(done: int, total: int) -> None:
        if progress is not None:
            progress(done, total)

    if listing.arrays:
        return check_arrays(listing, step)
    return check_files(listing, Path(os.path.expanduser(source)), max_pixels, step)


_STEP = 1000


def check_arrays(listing: Listing, progress: Callable[[int, int], None]) -> Checked:
    """Looks at every image of a listing of arrays; see `check`."""
    total = sum(len(each.labels) for each in listing.arrays)
    names: list[str] = []
    contents: list[str] = []
    makes: list[Make] = []
    thumbnails: list[Thumbnail | None] = []
    findings = list(listing.findings)
    for each in listing.arrays:
        contents += content_hashes(each.images)
        for name, image in zip(each.names, each.images, strict=True):
            names.append(name)
            pixels = Pixels(image, image.shape[1], image.shape[0], 1)
            makes.append(Make("", image.shape[0], image.shape[1], palette_of(pixels)))
            remark = uniform_remark(pixels)
            if remark is not None:
                findings.append(Finding(remark[0], names[-1], remark[1], CODES[remark[0]].cure))
            thumbnails.append(thumbnail_of(pixels, 1) if is_comparable(*image.shape[:2]) else None)
            if len(names) % _STEP == 0:
                progress(len(names), total)
    findings += [
        Finding("odd-one-out", names[position], reason, CODES["odd-one-out"].cure)
        for position, reason in odd_remarks(makes)
    ]
    labels = np.concatenate([each.labels for each in listing.arrays])
    splits = [each.split for each in listing.arrays for _ in each.labels]
    present, numbers = np.unique(labels, return_inverse=True)
    classes = tuple(listing.classes[each] for each in present)
    findings += empty_classes(listing.classes, present.tolist())
    findings += makeup_findings(
        classes,
        {each.split: np.searchsorted(present, each.labels) for each in listing.arrays},
        {each.split: () for each in listing.arrays},
    )
    sizes = [each.images.shape[1:3] for each in listing.arrays]
    cropped = cropped_finding(listing.source, sizes, choose_size(sizes, None)[0])
    if cropped is not None:
        findings.append(cropped)
    roll = Roll(classes, names, splits, numbers.tolist())
    findings += near_and_exact_findings(roll, contents, thumbnails)
    images = [image for each in listing.arrays for image in each.images]
    place = {name: position for position, name in enumerate(names)}

    def show(name: str) -> npt.NDArray[np.uint8] | None:
        if name not in place:
            return None
        image = images[place[name]]
        return preview(Pixels(image, image.shape[1], image.shape[0], 1))

    return Checked(
        source=listing.source,
        kind=listing.kind,
        classes=listing.classes,
        counts={
            each.split: tuple(np.bincount(each.labels, minlength=len(listing.classes)).tolist())
            for each in listing.arrays
        },
        files=total + sum(each.left_out for each in listing.findings),
        used=(),
        findings=in_order_of_severity(findings),
        limits=duplicate_limits(thumbnails),
        small=show,
    )
