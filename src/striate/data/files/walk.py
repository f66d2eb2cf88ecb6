"""Walking a folder without falling for loops, hidden files or what is no file."""

from __future__ import annotations

import os
from pathlib import Path

from striate.data.files.finding import Finding
from striate.errors import DataError
from striate.text.visible import visible

SYSTEM_NAMES = frozenset(
    {"thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "@eadir", "$recycle.bin", "icon\r", "lost+found"}
    | {"__pycache__"}
)
"""What operating systems and Python leave behind in folders, in small letters."""


def names_in(folder: Path) -> tuple[list[str], list[str]]:
    """The names of the folders and of the other things in `folder`, each sorted by code point.

    Left out without a word: names that begin with a dot (`.ipynb_checkpoints`, `._x.jpg`) and what
    operating systems leave behind (`Thumbs.db`, `__MACOSX`).  A link counts as what it leads to.

    Raises: DataError where the folder may not be read.
    """
    folders: list[str] = []
    others: list[str] = []
    try:
        with os.scandir(folder) as found:
            for each in found:
                if each.name.startswith(".") or each.name.lower() in SYSTEM_NAMES:
                    continue
                (folders if _leads_to_folder(each) else others).append(each.name)
    except PermissionError:
        raise DataError(
            "no permission to read this folder",
            place=visible(str(folder)),
            expected="a folder that you may read and enter",
            cure="give yourself the permission (chmod u+rx on Linux and macOS)",
        ) from None
    except OSError as problem:
        raise DataError(
            f"the folder cannot be read: {problem.strerror or problem}",
            place=visible(str(folder)),
            expected="a folder that you may read and enter",
            cure="check that its disk is there and its path not too long",
        ) from None
    return sorted(folders), sorted(others)


def _leads_to_folder(each: os.DirEntry[str]) -> bool:
    try:
        return each.is_dir()
    except OSError:  # a link that leads to itself: it will be named as a file that cannot be read
        return False


def files_below(
    folder: Path, name: str, within: tuple[Path, ...]
) -> tuple[list[tuple[str, Path]], list[Finding]]:
    """Everything in `folder` and the folders in it that is no folder, as (visible name, path), in order.

    Each real folder is walked once, so that links that lead in circles end: a link to a folder that
    was walked already is a finding, and so is a folder that may not be read.  No file is opened.

    name: how `folder` is visible; the files' names begin with it.
    within: the folders around it, up to the source: a link back to one of them is not followed.
    Raises: DataError where `folder` itself may not be read.
    """
    files: list[tuple[str, Path]] = []
    findings: list[Finding] = []
    walked = {_identity(each) for each in within} - {None}
    # Real folders are entered before links, so that a link to a sibling never hides the sibling.
    waiting: list[tuple[Path, str]] = [(folder, name)]
    links: list[tuple[Path, str]] = []
    while waiting or links:
        here, label = waiting.pop() if waiting else links.pop()
        identity = _identity(here)
        if identity in walked:
            findings.append(
                Finding(
                    "linked-twice",
                    label,
                    "a link to a folder that was already walked",
                    "remove the link",
                )
            )
            continue
        if identity is not None:
            walked.add(identity)
        try:
            folders, others = names_in(here)
        except DataError as problem:
            if here == folder:
                raise
            findings.append(unreadable_folder(label, problem))
            continue
        files.extend((f"{label}/{visible(each)}", here / each) for each in others)
        for each in folders:
            below = here / each
            (links if below.is_symlink() else waiting).append((below, f"{label}/{visible(each)}"))
    files.sort()
    return files, findings


def unreadable_folder(name: str, problem: DataError) -> Finding:
    """What is said of a folder whose files could not be listed.  name: as it is visible."""
    return Finding("unreadable-folder", f"{name}/", problem.problem, problem.cure)


def _identity(folder: Path) -> tuple[int, int] | None:
    try:
        stat = os.stat(folder)
    except OSError:
        return None
    # Some network drives have no file numbers.
    return (stat.st_dev, stat.st_ino) if stat.st_ino else None
