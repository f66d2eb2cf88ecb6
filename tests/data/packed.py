"""Archives made by hand, so that they can lie."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image


def image(seed: int) -> bytes:
    """A small PNG of drawn noise."""
    file = io.BytesIO()
    noise = np.random.default_rng(seed).integers(0, 256, (10, 12, 3), dtype=np.uint8)
    Image.fromarray(noise).save(file, "PNG")
    return file.getvalue()


HONEST = {f"{name}/{number}.png": image(10 * label + number)
          for label, name in enumerate(("cat", "dog")) for number in range(3)}  # fmt: skip
"""What lies in every archive here beside the member that is not honest."""


def header(
    name: bytes | str,
    size: int | bytes = 0,
    kind: bytes = b"0",
    link: bytes | str = b"",
    magic: bytes = b"ustar\x0000",
    prefix: bytes = b"",
) -> bytes:
    """One tar header, its sum right whatever it says."""
    name, link = (each.encode() if isinstance(each, str) else each for each in (name, link))
    digits = size if isinstance(size, bytes) else b"%011o\0" % size
    block = struct.pack(
        "100s8s8s8s12s12s8s1s100s8s32s32s8s8s155s12x",
        name, b"0004777\0", b"0000000\0", b"0000000\0", digits, b"00000000000\0", b" " * 8, kind, link, magic,
        b"", b"", b"0000001\0", b"0000003\0", prefix,
    )  # fmt: skip
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def member(name: bytes | str, content: bytes = b"", kind: bytes = b"0", **more: bytes) -> bytes:
    """A header with its content behind it, filled to whole blocks."""
    return header(name, len(content), kind, **more) + content + bytes(-len(content) % 512)


def pax(**records: bytes) -> bytes:
    """A pax header that says so of the next member."""
    content = b""
    for key, value in records.items():
        rest = b" " + key.replace("__", ".").encode() + b"=" + value + b"\n"
        length = len(rest) + 1
        while len(str(length)) + len(rest) > length:
            length += 1
        content += str(length).encode() + rest
    return member("PaxHeaders/x", content, b"x")


def tar(*blocks: bytes, honest: bool = True, closed: bool = True) -> bytes:
    """A tar archive of honest members and these blocks behind them."""
    good = [member(name, content) for name, content in HONEST.items()] if honest else []
    return b"".join((*good, *blocks)) + bytes(1024 if closed else 0)


def zipped(edit: Callable[[zipfile.ZipFile], None] = lambda archive: None) -> bytes:
    """A zip archive of honest members, and what `edit` puts behind them."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in HONEST.items():
            archive.writestr(name, content)
        edit(archive)
    return file.getvalue()


def with_member(name: str, content: bytes = b"x", *, mode: int = 0o100644) -> bytes:
    """A zip with one more member of this name and mode."""

    def edit(archive: zipfile.ZipFile) -> None:
        info = zipfile.ZipInfo("placeholder")
        info.filename, info.compress_type, info.create_system = name, zipfile.ZIP_DEFLATED, 3
        info.external_attr = mode << 16
        with warnings.catch_warnings(action="ignore"):  # that the name is there twice
            archive.writestr(info, content)

    return zipped(edit)


def entries(content: bytes) -> list[int]:
    """Where the lines of a zip's directory stand."""
    places, at = [], content.find(b"PK\x01\x02")
    while at >= 0:
        places.append(at)
        at = content.find(b"PK\x01\x02", at + 4)
    return places


def patched(content: bytes, place: int, form: str, *values: int) -> bytes:
    """With numbers written over what stands there."""
    found = bytearray(content)
    struct.pack_into(form, found, place, *values)
    return bytes(found)


def last(content: bytes, offset: int, form: str, *values: int) -> bytes:
    """With numbers written into the last line of a zip's directory."""
    return patched(content, entries(content)[-1] + offset, form, *values)


def encrypted() -> bytes:
    content = with_member("cat/secret.png", image(99))
    return last(content, 8, "<H", 1)


