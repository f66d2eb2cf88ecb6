"""Archives as DATA: the same as the folder that was packed, unpacked once, never half, never beyond the limits."""

from __future__ import annotations

import gzip
import os
import shutil
import stat
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from data.conftest import Paint
from data.packed import (
    HONEST,
    header,
    image,
    member,
    pax,
    tar,
    with_member,
    written_tar,
    written_zip,
    zipped,
)
from data.test_data_listing import error_of
from striate.checks.check import check
from striate.checks.manifest import fixed_manifest
from striate.data.archives import allowance, archive, unpack
from striate.data.files.finding import Finding
from striate.data.formats.listing import list_data
from striate.data.gather import gather
from striate.errors import DataError, ResourceError, StriateError

TRUST = "  try: if you trust it, unpack it yourself and give the folder"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Names in errors are as typed, so tests type relative ones."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def packs(command: str) -> Callable[[Path, Path], object]:
    return lambda folder, path: subprocess.run(
        [part.format(folder=folder, path=path) for part in command.split()], check=True
    )


FORMS: dict[str, Callable[[Path, Path], object]] = {
    "photos.zip": written_zip,
    "wrapped.zip": lambda folder, path: written_zip(folder, path, "some/folder"),
    "photos.tar": written_tar,
    "photos.TGZ": lambda folder, path: written_tar(folder, path, tarfile.GNU_FORMAT, "w:gz"),
    "photos.tar.bz2": lambda folder, path: written_tar(folder, path, tarfile.USTAR_FORMAT, "w:bz2"),
    "photos.tar.xz": lambda folder, path: written_tar(folder, path, mode="w:xz"),
    "no_suffix": written_zip,
    "wrongly_named.zip": lambda folder, path: written_tar(folder, path, mode="w:gz"),
    "system.tgz": packs("tar czf {path} -C {folder} ."),
    "old.tar": packs("tar cf {path} --format=v7 -C {folder} cat dog"),
}


@pytest.mark.parametrize("name", FORMS)
def test_an_archive_is_the_folder_that_was_packed(name: str, here: Path, photos: Path) -> None:
    FORMS[name](photos, here / name)
    expected, found = gather(photos), gather(name)
    assert found.record == expected.record | {"source": name}
    assert found.name == name.split(".")[0]
    assert (found.train.names, found.val.names) == (expected.train.names, expected.val.names)
    assert (found.train.images == expected.train.images).all()


@pytest.mark.parametrize("top", ["", "wrapper"])
def test_splits_in_an_archive(top: str, here: Path, photos: Path) -> None:
    for split in ("train", "val"):
        shutil.copytree(photos, here / "splits" / split)
    (here / "splits" / "README.txt").write_text("hello")
    written_zip(here / "splits", here / "a.zip", top)
    assert gather("a.zip").record["splits"] == gather("splits").record["splits"]
    shutil.rmtree(here / "splits" / "val")
    written_zip(here / "splits", here / "b.zip")
    assert gather("b.zip").record["splits"] == gather("splits").record["splits"]


def test_idx_files_and_batches_in_an_archive(here: Path) -> None:
    idx = {
        "train-images-idx3-ubyte.gz": gzip.compress(b"\0\0\x08\x03" + b"\0\0\0\x04" * 3 + bytes(range(64))),
        "train-labels-idx1-ubyte": b"\0\0\x08\x01\0\0\0\x04\0\1\0\1",
    }
    for top in ("", "mnist/", "data/raw/"):
        content = tar(*[member(top + name, content) for name, content in idx.items()], honest=False)
        (here / "mnist.tar").write_bytes(content)
        listing = list_data("mnist.tar")
        assert (listing.name, listing.kind, listing.classes) == ("mnist", "idx", ("0", "1"))
        assert listing.arrays[0].images.shape == (4, 4, 4, 1)
    batch = b"".join(bytes([label]) + bytes(3072) for label in (0, 1, 1))
    (here / "cifar.tgz").write_bytes(
        gzip.compress(tar(member("cifar-10-batches-bin/data_batch_1.bin", batch), honest=False))
    )
    assert list_data("cifar.tgz").kind == "cifar"


