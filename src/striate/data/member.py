"""One member of an archive, and where its name may lead."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

from striate.data.finding import shown
from striate.errors import DataError

MOST_NAME_BYTES, MOST_PATH_BYTES, MOST_FOLDERS = 255, 1024, 16

_DRIVE = re.compile(r"[A-Za-z]:")
_NOT_ON_WINDOWS = re.compile(
    r'[<>:"|?*\x00-\x1f]|[ .]$|^(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?$', re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Member:
    """One member.

    name: as the archive has it; bytes that are no text stand as surrogates.
    trouble: the code and the reason of the finding that leaves it out, or None.
    pieces: its plain content; what is not taken is passed over.  Raises: Broken, DataError, ResourceError.
    """

    name: str
    folder: bool
    trouble: tuple[str, str] | None
    pieces: Iterator[bytes]


class Broken(Exception):
    """One member cannot be used, and the rest can: the code and the reason of its finding."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


def damaged(reason: str) -> DataError:
    """The error that an archive as a whole cannot be read."""
    return DataError(
        f"the archive is damaged: {reason}",
        expected="an archive that is whole, as its author made it",
        cure="fetch it again, and compare its hash",
    )


def hostile(reason: str) -> DataError:
    """The error of an archive that does what no honest one does.  Nothing of it is used."""
    return DataError(
        reason,
        expected="an archive of plain files in folders",
        cure="throw it away unless you know who made it; else unpack it yourself and give the folder",
    )


def parts_of(name: str) -> tuple[str, ...]:
    """The folders and the last name of a member's path, of which each is safe in a folder of ours.

    Empty for the top itself.
    Raises: DataError where it would lead out of the folder; Broken where no file here may have the name.
    """
    split = name.replace("\\", "/").split("/")
    if ".." in split or name.startswith(("/", "\\")) or _DRIVE.match(name):
        raise hostile(f"its member `{clipped(name)}` would lie outside of the folder it is unpacked into")
    if "\0" in name or "\\" in name:
        what = "a zero byte" if "\0" in name else "a backslash"
        raise Broken("archive-name", f"its name holds {what}")
    parts = tuple(each for each in split if each not in ("", "."))
    if len(parts) > MOST_FOLDERS + 1:
        raise Broken("archive-name", f"it lies in {len(parts) - 1} folders, and {MOST_FOLDERS} are the most")
    sizes = [len(each.encode("utf-8", "surrogateescape")) for each in parts]
    if any(each > MOST_NAME_BYTES for each in sizes) or sum(sizes) + len(sizes) > MOST_PATH_BYTES:
        raise Broken(
            "archive-name",
            f"its name is too long: {MOST_NAME_BYTES} bytes between slashes and {MOST_PATH_BYTES:,} in all are the most",
        )
    if os.name == "nt" and any(map(_NOT_ON_WINDOWS.search, parts)):
        raise Broken("archive-name", "Windows does not allow its name")
    return parts


def clipped(name: str) -> str:
    """A member's name in one printable line of at most 80 characters."""
    said = shown(name[:81])
    return said if len(said) <= 80 else said[:77] + "..."
