"""Damage inside of a file that its decoder does not mind: a stretch of zeros, a checksum that is wrong."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator

RUN_BYTES = 64
"""So many zero bytes on end do not occur in coded images but by rule (see `_jpeg`) or in flat ones."""

# How many flat fields of 8x8 pixels a zero byte stands for at least, where it may stand for any: about two
# bits a field in a JPEG, much less than one in an arithmetic coder, and one bit a pixel in lossless WebP.
_FLAT_A_BYTE = {"JPEG": 1.0, "GIF": 0.5, "VP8 ": 4.0, "VP8L": 0.5, "AVIF": 4.0}

_ZEROS = bytes(RUN_BYTES)
_NOT_ZERO = re.compile(rb"[^\0]")
_MARKER = re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]")


def damage(content: bytes, kind: str, flat_fields: Callable[[], float]) -> tuple[str, str] | None:
    """The code and the reason of the damage inside a file that could be decoded, or None.

    kind: JPEG, PNG, WEBP, AVIF or GIF; others are not coded, or not known here.
    flat_fields: how many fields of 8x8 pixels are of one value in some channel; asked only where it matters.
    """
    if kind == "PNG":
        return _png(content)
    if kind not in _SPANS or _ZEROS not in content:
        return None
    for start, end, coder in _SPANS[kind](content):
        for first, length in zero_runs(content, start, end):
            if not coder or flat_fields() < _FLAT_A_BYTE[coder] * length:
                return "zeroed-inside", _told(first, length)
    return None


def zero_runs(content: bytes, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Each run of at least RUN_BYTES zeros in content[start:end], as (first byte, how many)."""
    while (found := content.find(_ZEROS, start, end)) >= 0:
        after = _NOT_ZERO.search(content, found, end)
        start = after.start() if after else end
        yield found, start - found


def _told(start: int, length: int) -> str:
    return f"{length:,} zero bytes on end in its coded image, from byte {start:,} on"


def _png(content: bytes) -> tuple[str, str] | None:
    """A chunk of pixels whose CRC-32 is wrong: Pillow does not look at it (PNG, section 5.3)."""
    here = 8
    while here + 12 <= len(content):
        length = int.from_bytes(content[here : here + 4], "big")
        name = content[here + 4 : here + 8]
        end = here + 8 + length
        if end + 4 > len(content) or name == b"IEND":
            return None
        if name == b"IDAT":
            said = int.from_bytes(content[end : end + 4], "big")
            if zlib.crc32(memoryview(content)[here + 4 : end]) != said:
                run = next(zero_runs(content, here + 8, end), None)
                if run is not None:
                    return "zeroed-inside", _told(*run)
                return "wrong-checksum", f"the checksum of its pixels from byte {here:,} on is wrong"
        here = end + 4
    return None


def _jpeg(content: bytes) -> Iterator[tuple[int, int, str]]:
    """The coded data of each scan: first byte, byte behind the last, and "" where no encoder writes zeros.

    Zero bits stand for the first code of each Huffman table, over and over.  Where that is "no change"
    (DC category 0) and "end of block", or where bits correct earlier ones, a run may be a flat area.
    (ITU-T T.81, annexes C, F and G.)
    """
    first: dict[tuple[int, int], int] = {}  # (class: 0 DC, 1 AC; number) -> symbol of the code of zeros
    progressive = False
    here = 2
    while (found := _MARKER.search(content, here)) is not None:
        yield here, found.start(), ""  # segments follow one another without a gap
        mark, here = content[found.end() - 1], found.end()
        if mark == 0xD9:
            return
        if mark in (0x01, 0xD8) or here + 2 > len(content):
            continue
        end = here + int.from_bytes(content[here : here + 2], "big")
        body = content[here + 2 : end]
        here = end
        if mark in (0xC4, 0xDA, 0xDB):
            yield end - len(body), end, ""
        if mark == 0xC4:
            first |= _first_symbols(body)
        elif mark == 0xC2:
            progressive = True
        elif mark == 0xDA and len(body) >= 4 + 2 * body[0]:
            after = _MARKER.search(content, end)
            stop = after.start() if after else len(content)
            yield end, stop, "JPEG" if _zeros_may_be_code(body, first, progressive) else ""
            here = stop


def _first_symbols(body: bytes) -> dict[tuple[int, int], int]:
    found = {}
    while len(body) > 17:
        symbols = sum(body[1:17])
        found[body[0] >> 4, body[0] & 15] = body[17]
        body = body[17 + symbols :]
    return found


def _zeros_may_be_code(scan: bytes, first: dict[tuple[int, int], int], progressive: bool) -> bool:
    components = scan[0]
    tables = [scan[2 + 2 * each] for each in range(components)]
    start, refined = scan[1 + 2 * components], scan[3 + 2 * components] >> 4
    if progressive and refined:
        return True
    dc = progressive and start == 0
    ac = progressive and start > 0
    for each in tables:
        if not ac and first.get((0, each >> 4), 0) != 0:
            return False
        symbol = first.get((1, each & 15), 0)
        # End of block is 0x00; in a progressive scan any 0xR0 but 0xF0 ends several blocks.
        if not dc and (symbol & 15 if progressive else symbol):
            return False
    return True


def _webp(content: bytes) -> Iterator[tuple[int, int, str]]:
    here = 12
    while here + 8 <= len(content):
        name, length = content[here : here + 4], int.from_bytes(content[here + 4 : here + 8], "little")
        if name in (b"VP8 ", b"VP8L"):
            yield here + 8, min(here + 8 + length, len(content)), name.decode()
        here += 8 + length + length % 2


def _avif(content: bytes) -> Iterator[tuple[int, int, str]]:
    here = 0
    while here + 8 <= len(content):
        length, name = int.from_bytes(content[here : here + 4], "big"), content[here + 4 : here + 8]
        if name == b"mdat":
            yield here + 8, min(here + length, len(content)) if length else len(content), "AVIF"
        if length < 8:
            return
        here += length


def _gif(content: bytes) -> Iterator[tuple[int, int, str]]:
    for start, end in image_spans(content):
        yield start, end, "GIF"


_SPANS = {"JPEG": _jpeg, "WEBP": _webp, "AVIF": _avif, "GIF": _gif}


_EXTENSION, _IMAGE, _END = 0x21, 0x2C, 0x3B


def image_spans(content: bytes) -> Iterator[tuple[int, int]]:
    """Where the coded pixels of each frame lie: (first byte, byte behind the last).

    Ends without a word where the file does, or where it is no longer a GIF (GIF89a, section 20 to 26).
    """
    if len(content) < 13:
        return
    here = 13 + _table_bytes(content[10])
    while here < len(content):
        mark = content[here]
        if mark == _EXTENSION:
            here = _behind_blocks(content, here + 2)
        elif mark == _IMAGE and here + 9 < len(content):
            start = here + 10 + _table_bytes(content[here + 9]) + 1
            here = _behind_blocks(content, start)
            yield start, here
        else:
            return


def is_animated_gif(content: bytes) -> bool:
    """Whether it has a second frame."""
    spans = image_spans(content)
    return next(spans, None) is not None and next(spans, None) is not None


def _table_bytes(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _behind_blocks(content: bytes, here: int) -> int:
    while here < len(content) and content[here]:
        here += 1 + content[here]
    return min(here + 1, len(content))
