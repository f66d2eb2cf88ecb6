"""What an archive may hold: how many members, how many bytes, and names that lead nowhere else."""

from __future__ import annotations

import os
import re
from pathlib import Path

from striate.disk.cache import no_room
from striate.errors import DataError
from striate.text.visible import visible

MOST_MEMBERS = 1_000_000
MOST_BYTES = 2**38
"""256 GiB: more than the largest public sets of photographs take."""

MOST_RATIO = 200
"""Drawn images saved raw shrink so much, photographs hardly; deflate alone can reach 1,032."""

SMALL_BYTES, SMALL_MEMBER_BYTES = 2**28, 2**24
"""What a whole archive, or one member, may unpack to whatever the ratio: it can do no harm."""

MOST_NAME_BYTES, MOST_PATH_BYTES, MOST_FOLDERS = 255, 1024, 16

_CURE = "if you trust it, unpack it yourself and give the folder"


_DRIVE = re.compile(r"[A-Za-z]:")
_NOT_ON_WINDOWS = re.compile(
    r'[<>:"|?*\x00-\x1f]|[ .]$|^(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?$', re.IGNORECASE
)


class Allowance:
    """What is left of the limits on one archive; asked for every member and every piece that comes out.

    archive_bytes: its length.  root: the cache; free_bytes: on its disk.  Headers are not believed: what
    counts is what comes out, whether it is kept or not.
    """

    def __init__(self, archive_bytes: int, root: Path, free_bytes: int) -> None:
        self._archive_bytes = archive_bytes
        self._root = root
        self._free_bytes = free_bytes
        self._members = 0
        self._taken_bytes = 0

    def count(self) -> None:
        """One member more.  Raises: DataError where they are too many."""
        self._members += 1
        refuse_many(self._members)

    def take(self, piece_bytes: int) -> None:
        """So many plain bytes more.  Raises: DataError where they are too many, ResourceError for the disk."""
        self._taken_bytes += piece_bytes
        if self._taken_bytes > MOST_BYTES:
            raise DataError(
                "it unpacks to too much", expected=f"at most {MOST_BYTES:,} bytes from an archive", cure=_CURE
            )
        if self._taken_bytes > max(SMALL_BYTES, MOST_RATIO * self._archive_bytes):
            raise DataError(
                f"its {self._archive_bytes:,} bytes unpack to more than {self._taken_bytes - piece_bytes:,}, as "
                "an archive does that is made to fill a disk",
                expected=f"at most {MOST_RATIO} times its own length",
                cure=_CURE,
            )
        if self._taken_bytes > self._free_bytes:
            raise no_room(self._root, self._taken_bytes, self._free_bytes, what="the unpacked archive takes")

    @staticmethod
    def most_of_member(packed_bytes: int) -> int:
        """How many plain bytes one member of so many packed ones may give."""
        return max(SMALL_MEMBER_BYTES, MOST_RATIO * packed_bytes)


def refuse_many(members: int) -> None:
    """Raises: DataError where an archive holds more members than it may."""
    if members > MOST_MEMBERS:
        raise DataError(
            "it holds too many members", expected=f"at most {MOST_MEMBERS:,} in an archive", cure=_CURE
        )


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
    said = visible(name[:81])
    return said if len(said) <= 80 else said[:77] + "..."
