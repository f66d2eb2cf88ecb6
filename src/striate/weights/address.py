"""Opening http addresses, and nothing but http addresses."""

from __future__ import annotations

import queue
import threading
import urllib.error
import urllib.parse
import urllib.request
from email.message import Message
from http.client import HTTPException, HTTPResponse
from typing import IO, Any, cast

from striate.version import __version__
from striate.weights.trouble import WeightsError, clipped

SCHEMES = ("http", "https")


class Stalled(Exception):
    """The server did not answer in time."""


class Broke(Exception):
    """The connection could not be made, or broke; the text says why."""


class Refused(Exception):
    """The server answered with an error.  status: its number."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"{status} {reason}".strip())
        self.status = status


class _OnlyHttp(urllib.request.HTTPRedirectHandler):
    """Follows a redirection to http or https, and never from https to http."""

    def http_error_302(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any
    ) -> Any:
        target = headers.get("location") or headers.get("uri") or ""
        scheme = urllib.parse.urlsplit(urllib.parse.urljoin(req.full_url, target)).scheme.lower()
        if scheme not in SCHEMES or (scheme == "http" and req.type == "https"):
            raise WeightsError(
                f"the server sends on to `{clipped(shown_url(target))}`",
                place=shown_url(req.full_url),
                expected="an address of https, or of http where the first was http",
                cure="fetch the file by hand if you trust it, and give its path",
            )
        return super().http_error_302(req, fp, code, msg, headers)

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


def open_url(url: str, headers: dict[str, str], wait_s: float) -> HTTPResponse:
    """The answer to a GET request, its body still to be read.

    wait_s: how long the server may take for the head of its answer, and later for each piece of the body.
    Raises Stalled, Broke, Refused; WeightsError where it is sent on to what is not http.
    """
    opener = urllib.request.OpenerDirector()
    # Not build_opener: it adds handlers for file:, ftp: and data:.
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _OnlyHttp(),
    ):
        opener.add_handler(handler)
    request = urllib.request.Request(url, headers={"User-Agent": f"striate/{__version__}", **headers})
    box: queue.SimpleQueue[HTTPResponse | Exception] = queue.SimpleQueue()

    def ask() -> None:
        try:
            box.put(cast(HTTPResponse, opener.open(request, timeout=wait_s)))
        except Exception as problem:
            box.put(problem)

    # In a thread, since a server that sends its head letter by letter would pass every timeout of a socket.
    threading.Thread(target=ask, daemon=True).start()
    try:
        answer = box.get(timeout=wait_s)
    except queue.Empty:
        raise Stalled from None
    if isinstance(answer, Exception):
        raise _translated(answer) from None
    return answer


def shown_url(url: str) -> str:
    """An address without what may be secret in it: user, password, query."""
    try:
        parts = urllib.parse.urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        return urllib.parse.urlunsplit((parts.scheme, host, parts.path, "", ""))
    except ValueError:
        return url


def _translated(problem: Exception) -> Exception:
    if isinstance(problem, WeightsError):
        return problem
    if isinstance(problem, urllib.error.HTTPError):
        with problem:
            return Refused(problem.code, _reason(problem.headers, str(problem.reason)))
    reason = problem.reason if isinstance(problem, urllib.error.URLError) else problem
    if isinstance(reason, TimeoutError):
        return Stalled()
    if isinstance(problem, OSError | HTTPException | ValueError):
        return Broke(" ".join(str(reason).split()) or type(reason).__name__)
    return problem


def _reason(headers: Message, reason: str) -> str:
    # Hugging Face and others say there what is wrong.
    return clipped(headers.get("X-Error-Message", "") or reason)
