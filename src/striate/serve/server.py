"""The process that serves: its socket, its signals, and its end."""

from __future__ import annotations

import ipaddress
import logging
import secrets
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import uvicorn

from striate.errors import StriateError
from striate.serve.app import create_app
from striate.serve.connection import connection_class
from striate.serve.limits import Limits
from striate.serve.service import Service

# So long may requests take that are under way when the service is to end.
DRAIN_S = 30

# A thread that computes gives way to the one that answers connections after so long.
SWITCH_S = 0.001


class Server(uvicorn.Server):
    """Uvicorn's, which tells the service of its end."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self.service = service

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Say that it ends before it does, so that nothing new is sent here."""
        self.service.draining = True
        super().handle_exit(sig, frame)


def serve(
    path: Path,
    host: str,
    port: int,
    token: str | None,
    limits: Limits,
    listening: Callable[[Service, str], None],
) -> None:
    """Serve a bundle until SIGTERM or Ctrl-C; what has been asked by then is answered.

    token: what every request must carry; where the address is not this machine's own and there is none, one is
    drawn.  listening: is told once requests are taken, with the address.
    Raises BundleError where the bundle cannot be read, StriateError where the address cannot be taken.
    """
    opened = listen(host, port)
    try:
        if token is None and not is_loopback(opened):
            token = secrets.token_urlsafe(24)
        service = Service(path, limits, token)
        config = configured(service)
        sys.setswitchinterval(SWITCH_S)
        shown = f"[{host}]" if ":" in host else host
        listening(service, f"http://{shown}:{opened.getsockname()[1]}/")
        with _ended_quietly():
            Server(config, service).run(sockets=[opened])
    finally:
        opened.close()


def configured(service: Service) -> uvicorn.Config:
    """How uvicorn serves it: no access log, no Server header, no trust in what proxies add."""
    limits = service.limits
    return uvicorn.Config(
        create_app(service),
        http=connection_class(limits, service.engine.refuse_if_busy, service.metrics.request),
        ws="none",
        loop="asyncio",
        lifespan="on",
        log_config=None,
        log_level=logging.WARNING,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=round(limits.idle_s),
        timeout_graceful_shutdown=DRAIN_S,
        h11_max_incomplete_event_size=limits.header_bytes,
    )


def listen(host: str, port: int) -> socket.socket:
    """A socket at an address.  Raises StriateError where it cannot be had."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        opened = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError, OverflowError):
        raise StriateError(
            f"`{host}` is no address of this machine",
            place="--host",
            expected="127.0.0.1 for this machine alone, or 0.0.0.0 for all its addresses",
            cure="leave out --host",
        ) from None
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind(address)
        opened.listen(1024)
    except OSError as problem:
        opened.close()
        raise StriateError(
            f"port {port} cannot be had at {host}: {(problem.strerror or str(problem)).lower()}",
            place="--port",
            expected="a port that is free, of 1024 and above",
            cure="--port 0, which takes a free one",
        ) from None
    return opened


def is_loopback(opened: socket.socket) -> bool:
    """Whether nobody but this machine can ask at a socket."""
    return ipaddress.ip_address(opened.getsockname()[0].partition("%")[0]).is_loopback


@contextmanager
def _ended_quietly() -> Iterator[None]:
    """While this is entered, a signal that has ended the server does no more: uvicorn sends it once again."""
    before = {each: signal.signal(each, lambda *_: None) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
