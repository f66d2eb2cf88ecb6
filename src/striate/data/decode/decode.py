"""The one place where an image is decoded.

Here, and nowhere else: the file is told by its content, its kind is one of a short list, its header
is read and its size refused before a pixel is decoded, and every failure becomes an `Unreadable`.
"""

from __future__ import annotations

import ctypes
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import IO, Any, Protocol, cast

import numpy.typing as npt
from PIL import Image, ImageFile, _imaging
from PIL.AvifImagePlugin import SUPPORTED as AVIF_SUPPORTED
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import SUPPORTED as WEBP_SUPPORTED
from PIL.WebPImagePlugin import WebPImageFile

from striate.data.decode import npy, tiff
from striate.data.decode.flatten import flatten, is_grey
from striate.data.files.file import Source, opened
from striate.data.files.finding import Unreadable, told
from striate.errors import StriateError

MAX_PIXELS = 100_000_000
"""Images of more pixels are refused on their header."""

SPARE = 1.2
"""How many times as large as needed a JPEG stays at a reduced scale; what is left is averaged over pixels.
Against decoding all of it, photographs differ by 0.7 of 255 in the mean."""

# The plugins themselves, not Image.open: it would try every format there is, and its limit on the
# number of pixels is a global of the user's.
_PLUGINS: dict[str, Callable[[IO[bytes]], ImageFile.ImageFile]] = {
    "JPEG": JpegImageFile,
    "PNG": PngImageFile,
    "WEBP": WebPImageFile,
    "AVIF": AvifImageFile,
    "TIFF": TiffImageFile,
    "BMP": BmpImageFile,
    "GIF": GifImageFile,
}
_MISSING = {"AVIF": not AVIF_SUPPORTED, "WEBP": not WEBP_SUPPORTED}

_TILTED = frozenset({5, 6, 7, 8})
"""EXIF orientations that exchange height and width."""


@dataclass(frozen=True, slots=True)
class Header:
    """What is known of an image before it is decoded.

    height, width: as it is seen, after its EXIF orientation.
    channels: 1 (grey), 3 (color), or any number for arrays; transparency does not count.
    bytes: whether its values are 8-bit, or come to be; else they are float32.
    """

    height: int
    width: int
    channels: int
    bytes: bool


@dataclass(frozen=True)
class Pixels:
    """A decoded image, not yet turned as its EXIF orientation says.

    content: a PIL image of mode L or RGB, or an array (H, W, C) of uint8 or float32.
    width, height: its extent in decoded pixels; not whole where a JPEG was decoded at a reduced scale.
    orientation: EXIF's, 1 to 8.
    """

    content: Image.Image | npt.NDArray[Any]
    width: float
    height: float
    orientation: int


class Witness(Protocol):
    """Who wants to know what an image was before it became plain pixels; an array is not shown."""

    def opened(self, image: ImageFile.ImageFile, kind: str) -> None:
        """Its header is read, no pixel decoded."""

    def loaded(self, image: ImageFile.ImageFile) -> None:
        """Its pixels are decoded, in its own mode; they must not be changed."""


def read_header(source: Source, max_pixels: int = MAX_PIXELS) -> Header:
    """The header of the image in a file (or in bytes); no pixel is decoded.

    Raises: Unreadable, also where it declares more than `max_pixels`.
    """
    with opened(source) as (file, kind, content_bytes), _reasons():
        refuse_too_long(content_bytes, max_pixels)
        if kind == "NPY":
            header = Header(*npy.image_header(file, content_bytes))
        else:
            image = _plugin(file, kind)
            if isinstance(image, ImageFile.ImageFile):
                width, height = image.size
                if kind != "TIFF" and _orientation(image) in _TILTED:
                    width, height = height, width
                grey = is_grey(image)
                header = Header(height, width, 1 if grey else 3, image.mode not in ("I", "F"))
            else:
                header = Header(image.height, image.width, image.channels, image.bytes)
        refuse_too_much(header.height, header.width, header.channels, max_pixels)
        return header


