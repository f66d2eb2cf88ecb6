"""A file from the web: resumed where it was cut, checked by its hash, there whole or not at all."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256 as sha_256
from http.client import HTTPException, HTTPResponse
from pathlib import Path

from filelock import FileLock, Timeout

from striate.errors import ResourceError
from striate.runs.atomic import write_atomic
from striate.weights.address import SCHEMES, Broke, Refused, Stalled, open_url, shown_url
from striate.weights.fetched import hash_in_name, sha256_of, wrong_hash
from striate.weights.trouble import WeightsError

# (bytes so far, bytes in all or None where the server does not say)
Progress = Callable[[int, int | None], None]

# Twice the largest network that this package could train.
MOST_BYTES = 1 << 34
WAIT_S = 30.0

# Fewer bytes than this in `WAIT_S` are a stall as well.
_LEAST_BYTES = 1024
_PIECE_BYTES = 1 << 18
_MOST_TRIES = 20
_TRIES_IN_VAIN = 3
_PAUSE_S = 0.5
_LATER = frozenset({408, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a download goes.  partial: what there is of it; its notes stand in `notes`."""

    url: str
    target: Path

    @property
    def partial(self) -> Path:
        return self.target.with_name(self.target.name + ".partial")

    @property
    def notes(self) -> Path:
        return self.target.with_name(self.target.name + ".json")

    @property
    def shown(self) -> str:
        return shown_url(self.url)


