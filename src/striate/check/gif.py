"""The blocks of a GIF, walked without decoding them."""

from __future__ import annotations

from collections.abc import Iterator

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