def overlapping() -> bytes:
    """Two lines of the directory for one member (Fifield 2019)."""
    content = zipped()
    first, second = entries(content)[:2]
    return content[: second + 42] + content[first + 42 : first + 46] + content[second + 46 :]


def quoted() -> bytes:
    """A member whose packed bytes reach over the header of the next."""
    content = zipped()
    first = entries(content)[0]
    return patched(content, first + 20, "<I", struct.unpack_from("<I", content, first + 20)[0] + 40)


def contradicting(inner: str) -> bytes:
    """A member that is called otherwise in its own header than in the directory."""
    content = with_member("x" * len(inner), b"x")
    return content.replace(b"x" * len(inner), inner.encode(), 1)


def unicode_path(path: str) -> bytes:
    """An extra field that renames a member (APPNOTE 4.6.9)."""

    def edit(archive: zipfile.ZipFile) -> None:
        info = zipfile.ZipInfo("cat/8.png")
        body = struct.pack("<BL", 1, zlib.crc32(b"cat/8.png")) + path.encode()
        info.extra = struct.pack("<HH", 0x7075, len(body)) + body
        archive.writestr(info, image(8))

    return zipped(edit)


def bomb(size: int) -> bytes:
    return tar(member("cat/bomb.png", bytes(size)))


def large_dictionary() -> bytes:
    """An xz whose block header asks for a dictionary of 512 MiB: property byte 34 of LZMA2."""
    content = bytearray(lzma.compress(tar()))
    end = 12 + 4 * (content[12] + 1)
    content[content.index(b"\x21\x01", 12) + 2] = 34
    content[end - 4 : end] = struct.pack("<I", zlib.crc32(bytes(content[12 : end - 4])))
    return bytes(content)


OVER = 2**21

