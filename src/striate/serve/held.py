"""The bundle that is served, and its successor: read, tried and put in its place while requests come in."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np

from striate.bundle.bundle import Bundle
from striate.errors import StriateError

# How often the files of the bundle are looked at.
EVERY_S = 1.0

log = logging.getLogger("striate.serve")


class Held:
    """The bundle at a path, as it was when it was last good.

    A new one may be moved there at any time: it is read and asked once beside the old one, and takes its place
    where it answers.  One that is damaged, or still being copied, is refused, and looked at again when its
    files change.

    told: hears of every new bundle, and of every refused one as False.
    """

    def __init__(self, path: Path, read: Callable[[Path], Bundle], told: Callable[[bool], None]) -> None:
        self.path = path
        self.read = read
        self.told = told
        self._seen = fingerprint(path)
        self.current = read(path)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="bundle", daemon=True)

    def start(self) -> None:
        """Begin to look for a new bundle."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stop.set()
        self._thread.join()

    def look(self) -> None:
        """Take the bundle at the path where its files are others than they were."""
        now = fingerprint(self.path)
        if now == self._seen:
            return
        self._seen = now
        try:
            fresh = self.read(self.path)
            height, width = fresh.manifest.preprocessing.stored_size
            channels = fresh.manifest.preprocessing.channels
            fresh.answer_stored(np.zeros((1, height, width, channels), fresh.manifest.preprocessing.dtype))
        except (StriateError, OSError, MemoryError) as problem:
            log.warning("the new bundle is refused, the old one serves on: %s", problem)
            self.told(False)
            return
        except Exception:
            log.exception("the new bundle is refused, the old one serves on")
            self.told(False)
            return
        self.current = fresh
        self.told(True)
        log.info("a new bundle serves: %s", fresh.name)

    def _watch(self) -> None:
        while not self._stop.wait(EVERY_S):
            self.look()


def fingerprint(path: Path) -> tuple[tuple[str, int, int, int], ...]:
    """Names, inodes, sizes and times of the files of a bundle; empty where there is none."""
    try:
        if not path.is_dir():
            found = path.stat()
            return (("", found.st_ino, found.st_size, found.st_mtime_ns),)
        with os.scandir(path) as entries:
            each = [(entry.name, entry.stat()) for entry in entries]
        return tuple(sorted((name, at.st_ino, at.st_size, at.st_mtime_ns) for name, at in each))
    except OSError:
        return ()