def test_it_is_unpacked_once_and_anew_where_it_is_gone(
    here: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "a.zip").write_bytes(zipped())
    first = list_data("a.zip")
    (home,) = (cache / "archives").iterdir()
    assert sorted(each.name for each in home.iterdir() if each.name[0] != ".") == ["files", "index.json"]
    assert all(each.path.is_relative_to(home / "files") for each in first.entries)
    shutil.copy(here / "a.zip", here / "b.zip")
    with monkeypatch.context() as patch:
        patch.setattr(archive, "unpack_into", None)  # would fail
        assert list_data("a.zip").entries == first.entries
        assert list_data("b.zip").entries == first.entries, "the content counts, not the name"
    for damage in (
        lambda: first.entries[0].path.unlink(),
        lambda: first.entries[0].path.write_bytes(b""),
        lambda: first.entries[0].path.write_bytes(HONEST["cat/0.png"][:-1] + b"x"),
        lambda: first.entries[0].path.write_bytes(first.entries[1].path.read_bytes()),
        lambda: first.entries[0].path.rename(first.entries[0].path.with_name("other.png")),
        lambda: (home / "index.json").write_text("{"),
        lambda: (home / "files" / "cat" / "link").symlink_to("/"),
        lambda: shutil.rmtree(home),
    ):
        damage()
        assert list_data("a.zip").entries == first.entries
        assert first.entries[0].path.read_bytes() == HONEST["cat/0.png"]
    (here / "a.zip").write_bytes(with_member("cat/9.png", image(9)))
    assert len(list_data("a.zip").entries) == 7
    assert len(list((cache / "archives").iterdir())) == 2


def test_modes_are_ours(here: Path, cache: Path) -> None:
    before = os.umask(0o022)
    try:
        (here / "a.tar").write_bytes(tar())
        (here / "b.zip").write_bytes(with_member("cat/9.png", image(9), mode=0o106777))
        paths = [each.path for name in ("a.tar", "b.zip") for each in list_data(name).entries]
    finally:
        os.umask(before)
    assert {stat.S_IMODE(each.stat().st_mode) for each in paths} == {0o644}
    assert {stat.S_IMODE(each.parent.stat().st_mode) for each in paths} == {0o755}


def test_what_is_left_out_is_named_as_in_the_archive(here: Path) -> None:
    content = tar(
        member("./cat/link", kind=b"2", link=b"/etc/passwd"),
        member("__MACOSX/cat/._0.png", b"x"),
        member("__MACOSX/cat/._1.png", b"x"),
        member("cat/.DS_Store", b"x"),
        member("cat/\xff\n.png", image(50)),
    )
    (here / "my.tar").write_bytes(content)
    listing = list_data("my.tar")
    hidden = "hidden, or left behind by a system, and not unpacked"
    assert listing.findings == (
        Finding("archive-link", "my.tar/./cat/link", "it is a symbolic link", "pack the file itself"),
        Finding("hidden", "my.tar/__MACOSX", hidden, ""),
        Finding("hidden", "my.tar/cat/.DS_Store", hidden, ""),
    )
    assert len(listing.entries) == 7
    checked = check("my.tar")
    assert {"archive-link", "hidden", "unsafe-name"} <= checked.by_code().keys()
    assert list_data("my.tar").findings == listing.findings, "the second time, too"
    with pytest.raises(DataError, match=r"1 file cannot be used, and the check is strict"):
        gather("my.tar", strict=True)


@pytest.mark.parametrize(
    ("flags", "raw", "name"),
    [
        (0, "Kätzchen".encode("cp437"), "Kätzchen"),
        (0, "Kätzchen".encode(), "Kätzchen"),
        (0x800, "Kätzchen 猫".encode(), "Kätzchen 猫"),
    ],
)
def test_names_of_zips_are_read_as_they_were_meant(flags: int, raw: bytes, name: str, here: Path) -> None:
    content = with_member("x" * len(raw) + "/1.png", image(9)).replace(b"x" * len(raw), raw)
    for place in (content.rfind(b"PK\x01\x02") + 8, content.rfind(b"PK\x03\x04") + 6):
        content = content[:place] + flags.to_bytes(2, "little") + content[place + 2 :]
    (here / "a.zip").write_bytes(content)
    assert list_data("a.zip").classes == (name, "cat", "dog")


def test_a_zip_whose_names_have_backslashes_only(here: Path, paint: Paint) -> None:
    """As some programs for Windows write them; beside slashes a backslash is a part of the name."""
    with zipfile.ZipFile(here / "p.zip", "w") as archive:
        for name in ("d\\cat\\", "d\\cat\\1.png", "d\\dog\\2.png"):
            info = zipfile.ZipInfo("x")
            info.filename = name
            archive.writestr(info, b"" if name.endswith("\\") else paint(here / "1.png").read_bytes())
    assert [each.name for each in list_data("p.zip").entries] == ["cat/1.png", "dog/2.png"]


