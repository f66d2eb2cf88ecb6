"""Files that are not what they should be: named, counted, left out, never fatal, never dangerous."""

from __future__ import annotations

import io
import os
import struct
import sys
import zlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from data.conftest import Paint
from striate.data.decode.decode import decode, read_header
from striate.data.decode.image import prepare_image
from striate.data.files.finding import Finding, Unreadable
from striate.data.gather import gather
from striate.errors import DataError


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_bomb(side: int) -> bytes:
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def bmp_bomb() -> bytes:
    return (
        b"BM"
        + struct.pack("<IHHI", 99, 0, 0, 54)
        + struct.pack("<IiiHH", 40, 60000, 60000, 1, 24)
        + bytes(24)
    )


def gif_bomb(side: int) -> bytes:
    frame = b"," + struct.pack("<HHHHB", 0, 0, 9, 9, 0) + b"\x02\x00;"
    return b"GIF89a" + struct.pack("<HHBBB", side, side, 0x80, 0, 0) + bytes(6) + frame


def webp_bomb() -> bytes:
    extended = b"VP8X" + struct.pack("<I", 10) + bytes(4) + (16382).to_bytes(3, "little") * 2
    return b"RIFF" + struct.pack("<I", 4 + len(extended)) + b"WEBP" + extended


def jpeg(size: int = 64) -> bytes:
    file = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8)
    Image.fromarray(noise).save(file, "JPEG")
    return file.getvalue()


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


def webp() -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(file, "WEBP")
    return file.getvalue()


GONE, PNG_JPEG = "mend or remove the file", "save it as PNG or JPEG"
OUT = "move it out of the class folders"

# name, content, code, reason, cure
BAD = [
    ("empty.jpg", b"", "empty-file", "the file is empty", GONE),
    ("page.jpg", b"<!DOCTYPE html><p>404", "not-a-image", "it is an HTML page", OUT),
    ("notes.txt", b"hello\n", "not-a-image", "it is a text", OUT),
    ("noise.png", bytes(range(256)), "not-a-image", "it is a file of no known kind", OUT),
    ("archive.jpg", b"PK\x03\x04" + bytes(30), "not-a-image", "it is a ZIP archive", OUT),
    ("BM.txt", b"BMW is a make of cars", "not-a-image", "it is a text", OUT),
    ("a.psd", b"8BPS" + bytes(30), "unsupported-format", "it is a Photoshop document, which is not opened", PNG_JPEG),
    ("eps.jpg", b"%!PS-Adobe-3.0 EPSF", "unsupported-format", "it is a PostScript document, which is not opened",
     PNG_JPEG),
    ("pdf.jpg", b"%PDF-1.7", "unsupported-format", "it is a PDF document, which is not opened", PNG_JPEG),
    ("svg.png", b"<?xml version='1.0'?><svg/>", "unsupported-format", "it is an SVG drawing, which is not opened",
     PNG_JPEG),
    ("fits.tif", b"SIMPLE  =  T", "unsupported-format", "it is a FITS file, which is not opened", PNG_JPEG),
    ("phone.jpg", b"\0\0\0\x18ftypheic", "unsupported-format",
     "it is a HEIC image, and its decoder is not installed", "pip install pillow-heif, or save it as JPEG"),
    ("bomb.png", png_bomb(50_000), "too-many-pixels",
     "its header declares 50,000 x 50,000 pixels, and 100,000,000 are the most",
     "shrink it, or raise max_pixels if you trust it"),
    ("bomb.bmp", bmp_bomb(), "too-many-pixels",
     "its header declares 60,000 x 60,000 pixels, and 100,000,000 are the most",
     "shrink it, or raise max_pixels if you trust it"),
    ("bomb.gif", gif_bomb(11_000), "too-many-pixels",
     "its header declares 11,000 x 11,000 pixels, and 100,000,000 are the most",
     "shrink it, or raise max_pixels if you trust it"),
    ("bomb.webp", webp_bomb(), "too-many-pixels", None, "shrink it"),
    ("cut.jpg", jpeg()[:-900], "truncated", None, GONE),
    ("head.jpg", jpeg()[:30], "truncated", None, GONE),
    ("cut.webp", webp()[:-20], "truncated", "it ends too early", GONE),
    ("cut.npy", npy(np.zeros((9, 9), np.uint8))[:-1], "truncated",
     "it declares (9, 9) values of uint8 and ends before them", GONE),
    ("checksum.png", png_bomb(9)[:30] + b"xx" + png_bomb(9)[32:], "unreadable", None, GONE),
    ("first.npy", npy(np.zeros((3, 40, 50), np.uint8)), "channels-first", "its shape (3, 40, 50) looks like (C, H, W)",
     "numpy.moveaxis(image, 0, -1)"),
    ("real.npy", npy(np.zeros((9, 9, 3))), "values-differ",
     "it holds real numbers, where most hold 8-bit values", "save all with one kind of number, on one scale"),
    ("object.npy", npy(np.array([{}], dtype=object)), "unreadable", "its values are object, not numbers",
     "save it as an array of uint8 or float32"),
    ("bands.npy", npy(np.zeros((9, 9, 7), np.uint8)), "channels-differ", "it has 7 channels, where most have 3",
     "give images with equally many channels"),
]  # fmt: skip


