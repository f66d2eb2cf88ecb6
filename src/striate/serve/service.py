"""What all routes share: the bundle, the engine, the counters, and whether the service is ending."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from striate.bundle.bundle import Bundle
from striate.serve.engine import Engine
from striate.serve.held import Held
from striate.serve.limits import Limits, Refusal
from striate.serve.metrics import Metrics


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
