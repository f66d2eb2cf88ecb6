"""The look at one file: read once, decoded once, and all that can be told of it alone."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFile
from PIL.TiffImagePlugin import TiffImageFile

from striate.checks.damage import damage, is_animated_gif
from striate.checks.outliers import Make, palette_of, uniform_remark
from striate.checks.thumbnails import Thumbnail, is_comparable, thumbnail_of
from striate.data.decode.decode import Header, Pixels, decode, read_header
from striate.data.files.entry import Entry
from striate.data.files.file import Source, read_whole
from striate.data.files.finding import CODES, Finding, Unreadable
from striate.data.files.magic import HEAD_BYTES, NAMED_BY_SUFFIX, recognize
from striate.text.visible import visible

MOST_BYTES = 64 * 2**20
"""Longer files are read piece by piece, and not looked at for zeros inside."""

_COVER = (128, 128)
"""Large JPEGs are decoded at a reduced scale; all of their bytes are read all the same."""


@dataclass(frozen=True, eq=False, slots=True)
class Look:
    """An image that can be used.

    pixels_hash: of its pixels: files of which it is the same show the same, whatever their bytes.
    thumbnail: None where it is too small to be compared, or no grey or colored image.
    """

    entry: Entry
    header: Header
    make: Make
    pixels_hash: str
    thumbnail: Thumbnail | None
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
    kind = ""
    if content is not None:
        kind = recognize(content[:HEAD_BYTES])[1]
        remarks += _of_file(content, kind, entry, header, pixels)
        traits.frames |= kind == "GIF" and is_animated_gif(content)
    if pixels.orientation != 1:
        traits.orientation = pixels.orientation
    plain = uniform_remark(pixels)
    if plain is not None:
        remarks.append(plain)
    remarks += traits.remarks()
    return Look(
        entry,
        header,
        Make(kind, header.height, header.width, palette_of(pixels)),
        _pixels_hash(pixels),
        thumbnail_of(pixels, pixels.orientation) if is_comparable(header.height, header.width) else None,
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
    # The colors of a grey image are flat and cost next to nothing.
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


HIDDEN_SHARE = 0.01
"""Colors under full transparency are told of where they make up this share of the pixels."""

_HIDDEN_RANGE = 32
"""They are one color, as most programs leave there, where no channel varies by more."""

_ORIENTATION_TAG = 274


class Traits:
    """Sees an image while it is decoded (a `Witness`), and tells what was special about it."""

    def __init__(self) -> None:
        self.orientation = 1
        self.frames = False
        self._mode = ""
        self._sixteen = False
        self._transparent = False
        self._hidden = False

    def opened(self, image: ImageFile.ImageFile, kind: str) -> None:
        """Notes what decoding would lose."""
        self._mode = image.mode
        raw = [each if isinstance(each, str) else str(each[0]) for *_, each in image.tile if each]
        self._sixteen = image.mode.startswith("I;16") or any(";16" in each for each in raw)
        if kind != "GIF":  # there Pillow would have to go to the second frame and back
            self.frames = bool(getattr(image, "is_animated", False))
        if isinstance(image, TiffImageFile):
            turned = image.tag_v2.get(_ORIENTATION_TAG, 1)
            self.orientation = turned if turned in range(1, 9) else 1

    def loaded(self, image: ImageFile.ImageFile) -> None:
        """Notes what is transparent."""
        if not image.has_transparency_data:
            return
        pixels = np.asarray(image.convert("RGBA"))
        alpha = pixels[..., 3]
        self._transparent = bool((alpha < 255).any())
        under = pixels[..., :3][alpha == 0]
        if len(under) >= max(2, HIDDEN_SHARE * alpha.size):
            self._hidden = bool(np.ptp(under, axis=0).max() > _HIDDEN_RANGE)

    def remarks(self) -> Iterator[tuple[str, str]]:
        """The code and the reason of each finding."""
        if self.frames:
            yield "animated", "it has several frames or pages, of which the first is used"
        if self.orientation > 1:
            yield "exif-rotated", f"turned as its EXIF orientation {self.orientation} says"
        if self._mode == "CMYK":
            yield (
                "cmyk-converted",
                "its inks were made into red, green and blue; color profiles are not applied",
            )
        if self._sixteen:
            yield "sixteen-bit", "its 16-bit values were brought to 8 bits: 0 to 65535 became 0 to 255"
        if self._transparent:
            what = "a palette with transparency" if self._mode in ("P", "PA") else "partly transparent"
            yield "transparent", f"{what}, laid on white"
        if self._hidden:
            yield "hidden-color", "colors under its fully transparent pixels are neither seen nor used"


LONG_BYTES = 200
"""Longer names are cut or refused by some archives and encrypted disks."""

FORMULA_MARKS = ("=", "+", "-", "@")
"""What begins with one of these is a formula to a spreadsheet, unless it is a number."""

_NUMBER = re.compile(r"[+-]?\d")


def name_remarks(name: str) -> Iterator[tuple[str, str]]:
    """The code and the reason of what is odd about one file's name."""
    what = _unsafe(name)
    if what:
        yield "unsafe-name", f"its name {what}"
    length = len(os.fsencode(name))
    if length > LONG_BYTES:
        yield "long-name", f"its name is {length} bytes long"


def _unsafe(name: str) -> str:
    if any("\udc80" <= each <= "\udcff" for each in name):
        return "is no UTF-8"
    if visible(name) != name:
        return "holds control characters, or such as turn or hide others"
    if "<" in name or ">" in name:
        return "holds < or >, as markup does"
    if name.startswith(FORMULA_MARKS) and not _NUMBER.match(name):
        return f"begins with {name[0]}, as a formula or an option does"
    return ""
