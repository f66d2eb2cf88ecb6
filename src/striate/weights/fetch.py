"""Weights from wherever they are: a path, an address of the web, or the Hugging Face hub.

A file of the web is checked by its hash, and is there whole or not at all.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import time
import urllib.error
import urllib.parse
import urllib.request
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import IO, Any, cast

from filelock import FileLock, Timeout

from striate.disk.atomic import write_atomic
from striate.errors import ResourceError
from striate.version import __version__
from striate.weights.error import WeightsError, clipped, open_weights, unreadable
from striate.weights.hub import Progress, fetch_from_hub

# Twice the largest network that this package could train.
MOST_BYTES = 1 << 34
WAIT_S = 30.0

# Fewer bytes than this in `WAIT_S` are a stall as well.
_LEAST_BYTES = 1024
_PIECE_BYTES = 1 << 18
_SCHEMES = ("http", "https")

# torch.hub's custom: `resnet18-f37072fd.pth` begins its SHA-256 so.  A number without a letter is a date.
_IN_NAME = re.compile(r"[-_.]([0-9a-f]{8,64})\.(?:pth|pt|th|bin|safetensors|tar)$")
_LEAST_DIGITS, _MOST_DIGITS = 8, 64


def fetch(where: str, *, sha256: str | None = None, progress: Progress | None = None) -> Path:
    """The file of weights, on this machine.

    where: a path, `https://...`, or `hf:OWNER/NAME[@REVISION][/FILE]`.
    sha256: its hash, or at least the first 8 digits of it; the file is not used if it has another.
    progress: is told the bytes so far and in all.
    Nothing is fetched twice; what is fetched lies in the Hugging Face cache.

    Raises WeightsError where it is not there or not what it should be, MissingExtra where the hub's library
    is not installed, ResourceError where the disk is too small.
    """
    wanted = wanted_hash(sha256)
    if "://" in where:
        return download(where, cache_folder(), sha256=wanted, progress=progress)
    if where.startswith("hf:"):
        path, recorded = fetch_from_hub(where.removeprefix("hf:"), progress)
        _check(path, where, recorded, "delete it from the cache (`hf cache rm`), and the same again")
    else:
        path = Path(os.path.expanduser(where))
        _require(path, where)
    _check(path, where, wanted, "the right file, or the right hash")
    return path


def cache_folder() -> Path:
    """Where files of the web are kept: `striate` in $HF_HOME, which is ~/.cache/huggingface if not set."""
    home = os.environ.get("HF_HOME")
    if home:
        return Path(os.path.expanduser(home)) / "striate"
    xdg = os.environ.get("XDG_CACHE_HOME")
    return (Path(os.path.expanduser(xdg)) if xdg else Path.home() / ".cache") / "huggingface" / "striate"


def download(
    url: str,
    folder: Path,
    *,
    sha256: str | None = None,
    progress: Progress | None = None,
    wait_s: float = WAIT_S,
    most_bytes: int = MOST_BYTES,
) -> Path:
    """The file at an address, from `folder` where it was fetched before.

    sha256: its hash or the beginning of it; where none is given, what its name promises, if it promises one.
    wait_s: after so many seconds without news it is a stall.
    Raises WeightsError where the address or the file is not what it should be, ResourceError where the disk
    is too small.
    """
    name = _file_name(url)
    wanted = sha256 or hash_in_name(name)
    kept = re.sub(r"[^A-Za-z0-9._-]", "_", name)[-80:] or "weights"
    target = folder / f"{hashlib.sha256(url.encode()).hexdigest()[:16]}-{kept}"
    partial = target.with_name(target.name + ".partial")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{target}.lock", timeout=wait_s):
            if _is_there(url, target, wanted):
                return target
            try:
                _get(url, partial, progress, wait_s, most_bytes)
                found = sha256_of(partial)
                if wanted and not found.startswith(wanted):
                    cure = "another source; or --sha256 with this hash, if you are sure that it is right"
                    raise wrong_hash(shown_url(url), found, wanted, cure)
                write_atomic(_notes(target), json.dumps({"url": shown_url(url), "sha256": found}).encode())
                os.replace(partial, target)
            finally:
                partial.unlink(missing_ok=True)
            return target
    except Timeout:
        raise WeightsError(
            "another process is fetching the same file",
            place=shown_url(url),
            cure="wait for it, then the same again",
        ) from None
    except OSError as problem:
        raise ResourceError(
            f"the cache cannot be written: {problem.strerror or problem}",
            place=str(folder),
            expected="a folder that you may write",
            cure="HF_HOME=/a/folder/of/yours",
        ) from None


def _file_name(url: str) -> str:
    """The last part of an address's path.  Raises WeightsError where it is no address of the web."""
    try:
        parts = urllib.parse.urlsplit(url)
        # Asked for here, since it is read only then.
        good = parts.scheme.lower() in _SCHEMES and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or not url.isprintable() or " " in url:
        raise WeightsError(
            "this is no address of the web",
            place=clipped(shown_url(url), 200),
            expected="https://HOST/PATH",
            cure="check the address, or give a file's path",
        )
    return urllib.parse.unquote(parts.path.rsplit("/", 1)[-1])


