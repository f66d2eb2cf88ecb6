"""What a file is, told by its first bytes and never by its name."""

from __future__ import annotations

HEAD_BYTES = 512
"""How many first bytes `recognize` wants to see."""

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".avif", ".tif", ".tiff", ".bmp", ".gif", ".npy"}
    | {".heic", ".heif", ".psd", ".jp2"}
)
"""Suffixes under which people keep images: only for guessing what was meant in an error."""

NAMED_BY_SUFFIX = {
    ".jpg": "JPEG", ".jpeg": "JPEG", ".jpe": "JPEG", ".jfif": "JPEG",
    ".png": "PNG", ".apng": "PNG", ".webp": "WEBP", ".avif": "AVIF",
    ".tif": "TIFF", ".tiff": "TIFF", ".bmp": "BMP", ".dib": "BMP", ".gif": "GIF", ".npy": "NPY",
    ".heic": "HEIC", ".heif": "HEIC", ".hif": "HEIC", ".psd": "PSD", ".jp2": "JPEG 2000",
}  # fmt: skip
"""What a suffix says that a file is; only its content decides."""

# (offset, bytes, what it is): the formats that are decoded.
_DECODED: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"\x89PNG\r\n\x1a\n", "PNG"),
    (0, b"GIF87a", "GIF"),
    (0, b"GIF89a", "GIF"),
    (0, b"II*\x00", "TIFF"),
    (0, b"MM\x00*", "TIFF"),
    (0, b"II+\x00", "TIFF"),
    (0, b"MM\x00+", "TIFF"),
    (0, b"\x93NUMPY", "NPY"),
    (4, b"ftypavif", "AVIF"),
    (4, b"ftypavis", "AVIF"),
    (4, b"ftyphei", "HEIC"),
    (4, b"ftyphev", "HEIC"),
)

# Images and documents that are named but never opened: their readers run interpreters,
# follow references or are seldom tested against hostile files.
_REFUSED: tuple[tuple[int, bytes, str], ...] = (
    (0, b"8BPS", "a Photoshop document"),
    (0, b"%!PS", "a PostScript document"),
    (0, b"\xc5\xd0\xd3\xc6", "a PostScript document"),
    (0, b"%PDF", "a PDF document"),
    (0, b"SIMPLE  =", "a FITS file"),
    (0, b"\x00\x00\x00\x0cjP  ", "a JPEG 2000 image"),
    (0, b"\xff\x4f\xff\x51", "a JPEG 2000 image"),
    (0, b"\xff\x0a", "a JPEG XL image"),
    (0, b"\x00\x00\x00\x0cJXL ", "a JPEG XL image"),
    (0, b"\x00\x00\x01\x00", "an icon"),
)

_OTHERS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"PK\x03\x04", "a ZIP archive"),
    (0, b"\x1f\x8b", "a gzip file"),
    (257, b"ustar", "a tar archive"),
    (4, b"ftyp", "a film"),
    (0, b"SQLite format 3\x00", "an SQLite database"),
)


def recognize(head: bytes) -> tuple[str, str]:
    """What a file that begins with `head` is, as (sort, name).

    sort is "decoded" (name: JPEG, PNG, WEBP, AVIF, HEIC, TIFF, BMP, GIF or NPY), "refused" (an image
    or document of a kind that is never opened) or "other"; name then says what it is, with its article.
    """
    for offset, mark, name in _DECODED:
        if head.startswith(mark, offset):
            return "decoded", name
    if head.startswith(b"RIFF") and head.startswith(b"WEBP", 8):
        return "decoded", "WEBP"
    if head.startswith(b"BM") and head[14:18] in _BMP_HEADERS:
        return "decoded", "BMP"
    if head.startswith(b"ftypmif1", 4):
        return "decoded", "AVIF" if b"avif" in head[16:64] else "HEIC"
    for offset, mark, name in _REFUSED:
        if head.startswith(mark, offset):
            return "refused", name
    for offset, mark, name in _OTHERS:
        if head.startswith(mark, offset):
            return "other", name
    return _text(head)


def ends_early(kind: str, head: bytes, content_bytes: int) -> bool:
    """Whether a file's own header says that it should be longer, for a decoder that would not say so.

    A WebP is a RIFF file: its bytes 4..7 hold its length less 8.
    """
    return kind == "WEBP" and int.from_bytes(head[4:8], "little") + 8 > content_bytes


# The size of the second header, little-endian: with it, a text that begins with "BM" is no BMP.
_BMP_HEADERS = frozenset(each.to_bytes(4, "little") for each in (12, 40, 52, 56, 64, 108, 124))


def _text(head: bytes) -> tuple[str, str]:
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return "other", "an HTML page"
    if start.startswith(b"<svg") or (start.startswith((b"<?xml", b"<!--")) and b"<svg" in start):
        return "refused", "an SVG drawing"
    letters = sum(32 <= byte < 127 or 9 <= byte <= 13 for byte in head)
    if letters >= _LETTERS_SHARE * len(head) or _is_utf8(head):
        return "other", "a text"
    return "other", "a file of no known kind"


_LETTERS_SHARE = 0.8


def _is_utf8(head: bytes) -> bool:
    """Whether it is UTF-8 without control characters; the last letter may be cut off."""
    text = head.decode("utf-8", "replace")
    return not any(each == "\ufffd" or each < " " for each in text[:-1] if each not in "\t\n\v\f\r")
