"""Values out of a record that may be cut off, damaged or edited by hand: what they should be, or None."""

from __future__ import annotations

import math
from collections.abc import Mapping

# A number beyond this is damage, and drawing it would overflow.
LARGEST = 1e30


def at(record: object, *keys: str) -> object:
    """The value behind nested keys, or None where one is missing."""
    for key in keys:
        if not isinstance(record, Mapping):
            return None
        record = record.get(key)
    return record


def number(value: object) -> float | None:
    """A finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not -LARGEST < value < LARGEST or not math.isfinite(value):
        return None
    return float(value)


def share(value: object) -> float | None:
    """A number from 0 to 1."""
    found = number(value)
    return found if found is not None and 0 <= found <= 1 else None


def whole(value: object) -> int | None:
    """A whole number from 0."""
    found = number(value)
    return int(found) if found is not None and found >= 0 and found == int(found) else None


def text(value: object) -> str:
    """A text, empty where it is none."""
    return value if isinstance(value, str) else ""


def items(value: object) -> list[object]:
    """A list, empty where it is none."""
    return list(value) if isinstance(value, list) else []


def texts(value: object) -> tuple[str, ...]:
    """A list of texts."""
    return tuple(str(each) for each in items(value))


def pairs(value: object) -> list[tuple[str, object]]:
    """The keys and values of a record, none where it is none."""
    return [(str(key), each) for key, each in value.items()] if isinstance(value, Mapping) else []
