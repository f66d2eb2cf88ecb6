"""The look at one file: read once, decoded once, and all that can be told of it alone."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from PIL import Image

from striate.check.damage import damage
from striate.check.face import Face, face_of, is_comparable
from striate.check.gif import is_animated_gif
from striate.check.names import name_remarks
from striate.check.plain import plain_remark
from striate.check.traits import Traits
from striate.data.codes import CODES
from striate.data.decode import Header, Pixels, decode, read_header
from striate.data.entry import Entry
from striate.data.file import Source, read_whole
from striate.data.finding import Finding
from striate.data.magic import HEAD_BYTES, NAMED_BY_SUFFIX, recognise
from striate.data.trouble import Unreadable

MOST_BYTES = 64 * 2**20
"""Longer files are read piece by piece, and not looked at for zeros inside."""

_COVER = (128, 128)
"""Large JPEGs are decoded at a reduced scale; all of their bytes are read all the same."""


@dataclass(frozen=True, eq=False, slots=True)
class Look:
    """A picture that can be used.

    pixels_hash: of its pixels: files of which it is the same show the same, whatever their bytes.
    face: None where it is too small to be compared, or no grey or coloured picture.
    """

    entry: Entry
    header: Header
    pixels_hash: str
    face: Face | None
    findings: tuple[Finding, ...]


def look(entry: Entry, max_pixels: int) -> Look | tuple[Finding, ...]:
    """What is to be said of one file; where it cannot be used, only the findings.

    Nothing is left open, and no pipe, device or link in a circle can hold it up.
    Raises: MissingExtra where a many-band TIFF needs tifffile.
    """
    named = [_finding(entry, *each) for each in name_remarks(entry.path.name)]
    try:
        content = read_whole(entry.path, MOST_BYTES)
        source: Source = entry.path if content is None else content
        header = read_header(source, max_pixels)
        traits = Traits()
        pixels = decode(source, _COVER, max_pixels, traits)
    except Unreadable as problem:
        return (problem.finding(entry.name), *named)
    remarks = []
    if content is not None:
        kind = recognise(content[:HEAD_BYTES])[1]
        remarks += _of_file(content, kind, entry, header, pixels)
        traits.frames |= kind == "GIF" and is_animated_gif(content)
    if pixels.orientation != 1:
        traits.orientation = pixels.orientation
    plain = plain_remark(pixels)
    if plain is not None:
        remarks.append(plain)
    remarks += traits.remarks()
    return Look(
        entry,
        header,
        _pixels_hash(pixels),
        face_of(pixels, pixels.orientation) if is_comparable(header.height, header.width) else None,
        (*named, *(_finding(entry, *each) for each in remarks)),
    )


def _finding(entry: Entry, code: str, reason: str) -> Finding:
    return Finding(code, entry.name, reason, CODES[code].cure)


def _of_file(
    content: bytes, kind: str, entry: Entry, header: Header, pixels: Pixels
) -> list[tuple[str, str]]:
    remarks = []
    said = NAMED_BY_SUFFIX.get(entry.path.suffix.lower(), kind)
    if said != kind:
        remarks.append(("wrong-extension", f"it is named {said}, and its content is {kind}"))
    damaged = damage(content, kind, lambda: _flat_fields(pixels, header))
    if damaged is not None:
        remarks.append(damaged)
    return remarks


def _flat_fields(pixels: Pixels, header: Header) -> float:
    """How many fields of 8x8 pixels are of one value, in the channel (of Y, Cb and Cr) that has most."""
    content = pixels.content
    if isinstance(content, Image.Image):
        channels = [np.asarray(each) for each in content.convert("YCbCr").split()]
    else:
        channels = [content[..., each] for each in range(content.shape[2])]
    # The colours of a grey picture are flat and cost next to nothing.
    channels = [each for each in channels if each.min() != each.max()] or channels[:1]
    rows, columns = channels[0].shape[0] // 8, channels[0].shape[1] // 8
    share = 1.0
    if rows * columns:
        fields = [each[: 8 * rows, : 8 * columns].reshape(rows, 8, columns, 8) for each in channels]
        share = max(float((each.max(axis=(1, 3)) == each.min(axis=(1, 3))).mean()) for each in fields)
    return share * header.height * header.width / 64


def _pixels_hash(pixels: Pixels) -> str:
    content = pixels.content
    if isinstance(content, Image.Image):
        kind, values = (content.mode, content.size), content.tobytes()
    else:
        kind, values = (content.dtype.str, content.shape), content.tobytes()
    digest = hashlib.sha256(repr((kind, pixels.orientation)).encode())
    digest.update(values)
    return digest.hexdigest()