def test_long_names_of_every_writer(here: Path, paint: Paint) -> None:
    long = "n" * 120
    for number, name in enumerate(("a", "b")):
        paint(here / "p" / long / f"{name * 130}" / "1.png", number)
        paint(here / "p" / "short" / f"{name}.png", number + 5)
    expected = gather("p").record["splits"]
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        written_tar(here / "p", here / "a.tar", form)
        assert gather("a.tar").record["splits"] == expected
    written_zip(here / "p", here / "a.zip")
    assert gather("a.zip").record["splits"] == expected


def test_zip64_and_members_written_as_a_stream(here: Path) -> None:
    def edit(file: zipfile.ZipFile) -> None:
        with file.open("cat/9.png", "w", force_zip64=True) as out:
            out.write(image(9))

    (here / "a.zip").write_bytes(zipped(edit))
    assert len(list_data("a.zip").entries) == 7

    class Pipe:
        """A file that cannot be gone back in, so that lengths stand behind the members."""

        def __init__(self, path: Path) -> None:
            self.file = path.open("wb")

        def write(self, content: bytes) -> int:
            return self.file.write(content)

        def flush(self) -> None:
            self.file.flush()

    pipe = Pipe(here / "b.zip")
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as file:  # type: ignore[call-overload]
        for name, content in HONEST.items():
            file.writestr(name, content)
    pipe.file.close()
    assert len(list_data("b.zip").entries) == 6


def test_a_length_of_more_than_eight_gibibytes_is_read(here: Path) -> None:
    (here / "a.tar").write_bytes(
        tar(pax(size=b"3"), member("cat/9.png", b"abc"), header("cat/8.png", b"\x80" + bytes(11)))
    )
    listing = list_data("a.tar")
    assert {each.path.read_bytes() for each in listing.entries} >= {b"abc", b""}


def test_errors_of_whole_archives(here: Path) -> None:
    (here / "a.tar").write_bytes(tar(member("../x", b"x")))
    assert error_of("a.tar") == (
        "a.tar: its member `../x` would lie outside of the folder it is unpacked into\n"
        "  expected: an archive of plain files in folders\n"
        "  try: throw it away unless you know who made it; else unpack it yourself and give the folder"
    )
    (here / "b.tar").write_bytes(tar()[:-700])
    assert error_of("b.tar") == (
        "b.tar: the archive is damaged: its end is missing\n"
        "  expected: an archive that is whole, as its author made it\n"
        "  try: fetch it again, and compare its hash"
    )
    (here / "c.gz").write_bytes(gzip.compress(b"no tar at all"))
    assert error_of("c.gz") == (
        "c.gz: what is packed in it is no tar archive\n"
        "  expected: a .tar, or a .tar within .gz, .bz2 or .xz\n"
        "  try: unpack it and give the folder that it lies in"
    )
    with zipfile.ZipFile(here / "d.zip", "w"):
        pass
    assert error_of("d.zip") == (
        "d.zip: it holds no files\n  expected: an archive of images in class folders\n"
        "  try: pack a folder with one folder of images a class"
    )
    (here / "e.tar").write_bytes(tar(member("a", kind=b"6"), honest=False))
    assert error_of("e.tar") == (
        "e.tar: its only file cannot be used\n    a: it is a pipe\n"
        "  expected: an archive of images in class folders\n  try: pack the file itself"
    )
    (here / "f.tar").write_bytes(tar(member("cat/0.png", b"x"), honest=False))
    assert error_of("f.tar").startswith("f.tar: there is only one class, cat\n")


def test_the_limits(here: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "a.tar").write_bytes(tar())
    (here / "a.zip").write_bytes(zipped())
    for name in ("a.tar", "a.zip"):
        with monkeypatch.context() as patch:
            patch.setattr(allowance, "MOST_MEMBERS", 5)
            assert error_of(name) == (
                f"{name}: it holds too many members\n  expected: at most 5 in an archive\n{TRUST}"
            )
        with monkeypatch.context() as patch:
            patch.setattr(allowance, "MOST_BYTES", 1000)
            assert error_of(name) == (
                f"{name}: it unpacks to too much\n  expected: at most 1,000 bytes from an archive\n{TRUST}"
            )
    (here / "b.tgz").write_bytes(gzip.compress(tar(member("cat/9.png", bytes(2**21)))))
    with monkeypatch.context() as patch:
        patch.setattr(allowance, "SMALL_BYTES", 2**16)
        assert "bytes unpack to more than" in (said := error_of("b.tgz"))
        assert said.endswith(f"\n  expected: at most 200 times its own length\n{TRUST}")
    with monkeypatch.context() as patch:
        patch.setattr(unpack, "MOST_LEFT_OUT", 2)
        (here / "c.tar").write_bytes(tar(*[member("p", kind=b"6")] * 3))
        assert error_of("c.tar").startswith(
            "c.tar: more than 2 of its members cannot be used; the last: it is a pipe\n"
        )
    assert not list((cache / "archives").iterdir())
    assert len(list_data("b.tgz").entries) == 7, "what is small may shrink as it likes"


