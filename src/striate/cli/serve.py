"""`striate serve`."""

from __future__ import annotations

import logging
import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from striate.cli.console import prose
from striate.cli.values import require_new
from striate.disk.atomic import write_atomic
from striate.disk.small import read_small_text
from striate.errors import MissingExtra, StriateError, counted
from striate.text.figures import size
from striate.text.visible import visible

if TYPE_CHECKING:
    from striate.serve.service import Service

NEEDED = ("onnxruntime", "fastapi", "uvicorn", "python_multipart", "prometheus_client")

TOKEN = "STRIATE_TOKEN"


def serve(
    bundle: Path,
    /,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    token_file: Path | None = None,
    html: Path | None = None,
    onnxruntime_web: Path | None = None,
    force: bool = False,
) -> None:
    """Serve a bundle over HTTP, with a page to drop an image on.

    `/` is the page, `/predict` takes image files, `/v2` is the Open Inference Protocol, `/docs` describes both, and
    `/health`, `/ready` and `/metrics` are for who watches it. Only this machine can ask, unless --host names
    another address; then every request needs a token: that of --token-file or of the environment's STRIATE_TOKEN,
    else one that is drawn and printed.

    A new bundle that is moved to the same place is taken without a failed request, a damaged one is refused.
    SIGTERM and Ctrl-C end it when what was asked is answered.

    With --html nothing is served: the page is written with the network in it, one file that classifies in a browser
    offline, camera included.

    For example:

      striate serve bundle/
      curl --data-binary @cat.jpg http://127.0.0.1:8000/predict
      striate serve bundle/ --host 0.0.0.0 --port 80 --token-file token.txt
      striate serve bundle/ --html cats.html --onnxruntime-web onnxruntime-web-1.30.0.tgz

    Parameters
    ----------
    bundle
        What `striate export` wrote: a folder or a zip.
    host
        The address to listen at.
    port
        The port; 0 takes one that is free.
    token_file
        A file with the token that requests must carry.
    html
        Write the page as one file that answers by itself, and serve nothing.
    onnxruntime_web
        With --html: the npm package onnxruntime-web, its .tgz or its folder, which you have fetched:
        `npm pack onnxruntime-web@1.30.0`.
    force
        With --html: write over a file that is there.
    """
    if any(find_spec(each) is None for each in NEEDED):
        raise MissingExtra(
            "`striate serve` needs packages that are not installed",
            expected="the extra `serve`",
            cure='pip install "striate[serve]"',
        )
    if not 0 <= port <= 65535:
        raise StriateError(f"{port} is no port", place="--port", expected="0 to 65535", cure="--port 8000")
    if html is not None:
        _write_page(bundle, html, onnxruntime_web, force)
        return
    token = _token(token_file)
    from striate.serve.limits import Limits
    from striate.serve.server import serve as serve_bundle

    logging.basicConfig(format="striate: %(message)s", level=logging.WARNING)
    logging.getLogger("striate.serve").setLevel(logging.INFO)
    told = prose()

    def listening(service: Service, address: str) -> None:
        known = service.held.current
        kind = f"{counted(len(known.classes), 'class', 'classes')}, {known.manifest.precision}"
        told.print(f"bundle    {visible(known.name)}: {kind}")
        if service.token is not None:
            told.print(f"token     {'as given' if token else service.token}")
            address = address.replace("0.0.0.0", "127.0.0.1").replace("[::]", "[::1]")
            address += "" if token else f"#token={service.token}"
        told.print(f"page      {address}")

    serve_bundle(bundle, host, port, token, Limits(), listening)


def _write_page(bundle: Path, html: Path, package: Path | None, force: bool) -> None:
    if package is None:
        raise StriateError(
            "the page needs onnxruntime-web, which striate does not fetch",
            place="--html",
            expected="--onnxruntime-web with the npm package, its .tgz or its folder",
            cure="npm pack onnxruntime-web@1.30.0, then --onnxruntime-web onnxruntime-web-1.30.0.tgz",
        )
    require_new(html, force, "--html")
    from striate.bundle.bundle import Bundle
    from striate.serve.alone import page_alone

    content = page_alone(Bundle.read(bundle), package).encode()
    write_atomic(html, content)
    prose().print(f"page      {visible(str(html))}: {size(len(content))}, opens in any browser")


def _token(file: Path | None) -> str | None:
    said = (
        os.environ.get(TOKEN)
        if file is None
        else read_small_text(file, StriateError, "a file with a token", most_bytes=10_000)
    )
    if said is None:
        return None
    token, place = said.strip(), str(file) if file is not None else TOKEN
    if len(token) < 16 or not token.isascii() or not token.isprintable() or " " in token:
        raise StriateError(
            "this is no token",
            place=visible(place),
            expected="16 letters and digits, or more, in one line",
            cure=f"python -c 'import secrets; print(secrets.token_urlsafe(24))' > {visible(place) if file else 'token.txt'}",
        )
    return token
