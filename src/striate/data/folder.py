"""A folder of class folders, or of train, val and test folders with class folders in them."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

from striate.data.entry import SPLIT_NAMES, Entry, Listing
from striate.data.finding import Finding, shown
from striate.data.magic import PICTURE_SUFFIXES
from striate.data.walk import files_below, unreadable_folder, visible
from striate.errors import DataError, counted

EXPECTED = "a folder with one folder of pictures a class, or train/, val/ and test/ folders of such folders"


def list_folder(folder: Path, source: str, name: str) -> Listing:
    """The pictures-to-be in `folder`: a class is a folder, and its files may lie in folders of their own.

    The index of the classes is their names sorted by code point (as torchvision's ImageFolder does),
    over all splits together, so that a split which lacks a class shifts no label.

    A folder named `train` is a split, not a class of vehicles, where it holds folders and where a
    `val` (`valid`, `validation`) or `test` stands beside it or nothing else does.

    A class folder that may not be read is a finding.

    Raises: DataError where there are no class folders, fewer than two classes, or no files.
    """
    folders, others = visible(folder)
    splits = _split_folders(folder, folders, source)
    findings = [_outside(each, "this folder") for each in others if _pictorial(each)]
    found: list[tuple[str | None, str, str, Path]] = []  # split, class, shown name, path
    empty: list[tuple[str | None, str]] = []
    closed: list[DataError] = []  # why class folders could not be read
    if splits:
        for each in folders:
            if each not in splits.values():
                findings.append(
                    Finding(
                        "ignored-folder",
                        shown(each),
                        "it is no split, and it stands beside train/",
                        "move it away, or into a split",
                    )
                )
        for part, each in splits.items():
            below, loose = visible(folder / each)
            if not below and part != "train":
                findings.append(_unlabelled(each, len(loose)))
                continue
            findings += [_outside(f"{each}/{file}", f"{shown(each)}/") for file in loose if _pictorial(file)]
            _read_classes(folder / each, part, below, (folder, folder / each), found, empty, findings, closed)
    else:
        _refuse_what_is_no_data(folder, folders, others, source)
        _read_classes(folder, None, folders, (folder,), found, empty, findings, closed)

    classes = tuple(sorted({each[1] for each in found}))
    for split, class_name in empty:
        if class_name not in classes:
            where = f"{splits[split]}/{class_name}" if split else class_name
            findings.append(
                Finding("empty-class", shown(where), "the folder holds no files", "fill or remove it")
            )
    if closed and len(classes) < 2:
        raise closed[0]
    if not found:
        raise DataError(
            f"its {counted(len(folders), 'folder')} hold no files", place=source, expected=EXPECTED
        )
    if len(classes) < 2:
        raise one_class(source, classes)
    index = {each: label for label, each in enumerate(classes)}
    return Listing(
        source=source,
        name=name,
        kind="split-folder" if splits else "folder",
        classes=tuple(shown(each) for each in classes),
        entries=tuple(
            Entry(shown_name, index[class_name], split, None, path)
            for split, class_name, shown_name, path in found
        ),
        findings=tuple(findings),
    )


def one_class(source: str, classes: tuple[str, ...]) -> DataError:
    """The error that a source has one class only."""
    return DataError(
        f"there is only one class, {shown(classes[0])}" if classes else "there is no class",
        place=source,
        expected="at least two classes to tell apart",
        cure="add a second class of pictures; one of `other` things will do",
    )


def _split_folders(folder: Path, folders: list[str], source: str) -> dict[str, str]:
    """The split folders among `folders`: split -> the folder's name; empty where they are classes."""
    named: dict[str, list[str]] = {}
    for each in folders:
        if each.lower() in SPLIT_NAMES:
            named.setdefault(SPLIT_NAMES[each.lower()], []).append(each)
    rest = len(folders) - sum(map(len, named.values()))
    if "train" not in named:
        if named and not rest:
            raise DataError(
                f"there is {' and '.join(f'{each[0]}/' for each in named.values())} but no train/ folder",
                place=source,
                expected="train/ beside them, with the same class folders",
            )
        return {}
    if not (len(named) > 1 or not rest):
        return {}
    if not visible(folder / named["train"][0])[0]:
        if len(named) > 1 and not rest:
            raise DataError(
                f"{named['train'][0]}/ holds no class folders",
                place=source,
                expected="a folder for each class in it, or a manifest of paths and labels",
                cure="where the labels lie elsewhere, a .csv with the columns path, label and split",
            )
        return {}
    for split, names in named.items():
        if len(names) > 1:
            raise DataError(
                f"{' and '.join(f'{each}/' for each in names)} are both the {split} split",
                place=source,
                expected=f"one folder for the {split} split",
                cure="rename or remove the others",
            )
    return {split: named[split][0] for split in ("train", "val", "test") if split in named}


def _read_classes(
    folder: Path,
    split: str | None,
    names: list[str],
    within: tuple[Path, ...],
    found: list[tuple[str | None, str, str, Path]],
    empty: list[tuple[str | None, str]],
    findings: list[Finding],
    closed: list[DataError],
) -> None:
    prefix = f"{shown(folder.name)}/" if split else ""
    for each in names:
        # A Mac writes é as two characters where Linux writes one: train/ and val/ must still agree.
        class_name = unicodedata.normalize("NFC", each)
        try:
            files, odd = files_below(folder / each, prefix + shown(each), within)
        except DataError as problem:
            findings.append(unreadable_folder(prefix + shown(each), problem))
            closed.append(problem)
            continue
        findings += odd
        if not files:
            empty.append((split, class_name))
        found += [(split, class_name, name, path) for name, path in files]


def _refuse_what_is_no_data(folder: Path, folders: list[str], others: list[str], source: str) -> None:
    """Raises: DataError where there are no class folders to read, with what was probably meant."""
    if not folders and not others:
        raise DataError("the folder is empty", place=source, expected=EXPECTED)
    if not folders:
        pictures = sum(map(_pictorial, others))
        if pictures:
            raise DataError(
                f"{counted(pictures, 'picture')} {'lies' if pictures == 1 else 'lie'} directly in this "
                "folder, in no class folder",
                place=source,
                expected=EXPECTED,
                cure=f"make one folder a class, as {source.rstrip('/')}/cat/ and "
                f"{source.rstrip('/')}/dog/, and move each picture into its own, "
                "or write a manifest.csv with the columns path,label",
            )
        if any(each.startswith("data_batch_") for each in others):
            raise DataError(
                "these are CIFAR's Python pickles, and a pickle can run code when it is opened",
                place=source,
                expected=EXPECTED,
                cure="get CIFAR's binary version, with data_batch_1.bin",
            )
        raise DataError(
            f"there are no class folders, only {counted(len(others), 'file')} that "
            f"{'looks' if len(others) == 1 else 'look'} like no picture",
            place=source,
            expected=EXPECTED,
        )
    inner = inner_folder(folder, folders, others)
    if inner is not None:
        path = os.path.join(source, *inner.relative_to(folder).parts)
        raise DataError(
            f"it holds nothing but the folder {shown(folders[0])}/",
            place=source,
            expected=EXPECTED,
            cure=shown(path),
        )


def inner_folder(folder: Path, folders: list[str], others: list[str]) -> Path | None:
    """The folder with the data in a `folder` that only wraps it, or None where it wraps none.

    folders, others: what is visible in it.
    """
    if len(folders) != 1 or any(map(_pictorial, others)):
        return None
    return _only_folder_with_data(folder, folders[0])


def _only_folder_with_data(folder: Path, name: str) -> Path | None:
    """The first folder below `folder`/`name` that looks like data, where each holds only the next."""
    here = folder / name
    for _ in range(4):
        folders, others = visible(here)
        if len(folders) > 1 or any(each.lower() == "train" for each in folders):
            return here
        if any("-ubyte" in each or each.endswith(".bin") for each in others):
            return here
        if len(folders) != 1 or any(map(_pictorial, others)):
            return None
        here = here / folders[0]
    return None


def _pictorial(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in PICTURE_SUFFIXES


def _outside(name: str, where: str) -> Finding:
    return Finding(
        "outside-class",
        shown(name),
        f"it lies in {where} itself, in no class folder",
        "move it into its class's folder",
    )


def _unlabelled(folder: str, files: int) -> Finding:
    return Finding(
        "unlabelled-split",
        f"{shown(folder)}/",
        f"it has no class folders, only {counted(files, 'file')}",
        "sort its pictures into class folders, or leave it: it is not used",
    )
