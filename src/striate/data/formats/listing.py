"""From what a user calls DATA to the list of its images."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from striate.data.archives.archive import archive_kind, unpacked
from striate.data.archives.members import READ
from striate.data.files.entry import ArraySplit as ArraySplit
from striate.data.files.entry import Entry as Entry
from striate.data.files.entry import Listing as Listing
from striate.data.files.entry import is_idx, split_of
from striate.data.files.magic import IMAGE_SUFFIXES
from striate.data.files.walk import names_in
from striate.data.formats.builtin import BUILT_IN, list_digits
from striate.data.formats.cifar import is_cifar, list_cifar
from striate.data.formats.folder import inner_folder, list_folder, one_class
from striate.data.formats.idx import list_idx
from striate.data.formats.manifest import SUFFIXES, list_manifest
from striate.data.formats.npz import list_npz
from striate.disk.cache import cache_root
from striate.errors import DataError, nearest
from striate.text.visible import visible

EXPECTED = (
    "a folder of class folders, a folder of train/, val/ and test/, MNIST's idx files, CIFAR's binary "
    "batches, a .zip or .tar(.gz, .bz2, .xz) of one of these, an .npz, a manifest (.csv, .tsv or .jsonl), or a "
    "built-in name: " + ", ".join(BUILT_IN)
)

_ARCHIVES = (".tar.gz", ".tar.bz2", ".tar.xz", ".tgz", ".tbz2", ".txz", ".tar", ".zip")
_OTHERS = (".7z", ".rar", ".zst", ".tzst", ".gz", ".bz2", ".xz", ".lz", ".lz4", ".z", ".cab")


def list_data(source: str | Path, *, cache: Path | None = None) -> Listing:
    """The images, or the arrays, that `source` stands for.

    A path wins over a built-in name.  Files are listed and not opened; arrays are read.  An archive is known
    by its content, not its name, and unpacked into the cache the first time; it is listed as the folder is
    that was packed, and a single folder that wraps all of it does not count.
    cache: None for the usual place.
    Raises: DataError, ResourceError, MissingExtra.
    """
    path = Path(os.path.expanduser(source))
    place = visible(str(source))
    name = visible(path.name or path.resolve().name)
    try:
        there = bool(str(source)) and path.exists()  # Path("") is the current folder
        folder = path.is_dir()
        regular = path.is_file()
    except (OSError, ValueError) as problem:
        raise DataError(f"it cannot be looked at: {problem}", place=place, expected=EXPECTED) from None
    if not there:
        if str(source) in BUILT_IN:
            return list_digits()
        near = None if path.is_symlink() else nearest(str(source), BUILT_IN) or _near_path(path)
        raise DataError(
            "this is a link that leads nowhere"
            if path.is_symlink()
            else "there is no such file or folder, and no built-in data of this name",
            place=place or "''",
            expected=EXPECTED,
            cure=near or "",
        )
    if folder:
        listing = _list_in_folder(path, place, name)
    elif regular and path.suffix.lower() == ".npz":
        listing = list_npz(path, place, name)
    elif regular and path.suffix.lower() in SUFFIXES:
        listing = list_manifest(path, place, name)
    elif not regular:
        raise DataError("this is no file and no folder", place=place, expected=EXPECTED)
    elif is_idx([path.name]) or is_cifar([path.name]):
        raise DataError(
            "this is one file of several", place=place, expected=EXPECTED, cure=visible(str(path.parent))
        )
    elif path.suffix.lower() in _HELD_ELSEWHERE:
        raise _no_data(path, place, None)
    elif (kind := archive_kind(path, place)) in READ:
        listing = _list_archive(path, place, name, cache_root(cache))
    else:
        raise _no_data(path, place, kind)
    if len(listing.classes) < 2:
        raise one_class(place, listing.classes)
    return listing


def _no_data(path: Path, place: str, kind: str | None) -> DataError:
    """The error that a file is nothing to learn from.  kind: how it is packed, or None."""
    said = path.name.lower()
    if kind is None and said.endswith(_ARCHIVES):
        return DataError(
            "its name says that it is an archive, and its content is none",
            place=place,
            expected=EXPECTED,
            cure="fetch it again, and compare its hash",
        )
    cure = "unpack it and give the folder" if kind or said.endswith(_OTHERS) else ""
    return DataError(
        "this is no file of images and labels",
        place=place,
        expected=EXPECTED,
        cure=_HELD_ELSEWHERE.get(path.suffix.lower(), cure),
    )


_TABLE, _ARRAYS = (
    "save it as .csv, with path,label in the first line",
    ('as arrays, numpy.savez("data.npz", x_train=images, y_train=labels)'),
)
_HELD_ELSEWHERE = {
    **dict.fromkeys((".txt", ".lst", ".xlsx", ".xls", ".ods"), _TABLE),
    **dict.fromkeys((".parquet", ".feather", ".arrow", ".tfrecord", ".lmdb", ".mat", ".npy"), _ARRAYS),
    **dict.fromkeys((".h5", ".hdf5", ".pkl", ".pickle", ".pt", ".pth"), _ARRAYS),
    **dict.fromkeys(IMAGE_SUFFIXES - {".npy"}, "a folder of class folders; or striate predict RUN IMAGE"),
    ".json": 'one object a line, {"path": "a.jpg", "label": "cat"}, as .jsonl',
    ".yaml": "the folder that holds the images",
    ".yml": "the folder that holds the images",
}
"""What helps where images and labels are kept in a way that is not read, by the suffix."""


def _list_archive(path: Path, place: str, name: str, root: Path) -> Listing:
    found = unpacked(path, place, root)
    folders, others = names_in(found.folder)
    inner = None
    if not (is_idx(others) or is_cifar(others) or [split_of(each) for each in folders] == ["train"]):
        inner = inner_folder(found.folder, folders, others)
    suffix = next((each for each in _ARCHIVES if name.lower().endswith(each)), "")
    stem = name[: len(name) - len(suffix)] or name
    listing = _list_in_folder(inner or found.folder, place, stem)
    findings = (replace(each, name=f"{name}/{each.name}") for each in found.findings)
    return replace(listing, unpacked=True, findings=(*findings, *listing.findings))


def _list_in_folder(path: Path, place: str, name: str) -> Listing:
    others = names_in(path)[1]
    if is_idx(others) or is_cifar(others):
        files = [each for each in others if (path / each).is_file()]  # a pipe would block its reader
        if is_idx(files):
            return list_idx(path, files, place.rstrip("/"), name)
        if is_cifar(files):
            return list_cifar(path, files, place.rstrip("/"), name)
    return list_folder(path, place, name)


def _near_path(path: Path) -> str | None:
    """What lies where `path` should lie and is called nearly so."""
    parent = path.parent
    try:
        there = [each.name for each in os.scandir(parent) if not each.name.startswith(".")]
    except OSError:
        return _near_path(parent) if parent != parent.parent else None
    near = nearest(path.name, there)
    return visible(str(parent / near)) if near else None
