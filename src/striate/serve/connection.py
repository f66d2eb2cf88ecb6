"""One connection: uvicorn's, with a time limit on headers and a sentence for what is no HTTP."""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from typing import Any, cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from striate.serve.limits import Limits, Refusal, headers_too_long

# What is still sent after a refusal is read for so long, so that the sender sees the answer and no reset.
LINGER_S = 2.0


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
    """A connection whose headers come in time, and whose errors are one sentence of JSON."""

    def __init__(self, limits: Limits, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self.limits = limits
        self.timer: asyncio.TimerHandle | None = None
        self.refused = False

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
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE or self.transport.is_closing():
            self._stop_timer()
        elif self.timer is None:
            self.timer = self.loop.call_later(self.limits.headers_s, self._headers_late)

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


def connection_class(limits: Limits) -> Any:
    """What uvicorn's `http` takes."""
    return partial(Connection, limits)