def decode(
    source: Source,
    cover: tuple[int, int] | None = None,
    max_pixels: int = MAX_PIXELS,
    witness: Witness | None = None,
) -> Pixels:
    """The pixels of the image in a file (or in bytes); of an animation, the first frame.

    cover: the height and width that it will be shrunk to cover, if it will be: a JPEG that is still larger
    by a fifth after halving is decoded at 1/2, 1/4 or 1/8 of its scale, which is several times faster.
    witness: sees what Pillow makes of it on the way.

    Raises: Unreadable; MissingExtra where a many-band TIFF needs tifffile.
    """
    with opened(source) as (file, kind, content_bytes), _reasons():
        refuse_too_long(content_bytes, max_pixels)
        if kind == "NPY":
            header = npy.image_header(file, content_bytes)
            refuse_too_much(*header[:3], max_pixels)
            file.seek(0)
            array = npy.read_image(file)
            return Pixels(array, array.shape[1], array.shape[0], 1)
        image = _plugin(file, kind)
        if not isinstance(image, ImageFile.ImageFile):
            refuse_too_much(image.height, image.width, image.channels, max_pixels)
            array = tiff.read_bands(file)
            return Pixels(array, array.shape[1], array.shape[0], 1)
        refuse_too_much(image.height, image.width, 1, max_pixels)
        if witness is not None:
            witness.opened(image, kind)
        pixels = _pixels(image, cover)
        if witness is not None:
            witness.loaded(image)
        return pixels


def decode_opened(image: Image.Image, max_pixels: int = MAX_PIXELS) -> Pixels:
    """The pixels of a PIL image that somebody else opened, as `decode` gives them.

    Raises: Unreadable.
    """
    with _reasons():
        refuse_too_much(image.height, image.width, 1, max_pixels)
        return _pixels(image, None)