def test_a_full_disk(here: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "a.zip").write_bytes(zipped())
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(9, 9, 700))
    with pytest.raises(ResourceError) as error:
        list_data("a.zip")
    assert str(error.value) == (
        f"{cache}: the disk is full: the unpacked archive takes {error.value.problem.split()[8]} bytes and 700 are free\n"
        "  expected: room for them in the cache folder; nothing half-written was left there\n"
        "  try: striate cache --clear, or STRIATE_CACHE=/a/folder/with/room, or a smaller size"
    )
    assert not list((cache / "archives").iterdir())


@pytest.mark.parametrize(
    "problem", [KeyboardInterrupt(), OSError(28, "No space left on device"), RuntimeError()]
)
def test_after_any_exception_nothing_is_left(
    problem: BaseException, here: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "a.zip").write_bytes(zipped())
    calls = []

    def stop(head: bytes) -> None:
        calls.append(1)
        if len(calls) == 4:
            raise problem

    with monkeypatch.context() as patch:
        patch.setattr(unpack, "packing", stop)
        with pytest.raises(ResourceError if isinstance(problem, OSError) else type(problem)):
            list_data("a.zip")
    assert not list((cache / "archives").iterdir())
    assert len(list_data("a.zip").entries) == 6


KILLED = """
import os, sys
from striate.data.archives import unpack
real, calls = unpack.packing, []
def stop(head):
    calls.append(1)
    return os._exit(9) if len(calls) == 4 else real(head)
unpack.packing = stop
from striate.data.formats.listing import list_data
list_data("a.zip")
"""


def test_a_killed_extraction_leaves_nothing_that_looks_finished(here: Path, cache: Path) -> None:
    (here / "a.zip").write_bytes(zipped())
    assert subprocess.run([sys.executable, "-c", KILLED], check=False).returncode == 9
    (left,) = (cache / "archives").iterdir()
    assert left.name.startswith(".building-")
    assert len(list_data("a.zip").entries) == 6
    os.utime(left, (0, 0))
    for each in left.iterdir():
        os.utime(each, (0, 0))
    (here / "b.zip").write_bytes(with_member("cat/9.png", image(9)))
    list_data("b.zip")
    assert not left.exists(), "a day later it is swept"


def test_an_archive_that_changes_meanwhile(here: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "a.tar").write_bytes(tar())
    real = archive.unpack_into

    def changing(*given: object) -> None:
        real(*given)  # type: ignore[arg-type]
        with (here / "a.tar").open("ab") as file:
            file.write(bytes(512))

    monkeypatch.setattr(archive, "unpack_into", changing)
    assert error_of("a.tar").startswith("a.tar: the archive changed while it was read\n")
    assert not list((cache / "archives").iterdir())


def test_little_memory_is_taken(here: Path) -> None:
    """A member of 64 MiB passes through in pieces."""
    import tracemalloc

    (here / "a.tgz").write_bytes(gzip.compress(tar(member("cat/9.png", bytes(2**26))), 1))
    (here / "a.zip").write_bytes(with_member("cat/9.png", bytes(2**20) * 16))
    for name in ("a.tgz", "a.zip"):
        tracemalloc.start()
        try:
            list_data(name)
            assert tracemalloc.get_traced_memory()[1] < 2**24
        finally:
            tracemalloc.stop()


def test_a_manifest_of_an_archive_is_refused(here: Path, photos: Path) -> None:
    written_zip(photos, here / "a.zip")
    checked = check("a.zip")
    assert (checked.images, checked.kind, checked.unpacked) == (20, "folder", True)
    with pytest.raises(StriateError) as error:
        fixed_manifest(checked, here / "m.csv")
    assert str(error.value) == (
        "--manifest: a manifest names files, and these are packed in an archive\n"
        "  expected: a folder\n  try: unpack a.zip, and striate check the folder"
    )


def test_a_check_says_of_an_archive_what_it_says_of_the_folder(
    here: Path, photos: Path, paint: Paint
) -> None:
    paint(photos / "cat" / "copy.png", 3, (43, 50))
    (photos / "dog" / "text.jpg").write_text("hello")
    written_zip(photos, here / "a.zip")
    expected, found = check(photos), check("a.zip")
    assert found.findings == expected.findings
    assert found.counts == expected.counts
