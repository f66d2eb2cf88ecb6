"""What all routes share: the bundle and its successor, the engine, the counters, and whether the service is ending."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np

from striate.bundle.bundle import Bundle
from striate.errors import StriateError
from striate.serve.engine import Engine
from striate.serve.limits import Limits, Refusal
from striate.serve.metrics import Metrics

# How often the files of the bundle are looked at.
EVERY_S = 1.0

log = logging.getLogger("striate.serve")


class Service:
    """A bundle that is served.

    token: what a request has to carry; None where only this machine can ask.
    """

    def __init__(self, path: Path, limits: Limits, token: str | None, read: Any = Bundle.read) -> None:
        self.limits = limits
        self.token = token
        self.metrics = Metrics()
        self.held = Held(path, read, self.metrics.bundle)
        self.engine = Engine(lambda: self.held.current, limits, self.metrics.batch)
        self.metrics.watch(lambda: self.engine.waiting)
        self.draining = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """While this is entered, requests are answered."""
        self.engine.start()
        self.held.start()
        try:
            yield
        finally:
            self.held.stop()
            self.engine.stop()

    def refuse_if_draining(self) -> None:
        """Raise Refusal, 503, where the service is ending."""
        if self.draining:
            raise Refusal(503, "the server is ending; ask another", retry_after_s=1)


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
