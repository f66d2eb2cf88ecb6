"""How much memory a source may ask for before it is refused."""

from __future__ import annotations

import os

from striate.errors import ResourceError


def refuse_beyond_memory(needed_bytes: int, place: str) -> None:
    """Raises: ResourceError where `needed_bytes` are more than this machine's whole memory.

    Called with what a header declares, before anything of that size is allocated.
    """
    there = machine_bytes()
    if there is not None and needed_bytes > there:
        raise ResourceError(
            f"it declares {needed_bytes:,} bytes of images",
            place=place,
            expected=f"at most the {there:,} bytes of memory of this machine",
            cure="give the images as files in class folders: they are read piece by piece",
        )


def machine_bytes() -> int | None:
    """The machine's memory in bytes, or None where the system does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
