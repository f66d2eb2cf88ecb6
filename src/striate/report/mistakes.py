"""The wrong answers that were surest, as images."""

from __future__ import annotations

import base64
import io
import struct
import zlib

from PIL import Image

from striate.report.element import Html, joined, tag, void
from striate.runs.record import Mistake
from striate.text.figures import percent

MOST = 24
# An image of more bytes is packed anew as JPEG; one of more pixels is not opened.
LARGEST_BYTES = 16_000
MOST_PIXELS = 1_000_000
JPEG_QUALITY = 85

# What every PNG begins with, up to its width and height.
_HEADER = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"


def mistakes(records: list[Mistake], wrong: int) -> Html:
    """An image, its true class, the answer and its probability for each mistake.

    wrong: how many there are in all.
    """
    if not records:
        none = "There is none: every image was answered rightly." if wrong == 0 else "No image was kept."
        return tag("p", none, css="soft")
    more = f" of {wrong:,}" if wrong > len(records[:MOST]) else ""
    said = f"{len(records[:MOST])}{more}, the surest first." if len(records) > 1 else "There is one."
    note = tag("p", said, css="soft")
    return joined([note, tag("div", joined(_card(each) for each in records[:MOST]), css="mistakes")])


def _card(record: Mistake) -> Html:
    name, label, answer = record.name, record.label, record.answer
    source = image_source(record.png)
    shown = (
        void(
            "img", attributes={"src": source, "alt": f"{name}: {label}, answered {answer}", "loading": "lazy"}
        )
        if source
        else tag("span", "no image", css="soft")
    )
    said = tag(
        "figcaption",
        tag("span", tag("b", label), css="line true", attributes={"title": f"true class: {label}"}),
        tag("span", answer, css="line answered", attributes={"title": f"answered: {answer}"}),
        tag("span", percent(record.probability), css="sure"),
        tag("span", name, css="line soft", attributes={"title": name}),
    )
    return tag("figure", tag("div", shown, css="frame"), said)


def image_source(code: str) -> str:
    """A data address for a PNG in base64, or nothing where it is not one.

    What goes into the page is encoded anew from the decoded bytes, never the text that was read.
    """
    try:
        content = base64.b64decode(code, validate=True)
        if not content.startswith(_HEADER) or _pixels(content) > MOST_PIXELS:
            return ""
        with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
            image.load()
            kind = "png"
            if len(content) > LARGEST_BYTES:
                buffer = io.BytesIO()
                image.convert("RGB").save(buffer, "JPEG", quality=JPEG_QUALITY)
                content, kind = buffer.getvalue(), "jpeg"
    except (ValueError, OSError, SyntaxError, zlib.error, struct.error, EOFError):
        return ""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _pixels(content: bytes) -> int:
    """How many pixels the header of a PNG declares."""
    width, height = struct.unpack(">II", content[16:24])
    return int(width * height)
