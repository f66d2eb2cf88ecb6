"""One file that classifies in a browser, without a server and without a network: the page with all it needs in it."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from striate.bundle.bundle import Bundle
from striate.bundle.manifest import NETWORK
from striate.disk.small import read_small
from striate.errors import StriateError
from striate.serve.limits import Limits
from striate.serve.page import assembled, hashes, read_page
from striate.text.visible import visible

# The build of onnxruntime-web that computes on the processor, in one thread or several, without WebGPU.
SCRIPT, WASM = "ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"

# What of it is known to answer as ONNX Runtime does: version -> SHA-256 of both files.
PINNED = {
    "1.30.0": (
        "11e64bd8ffe11bd1a2a2f0d6275fdfbbba7262f0b76b99b53d228a8a22ef3d90",
        "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
    )
}

MOST_BYTES = 64_000_000

FOOTER = (
    "This file has the network in it. Nothing is asked from elsewhere, and no image leaves this machine. "
    "Browsers decode images a little differently; `striate predict` is the measure."
)


def page_alone(bundle: Bundle, package: Path) -> str:
    """The page that answers by itself.

    package: onnxruntime-web as npm has it: the .tgz, its folder, or that of its files.
    Raises StriateError where it is another than is pinned; BundleError.
    """
    script, wasm = _runtime(package)
    scripts = [read_page("page.js"), read_page("alone.js")]
    policy = (
        f"default-src 'none'; script-src {hashes(scripts)} blob: 'wasm-unsafe-eval'; style-src 'unsafe-inline'; "
        "img-src blob: data:; media-src blob:; worker-src blob:"
    )
    parts = {"script": script, "wasm": wasm, "network": bundle.file(NETWORK)}
    inlined = [_inlined(key, "text/plain", _packed(content)) for key, content in parts.items()]
    # Nothing that is written in a name ends the element that it stands in.
    text = json.dumps(_known(bundle)).replace("<", "\\u003c")
    inlined.append(_inlined("known", "application/json", text))
    about = f"{visible(bundle.name)} · {len(bundle.classes):,} classes"
    code = [f"<script>{each}</script>" for each in scripts]
    return assembled(bundle.name, about, FOOTER, policy, [*inlined, *code])


def _known(bundle: Bundle) -> dict[str, Any]:
    """What the script is told of the bundle."""
    record, calibration = bundle.manifest.preprocessing, bundle.calibration
    promise = (
        calibration.promise(calibration.wrong_at_most) if calibration.wrong_at_most is not None else None
    )
    scale = "bytes"
    if record.values is not None and -1 <= record.values[0] <= record.values[1] <= 1:
        scale = "0..1" if record.values[0] >= 0 else "-1..1"
    at = None
    if record.mean_image:
        at = np.frombuffer(base64.b64decode(record.mean_image), "<f4").tolist()
    return {
        "classes": list(bundle.classes),
        "preprocessing": record.model_dump(
            mode="json", include={"size", "stored_size", "channels", "mean", "deviation", "fit"}
        ),
        "mean_image": at,
        "scale": scale,
        "temperature": calibration.temperature,
        "threshold": promise.threshold if promise is not None else 0.0,
        "outlier": calibration.outliers.threshold if calibration.outliers is not None else None,
        "tta": bundle.manifest.tta,
        "pixels": Limits().pixels,
    }


def _inlined(key: str, kind: str, text: str) -> str:
    return f'<script type="{kind}" id="{key}">{text}</script>'


def _packed(content: bytes) -> str:
    return base64.b64encode(gzip.compress(content, 9, mtime=0)).decode()


def _runtime(package: Path) -> tuple[bytes, bytes]:
    """The script and the wasm of onnxruntime-web.  Raises StriateError."""
    found = _files(package)
    shown = visible(os.fspath(package))
    known = max(PINNED)
    cure = f"npm pack onnxruntime-web@{known}, then --onnxruntime-web onnxruntime-web-{known}.tgz"
    expected = "the npm package onnxruntime-web: its .tgz or its folder"
    if set(found) != {SCRIPT, WASM}:
        missing = " and ".join(each for each in (SCRIPT, WASM) if each not in found)
        raise StriateError(f"there is no {missing} in it", place=shown, expected=expected, cure=cure)
    hashed = tuple(hashlib.sha256(found[each]).hexdigest() for each in (SCRIPT, WASM))
    if hashed not in PINNED.values():
        raise StriateError(
            f"this is not onnxruntime-web {' or '.join(PINNED)}: the SHA-256 of its files differ",
            place=shown,
            expected=f"onnxruntime-web {known}, whose files are known",
            cure=cure,
        )
    return found[SCRIPT], found[WASM]


def _files(package: Path) -> Mapping[str, bytes]:
    """Both files, as far as they are there."""
    if package.is_dir():
        folder = next((each for each in (package / "dist", package) if (each / WASM).is_file()), package)
        return {
            each: read_small(folder / each, MOST_BYTES)
            for each in (SCRIPT, WASM)
            if (folder / each).is_file()
        }
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(read_small(package, MOST_BYTES)), mode="r:gz") as archive:
            for member in archive:
                name = member.name.removeprefix("package/dist/")
                if name in (SCRIPT, WASM) and member.isfile() and member.size <= MOST_BYTES:
                    file = archive.extractfile(member)
                    found[name] = file.read() if file is not None else b""
    except FileNotFoundError:
        raise StriateError("there is no such file or folder", place=visible(os.fspath(package))) from None
    except (tarfile.TarError, EOFError, OSError) as problem:
        raise StriateError(
            f"it cannot be read: {getattr(problem, 'strerror', None) or 'it is no .tgz'}",
            place=visible(os.fspath(package)),
            expected="the npm package onnxruntime-web: its .tgz or its folder",
        ) from None
    return found
