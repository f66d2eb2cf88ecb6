"""How much an archive may hold: the one place where its limits stand."""

from __future__ import annotations

from pathlib import Path

from striate.data.cache import no_room
from striate.errors import DataError

MOST_MEMBERS = 1_000_000
MOST_BYTES = 2**38
"""256 GiB: more than the largest public sets of photographs take."""

MOST_RATIO = 200
"""Drawn pictures saved raw shrink so much, photographs hardly; deflate alone can reach 1,032."""

SMALL_BYTES, SMALL_MEMBER_BYTES = 2**28, 2**24
"""What a whole archive, or one member, may unpack to whatever the ratio: it can do no harm."""

CURE = "if you trust it, unpack it yourself and give the folder"


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
        if self._members > MOST_MEMBERS:
            raise DataError(
                "it holds too many members", expected=f"at most {MOST_MEMBERS:,} in an archive", cure=CURE
            )

    def take(self, piece_bytes: int) -> None:
        """So many plain bytes more.  Raises: DataError where they are too many, ResourceError for the disk."""
        self._taken_bytes += piece_bytes
        if self._taken_bytes > MOST_BYTES:
            raise DataError(
                "it unpacks to too much", expected=f"at most {MOST_BYTES:,} bytes from an archive", cure=CURE
            )
        if self._taken_bytes > max(SMALL_BYTES, MOST_RATIO * self._archive_bytes):
            raise DataError(
                f"its {self._archive_bytes:,} bytes unpack to more than {self._taken_bytes - piece_bytes:,}, as "
                "an archive does that is made to fill a disk",
                expected=f"at most {MOST_RATIO} times its own length",
                cure=CURE,
            )
        if self._taken_bytes > self._free_bytes:
            raise no_room(self._root, self._taken_bytes, self._free_bytes, what="the unpacked archive takes")

    @staticmethod
    def most_of_member(packed_bytes: int) -> int:
        """How many plain bytes one member of so many packed ones may give."""
        return max(SMALL_MEMBER_BYTES, MOST_RATIO * packed_bytes)
