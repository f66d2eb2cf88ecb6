"""A small bundle that needs no training, and a server of it in a thread."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from striate.bundle.bundle import Bundle
from striate.bundle.manifest import Manifest
from striate.serve.limits import Limits
from striate.serve.server import Server, configured, listen
from striate.serve.service import Service

CLASSES = ("red", "green", "blue")
SIZE = 32

# Small ones, so that a test reaches them at once.
TIGHT = Limits(
    body_bytes=200_000,
    held_bytes=400_000,
    pixels=1_000_000,
    images=8,
    header_bytes=4_096,
    headers_s=0.5,
    body_s=0.5,
)


def image_file(color: tuple[int, int, int] = (250, 20, 30), kind: str = "PNG", size: int = 48) -> bytes:
    """An image file of one color."""
    file = io.BytesIO()
    Image.new("RGB", (size, size), color).save(file, kind)
    return file.getvalue()


def write_bundle(
    path: Path, name: str = "colors", classes: tuple[str, ...] = CLASSES, **calibration: Any
) -> Path:
    """A bundle that tells the strongest color of an image: logits are 8 times the mean of each channel."""
    kernel, weights = np.ones((3, 1, 4, 4), np.float32) / 16, np.eye(3, dtype=np.float32) * 8
    nodes = [
        helper.make_node("Conv", ["images", "kernel"], ["means"], group=3, strides=[4, 4]),
        helper.make_node("Conv", ["means", "weights"], ["class_map"]),
        helper.make_node("GlobalAveragePool", ["class_map"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["logits"]),
    ]

    def info(name: str, *shape: Any) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", *shape])

    graph = helper.make_graph(
        nodes,
        "colors",
        [info("images", 3, SIZE, SIZE)],
        [info("logits", 3), info("class_map", 3, SIZE // 4, SIZE // 4)],
        [
            numpy_helper.from_array(weights.reshape(3, 3, 1, 1), "weights"),
            numpy_helper.from_array(kernel, "kernel"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    files = {
        "network.onnx": model.SerializeToString(),
        "net.txt": b"conv 3 4x4 stride 4 valid -> pool avg -> fc classes\n",
    }
    path.mkdir(parents=True)
    for file, content in files.items():
        (path / file).write_bytes(content)
    preprocessing = {
        "size": [SIZE, SIZE],
        "stored_size": [SIZE, SIZE],
        "channels": 3,
        "mean": [127.5] * 3,
        "deviation": [64.0] * 3,
        "dtype": "uint8",
    }
    known = {
        "name": name,
        "classes": list(classes),
        "class_map": [SIZE // 4, SIZE // 4],
        "preprocessing": preprocessing,
        "calibration": calibration,
        "weights_sha256": "0" * 64,
        "files": {file: hashlib.sha256(content).hexdigest() for file, content in files.items()},
    }
    # As JSON, whatever form a value has in memory.
    text = json.dumps(known)
    Manifest.model_validate_json(text)
    (path / "bundle.json").write_text(text)
    return path


@contextmanager
def running(
    path: Path, limits: Limits = TIGHT, token: str | None = None, read: Any = Bundle.read
) -> Iterator[tuple[Service, int]]:
    """A server of a bundle in a thread: the service and its port."""
    opened = listen("127.0.0.1", 0)
    service = Service(path, limits, token, read)
    server = Server(configured(service), service)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[opened])), daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield service, opened.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(20)
        opened.close()


class Slow:
    """A bundle whose network waits, until it is let go."""

    def __init__(self, path: Path) -> None:
        self.gate = threading.Event()
        self.bundle = Bundle.read(path)
        answer = self.bundle.answer_input

        def waits(x: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
            self.gate.wait(20)
            return answer(x)

        self.bundle.answer_input = waits

    def read(self, path: Path) -> Bundle:
        """In the place of `Bundle.read`."""
        return self.bundle


def exchange(
    port: int, *sent: bytes, pause_s: float = 0.0, half_close: bool = False
) -> tuple[int, dict[str, str], bytes]:
    """Send bytes as they are, and read one answer: its status, headers and body."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as line:
        try:
            for part in sent:
                line.sendall(part)
                time.sleep(pause_s)
            if half_close:
                line.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # refused before all was sent; the answer has come by then
        return answer_on(line)


def answer_on(line: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """The answer that comes on a connection; status 0 where none does."""
    found = b""
    while b"\r\n\r\n" not in found:
        try:
            part = line.recv(65_536)
        except OSError:
            part = b""
        if not part:
            return 0, {}, found
        found += part
    head, _, body = found.partition(b"\r\n\r\n")
    first, *rest = head.decode("latin-1").split("\r\n")
    headers = {key.lower(): value.strip() for key, _, value in (each.partition(":") for each in rest)}
    length = int(headers.get("content-length", 0))
    while len(body) < length:
        part = line.recv(65_536)
        if not part:
            break
        body += part
    # Behind it may be the answer to what was sent behind the request.
    return int(first.split()[1]), headers, body[:length]


def post(path: str, body: bytes, **headers: str) -> bytes:
    """The bytes of a POST request."""
    said = {"Host": "127.0.0.1", "Content-Length": str(len(body))} | {
        key.replace("_", "-"): value for key, value in headers.items()
    }
    head = "".join(f"{key}: {value}\r\n" for key, value in said.items())
    return f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + body


def get(path: str, **headers: str) -> bytes:
    """The bytes of a GET request."""
    said = {"Host": "127.0.0.1"} | {key.replace("_", "-"): value for key, value in headers.items()}
    head = "".join(f"{key}: {value}\r\n" for key, value in said.items())
    return f"GET {path} HTTP/1.1\r\n{head}\r\n".encode()


def form(*parts: tuple[str, bytes], boundary: str = "edge", end: str = "--\r\n") -> bytes:
    """A multipart/form-data body of parts, each with its headers."""
    lines = b"".join(
        f"--{boundary}\r\n{head}\r\n\r\n".encode("utf-8", "surrogateescape") + content + b"\r\n"
        for head, content in parts
    )
    return lines + f"--{boundary}{end}".encode()


FILE = 'Content-Disposition: form-data; name="image"; filename="a.png"'
EDGE = "multipart/form-data; boundary=edge"