class _Cut(Exception):
    """The connection ended before the file did."""


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
    What came before a cut or a stall is kept, and the next call goes on from there.
    Raises WeightsError where the address or the file is not what it should be, ResourceError where the disk
    is too small.
    """
    parts = urllib.parse.urlsplit(url)
    if parts.scheme.lower() not in SCHEMES or not parts.hostname:
        raise WeightsError(
            f"`{parts.scheme}:` is no address of the web",
            place=shown_url(url),
            expected="https://HOST/PATH",
            cure="a path",
        )
    name = urllib.parse.unquote(parts.path.rsplit("/", 1)[-1])
    wanted = sha256 or hash_in_name(name)
    kept = re.sub(r"[^A-Za-z0-9._-]", "_", name)[-80:] or "weights"
    place = _Place(url, folder / f"{sha_256(url.encode()).hexdigest()[:16]}-{kept}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{place.target}.lock", timeout=wait_s):
            if _is_there(place, wanted):
                return place.target
            _get(place, wanted, progress, wait_s, most_bytes)
            return _accept(place, wanted)
    except Timeout:
        raise WeightsError(
            "another process is fetching the same file",
            place=place.shown,
            cure="wait for it, then the same again",
        ) from None
    except OSError as problem:
        raise ResourceError(
            f"the cache cannot be written: {problem.strerror or problem}",
            place=str(folder),
            expected="a folder that you may write",
            cure="HF_HOME=/a/folder/of/yours",
        ) from None


def _is_there(place: _Place, wanted: str | None) -> bool:
    """Whether the whole file is there and still what it was."""
    if not place.target.exists():
        return False
    found = sha256_of(place.target)
    if found.startswith(wanted) if wanted else found == _notes(place).get("sha256"):
        return True
    if wanted and found == _notes(place).get("sha256"):
        # It is what was fetched, and another than is wanted now.
        raise wrong_hash(place.shown, found, wanted, "the right hash, or another source")
    place.target.unlink()
    return False


def _accept(place: _Place, wanted: str | None) -> Path:
    found = sha256_of(place.partial)
    if wanted and not found.startswith(wanted):
        _forget(place)
        raise wrong_hash(
            place.shown,
            found,
            wanted,
            "another source; or --sha256 with this hash, if you are sure that it is right",
        )
    write_atomic(place.notes, json.dumps({"url": place.shown, "sha256": found}).encode())
    os.replace(place.partial, place.target)
    return place.target


def _get(
    place: _Place, wanted: str | None, progress: Progress | None, wait_s: float, most_bytes: int
) -> None:
    """Fill the partial file, going on after each cut as long as more comes."""
    in_vain = 0
    for _ in range(_MOST_TRIES):
        before = _have(place)
        try:
            _get_rest(place, wanted, progress, wait_s, most_bytes)
            return
        except Stalled:
            raise _unfinished(place, f"the server sent nothing for {wait_s:g} s") from None
        except Refused as refusal:
            if refusal.status not in _LATER:
                raise _refused(place, refusal) from None
            problem = f"the server answers {refusal}"
        except (Broke, _Cut) as cut:
            problem = str(cut) or "the connection was cut"
        in_vain = 0 if _have(place) > before else in_vain + 1
        if in_vain >= _TRIES_IN_VAIN:
            break
        time.sleep(_PAUSE_S * in_vain)
    raise _unfinished(place, problem)


def _get_rest(
    place: _Place, wanted: str | None, progress: Progress | None, wait_s: float, most_bytes: int
) -> None:
    have, notes = _have(place), _notes(place)
    validator = notes.get("validator")
    if have and not validator and wanted is None:
        # Nothing would tell whether the file is still the same.
        have = 0
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if isinstance(validator, str):
            headers["If-Range"] = validator
    try:
        answer = open_url(place.url, headers, wait_s)
    except Refused as refusal:
        if refusal.status != 416 or not have:
            raise
        if have == notes.get("size_bytes"):
            return
        _forget(place)
        raise Broke("the server has another file now") from None
    with answer:
        if answer.status == 206 and not str(answer.headers.get("Content-Range", "")).startswith(
            f"bytes {have}-"
        ):
            _forget(place)
            raise Broke("the server sent another part than was asked for")
        if answer.status != 206:
            have = 0
        length = answer.headers.get("Content-Length", "")
        total = have + int(length) if length.isdigit() else None
        _check_size(place, total or 0, have, most_bytes)
        note = {"validator": _validator(answer), "size_bytes": total}
        write_atomic(place.notes, json.dumps(note).encode())
        _read_body(answer, place, have, total, progress, wait_s, most_bytes)


def _read_body(
    answer: HTTPResponse,
    place: _Place,
    have: int,
    total: int | None,
    progress: Progress | None,
    wait_s: float,
    most_bytes: int,
) -> None:
    since, news = time.monotonic(), 0
    with open(place.partial, "ab" if have else "wb") as file:
        while total is None or have < total:
            try:
                piece = answer.read1(_PIECE_BYTES)
            except TimeoutError:
                raise Stalled from None
            except (OSError, HTTPException):
                raise _Cut from None
            if not piece:
                if total is not None:
                    raise _Cut
                break
            file.write(piece)
            have, news = have + len(piece), news + len(piece)
            _check_size(place, have, have, most_bytes)
            if progress is not None:
                progress(have, total)
            now = time.monotonic()
            if now - since > wait_s:
                if news < _LEAST_BYTES:
                    raise Stalled
                since, news = now, 0


def _check_size(place: _Place, total: int, have: int, most_bytes: int) -> None:
    if total > most_bytes:
        raise WeightsError(
            f"the file takes {total:,} bytes",
            place=place.shown,
            expected=f"at most {most_bytes:,}",
            cure="fetch it by hand, and give its path",
        )
    free = shutil.disk_usage(place.target.parent).free if total > have else total
    if total - have > free:
        raise ResourceError(
            f"the file takes {total:,} bytes and {free:,} are free",
            place=str(place.target.parent),
            expected="room for it in the cache",
            cure="HF_HOME=/a/folder/with/room",
        )


def _validator(answer: HTTPResponse) -> str | None:
    """What tells whether the file is still the same: a strong ETag, or the date of its last change."""
    etag = answer.headers.get("ETag", "")
    return etag if etag.startswith('"') else answer.headers.get("Last-Modified")


def _notes(place: _Place) -> dict[str, object]:
    try:
        found = json.loads(place.notes.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _have(place: _Place) -> int:
    return place.partial.stat().st_size if place.partial.exists() else 0


def _forget(place: _Place) -> None:
    place.partial.unlink(missing_ok=True)
    place.notes.unlink(missing_ok=True)


def _unfinished(place: _Place, problem: str) -> WeightsError:
    have = _have(place)
    total = _notes(place).get("size_bytes")
    of = f" of {total:,}" if isinstance(total, int) else ""
    return WeightsError(
        f"{problem}; {have:,}{of} bytes are here and kept" if have else problem,
        place=place.shown,
        expected="the whole file",
        cure="the same command again, which goes on from there"
        if have
        else "check the address and the network",
    )


def _refused(place: _Place, refusal: Refused) -> WeightsError:
    what = "there is no such file" if refusal.status in (404, 410) else "the server refuses"
    return WeightsError(
        f"{what}: it answers {refusal}", place=place.shown, expected="the file", cure="check the address"
    )