def _pixels(image: Image.Image, cover: tuple[int, int] | None) -> Pixels:
    reduced = None
    if cover is not None and isinstance(image, JpegImageFile):
        height, width = cover if _orientation(image) not in _TILTED else (cover[1], cover[0])
        scale = SPARE * max(height / image.height, width / image.width)
        if scale <= 0.5:
            wanted = (-int(-image.width * scale // 1), -int(-image.height * scale // 1))
            reduced = image.draft(None, wanted)
    image.load()
    # A PNG may carry its EXIF behind the pixels; a TIFF is turned by Pillow while it is loaded.
    orientation = _orientation(image)
    width_left, height_left = (reduced[1][2], reduced[1][3]) if reduced else image.size
    flat = flatten(image)
    content = flat if isinstance(flat, Image.Image) else npy.finite(flat)
    return Pixels(content, width_left, height_left, orientation)


def refuse_too_much(height: int, width: int, channels: int, max_pixels: int) -> None:
    """Raises: Unreadable where an image declares more pixels than the limit, or more values than four a pixel."""
    if height * width * max(1.0, channels / 4) > max_pixels:
        bands = f" of {channels:,} channels" if channels > 4 else ""
        raise Unreadable(
            "too-many-pixels",
            f"its header declares {width:,} x {height:,} pixels{bands}, and {max_pixels:,} are the most",
            "shrink it, or raise max_pixels if you trust it",
        )


def refuse_too_long(content_bytes: int, max_pixels: int) -> None:
    """Raises: Unreadable where a file is longer than the largest image uncompressed: 32 bytes a pixel."""
    if content_bytes > 32 * max_pixels:
        raise Unreadable(
            "too-many-bytes",
            f"the file has {content_bytes:,} bytes, and {32 * max_pixels:,} are the most",
            "shrink it, or raise max_pixels if you trust it",
        )


def _plugin(file: IO[bytes], kind: str) -> ImageFile.ImageFile | tiff.Bands:
    plugin = _heic_plugin() if kind == "HEIC" else _PLUGINS[kind]
    if plugin is None:
        raise Unreadable(
            "unsupported-format",
            "it is a HEIC image, and its decoder is not installed",
            "pip install pillow-heif, or save it as JPEG",
        )
    if _MISSING.get(kind):
        raise Unreadable(
            "unsupported-format",
            f"it is a {kind} image, which this Pillow was built without",
            "save it as PNG or JPEG",
        )
    try:
        image = plugin(file)
    except SyntaxError:
        # Pillow knows the usual layouts of a TIFF; what it does not know may be any number of bands.
        bands = _bands(file) if kind == "TIFF" else None
        if bands is None:
            raise
        return bands
    if isinstance(image, TiffImageFile) and image.tag_v2.get(_SAMPLES, 1) > len(image.getbands()):
        # It would drop the bands that are neither color nor alpha, such as near infrared.
        return _bands(file) or image
    return image


def _heic_plugin() -> Callable[[IO[bytes]], ImageFile.ImageFile] | None:
    """The decoder of pillow-heif, whose licence and patents keep it out of Pillow; None where it is not installed."""
    try:
        return cast("Callable[[IO[bytes]], ImageFile.ImageFile]", import_module("pillow_heif").HeifImageFile)
    except ImportError:
        return None


_SAMPLES = 277
"""The TIFF tag SamplesPerPixel."""


def _bands(file: IO[bytes]) -> tiff.Bands | None:
    file.seek(0)
    bands = tiff.bands_header(file)
    file.seek(0)
    return bands


def _orientation(image: Image.Image) -> int:
    if isinstance(image, PngImageFile) and "exif" not in image.info and image.tile:
        return 1  # getexif would decode the whole image to look behind it
    try:
        value = image.getexif().get(0x0112, 1)
    except Exception:  # a damaged EXIF block costs the orientation, not the image
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


@contextmanager
def _reasons() -> Iterator[None]:
    """Turns whatever a decoder raises into an `Unreadable` with its reason."""
    try:
        yield
    except StriateError:
        raise
    except Image.DecompressionBombError as problem:
        reason = f"its header declares more pixels than Pillow ever decodes ({told(problem)})"
        raise Unreadable("too-many-pixels", reason, "shrink it") from None
    except MemoryError:
        said = "decoding it takes more memory than there is"
        raise Unreadable("unreadable", said, "shrink it", passing=True) from None
    except Exception as problem:  # a damaged file brings decoders to raise nearly anything
        reason = told(problem)
        if isinstance(problem, EOFError) or any(each in reason.lower() for each in _EARLY_ENDS):
            raise Unreadable("truncated", f"it ends too early ({reason})") from None
        # Of what is damaged Pillow says OSError, too, but without the system's number.
        passing = isinstance(problem, OSError) and problem.errno is not None
        raise Unreadable("unreadable", f"it cannot be decoded ({reason})", passing=passing) from None


# What Pillow, libavif, struct and tifffile say of a file that lacks its end.
_EARLY_ENDS = ("truncated", "end of file", "unexpected end", "requires a buffer", "failed to read")


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """Keeps Pillow's, libtiff's and tifffile's complaints off the terminal; what matters becomes a finding.

    Only for the thread that starts others: these settings belong to the whole process.  They are put back.
    """
    # Pillow logs, too, and without any handler that goes to the terminal.
    log = logging.getLogger("PIL")
    if not log.handlers:
        log.addHandler(logging.NullHandler())
    with warnings.catch_warnings(), _quiet_libtiff():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield


@contextmanager
def _quiet_libtiff() -> Iterator[None]:
    """libtiff writes its errors to the terminal by itself; Pillow turns off only its warnings."""
    try:
        # A handle on Pillow's own library also finds what that library is linked with.
        set_handler = ctypes.CDLL(_imaging.__file__).TIFFSetErrorHandler
    except (OSError, AttributeError):  # linked in statically: then it cannot be reached
        yield
        return
    set_handler.restype, set_handler.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
    before = set_handler(None)
    try:
        yield
    finally:
        set_handler(before)
