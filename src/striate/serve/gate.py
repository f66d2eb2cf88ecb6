"""The one choke point: every request passes here, whole and within its limits, before anything looks into it."""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from striate.serve.connection import LINGER_S
from striate.serve.limits import Limits, Refusal, failed, headers_too_long

# Asked by load balancers and browsers before they have a token; they tell nothing of the network.
OPEN = frozenset({"/", "/health", "/ready", "/v2/health/live", "/v2/health/ready", "/openapi.json", "/docs"})

# A page of another site could make a name of its own point here; it could not make it one of these.
LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})

log = logging.getLogger("striate.serve")


@dataclass
class Gate:
    """An ASGI app around the app.

    token: without it nothing but `OPEN` is answered; none where only this machine can ask.
    busy: what refuses a request for answers where the queue is full, before its body is read.
    seen: what counts requests: method, path, status, seconds.
    """

    app: ASGIApp
    limits: Limits
    token: str | None
    busy: Callable[[], None]
    seen: Callable[[str, str, int, float], None]
    held_bytes: int = field(default=0, init=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status = perf_counter(), 0

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._pass(scope, receive, noted)
        except Refusal as refusal:
            await _refuse(refusal, receive, noted)
        except Exception:
            log.exception("a request failed")
            if not status:
                await _refuse(failed(), receive, noted)
        finally:
            self.seen(scope["method"], scope["path"], status, perf_counter() - began)

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]}
        self._refuse_long(scope)
        self._refuse_stranger(scope["path"], headers)
        if scope["method"] in ("GET", "HEAD"):
            await self.app(scope, receive, send)
            return
        if headers.get("content-encoding", "identity").lower() != "identity":
            raise Refusal(415, "the body is compressed; send it without Content-Encoding", close=True)
        declared = self._declared_bytes(headers)
        if scope["path"] == "/predict" or scope["path"].endswith("/infer"):
            self.busy()
        held = 0
        try:
            body, held = await self._read(receive, declared)
            sent = False

            async def whole() -> Message:
                nonlocal sent
                if sent:
                    return await receive()
                sent = True
                return {"type": "http.request", "body": body, "more_body": False}

            await self.app(scope, whole, send)
        finally:
            self.held_bytes -= held

    def _refuse_long(self, scope: Scope) -> None:
        # h11 counts only what has not come whole.
        count = len(scope["raw_path"]) + len(scope["query_string"])
        if (
            count + sum(len(key) + len(value) + 4 for key, value in scope["headers"])
            > self.limits.header_bytes
        ):
            raise headers_too_long(self.limits)

    def _refuse_stranger(self, path: str, headers: dict[str, str]) -> None:
        if self.token is None:
            name = headers.get("host", "localhost")
            if name not in LOCAL_NAMES and name.rpartition(":")[0] not in LOCAL_NAMES:
                raise Refusal(421, "the Host header names another machine; ask for 127.0.0.1", close=True)
            return
        kind, _, given = headers.get("authorization", "").partition(" ")
        right = kind.lower() == "bearer" and hmac.compare_digest(given.encode(), self.token.encode())
        if not right and path not in OPEN and not path.startswith("/docs/"):
            wrong = "the token is wrong" if given else "a token is needed"
            raise Refusal(401, f"{wrong}; send the header Authorization: Bearer TOKEN", close=True)

    def _declared_bytes(self, headers: dict[str, str]) -> int | None:
        """Content-Length; None for a body in chunks.  h11 has made sure that it is a number."""
        if "content-length" not in headers:
            return None if "transfer-encoding" in headers else 0
        declared = int(headers["content-length"])
        self._refuse_large(declared)
        return declared

    def _refuse_large(self, count: int) -> None:
        if count > self.limits.body_bytes:
            most = f"{self.limits.body_bytes:,}"
            raise Refusal(
                413, f"the body has more than {most} bytes; send smaller or fewer images", close=True
            )

    async def _read(self, receive: Receive, declared: int | None) -> tuple[bytes, int]:
        """The whole body, and the bytes that are held for it, which whoever asked gives back."""
        held = 0
        parts: list[bytes] = []
        try:
            held = self._hold(declared or 0)
            found, more = 0, True
            async with asyncio.timeout(self.limits.body_s):
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise Refusal(400, "the connection ended before the body did", close=True)
                    part, more = message.get("body", b""), message.get("more_body", False)
                    found += len(part)
                    self._refuse_large(found)
                    if found > held:
                        held += self._hold(found - held)
                    parts.append(part)
        except TimeoutError:
            self.held_bytes -= held
            most = f"{self.limits.body_s:g}"
            raise Refusal(
                408, f"the body took more than {most} seconds; send it faster", close=True
            ) from None
        except BaseException:
            self.held_bytes -= held
            raise
        return b"".join(parts), held

    def _hold(self, count: int) -> int:
        """Count bytes as held.  Raises Refusal where all requests together hold too many."""
        if self.held_bytes + count > self.limits.held_bytes:
            raise Refusal(429, "too much is being sent at once; try again", retry_after_s=1, close=True)
        self.held_bytes += count
        return count


async def _refuse(refusal: Refusal, receive: Receive, send: Send) -> None:
    """Send a refusal, and read what is still sent for a while, so that its sender sees it and no reset."""
    headers = [(key.encode(), value.encode()) for key, value in refusal.headers.items()]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": refusal.body, "more_body": True})
    if refusal.close:
        try:
            async with asyncio.timeout(LINGER_S):
                more = True
                while more:
                    message = await receive()
                    more = message["type"] == "http.request" and message.get("more_body", False)
        except TimeoutError:
            pass
    await send({"type": "http.response.body", "body": b"", "more_body": False})
