"""A server on this machine that misbehaves on request."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Site:
    """What the server has and how it behaves; all can be changed while it runs.

    content: of the one file, at any path that begins with /file.  etag: what it calls this version.
    cut_after: it breaks the connection after so many bytes of an answer, as often as `cuts` says.
    stall_after: it falls silent after so many bytes.  drip: it sends a byte every tenth of a second.
    asked: the Range header of each request, in order.
    """

    content: bytes = b""
    etag: str | None = '"one"'
    cut_after: int | None = None
    cuts: int = 10**9
    stall_after: int | None = None
    drip: bool = False
    silent_head: bool = False
    ranges: bool = True
    say_length: bool = True
    status: int = 200
    location: str = ""
    asked: list[str | None] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)
    url: str = ""


@contextlib.contextmanager
def serving(site: Site) -> Iterator[Site]:
    """Serve a site for as long as the block lasts."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            _answer(self, site)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    site.url = f"http://127.0.0.1:{server.server_port}/file/w.pth"
    try:
        yield site
    finally:
        site.over.set()
        server.shutdown()
        server.server_close()
        thread.join()


def _answer(handler: BaseHTTPRequestHandler, site: Site) -> None:
    site.asked.append(handler.headers.get("Range"))
    if site.silent_head:
        site.over.wait(20)
        return
    if site.location and handler.path.startswith("/file"):
        handler.send_response(302)
        handler.send_header("Location", site.location)
        handler.end_headers()
        return
    if site.status != 200:
        handler.send_error(site.status)
        return
    start = _start(handler, site)
    if start is not None and start >= len(site.content):
        handler.send_error(416)
        return
    body = site.content[start or 0 :]
    handler.send_response(200 if start is None else 206)
    if site.etag:
        handler.send_header("ETag", site.etag)
    if site.say_length:
        handler.send_header("Content-Length", str(len(body)))
    if start is not None:
        handler.send_header("Content-Range", f"bytes {start}-{len(site.content) - 1}/{len(site.content)}")
    handler.end_headers()
    _send(handler, site, body)


def _start(handler: BaseHTTPRequestHandler, site: Site) -> int | None:
    """Where the part begins that was asked for, if it is given."""
    asked = handler.headers.get("Range")
    known = handler.headers.get("If-Range")
    if asked is None or not site.ranges or (known is not None and known != site.etag):
        return None
    return int(asked.removeprefix("bytes=").removesuffix("-"))


def _send(handler: BaseHTTPRequestHandler, site: Site, body: bytes) -> None:
    with contextlib.suppress(OSError):
        if site.drip:
            for at in range(len(body)):
                handler.wfile.write(body[at : at + 1])
                if site.over.wait(0.1):
                    return
        if site.stall_after is not None:
            handler.wfile.write(body[: site.stall_after])
            handler.wfile.flush()
            site.over.wait(20)
        elif site.cut_after is not None and site.cuts > 0 and len(body) > site.cut_after:
            site.cuts -= 1
            handler.wfile.write(body[: site.cut_after])
            handler.wfile.flush()
            time.sleep(0.02)
            handler.connection.shutdown(socket.SHUT_RDWR)
        else:
            handler.wfile.write(body)
