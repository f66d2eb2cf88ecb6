"""One connection: uvicorn's, with a time limit on headers and a sentence for what is no HTTP."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import Any, cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from striate.serve.limits import Limits, Refusal, headers_too_long

# What is still sent after a refusal is read for so long, so that the sender sees the answer and no reset.
LINGER_S = 2.0

# The first line of a request for answers, and the one header that tells where it ends.
_ASKS = re.compile(rb"POST (/predict|/v2/models/[^ ?]{1,200}/infer)(?:\?[^ ]*)? HTTP/1\.1\r\n")
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,12})[ \t]*(?=\r\n)")
# With one of these a request is read as all are.
_UNUSUAL = re.compile(rb"\r\n(?:transfer-encoding|expect|upgrade|connection:(?! *keep-alive\r\n))|\n[ \t]")


class Joined:
    """A transport that sends together what is written in one turn of the loop: headers and body in one packet."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._waiting: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send, soon."""
        if data:
            if not self._waiting:
                self._loop.call_soon(self._flush)
            self._waiting.append(data)

    def write_eof(self) -> None:
        """Send nothing more."""
        self._flush()
        self._transport.write_eof()

    def close(self) -> None:
        """End the connection when all is sent."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._waiting:
            self._transport.write(b"".join(self._waiting))
            self._waiting.clear()


class Connection(H11Protocol):
    """A connection whose headers come in time, and whose errors are one sentence of JSON.

    busy: what refuses a request for answers where too many wait.  seen: what counts requests, as the gate does.
    """

    def __init__(
        self,
        limits: Limits,
        busy: Callable[[], None],
        seen: Callable[[str, str, int, float], None],
        *args: Any,
        **named: Any,
    ) -> None:
        super().__init__(*args, **named)
        self.limits, self.busy, self.seen = limits, busy, seen
        self.timer: asyncio.TimerHandle | None = None
        self.refused = False
        # Of the body of a request that was refused at once; nobody reads them.
        self.unread_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for headers; one connection too many is told so at once."""
        super().connection_made(cast("asyncio.Transport", Joined(transport, self.loop)))
        if len(self.connections) > self.limits.connections:
            self._refuse(Refusal(503, "there are too many connections; try again", retry_after_s=1))
            return
        self.timer = self.loop.call_later(self.limits.headers_s, self._headers_late)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read, and have the time for headers run while some are missing."""
        if self.refused:
            return
        if self.unread_bytes:
            dropped = min(len(data), self.unread_bytes)
            self.unread_bytes -= dropped
            data = data[dropped:]
            if not data:
                return
        if self._refused_at_once(data):
            return
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE or self.transport.is_closing():
            self._stop_timer()
        elif self.timer is None:
            self.timer = self.loop.call_later(self.limits.headers_s, self._headers_late)

    def _refused_at_once(self, data: bytes) -> bool:
        """Refuse a request for answers before its headers are taken apart, where too many wait already.

        A refusal so costs a tenth of one by the gate, which under a heavy load leaves the processor to the answers.
        Only a request as usual, whose headers came whole and by themselves; the gate refuses the others.
        """
        asks = _ASKS.match(data)
        if asks is None:
            return False
        try:
            self.busy()
        except Refusal as refusal:
            began = perf_counter()
            end = data.find(b"\r\n\r\n", 0, self.limits.header_bytes)
            head = data[: end + 2].lower()
            lengths = _LENGTH.findall(head)
            plain = head.count(b"content-length") == len(lengths) == 1 and head.count(b"\n") == head.count(
                b"\r\n"
            )
            if end < 0 or not plain or _UNUSUAL.search(head):
                return False
            unread = int(lengths[0]) - (len(data) - end - 4)
            fresh = self.conn.their_state is h11.IDLE and self.conn.our_state is h11.IDLE
            if (
                not fresh
                or self.conn.trailing_data[0]
                or unread < 0
                or int(lengths[0]) > self.limits.body_bytes
            ):
                return False
            self.unread_bytes = unread
            lines = [
                f"HTTP/1.1 {refusal.status} ",
                *(f"{key}: {value}" for key, value in refusal.headers.items()),
            ]
            self.transport.write("\r\n".join([*lines, "", ""]).encode() + refusal.body)
            self._unset_keepalive_if_required()
            self._stop_timer()
            self.timer = self.loop.call_later(self.limits.headers_s, self._headers_late)
            self.seen("POST", asks[1].decode("latin-1"), refusal.status, perf_counter() - began)
            return True
        return False

    def eof_received(self) -> bool | None:  # type: ignore[override]
        """The sender is done.  Where its request is not whole, it is told so."""
        if self.refused:
            return False
        partial_headers = self.conn.their_state is h11.IDLE and bool(self.conn.trailing_data[0])
        if self.conn.their_state is h11.SEND_BODY or partial_headers:
            self.conn.receive_data(b"")
            self.handle_events()
            return True
        return False

    def send_400_response(self, msg: str) -> None:
        """Say what is wrong; uvicorn calls this where h11 found no HTTP, while its error is being handled."""
        hint = getattr(sys.exc_info()[1], "error_status_hint", 400)
        if hint == 431:
            self._refuse(headers_too_long(self.limits))
        elif self.conn.our_state is h11.SEND_RESPONSE:
            self._refuse(
                Refusal(400, "the body is not as its headers declare it; send it whole, in one piece")
            )
        else:
            sentence = "this is not a valid HTTP/1.1 request; check its first line and its headers"
            self._refuse(Refusal(400, sentence))

    def _headers_late(self) -> None:
        self.timer = None
        if self.transport.is_closing() or self.refused:
            return
        most = self.limits.headers_s
        if self.conn.trailing_data[0]:
            self._refuse(Refusal(408, f"the headers took more than {most:g} seconds; send them at once"))
        else:
            self.transport.close()

    def _stop_timer(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def _refuse(self, refusal: Refusal) -> None:
        """Send a refusal outside of the app, and end the connection."""
        refusal.close = self.refused = True
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            headers = [(key.encode(), value.encode()) for key, value in refusal.headers.items()]
            for event in (
                h11.Response(status_code=refusal.status, headers=headers),
                h11.Data(data=refusal.body),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event) or b"")
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self._stop_timer()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.timer = self.loop.call_later(LINGER_S, self.transport.close)


def connection_class(
    limits: Limits, busy: Callable[[], None], seen: Callable[[str, str, int, float], None]
) -> Any:
    """What uvicorn's `http` takes.  busy, seen: as of a `Connection`."""
    return partial(Connection, limits, busy, seen)