HOSTILE: dict[str, tuple[Callable[[Path], bytes], str]] = {
    # name -> (made for a path outside that must never be touched, the code of the finding or "" for an error)
    "tar: dots": (lambda out: tar(member("../../../outside/canary", b"x")), ""),
    "tar: dots inside": (lambda out: tar(member("cat/../../../../outside/canary", b"x")), ""),
    "tar: absolute": (lambda out: tar(member(bytes(out), b"x")), ""),
    "tar: dots in the prefix": (
        lambda out: tar(member("outside/canary", b"x", prefix=b"../../..")), ""),
    "tar: dots with backslashes": (lambda out: tar(member("..\\..\\canary", b"x")), ""),
    "tar: a drive": (lambda out: tar(member("C:\\canary", b"x")), ""),
    "tar: a share": (lambda out: tar(member("\\\\server\\canary", b"x")), ""),
    "tar: backslashes": (lambda out: tar(member("cat\\9.png", b"x")), "archive-name"),
    "tar: a long name with dots": (
        lambda out: tar(member("././@LongLink", b"../../canary\0", b"L"), member("cat/9.png", b"x")), ""),
    "tar: pax with dots": (lambda out: tar(pax(path=b"../../canary"), member("cat/9.png", b"x")), ""),
    "tar: pax absolute": (lambda out: tar(pax(path=bytes(out)), member("cat/9.png", b"x")), ""),
    "tar: a zero byte": (lambda out: tar(pax(path=b"cat/9.png\0/x"), member("a", b"x")), "archive-name"),
    "tar: a link out, and a file through it": (
        lambda out: tar(member("cat/link", kind=b"2", link=bytes(out.parent)), member("cat/link/canary", b"x")),
        "archive-link"),
    "tar: a class that is a link": (
        lambda out: tar(member("bird", kind=b"2", link=bytes(out.parent)), member("bird/canary", b"x")),
        "archive-link"),
    "tar: a link to a secret": (
        lambda out: tar(member("cat/9.png", kind=b"2", link=bytes(out.parent / "secret.png"))), "archive-link"),
    "tar: a hard link to a secret": (
        lambda out: tar(member("cat/9.png", kind=b"1", link=bytes(out.parent / "secret.png"))), "archive-link"),
    "tar: a hard link out, and a file over it": (
        lambda out: tar(member("cat/9.png", kind=b"1", link=bytes(out.parent / "secret.png")),
                        member("cat/9.png", b"overwritten")), "archive-link"),
    "tar: a device": (lambda out: tar(member("cat/zero", kind=b"3")), "archive-special"),
    "tar: a disk": (lambda out: tar(member("cat/disk", kind=b"4")), "archive-special"),
    "tar: a pipe": (lambda out: tar(member("cat/pipe.png", kind=b"6")), "archive-special"),
    "tar: a sparse file": (lambda out: tar(member("cat/9.png", b"x", b"S")), "archive-special"),
    "tar: a sparse file of pax": (
        lambda out: tar(pax(GNU__sparse__realsize=b"99999999999999"), member("cat/9.png", b"x")),
        "archive-special"),
    "tar: an unknown kind": (lambda out: tar(member("cat/9.png", b"x", b"Q")), "archive-special"),
    "tar: a huge long name": (lambda out: tar(header("././@LongLink", 2**32, b"L")), ""),
    "tar: headers without end": (lambda out: tar(*[member("././@LongLink", b"a", b"L")] * 50), ""),
    "tar: thousands of headers": (lambda out: tar(*[member("././@LongLink", b"a", b"L")] * 5000), ""),
    "tar: sparse without end": (
        lambda out: tar(pax(GNU__sparse__major=b"1", GNU__sparse__minor=b"0"),
                        member("cat/9.png", b"9" * 99, b"0")), ""),
    "tar: a huge member": (lambda out: tar(header("cat/9.png", 2**36)), ""),
    "tar: a negative length": (lambda out: tar(header("cat/9.png", b"\xff" * 12)), ""),
    "tar: a length beyond all": (lambda out: tar(header("cat/9.png", b"\x80" + b"\x7f" * 11)), ""),
    "tar: a length of pax that is none": (lambda out: tar(pax(size=b"-1"), member("cat/9.png", b"x")), ""),
    "tar: pax that counts wrong": (
        lambda out: tar(member("x", b"999999999 path=a\n", b"x"), member("cat/9.png", b"x")), "archive-name"),
    "tar: a wrong sum": (lambda out: tar(b"cat/9.png" + bytes(503)), ""),
    "tar: cut": (lambda out: tar()[:-2000], ""),
    "tar: no end": (lambda out: tar(closed=False), ""),
    "tar: two joined": (lambda out: tar() + tar(member("../canary", b"x")), ""),
    "tar: twice": (lambda out: tar(member("cat/0.png", image(99))), "archive-twice"),
    "tar: twice but for case": (lambda out: tar(member("Cat/0.PNG", image(99))), "archive-twice"),
    "tar: a file where a folder is": (lambda out: tar(member("cat", b"x")), "archive-twice"),
    "tar: a folder where a file is": (lambda out: tar(member("cat/0.png/canary", b"x")), "archive-twice"),
    "tar: deep": (lambda out: tar(member("././@LongLink", b"d/" * 300 + b"x\0", b"L"), member("a", b"x")),
                  "archive-name"),
    "tar: a long name": (lambda out: tar(pax(path=b"cat/" + b"n" * 300), member("a", b"x")), "archive-name"),
    "tar: an archive inside": (lambda out: tar(member("cat/more.png", zipped())), "archive-nested"),
    "gzip: a bomb": (lambda out: gzip.compress(bomb(OVER)), ""),
    "gzip: many bombs on end": (lambda out: gzip.compress(tar(closed=False)) + gzip.compress(bytes(2**16)) * 40, ""),
    "gzip: cut": (lambda out: gzip.compress(tar())[:-400], ""),
    "gzip: a wrong sum": (lambda out: gzip.compress(tar())[:-8] + bytes(8), ""),
    "gzip: no tar inside": (lambda out: gzip.compress(b"no tar" * 1000), ""),
    "bzip2: a bomb": (lambda out: bz2.compress(bomb(OVER)), ""),
    "bzip2: damaged": (lambda out: bz2.compress(tar())[:300] + bytes(9) + bz2.compress(tar())[309:], ""),
    "xz: a bomb": (lambda out: lzma.compress(bomb(OVER)), ""),
    "xz: a dictionary of GiB": (lambda out: large_dictionary(), ""),
    "zip: dots": (lambda out: with_member("../../../outside/canary"), ""),
    "zip: absolute": (lambda out: with_member(str(out)), ""),
    "zip: dots with backslashes": (lambda out: with_member("..\\canary"), ""),
    "zip: a drive": (lambda out: with_member("c:canary"), ""),
    "zip: backslashes": (lambda out: with_member("cat\\9.png"), "archive-name"),
    "zip: a zero byte": (lambda out: with_member("cat/9.png").replace(b"cat/9.png", b"cat/9\0png"), "archive-name"),
    "zip: a link": (lambda out: with_member("cat/9.png", bytes(out), mode=0o120777), "archive-link"),
    "zip: a link, and a file through it": (
        lambda out: zipped(lambda archive: [
            archive.writestr(_info("bird", 0o120777), bytes(out.parent)), archive.writestr("bird/canary", "x")
        ]), "archive-link"),
    "zip: a device": (lambda out: with_member("cat/9.png", mode=0o020666), "archive-special"),
    "zip: a program": (lambda out: with_member("cat/9.png", image(99), mode=0o104777), "none"),
    "zip: encrypted": (lambda out: encrypted(), "archive-encrypted"),
    "zip: more than declared": (lambda out: last(with_member("cat/9.png", bytes(9)), 24, "<I", 4), "archive-damaged"),
    "zip: less than declared": (lambda out: last(with_member("cat/9.png", bytes(9)), 24, "<I", 12),
                                "archive-damaged"),
    "zip: a wrong sum": (lambda out: last(with_member("cat/9.png", bytes(9)), 16, "<I", 4), "archive-damaged"),
    "zip: an unknown method": (lambda out: last(with_member("cat/9.png"), 10, "<H", 97), "archive-damaged"),
    "zip: a bomb of bzip2": (
        lambda out: zipped(lambda archive: archive.writestr("cat/9.png", bytes(OVER), zipfile.ZIP_BZIP2)),
        "archive-damaged"),
    "zip: of a version to come": (lambda out: last(with_member("cat/9.png"), 6, "<H", 99), ""),
    "zip: a name that is no text": (
        lambda out: last(with_member("cat/9.png").replace(b"9.png", b"\xff.png"), 8, "<H", 0x800), ""),
    "zip: two names": (lambda out: contradicting("../../canary"), "archive-damaged"),
    "zip: another path in an extra": (lambda out: unicode_path("../../canary"), "none"),
    "zip: two members in one place": (lambda out: overlapping(), ""),
    "zip: a member over the next": (lambda out: quoted(), ""),
    "zip: a bomb": (lambda out: with_member("cat/9.png", bytes(OVER)), "archive-ratio"),
    "zip: a bomb that lies": (lambda out: last(with_member("cat/9.png", bytes(OVER)), 24, "<I", 99),
                              "archive-damaged"),
    "zip: a directory elsewhere": (lambda out: patched(zipped(), len(zipped()) - 6, "<I", 2**31), ""),
    "zip: more members than lines": (lambda out: patched(zipped(), len(zipped()) - 12, "<H", 60_000), "none"),
    "zip: no directory": (lambda out: zipped()[:-200], ""),
    "zip: one of several parts": (lambda out: patched(zipped(), len(zipped()) - 18, "<H", 1), "none"),
    "zip: an archive inside": (lambda out: with_member("cat/more.zip", zipped()), "archive-nested"),
    "zip: twice": (lambda out: with_member("cat/0.png", image(99)), "archive-twice"),
}  # fmt: skip


def _info(name: str, mode: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, mode << 16
    return info


def written_tar(folder: Path, path: Path, form: int = tarfile.PAX_FORMAT, mode: str = "w") -> Path:
    """A folder packed by Python's own tarfile."""
    with tarfile.open(path, mode, format=form) as archive:  # type: ignore[call-overload]
        archive.add(folder, folder.name)
    return path


def written_zip(folder: Path, path: Path, top: str = "") -> Path:
    """A folder packed by Python's own zipfile.  top: a folder around all."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, Path(top) / file.relative_to(folder))
    return path
