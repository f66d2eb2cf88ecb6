"""What was measured on this machine, kept in the cache so that it is measured once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from striate.disk.atomic import write_atomic
from striate.disk.cache import cache_root
from striate.errors import ResourceError

Found = TypeVar("Found")


def measured_once(
    kind: str,
    key: dict[str, Any],
    measure: Callable[[], dict[str, Any]],
    read: Callable[[dict[str, Any]], Found],
    *,
    again: bool = False,
) -> Found:
    """What `read` makes of a measurement: of the one that is kept, or of a new one that is kept then.

    kind, key: what is measured, on what machine, with what versions.  measure: plain values, as JSON has them.
    again: measure anew, and forget all that was kept of any kind.
    A cache that cannot be written costs a measurement next time, and nothing else.
    """
    name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
    file = cache_root(None) / "machine" / f"{kind}-{name}.json"
    if again:
        for old in file.parent.glob("*.json"):
            old.unlink(missing_ok=True)
    elif (kept := _kept(file)) is not None:
        try:
            return read(kept)
        except (LookupError, TypeError):
            # Of another striate.
            pass
    made = measure()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(file, json.dumps(made, indent=1).encode())
    except (OSError, ResourceError):
        pass
    return read(made)


def _kept(file: Path) -> dict[str, Any] | None:
    """What was kept, or None where there is nothing or it cannot be read."""
    try:
        found = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
