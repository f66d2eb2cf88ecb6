"""The hash that a fetched file should have, and whether it has it."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from striate.weights.trouble import WeightsError, unreadable

# torch.hub's custom: `resnet18-f37072fd.pth` begins its SHA-256 so.  A number without a letter is a date.
_IN_NAME = re.compile(r"[-_.]([0-9a-f]{8,64})\.(?:pth|pt|th|bin|safetensors|tar)$")
_LEAST = 8
_LONGEST = 64
_PIECE_BYTES = 1 << 20


def wanted_hash(sha256: str | None) -> str | None:
    """A hash as the user wrote it, in small letters.  Raises WeightsError where it is none."""
    if sha256 is None:
        return None
    wanted = sha256.strip().lower().removeprefix("sha256:")
    if not _LEAST <= len(wanted) <= _LONGEST or set(wanted) - set("0123456789abcdef"):
        raise WeightsError(
            f"`{sha256[:80]}` is no SHA-256",
            place="--sha256",
            expected=f"{_LEAST} to {_LONGEST} digits of 0-9 and a-f",
            cure="sha256sum FILE, where the file is known to be good",
        )
    return wanted


def hash_in_name(name: str) -> str | None:
    """The beginning of the SHA-256 that a file's name promises, if it promises one."""
    found = _IN_NAME.search(name)
    return found[1] if found and not found[1].isdigit() else None


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in small letters.  Raises WeightsError where it cannot be read."""
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            while piece := file.read(_PIECE_BYTES):
                digest.update(piece)
    except OSError as problem:
        raise unreadable(path, problem) from None
    return digest.hexdigest()


def wrong_hash(place: str, found: str, wanted: str, cure: str) -> WeightsError:
    """The error of a file that is not the one that was meant."""
    return WeightsError(
        f"its SHA-256 is {found}; the file is not used",
        place=place,
        expected=wanted,
        cure=cure,
    )
