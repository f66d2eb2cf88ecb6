"""A folder of class folders, or of train, val and test folders with class folders in them."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from striate.data.files.entry import Entry, Listing, split_of
from striate.data.files.finding import Finding
from striate.data.files.magic import IMAGE_SUFFIXES
from striate.data.files.walk import files_below, names_in, unreadable_folder
from striate.errors import DataError, counted
from striate.text.visible import visible

EXPECTED = "a folder with one folder of images a class, or train/, val/ and test/ folders of such folders"


@dataclass(frozen=True)
class _Walked:
    """What class folders hold.

    found: split, class, visible name and path of each file.  empty: split and class of folders without files.
    closed: why class folders could not be read.  below: of each class with files, the folders in its folder.
    """

    found: list[tuple[str | None, str, str, Path]]
    empty: list[tuple[str | None, str]]
    findings: list[Finding]
    closed: list[DataError]
    below: dict[str, set[str]]


def list_folder(folder: Path, source: str, name: str) -> Listing:
    """The images-to-be in `folder`: a class is a folder, and its files may lie in folders of their own.

    The index of the classes is their names sorted by code point (as torchvision's ImageFolder does),
    over all splits together, so that a split which lacks a class shifts no label.

    A folder named `train` is a split, not a class of vehicles, where it holds folders and where one for
    validation or test stands beside it or nothing else does; `split_of` knows what they are called.  A
    folder in a split that only wraps the class folders does not count.

    A class folder that may not be read is a finding.

    Raises: DataError where there are no class folders, fewer than two classes, or no files.
    """
    folders, others = names_in(folder)
    splits = _split_folders(folder, folders, source)
    findings = [_outside(each, "this folder") for each in others if _pictorial(each)]
    walked = _Walked([], [], findings, [], {})
    if splits:
        for each in folders:
            if each not in splits.values():
                findings.append(
                    Finding(
                        "ignored-folder",
                        visible(each),
                        "it is no split, and it stands beside train/",
                        "move it away, or into a split",
                    )
                )
        for part, each in splits.items():
            inside, label = folder / each, visible(each)
            below, loose = names_in(inside)
            if len(below) == 1 and not any(map(_pictorial, loose)) and names_in(inside / below[0])[0]:
                inside, label = inside / below[0], f"{label}/{visible(below[0])}"
                below, loose = names_in(inside)
            if part != "train" and all(map(_besides_images, below)):
                findings.append(_unlabelled(label, below, len(loose)))
                continue
            findings += [_outside(f"{label}/{file}", f"{label}/") for file in loose if _pictorial(file)]
            within = (folder, folder / each, inside)
            _read_classes(inside, part, f"{label}/", below, within, walked)
    else:
        _refuse_what_is_no_data(folder, folders, others, source)
        _read_classes(folder, None, "", folders, (folder,), walked)

    found = walked.found
    classes = tuple(sorted(walked.below))
    for split, class_name in walked.empty:
        if class_name not in classes:
            where = f"{splits[split]}/{class_name}" if split else class_name
            findings.append(
                Finding("empty-class", visible(where), "the folder holds no files", "fill or remove it")
            )
    if walked.closed and len(classes) < 2:
        raise walked.closed[0]
    if not found:
        raise DataError(
            f"its {counted(len(folders), 'folder')} hold no files", place=source, expected=EXPECTED
        )
    if len(classes) < 2:
        raise one_class(source, classes, sorted(set().union(*walked.below.values())))
    _refuse_annotations(classes, source)
    findings += _same_folders(walked.below, source)
    index = {each: label for label, each in enumerate(classes)}
    return Listing(
        source=source,
        name=name,
        kind="split-folder" if splits else "folder",
        classes=tuple(visible(each) for each in classes),
        entries=tuple(
            Entry(shown_name, index[class_name], split, None, path)
            for split, class_name, shown_name, path in found
        ),
        findings=tuple(findings),
    )


def one_class(source: str, classes: tuple[str, ...], below: Sequence[str] = ()) -> DataError:
    """The error that a source has one class only.  below: the folders in its folder, which may be the classes."""
    inside = (
        f"{source.rstrip('/')}/{visible(classes[0])}, where {visible(below[0])}/ is a class"
        if below[1:]
        else ""
    )
    return DataError(
        f"there is only one class, {visible(classes[0])}" if classes else "there is no class",
        place=source,
        expected="at least two classes to tell apart",
        cure=inside or "add a second class of images; one of `other` things will do",
    )


def _refuse_annotations(classes: tuple[str, ...], source: str) -> None:
    """Raises: DataError where the "classes" are the images and the annotations of another kind of data set."""
    named = {each.casefold() for each in classes}
    if named & _IMAGES and named <= _IMAGES | _ANNOTATIONS:
        raise DataError(
            f"{' and '.join(f'{visible(each)}/' for each in classes)} are no classes: this is laid out as data for "
            "detection or segmentation",
            place=source,
            expected=EXPECTED,
            cure="one folder of images a class, or a manifest.csv with the columns path,label",
        )


def _same_folders(below: dict[str, set[str]], source: str) -> list[Finding]:
    """A finding where all class folders hold the same folders: then these may be the classes.

    below: the class folders, and the names of the folders with files in each.
    """
    shared = sorted(set.intersection(*below.values()))
    if len(shared) < 2:
        return []
    classes, inner = (
        f"{', '.join(names[:-1])} and {names[-1]}" for names in (_some(sorted(below)), _some(shared))
    )
    if all(map(split_of, shared)):
        reason = f"{classes} all hold the folders {inner}, and these splits are not kept apart"
        cure = f"turn the folders round, as {shared[0]}/{min(below)}/"
    else:
        reason = f"{classes} are learnt as the classes, and all hold the folders {inner}"
        cure = f"if {inner} are the classes, give one folder a class, with the images of {classes} together"
    return [Finding("same-folders", visible(source), reason, cure)]


def _some(names: list[str]) -> list[str]:
    most = [f"{visible(each)}/" for each in names[:_NAMED]]
    return most + [f"{len(names) - _NAMED:,} more"] * (len(names) > _NAMED)


_NAMED = 4


def _split_folders(folder: Path, folders: list[str], source: str) -> dict[str, str]:
    """The split folders among `folders`: split -> the folder's name; empty where they are classes."""
    named: dict[str, list[str]] = {}
    for each, split in zip(folders, map(split_of, _without_common_words(folders)), strict=True):
        if split is not None:
            named.setdefault(split, []).append(each)
    others = set(folders) - {each for names in named.values() for each in names}
    if "train" not in named:
        if named and not others:
            raise DataError(
                f"there is {' and '.join(f'{each[0]}/' for each in named.values())} but no train/ folder",
                place=source,
                expected="train/ beside them, with the same class folders",
            )
        return {}
    if len(named) == 1 and others:
        return {}
    if not names_in(folder / named["train"][0])[0]:
        if all(map(_besides_images, others)) and (len(named) > 1 or not others):
            raise DataError(
                f"{visible(named['train'][0])}/ holds no class folders",
                place=source,
                expected="a folder for each class in it, or a manifest of paths and labels",
                cure="where the labels lie elsewhere, a .csv with the columns path, label and split",
            )
        return {}
    for split, names in named.items():
        if len(names) > 1:
            raise DataError(
                f"{' and '.join(f'{visible(each)}/' for each in names)} are both the {split} split",
                place=source,
                expected=f"one folder for the {split} split",
                cure="rename or remove the others",
            )
    return {split: named[split][0] for split in ("train", "val", "test") if split in named}


def _without_common_words(folders: list[str]) -> list[str]:
    """The names without what all begin with, as `seg_` of seg_train and seg_test."""
    first = re.match(r".*?[_\- .]", folders[0]) if len(folders) > 1 else None
    shared = first is not None and all(each.startswith(first[0]) for each in folders)
    return [each.removeprefix(first[0]) for each in folders] if first and shared else folders


def _besides_images(folder: str) -> bool:
    return folder.casefold() in _IMAGES | _ANNOTATIONS


_IMAGES = frozenset({"images", "image", "imgs", "img", "jpegimages", "pictures", "photos"})
_ANNOTATIONS = frozenset(
    {"labels", "label", "annotations", "annotation", "masks", "mask", "xmls", "trimaps", "bboxes", "metadata"}
    | {"imagesets", "segmentationclass", "segmentationobject", "gt", "ground_truth"}
)
"""What stands beside the images in data sets for detection and segmentation, in small letters."""


def _read_classes(
    folder: Path, split: str | None, prefix: str, names: list[str], within: tuple[Path, ...], walked: _Walked
) -> None:
    for each in names:
        # A Mac writes é as two characters where Linux writes one: train/ and val/ must still agree.
        class_name = unicodedata.normalize("NFC", each)
        label = prefix + visible(each)
        try:
            files, odd = files_below(folder / each, label, within)
        except DataError as problem:
            walked.findings.append(unreadable_folder(label, problem))
            walked.closed.append(problem)
            continue
        walked.findings.extend(odd)
        if not files:
            walked.empty.append((split, class_name))
            continue
        walked.found.extend((split, class_name, name, path) for name, path in files)
        inner = (name[len(label) + 1 :].partition("/") for name, _ in files)
        walked.below.setdefault(class_name, set()).update(first for first, slash, _ in inner if slash)


def _refuse_what_is_no_data(folder: Path, folders: list[str], others: list[str], source: str) -> None:
    """Raises: DataError where there are no class folders to read, with what was probably meant."""
    if not folders and not others:
        raise DataError("the folder is empty", place=source, expected=EXPECTED)
    if not folders:
        images = sum(map(_pictorial, others))
        if images:
            raise DataError(
                f"{counted(images, 'image')} {'lies' if images == 1 else 'lie'} directly in this "
                "folder, in no class folder",
                place=source,
                expected=EXPECTED,
                cure=f"make one folder a class, as {source.rstrip('/')}/cat/ and "
                f"{source.rstrip('/')}/dog/, and move each image into its own, "
                "or write a manifest.csv with the columns path,label",
            )
        if {"data_batch_1", "test_batch"} & set(others) or {"train", "test", "meta"} <= set(others):
            raise DataError(
                "these are CIFAR's Python pickles, and a pickle can run code when it is opened",
                place=source,
                expected=EXPECTED,
                cure="get CIFAR's binary version, with data_batch_1.bin",
            )
        raise DataError(
            f"there are no class folders, only {counted(len(others), 'file')} that "
            f"{'looks' if len(others) == 1 else 'look'} like no image",
            place=source,
            expected=EXPECTED,
        )
    inner = inner_folder(folder, folders, others)
    if inner is not None:
        path = os.path.join(source, *inner.relative_to(folder).parts)
        raise DataError(
            f"it holds nothing but the folder {visible(folders[0])}/",
            place=source,
            expected=EXPECTED,
            cure=visible(path),
        )


def inner_folder(folder: Path, folders: list[str], others: list[str]) -> Path | None:
    """The folder with the data in a `folder` that only wraps it, or None where it wraps none.

    folders, others: what is seen of it.
    """
    if len(folders) != 1 or any(map(_pictorial, others)):
        return None
    return _only_folder_with_data(folder, folders[0])


def _only_folder_with_data(folder: Path, name: str) -> Path | None:
    """The first folder below `folder`/`name` that looks like data, where each holds only the next."""
    here = folder / name
    for _ in range(4):
        folders, others = names_in(here)
        if len(folders) > 1 or any(split_of(each) == "train" for each in folders):
            return here
        if any("-ubyte" in each or each.endswith(".bin") for each in others):
            return here
        if len(folders) != 1 or any(map(_pictorial, others)):
            return None
        here = here / folders[0]
    return None


def _pictorial(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES


def _outside(name: str, where: str) -> Finding:
    return Finding(
        "outside-class",
        visible(name),
        f"it lies in {where} itself, in no class folder",
        "move it into its class's folder",
    )


def _unlabelled(folder: str, below: list[str], files: int) -> Finding:
    return Finding(
        "unlabelled-split",
        f"{visible(folder)}/",
        f"it has no class folders, only {' and '.join(f'{each}/' for each in below) or counted(files, 'file')}",
        "sort its images into class folders, or leave it: it is not used",
    )
