"""Mutated images, one after another, in a process with limits: python mutants.py COUNT SEED FOLDER

Prints what became of them as JSON: images by format, how many could be read, and the codes of the others.
"""

from __future__ import annotations

import collections
import io
import json
import os
import resource
import signal
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from striate.checks.look import Look, look
from striate.checks.thumbnails import preview_file
from striate.data.decode.decode import quiet_pillow
from striate.data.decode.image import prepare_image
from striate.data.files.entry import Entry
from striate.data.files.finding import Unreadable

MEMORY_BYTES = 3 * 2**30
SECONDS_EACH = 10
MAX_PIXELS = 2_000_000


def originals() -> list[tuple[str, bytes]]:
    """Small images of six formats, in many of their variants."""
    draw = np.random.default_rng(1)
    grain = Image.fromarray(draw.integers(0, 256, (21, 26, 3), dtype=np.uint8))
    soft = Image.fromarray(draw.integers(0, 256, (4, 5, 3), dtype=np.uint8)).resize((40, 33))
    deep = Image.fromarray(draw.integers(0, 65536, (20, 24), dtype=np.uint16))
    exif = Image.Exif()
    exif[0x0112] = 6
    made: list[tuple[str, bytes]] = []

    def add(form: str, image: Image.Image, **options: object) -> None:
        file = io.BytesIO()
        image.save(file, form, **options)
        made.append((form, file.getvalue()))

    clear = soft.convert("RGBA")
    clear.putalpha(soft.convert("L"))
    for image in (grain, soft, soft.convert("L")):
        for form in ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP"):
            add(form, image)
    add("AVIF", soft, speed=10)
    add("AVIF", clear, speed=10, exif=exif)
    add("JPEG", soft, progressive=True, exif=exif)
    add("JPEG", grain.convert("CMYK"), optimize=True, subsampling=0)
    add("PNG", deep)
    add("PNG", soft.quantize(16), transparency=3)
    add("PNG", clear, exif=exif)
    add("PNG", soft, save_all=True, append_images=[soft.rotate(90)])
    add("WEBP", clear, lossless=True, exif=exif)
    add("WEBP", soft, save_all=True, append_images=[soft.rotate(90)])
    add("GIF", soft, save_all=True, append_images=[soft.rotate(90)], transparency=0)
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits"):
        add("TIFF", soft, compression=compression)
    add("TIFF", soft.convert("1"), compression="group4")
    add("TIFF", deep, tiffinfo={274: 6})
    add("TIFF", soft, save_all=True, append_images=[grain])
    add("BMP", soft.quantize(16))
    return made


def mutated(content: bytes, draw: np.random.Generator) -> bytes:
    """One change or a few: bits, bytes, zeros, large numbers, cuts, repeats, another's middle."""
    made = bytearray(content)
    for _ in range(int(draw.geometric(0.7))):
        size = len(made)
        # Most of what a decoder believes stands in the first bytes.
        at = int(draw.integers(0, min(size, 200) if draw.random() < 0.6 else size))
        length = int(draw.integers(1, 40))
        match int(draw.integers(0, 8)):
            case 0:
                made[at] ^= 1 << int(draw.integers(0, 8))
            case 1:
                made[at] = int(draw.integers(0, 256))
            case 2:
                made[at : at + length] = bytes(length)
            case 3:
                made[at : at + 4] = draw.choice([b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\xff\xff"])
            case 4:
                del made[max(1, at) :]
            case 5:
                made[at:at] = made[at : at + length]
            case 6:
                del made[at : at + length]
            case _:
                made[at : at + length] = draw.bytes(length)
        if not made:
            return b"\0"
    return bytes(made)


def main(count: int, seed: int, folder: Path) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (120 + count // 20, 120 + count // 20))
    draw = np.random.default_rng(seed)
    wholes = originals()
    path = folder / "mutant"
    forms: collections.Counter[str] = collections.Counter()
    codes: collections.Counter[str] = collections.Counter()
    read = 0
    descriptors = 0

    def late(number: int, frame: object) -> None:
        sys.stderr.write(f"hangs at image {done} of seed {seed}, kept in {path}")
        sys.stderr.flush()
        os.abort()

    signal.signal(signal.SIGALRM, late)
    for done in range(count):
        form, whole = wholes[int(draw.integers(0, len(wholes)))]
        forms[form] += 1
        path.write_bytes(mutated(whole, draw))
        signal.alarm(SECONDS_EACH)
        seen = look(Entry("mutant", 0, None, None, path), MAX_PIXELS)
        if isinstance(seen, Look):
            codes.update(each.code for each in seen.findings)
            kind = "uint8" if seen.header.bytes else "float32"
            try:
                tensor = prepare_image(
                    path,
                    stored_size=(16, 16),
                    channels=seen.header.channels,
                    dtype=kind,
                    max_pixels=MAX_PIXELS,
                )
                assert tensor.shape == (16, 16, seen.header.channels)
                read += 1
            except Unreadable as problem:
                codes[problem.code] += 1
            preview_file(path, MAX_PIXELS)
        else:
            codes.update(each.code for each in seen)
            assert all(each.reason.isprintable() for each in seen)
        signal.alarm(0)
        if done == 50:  # what is opened once and kept, as a library, is open by now
            descriptors = len(os.listdir("/proc/self/fd"))
    assert len(os.listdir("/proc/self/fd")) == descriptors, "a descriptor was left open"
    sys.stdout.write(json.dumps({"forms": forms, "read": read, "codes": codes}))


if __name__ == "__main__":
    with quiet_pillow():
        main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
