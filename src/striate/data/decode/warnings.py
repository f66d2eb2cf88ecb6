"""Keeping what libraries say of odd images off the terminal."""

from __future__ import annotations

import ctypes
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import _imaging


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """Keeps Pillow's, libtiff's and tifffile's complaints off the terminal; what matters becomes a finding.

    Only for the thread that starts others: these settings belong to the whole process.  They are put back.
    """
    # Pillow logs, too, and without any handler that goes to the terminal.
    log = logging.getLogger("PIL")
    if not log.handlers:
        log.addHandler(logging.NullHandler())
    with warnings.catch_warnings(), _quiet_libtiff():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield


@contextmanager
def _quiet_libtiff() -> Iterator[None]:
    """libtiff writes its errors to the terminal by itself; Pillow turns off only its warnings."""
    try:
        # A handle on Pillow's own library also finds what that library is linked with.
        set_handler = ctypes.CDLL(_imaging.__file__).TIFFSetErrorHandler
    except (OSError, AttributeError):  # linked in statically: then it cannot be reached
        yield
        return
    set_handler.restype, set_handler.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
    before = set_handler(None)
    try:
        yield
    finally:
        set_handler(before)
