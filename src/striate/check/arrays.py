"""The check of pictures that lie in arrays."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from striate.check.checked import Checked, in_order_of_severity
from striate.check.face import Face, face_of, is_comparable
from striate.check.plain import plain_remark
from striate.check.small import small
from striate.check.twins import twin_findings, twin_limits
from striate.data.codes import CODES
from striate.data.decode import Pixels
from striate.data.entry import Listing
from striate.data.finding import Finding
from striate.data.makeup import empty_classes, makeup_findings
from striate.data.part import content_hashes
from striate.data.roll import Roll

_STEP = 1000


def check_arrays(listing: Listing, progress: Callable[[int, int], None]) -> Checked:
    """Looks at every picture of a listing of arrays; see `check`."""
    total = sum(len(each.labels) for each in listing.arrays)
    names: list[str] = []
    contents: list[str] = []
    faces: list[Face | None] = []
    findings = list(listing.findings)
    for each in listing.arrays:
        contents += content_hashes(each.pictures)
        for name, picture in zip(each.names, each.pictures, strict=True):
            names.append(name)
            pixels = Pixels(picture, picture.shape[1], picture.shape[0], 1)
            remark = plain_remark(pixels)
            if remark is not None:
                findings.append(Finding(remark[0], names[-1], remark[1], CODES[remark[0]].cure))
            faces.append(face_of(pixels, 1) if is_comparable(*picture.shape[:2]) else None)
            if len(names) % _STEP == 0:
                progress(len(names), total)
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
    roll = Roll(classes, names, splits, numbers.tolist())
    findings += twin_findings(roll, contents, faces)
    pictures = [picture for each in listing.arrays for picture in each.pictures]
    place = {name: position for position, name in enumerate(names)}

    def show(name: str) -> npt.NDArray[np.uint8] | None:
        if name not in place:
            return None
        picture = pictures[place[name]]
        return small(Pixels(picture, picture.shape[1], picture.shape[0], 1))

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
        limits=twin_limits(faces),
        small=show,
    )
