"""A folder of files that are not what they should be, drawn on the spot, and what is to be said of each."""

from __future__ import annotations

import io
import os
import socket
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from striate.text.visible import visible

Codes = dict[str, set[str]]


def scene(seed: int, size: tuple[int, int] = (96, 80)) -> Image.Image:
    """A drawn image with large and small shapes, in color, like no other."""
    draw = np.random.default_rng(seed)
    small = Image.fromarray(draw.integers(0, 256, (7, 9, 3), dtype=np.uint8))
    large = np.asarray(small.resize(size, Image.Resampling.BICUBIC)).astype(int)
    grain = draw.integers(-12, 13, large.shape)
    return Image.fromarray(np.clip(large + grain, 0, 255).astype(np.uint8))


def encoded(image: Image.Image, form: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, depth: int, color: int, rows: bytes, level: int = 6) -> bytes:
    """A PNG of raw rows, each with its filter byte in front."""
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(rows, level))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")


def png_of(array: np.ndarray, depth: int, color: int, level: int = 6) -> bytes:
    rows = b"".join(b"\0" + row.tobytes() for row in array)
    return png(array.shape[1], array.shape[0], depth, color, rows, level)


def bomb_bmp() -> bytes:
    return (
        b"BM"
        + struct.pack("<IHHI", 99, 0, 0, 54)
        + struct.pack("<IiiHH", 40, 60000, 60000, 1, 24)
        + bytes(24)
    )


def bomb_gif() -> bytes:
    frame = b"," + struct.pack("<HHHHB", 0, 0, 9, 9, 0) + b"\x02\x00;"
    return b"GIF89a" + struct.pack("<HHBBB", 11_000, 11_000, 0x80, 0, 0) + bytes(6) + frame


def bomb_webp() -> bytes:
    extended = b"VP8X" + struct.pack("<I", 10) + bytes(4) + (16382).to_bytes(3, "little") * 2
    return b"RIFF" + struct.pack("<I", 4 + len(extended)) + b"WEBP" + extended


def bomb_tiff() -> bytes:
    tags = [(256, 4, 1, 60_000), (257, 4, 1, 60_000), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1),
            (273, 4, 1, 8), (277, 3, 1, 1), (278, 4, 1, 60_000), (279, 4, 1, 100)]  # fmt: skip
    return (
        b"II*\0\x08\0\0\0"
        + struct.pack("<H", len(tags))
        + b"".join(struct.pack("<HHII", *each) for each in tags)
        + bytes(104)
    )


def array(values: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, values, allow_pickle=True)
    return file.getvalue()


def zeroed(content: bytes, start: float, length: int) -> bytes:
    at = int(len(content) * start)
    return content[:at] + bytes(length) + content[at + length :]


