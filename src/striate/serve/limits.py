"""How much one request may ask for, and how a request is refused."""

from __future__ import annotations

import json
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """What a request may take, checked before anything of it is decoded.

    body_bytes: of one request, and half of what all requests together may hold (`held_bytes`).
    pixels: that an image's header may declare.  images: in one request.  header_bytes: of a request line with
    its headers, and of the headers of one part of a form.
    headers_s, body_s: from the first byte until the last.  idle_s: a connection may say nothing for so long.
    waiting_s: an image may wait for so long; where the queue is longer, a request is refused at once.
    connections: open at the same time.
    """

    body_bytes: int = 32_000_000
    held_bytes: int = 128_000_000
    pixels: int = 50_000_000
    images: int = 64
    header_bytes: int = 16_384
    headers_s: float = 10.0
    body_s: float = 30.0
    idle_s: float = 15.0
    waiting_s: float = 1.0
    connections: int = 1_000


class Refusal(Exception):
    """A request that is not answered: its HTTP status, and one sentence that says why and what helps.

    retry_after_s: when the same request may be answered, for 429 and 503.
    close: the connection ends, as what is left of the request is not read.
    """

    def __init__(
        self, status: int, sentence: str, *, retry_after_s: int | None = None, close: bool = False
    ) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
        self.retry_after_s = retry_after_s
        self.close = close
        # Its only key is `error`, as the Open Inference Protocol has it.
        self.body = json.dumps({"error": sentence}).encode()

    @property
    def headers(self) -> dict[str, str]:
        """Those that go with the body."""
        found = {"content-type": "application/json", "content-length": str(len(self.body))}
        if self.retry_after_s is not None:
            found["retry-after"] = str(self.retry_after_s)
        if self.status == 401:
            found["www-authenticate"] = "Bearer"
        if self.close:
            found["connection"] = "close"
        return found


def headers_too_long(limits: Limits) -> Refusal:
    """For a request line with headers beyond `header_bytes`."""
    sentence = f"the headers have more than {limits.header_bytes:,} bytes; send fewer or shorter ones"
    return Refusal(431, sentence, close=True)


def failed() -> Refusal:
    """For what is our fault; its reason goes to the log alone."""
    return Refusal(500, "the server failed at this request; its log says why")