@pytest.fixture
def hostile(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, content, *_ in BAD:
        (photos / "cat" / name).write_bytes(content)
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    os.mkfifo(photos / "cat" / "pipe.jpg")
    (photos / "cat" / "nowhere.jpg").symlink_to("gone.jpg")
    (photos / "cat" / "loop.jpg").symlink_to("loop.jpg")
    return photos


def test_each_bad_file_is_named_with_its_reason(hostile: Path, capfd: pytest.CaptureFixture[str]) -> None:
    data = gather("photos")
    found = {each.name: each for each in data.findings}
    assert len(found) == len(data.findings) == len(BAD) + 3
    for name, _, code, reason, cure in BAD:
        each = found[f"cat/{name}"]
        assert (each.code, each.cure) == (code, cure), each
        assert reason is None or each.reason == reason
        assert each.left_out
    assert found["cat/pipe.jpg"] == Finding(
        "special-file", "cat/pipe.jpg", "it is no ordinary file", "remove it"
    )
    assert found["cat/nowhere.jpg"].reason == "a link that leads nowhere"
    assert found["cat/loop.jpg"].reason == "a link that leads in a circle"
    assert len(data.train.names) + len(data.val.names) == 20
    counts = data.record["findings"]
    assert isinstance(counts, dict)
    assert counts["truncated"] == 4
    assert counts["unsupported-format"] == 6
    assert capfd.readouterr() == ("", "")  # a room never prints, and neither do its libraries


def test_the_findings_stay_when_nothing_is_read_again(hostile: Path) -> None:
    assert gather("photos").findings == gather("photos").findings


def test_strict(hostile: Path) -> None:
    with pytest.raises(DataError) as error:
        gather("photos", strict=True)
    lines = str(error.value).splitlines()
    assert lines[0] == "photos: 28 files cannot be used, and the check is strict"
    assert lines[1].startswith("    cat/")
    assert lines[6] == "    and 23 more"
    assert lines[7:] == [
        "  expected: only images that can be read, in class folders",
        "  try: mend or move them, or leave the check less strict",
    ]


def test_strict_about_warnings(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(photos.parent)
    (photos / "dog" / "copy.png").write_bytes((photos / "cat" / "0.png").read_bytes())
    assert [each.severity for each in gather("photos").findings] == ["warning"]
    with pytest.raises(DataError) as error:
        gather("photos", strict=True)
    assert str(error.value) == (
        "photos: 1 warning, and the check is strict\n"
        "    cat/0.png: labelled cat, and the same image as dog/copy.png, labelled dog\n"
        "  expected: images of which nothing is odd\n"
        "  try: striate check photos, which tells all"
    )


def test_nothing_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, content in (("a/1.jpg", b""), ("b/2.jpg", b"<html>")):
        (tmp_path / "p" / name).parent.mkdir(parents=True)
        (tmp_path / "p" / name).write_bytes(content)
    with pytest.raises(DataError) as error:
        gather("p")
    assert str(error.value) == (
        "p: not one of its 2 files can be used\n"
        "    a/1.jpg: the file is empty\n"
        "    b/2.jpg: it is an HTML page\n"
        "  expected: a JPEG, PNG, WebP, AVIF, TIFF, BMP, GIF or .npy image\n"
        "  try: mend or remove the file and move it out of the class folders"
    )


def test_nothing_left_after_decoding(tmp_path: Path) -> None:
    for name in ("a/1.jpg", "b/2.jpg"):
        (tmp_path / "p" / name).parent.mkdir(parents=True)
        (tmp_path / "p" / name).write_bytes(jpeg()[:-900])
    for _ in range(2):  # the second time from the ledger
        with pytest.raises(DataError, match="not one of its 2 files can be used"):
            gather(tmp_path / "p")


def test_a_class_without_a_readable_image_leaves_the_index(photos: Path, paint: Paint) -> None:
    for name in ("ant", "eel"):
        (photos / name).mkdir()
        (photos / name / "1.jpg").write_bytes(jpeg()[:-900] if name == "ant" else b"")
    data = gather(photos)
    assert data.classes == ("cat", "dog")
    assert set(data.train.labels) == {0, 1}
    assert {each.name for each in data.findings if each.code == "empty-class"} == {"ant", "eel"}
    for each in (photos / "dog").iterdir():
        each.write_bytes(b"")
    with pytest.raises(DataError, match="there is only one class, cat"):
        gather(photos)


def test_the_limit_on_pixels_is_the_callers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow's own limit is a global of the user's, and neither used nor changed."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert read_header(jpeg()).width == 64
    with pytest.raises(Unreadable, match="64 x 64 pixels, and 4,095 are the most"):
        read_header(jpeg(), max_pixels=4095)
    with pytest.raises(Unreadable, match="64 x 64 pixels, and 4,095 are the most"):
        decode(jpeg(), max_pixels=4095)
    with pytest.raises(Unreadable, match="64 x 64 pixels"):
        prepare_image(Image.new("L", (64, 64)), stored_size=(8, 8), channels=1, max_pixels=4095)
    assert Image.MAX_IMAGE_PIXELS == 10


def test_files_that_are_long_for_no_reason(tmp_path: Path) -> None:
    """Hashing a file of many gigabytes, sparse or not, would take minutes."""
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg())
    with open(path, "r+b") as file:
        file.truncate(10**11)
    with pytest.raises(Unreadable) as error:
        read_header(path)
    assert error.value.problem == "the file has 100,000,000,000 bytes, and 3,200,000,000 are the most"
    with open(tmp_path / "a.npy", "wb") as file:
        shape = (10_000, 10_000, 1000)
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
        file.truncate(10**11 + 1000)
    for read in (read_header, decode):
        with pytest.raises(Unreadable, match="the file has 100,000,001,000 bytes"):
            read(tmp_path / "a.npy")
        with pytest.raises(
            Unreadable, match="10,000 x 10,000 pixels of 1,000 channels, and 20,000,000,000 are"
        ):
            read(tmp_path / "a.npy", max_pixels=20 * 10**9)


@pytest.mark.parametrize("limit", [4095, 4096])
def test_the_limit_holds_for_what_is_remembered(tmp_path: Path, limit: int) -> None:
    for name in ("a/1.jpg", "b/1.jpg", "b/2.jpg", "a/2.jpg"):
        (tmp_path / "p" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "p" / name).write_bytes(jpeg(64 if name[2] == "1" else 60))
    gather(tmp_path / "p", val_share=0.5)
    if limit == 4096:
        data = gather(tmp_path / "p", val_share=0.5, max_pixels=limit)
        assert not any(each.left_out for each in data.findings)
    else:
        with pytest.raises(DataError, match="no class has two images"):
            gather(tmp_path / "p", val_share=0.5, max_pixels=limit)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", range(3))
def test_damaged_bytes_raise_nothing_else(seed: int) -> None:
    """Cut anywhere, flipped anywhere: an image or an `Unreadable`, never another exception."""
    draw = np.random.default_rng(seed)
    image = Image.fromarray(draw.integers(0, 256, (20, 24, 3), dtype=np.uint8))
    wholes = [npy(np.asarray(image))]
    for form in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"):
        file = io.BytesIO()
        image.save(file, form)
        wholes.append(file.getvalue())
    reasons = []
    for whole in wholes:
        for _ in range(25):
            broken = bytearray(whole[: int(draw.integers(1, len(whole) + 1))])
            for _ in range(int(draw.integers(0, 4))):
                broken[int(draw.integers(0, min(len(broken), 200)))] = int(draw.integers(0, 256))
            try:
                header = read_header(bytes(broken), max_pixels=10**6)
                prepare_image(
                    bytes(broken), stored_size=(16, 16), channels=header.channels,
                    dtype="uint8" if header.bytes else "float32", max_pixels=10**6,
                )  # fmt: skip
            except Unreadable as problem:
                reasons.append(problem.problem)
    assert len(reasons) > 50
    assert all(each.isprintable() for each in reasons)


def test_a_single_image_names_its_path(tmp_path: Path) -> None:
    (tmp_path / "x.jpg").write_bytes(b"<html>")
    with pytest.raises(DataError) as error:
        prepare_image(tmp_path / "x.jpg", stored_size=(8, 8), channels=3)
    assert str(error.value) == (
        f"{tmp_path / 'x.jpg'}: it is an HTML page\n"
        "  expected: a JPEG, PNG, WebP, AVIF, TIFF, BMP, GIF or .npy image\n"
        "  try: move it out of the class folders"
    )
    with pytest.raises(DataError, match="there is no such file"):
        prepare_image(tmp_path / "y.jpg", stored_size=(8, 8), channels=3)
    with pytest.raises(DataError, match="it is no ordinary file"):
        prepare_image(tmp_path, stored_size=(8, 8), channels=3)
    with pytest.raises(DataError, match="there cannot be a file of this name"):
        prepare_image("a\0b", stored_size=(8, 8), channels=3)
    with pytest.raises(DataError, match=r"its shape is \(3,\)"):
        prepare_image(np.zeros(3), stored_size=(8, 8), channels=3)


def test_a_decoder_that_was_installed_meanwhile(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it the finding is not remembered."""
    png = (photos / "cat/0.png").read_bytes()
    (photos / "cat/phone.heic").write_bytes(b"\0\0\0\x18ftypheic" + png)
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    assert [each.name for each in gather(photos).findings if each.left_out] == ["cat/phone.heic"]
    decoder = SimpleNamespace(HeifImageFile=lambda file: PngImageFile(io.BytesIO(file.read()[12:])))
    monkeypatch.setitem(sys.modules, "pillow_heif", decoder)
    data = gather(photos)
    assert not [each.name for each in data.findings if each.left_out]
    assert len(data.train.names) + len(data.val.names) == 21


def test_a_real_heic_image(tmp_path: Path) -> None:
    heif = pytest.importorskip("pillow_heif")
    ramp = Image.fromarray(np.tile(np.arange(0, 256, 4, dtype=np.uint8), (48, 1))).convert("RGB")
    heif.from_pillow(ramp).save(tmp_path / "a.heic", quality=95)
    found = prepare_image(tmp_path / "a.heic", stored_size=(48, 64), channels=3)
    assert abs(found.astype(int) - np.asarray(ramp).astype(int)).max() < 12