def turned(content_of: Image.Image, form: str, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(content_of, form, exif=exif)


def transparent(seed: int, *, hidden: bool) -> Image.Image:
    colors = np.asarray(scene(seed)).copy()
    alpha = np.full(colors.shape[:2], 255, np.uint8)
    alpha[:40] = 0
    if not hidden:
        colors[:40] = 0
    return Image.fromarray(np.dstack([colors, alpha]))


def palette_with_alpha(seed: int) -> bytes:
    image = scene(seed).quantize(16)
    return encoded(image, "PNG", transparency=bytes([0, 128] + [255] * 14))


def drawn_files() -> dict[str, tuple[bytes, set[str]]]:
    """Name -> content and the codes of what is to be said of it."""
    number = iter(range(1000, 2000))

    def new(size: tuple[int, int] = (96, 80)) -> Image.Image:
        return scene(next(number), size)

    frames = [new() for _ in range(3)]
    deep = np.random.default_rng(5).integers(0, 65536, (80, 96), dtype=np.uint16).astype(">u2")
    deep_color = np.random.default_rng(6).integers(0, 65536, (80, 96, 3), dtype=np.uint16).astype(">u2")
    stored = png_of(np.asarray(new()), 8, 2, level=0)
    summed = bytearray(stored)
    summed[-16] ^= 0x10  # the last checksum before IEND
    sheet = bytearray(encoded(new(), "PNG"))
    sheet[20] ^= 1
    noise = np.random.default_rng(7).integers(128, 256, 3000, dtype=np.uint8).tobytes()
    left: dict[str, tuple[bytes, str]] = {
        "empty.jpg": (b"", "empty-file"),
        "cut.jpg": (encoded(new(), "JPEG")[:-900], "truncated"),
        "cut.png": (encoded(new(), "PNG")[:-2000], "truncated"),
        "cut.webp": (encoded(new(), "WEBP")[:-200], "truncated"),
        "cut.gif": (encoded(new(), "GIF")[:-2000], "truncated"),
        "cut.bmp": (encoded(new(), "BMP")[:-2000], "truncated"),
        "cut.tif": (encoded(new(), "TIFF")[:-2000], "truncated"),
        "cut.avif": (encoded(new(), "AVIF")[:-200], "truncated"),
        "cut.npy": (array(np.zeros((9, 9), np.uint8))[:-1], "truncated"),
        "head.jpg": (encoded(new(), "JPEG")[:30], "truncated"),
        "page.jpg": (b"<!DOCTYPE html><title>404</title>", "not-a-image"),
        "text.jpg": (b"the image is coming\n" * 40, "not-a-image"),
        "zip.png": (b"PK\x03\x04" + bytes(40), "not-a-image"),
        "noise.jpg": (noise, "not-a-image"),
        "film.jpg": (b"\0\0\0\x18ftypmp42" + bytes(40), "not-a-image"),
        "drawing.psd": (b"8BPS" + bytes(40), "unsupported-format"),
        "eps.jpg": (b"%!PS-Adobe-3.0 EPSF-3.0\n", "unsupported-format"),
        "pdf.jpg": (b"%PDF-1.7\n" + bytes(40), "unsupported-format"),
        "svg.png": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "unsupported-format"),
        "fits.tif": (b"SIMPLE  =                    T", "unsupported-format"),
        "phone.jpg": (b"\0\0\0\x18ftypheic" + bytes(40), "unsupported-format"),
        "jp2.jpg": (b"\0\0\0\x0cjP  \r\n\x87\n", "unsupported-format"),
        "icon.png": (b"\0\0\1\0\1\0" + bytes(40), "unsupported-format"),
        "bomb.png": (png(50_000, 50_000, 8, 2, bytes(1000)), "too-many-pixels"),
        "bomb.bmp": (bomb_bmp(), "too-many-pixels"),
        "bomb.gif": (bomb_gif(), "too-many-pixels"),
        "bomb.webp": (bomb_webp(), "too-many-pixels"),
        "bomb.tif": (bomb_tiff(), "too-many-pixels"),
        "checksum.png": (bytes(sheet), "unreadable"),
        "zeroed.png": (zeroed(stored, 0.5, 300), "unreadable"),
        "object.npy": (array(np.array([{}], dtype=object)), "unreadable"),
        "infinite.npy": (array(np.full((40, 50, 3), np.inf)), "not-finite"),
        "first.npy": (array(np.zeros((3, 40, 50), np.uint8)), "channels-first"),
        "bands.npy": (array(np.zeros((40, 50, 7), np.uint8)), "channels-differ"),
        "real.npy": (array(np.zeros((40, 50, 3))), "values-differ"),
    }
    used: dict[str, tuple[bytes, set[str]]] = {
        "zeroed.jpg": (zeroed(encoded(new((300, 200)), "JPEG"), 0.5, 300), {"zeroed-inside"}),
        "zeroed.webp": (zeroed(encoded(new((300, 200)), "WEBP", quality=90), 0.5, 600), {"zeroed-inside"}),
        "summed.png": (bytes(summed), {"wrong-checksum"}),
        "png.jpg": (encoded(new(), "PNG"), {"wrong-extension"}),
        "jpeg.png": (encoded(new(), "JPEG"), {"wrong-extension"}),
        "gif.bmp": (encoded(new(), "GIF"), {"wrong-extension"}),
        "webp.JPEG": (encoded(new(), "WEBP"), {"wrong-extension"}),
        "moving.gif": (encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]), {"animated"}),
        "moving.webp": (encoded(new(), "WEBP", save_all=True, append_images=frames[1:]), {"animated"}),
        "moving.png": (encoded(new(), "PNG", save_all=True, append_images=frames[1:]), {"animated"}),
        "pages.tif": (encoded(new(), "TIFF", save_all=True, append_images=frames[1:]), {"animated"}),
        "turned.jpg": (turned(new(), "JPEG", 6), {"exif-rotated"}),
        "turned.png": (turned(new(), "PNG", 3), {"exif-rotated"}),
        "turned.webp": (turned(new(), "WEBP", 8), {"exif-rotated"}),
        "turned.tif": (encoded(new(), "TIFF", tiffinfo={274: 6}), {"exif-rotated"}),
        "inks.jpg": (encoded(new().convert("CMYK"), "JPEG"), {"cmyk-converted"}),
        "inks.tif": (encoded(new().convert("CMYK"), "TIFF"), {"cmyk-converted"}),
        "deep.png": (png_of(deep, 16, 0), {"sixteen-bit", "grey-among-color"}),
        "deep-color.png": (png_of(deep_color, 16, 2), {"sixteen-bit"}),
        "deep.tif": (encoded(Image.fromarray(deep.astype(np.uint16)[::-1].copy()), "TIFF"),
                     {"sixteen-bit", "grey-among-color"}),
        "palette.png": (palette_with_alpha(next(number)), {"transparent"}),
        "clear.png": (encoded(transparent(next(number), hidden=False), "PNG"), {"transparent"}),
        "hidden.png": (encoded(transparent(next(number), hidden=True), "PNG"), {"transparent", "hidden-color"}),
        "clear.gif": (encoded(transparent(next(number), hidden=False), "GIF"), {"transparent"}),
        "grey.jpg": (encoded(new().convert("L"), "JPEG"), {"grey-among-color"}),
        "black-white.png": (encoded(new().convert("1"), "PNG"), {"grey-among-color"}),
        "long.png": (encoded(new((600, 40)), "PNG"), {"extreme-aspect"}),
        "tiny.png": (encoded(new((9, 8)), "PNG"), {"tiny"}),
        "blank.png": (encoded(Image.new("RGB", (90, 70), (10, 200, 30)), "PNG"), {"blank"}),
        "white.jpg": (encoded(Image.new("RGB", (90, 71), "white"), "JPEG"), {"blank"}),
        "night.png": (encoded(new().point(lambda value: value // 20), "PNG"), {"near-black"}),
        "two\nlines.png": (encoded(new(), "PNG"), {"unsafe-name"}),
        "\x1b[31mred.png": (encoded(new(), "PNG"), {"unsafe-name"}),
        "gnp.\u202egpj.png": (encoded(new(), "PNG"), {"unsafe-name"}),
        os.fsdecode(b"\xffbytes.png"): (encoded(new(), "PNG"), {"unsafe-name"}),
        "<img src=x onerror=alert(1)>.png": (encoded(new(), "PNG"), {"unsafe-name"}),
        "=HYPERLINK(1).png": (encoded(new(), "PNG"), {"unsafe-name"}),
        "@SUM(1).png": (encoded(new(), "PNG"), {"unsafe-name"}),
        "-rf.png": (encoded(new(), "PNG"), {"unsafe-name"}),
        "n" * 251 + ".png": (encoded(new(), "PNG"), {"long-name"}),
        # And such as only look odd: nothing is to be said of them.
        "Straße 猫 🐈.png": (encoded(new(), "PNG"), set()),
        "it's, \"quoted\" & more; 100%.png": (encoded(new(), "PNG"), set()),
        "-1.png": (encoded(new(), "PNG"), set()),
        "no-suffix": (encoded(new(), "JPEG"), set()),
        "still.gif": (encoded(new(), "GIF"), set()),
        "opaque.png": (encoded(new().convert("RGBA"), "PNG"), set()),
        "progressive.jpg": (encoded(new(), "JPEG", progressive=True), set()),
        "drawing.png": (encoded(new().quantize(4), "PNG"), set()),
        "plain.avif": (encoded(new(), "AVIF"), set()),
        "plain.webp": (encoded(new(), "WEBP", lossless=True), set()),
        "plain.bmp": (encoded(new(), "BMP"), set()),
        "plain.tiff": (encoded(new(), "TIFF", compression="tiff_lzw"), set()),
        "plain.npy": (array(np.asarray(new())), set()),
    }  # fmt: skip
    return {**{name: (content, {code}) for name, (content, code) in left.items()}, **used}


def draw_hostile(folder: Path) -> Codes:
    """Draws the folder, and says by visible name which codes are to be said of what."""
    (folder / "cat").mkdir(parents=True)
    expected: Codes = {}
    for name, (content, codes) in drawn_files().items():
        (folder / "cat" / name).write_bytes(content)
        expected[visible(f"cat/{name}")] = codes
    for number in range(60):
        expected[_write(folder, f"dog/{number}.png", encoded(scene(number), "PNG"))] = set()
    expected |= _links(folder)
    expected |= _classes(folder)
    expected |= _copies(folder)
    return {name: codes for name, codes in expected.items() if codes}


def _write(folder: Path, name: str, content: bytes) -> str:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
    return name


def _links(folder: Path) -> Codes:
    outside = folder.parent / "outside"
    _write(outside, "one/1.png", encoded(scene(300), "PNG"))
    _write(outside, "2.png", encoded(scene(301), "PNG"))
    os.mkfifo(folder / "cat/pipe.jpg")
    here = os.getcwd()
    os.chdir(folder / "cat")  # a socket's path may have a hundred letters
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind("socket.jpg")
    finally:
        os.chdir(here)
    (folder / "cat/nowhere.jpg").symlink_to("gone.jpg")
    (folder / "cat/circle.jpg").symlink_to("circle.jpg")
    (folder / "cat/zeros.jpg").symlink_to("/dev/zero")
    (folder / "cat/out.png").symlink_to(outside / "2.png")
    (folder / "cat/away").symlink_to(outside / "one")
    (folder / "cat/up").symlink_to(folder)
    (folder / "cat/self").symlink_to(folder / "cat")
    with open(folder / "cat/sparse.jpg", "wb") as file:
        file.write(encoded(scene(302), "JPEG"))
        file.truncate(4 * 10**9)
    for name in (".x.jpg", "._x.jpg", "Thumbs.db", ".ipynb_checkpoints/1-checkpoint.jpg"):
        _write(folder, f"dog/{name}", encoded(scene(1), "JPEG"))
    _write(folder, "__MACOSX/dog/._1.jpg", b"\0\5\x16\7")
    _write(folder, ".git/config", b"[core]")
    _write(folder, "loose.jpg", encoded(scene(303), "JPEG"))
    return {
        "cat/pipe.jpg": {"special-file"},
        "cat/socket.jpg": {"special-file"},
        "cat/nowhere.jpg": {"missing-file"},
        "cat/circle.jpg": {"missing-file"},
        "cat/zeros.jpg": {"special-file", "link-outside"},
        "cat/out.png": {"link-outside"},
        "cat/away": {"link-outside"},
        "cat/up": {"linked-twice"},
        "cat/self": {"linked-twice"},
        "cat/sparse.jpg": {"too-many-bytes"},
        "dog/.x.jpg": {"hidden"},
        "dog/._x.jpg": {"hidden"},
        "dog/Thumbs.db": {"hidden"},
        "dog/.ipynb_checkpoints": {"hidden"},
        "__MACOSX": {"hidden"},
        ".git": {"hidden"},
        "loose.jpg": {"outside-class"},
    }


def _classes(folder: Path) -> Codes:
    (folder / "void").mkdir()
    _write(folder, "broken/1.jpg", b"")
    _write(folder, "solo/1.png", encoded(scene(310), "PNG"))
    for number in range(3):
        _write(folder, f"Dog/{number}.png", encoded(scene(320 + number), "PNG"))
    return {
        "void": {"empty-class"},
        "broken": {"empty-class"},
        "broken/1.jpg": {"empty-file"},
        "solo": {"one-image-class"},
        "Dog": {"similar-classes", "imbalance"},
    }


def _copies(folder: Path) -> Codes:
    image = scene(330, (200, 160))
    _write(folder, "dog/a.png", encoded(image, "PNG"))
    _write(folder, "dog/b.png", encoded(image, "PNG"))  # the same bytes
    _write(folder, "dog/c.bmp", encoded(image, "BMP"))  # the same pixels
    _write(folder, "dog/d.jpg", encoded(image.resize((150, 120)), "JPEG", quality=60))
    _write(folder, "dog/two.png", encoded(scene(331), "PNG"))
    _write(folder, "cat/two.png", encoded(scene(331), "PNG"))
    _write(folder, "dog/three.png", encoded(scene(332), "PNG"))
    _write(folder, "cat/three.jpg", encoded(scene(332), "JPEG"))
    return {
        "dog/a.png": {"duplicate", "near-duplicate"},
        "cat/two.png": {"duplicate-two-labels"},
        "cat/three.jpg": {"near-duplicate-two-labels"},
    }
