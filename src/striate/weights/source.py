"""Weights from wherever they are: a path, an address of the web, or the Hugging Face hub."""

from __future__ import annotations

import os
from pathlib import Path

from striate.weights.download import Progress, download
from striate.weights.fetched import sha256_of, wanted_hash, wrong_hash
from striate.weights.hub import fetch_from_hub
from striate.weights.trouble import WeightsError, clipped


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
    if where.lower().startswith(("http://", "https://")):
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


def _check(path: Path, where: str, wanted: str | None, cure: str) -> None:
    if wanted is not None:
        found = sha256_of(path)
        if not found.startswith(wanted):
            raise wrong_hash(clipped(where, 200), found, wanted, cure)


def _require(path: Path, where: str) -> None:
    if path.is_file():
        return
    if path.is_dir():
        raise WeightsError(
            "it is a folder",
            place=clipped(where, 200),
            expected="a file of weights",
            cure=f"{where.rstrip('/')}/weights.safetensors, if it is a run",
        )
    raise WeightsError(
        "there is no such file",
        place=clipped(where, 200),
        expected="a path, https://..., or hf:OWNER/NAME",
        cure="check the path; names of the hub begin with `hf:`",
    )