def _is_there(url: str, target: Path, wanted: str | None) -> bool:
    """Whether the file was fetched before and still is what it was."""
    if not target.exists():
        return False
    found = sha256_of(target)
    try:
        same = json.loads(_notes(target).read_bytes())["sha256"] == found
    except (OSError, ValueError, LookupError, TypeError):
        same = False
    if found.startswith(wanted) if wanted else same:
        return True
    if same:
        # It is what was fetched, and another than is wanted now.
        raise wrong_hash(shown_url(url), found, wanted or "", "the right hash, or another source")
    target.unlink()
    return False


class _OnlyHttp(urllib.request.HTTPRedirectHandler):
    """Follows a redirection to http or https, and never from https to http."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        scheme = urllib.parse.urlsplit(newurl).scheme.lower()
        if scheme not in _SCHEMES or (scheme == "http" and req.type == "https"):
            raise _sent_on(req.full_url, newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)

    def http_error_302(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any
    ) -> Any:
        target = urllib.parse.urljoin(req.full_url, headers.get("location") or "")
        if urllib.parse.urlsplit(target).scheme.lower() not in _SCHEMES:
            # The library's own refusal has no cure.
            raise _sent_on(req.full_url, target)
        return super().http_error_302(req, fp, code, msg, headers)

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


def _sent_on(url: str, target: str) -> WeightsError:
    return WeightsError(
        f"the server sends on to `{clipped(shown_url(target))}`",
        place=shown_url(url),
        expected="an address of https, or of http where the first was http",
        cure="fetch the file by hand if you trust it, and give its path",
    )


def _get(url: str, partial: Path, progress: Progress | None, wait_s: float, most_bytes: int) -> None:
    """Fill `partial` with what stands at an address."""
    with _answer(url, wait_s) as answer:
        length = answer.headers.get("Content-Length", "")
        total = int(length) if length.isdigit() else None
        _check_size(url, total or 0, most_bytes)
        _check_room(partial.parent, total or 0)
        have, since, news = 0, time.monotonic(), 0
        with open(partial, "wb") as file:
            while piece := _piece(url, answer, wait_s):
                file.write(piece)
                have, news = have + len(piece), news + len(piece)
                _check_size(url, have, most_bytes)
                if progress is not None:
                    progress(have, total)
                if time.monotonic() - since > wait_s:
                    if news < _LEAST_BYTES:
                        raise _silent(url, wait_s)
                    since, news = time.monotonic(), 0
    if total is not None and have < total:
        raise _unfinished(url, f"the connection was cut after {have:,} of {total:,} bytes")


def _answer(url: str, wait_s: float) -> HTTPResponse:
    """The answer to a GET request, its body still to be read."""
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
    headers = {"User-Agent": f"striate/{__version__}", "Accept-Encoding": "identity"}
    try:
        return cast(HTTPResponse, opener.open(urllib.request.Request(url, headers=headers), timeout=wait_s))
    except urllib.error.HTTPError as refusal:
        with refusal:
            # Hugging Face and others say there what is wrong.
            why = clipped(refusal.headers.get("X-Error-Message", "") or str(refusal.reason))
            what = "there is no such file" if refusal.code in (404, 410) else "the server refuses"
            raise WeightsError(
                f"{what}: it answers {refusal.code} {why}".strip(),
                place=shown_url(url),
                expected="the file",
                cure="check the address",
            ) from None
    except (OSError, HTTPException, ValueError) as problem:
        reason = problem.reason if isinstance(problem, urllib.error.URLError) else problem
        if isinstance(reason, TimeoutError):
            raise _silent(url, wait_s) from None
        raise _unfinished(url, " ".join(str(reason).split()) or type(reason).__name__) from None


def _piece(url: str, answer: HTTPResponse, wait_s: float) -> bytes:
    try:
        return answer.read1(_PIECE_BYTES)
    except TimeoutError:
        raise _silent(url, wait_s) from None
    except (OSError, HTTPException):
        raise _unfinished(url, "the connection was cut") from None


def _check_size(url: str, total: int, most_bytes: int) -> None:
    if total > most_bytes:
        raise WeightsError(
            f"the file takes {total:,} bytes",
            place=shown_url(url),
            expected=f"at most {most_bytes:,}",
            cure="fetch it by hand, and give its path",
        )


def _check_room(folder: Path, total: int) -> None:
    free = shutil.disk_usage(folder).free
    if total > free:
        raise ResourceError(
            f"the file takes {total:,} bytes and {free:,} are free",
            place=str(folder),
            expected="room for it in the cache",
            cure="HF_HOME=/a/folder/with/room",
        )


def _silent(url: str, wait_s: float) -> WeightsError:
    return _unfinished(url, f"the server sent nothing for {wait_s:g} s")


def _unfinished(url: str, problem: str) -> WeightsError:
    return WeightsError(
        problem,
        place=shown_url(url),
        expected="the whole file",
        cure="the same command again; if that does not help, fetch it by hand, and give its path",
    )


def _notes(target: Path) -> Path:
    return target.with_name(target.name + ".json")


def shown_url(url: str) -> str:
    """An address without what may be secret in it: user, password, query."""
    try:
        parts = urllib.parse.urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        return urllib.parse.urlunsplit((parts.scheme, host, parts.path, "", ""))
    except ValueError:
        return url


def wanted_hash(sha256: str | None) -> str | None:
    """A hash as the user wrote it, in small letters.  Raises WeightsError where it is none."""
    if sha256 is None:
        return None
    wanted = sha256.strip().lower().removeprefix("sha256:")
    if not _LEAST_DIGITS <= len(wanted) <= _MOST_DIGITS or set(wanted) - set("0123456789abcdef"):
        raise WeightsError(
            f"`{sha256[:80]}` is no SHA-256",
            place="--sha256",
            expected=f"{_LEAST_DIGITS} to {_MOST_DIGITS} digits of 0-9 and a-f",
            cure="sha256sum FILE, where the file is known to be good",
        )
    return wanted


def hash_in_name(name: str) -> str | None:
    """The beginning of the SHA-256 that a file's name promises, if it promises one."""
    found = _IN_NAME.search(name)
    return found[1] if found and not found[1].isdigit() else None


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in small letters.  Raises WeightsError where it cannot be read."""
    file, _ = open_weights(path)
    with file:
        try:
            return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as problem:
            raise unreadable(path, problem) from None


def wrong_hash(place: str, found: str, wanted: str, cure: str) -> WeightsError:
    """The error of a file that is not the one that was meant."""
    return WeightsError(
        f"its SHA-256 is {found}; the file is not used", place=place, expected=wanted, cure=cure
    )


def _check(path: Path, where: str, wanted: str | None, cure: str) -> None:
    if wanted is not None:
        found = sha256_of(path)
        if not found.startswith(wanted):
            raise wrong_hash(clipped(where, 200), found, wanted, cure)


def _require(path: Path, where: str) -> None:
    if path.is_dir():
        raise WeightsError(
            "it is a folder",
            place=clipped(where, 200),
            expected="a file of weights",
            cure=f"{where.rstrip('/')}/weights.safetensors, if it is a run",
        )
    if not path.exists():
        raise WeightsError(
            "there is no such file",
            place=clipped(where, 200),
            expected="a path, https://..., or hf:OWNER/NAME",
            cure="check the path; names of the hub begin with `hf:`",
        )
    open_weights(path)[0].close()
