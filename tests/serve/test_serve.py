"""Answers, both protocols, the queue, the token, the end, and a new bundle in place of the old."""

from __future__ import annotations

import base64
import json
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from served import (
    EDGE,
    FILE,
    TIGHT,
    Slow,
    answer_on,
    exchange,
    form,
    get,
    image_file,
    post,
    running,
    write_bundle,
)

from striate.bundle.bundle import Bundle
from striate.errors import StriateError
from striate.serve.page import page
from striate.serve.server import is_loopback, listen

RED, BLUE = image_file((250, 20, 30)), image_file((20, 30, 250))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("bundle") / "colors")


@pytest.fixture(scope="module")
def port(bundle: Path) -> Iterator[int]:
    with running(bundle) as (_, port):
        yield port


def asked(port: int, sent: bytes) -> Any:
    status, _, body = exchange(port, sent)
    assert status == 200, body
    return json.loads(body)


def infer(
    port: int, tensor: dict[str, Any], behind: bytes = b"", **more: Any
) -> tuple[dict[str, Any], bytes]:
    """The JSON of an answer, and the bytes behind it."""
    head = json.dumps({"inputs": [{"name": "images", **tensor}], **more}).encode()
    length = {"Inference_Header_Content_Length": str(len(head))} if behind else {}
    status, headers, body = exchange(port, post("/v2/models/colors/infer", head + behind, **length))
    assert status == 200, body
    size = int(headers.get("inference-header-content-length", len(body)))
    return json.loads(body[:size]), body[size:]


def test_a_file_is_answered_as_predict_answers_it(port: int, bundle: Path) -> None:
    status, headers, body = exchange(port, post("/predict?name=red.png&top=2", RED))
    record = Bundle.read(bundle).answer([RED]).record(0, 2)
    assert body == json.dumps({"version": 1, "image": "red.png", **record}).encode()
    assert (status, headers["content-type"]) == (200, "application/json")
    assert [each["class"] for each in record["answers"]] == ["red", "blue"]
    assert "server" not in headers


def test_a_form_is_answered_in_its_order(port: int) -> None:
    parts = [(FILE.replace("a.png", "größe.png"), RED), (FILE.replace("a.png", "b.png"), BLUE)]
    found = asked(port, post("/predict?top=1", form(*parts), Content_Type=EDGE))
    assert [(each["image"], each["answers"][0]["class"]) for each in found["images"]] == [
        ("größe.png", "red"),
        ("b.png", "blue"),
    ]


def test_the_body_may_come_in_chunks_and_pieces(port: int) -> None:
    chunks = (
        b"".join(f"{len(part):x}\r\n".encode() + part + b"\r\n" for part in (RED[:40], RED[40:]))
        + b"0\r\n\r\n"
    )
    head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    status, _, body = exchange(port, head + chunks[:30], chunks[30:], pause_s=0.05)
    assert (status, json.loads(body)["answers"][0]["class"]) == (200, "red")


def test_where_it_looked_is_given_where_asked_for(port: int) -> None:
    where = asked(port, post("/predict?where=true", RED))["where"]
    assert where["view"] == {"fit": "crop", "stored": [32, 32], "size": [32, 32]}
    assert np.shape(where["values"]) == (8, 8)
    assert np.mean(where["values"]) == pytest.approx((250 - 127.5) / 64 * 8, abs=1e-3)


def test_an_unsure_answer_says_so(tmp_path: Path) -> None:
    promise = {"risk": 0.01, "threshold": 0.9, "coverage": 0.5, "wrong": 0.0, "answered": 400}
    with running(write_bundle(tmp_path / "b", wrong_at_most=0.01, promises=[promise])) as (_, port):
        assert asked(port, post("/predict", image_file((128, 127, 126))))["rejected"] == "unsure"
        assert "rejected" not in asked(port, post("/predict", RED))
        tensor = {
            "datatype": "BYTES",
            "shape": [1],
            "data": [base64.b64encode(image_file((128, 127, 126))).decode()],
        }
        known = next(each for each in infer(port, tensor)[0]["outputs"] if each["name"] == "known")
        assert known == {"name": "known", "datatype": "BOOL", "shape": [1], "data": [False]}


def test_the_protocol_tells_what_there_is(port: int) -> None:
    assert asked(port, get("/v2"))["extensions"] == ["binary_tensor_data", "classification"]
    assert asked(port, get("/v2/health/live")) == {"live": True}
    assert asked(port, get("/v2/health/ready")) == {"ready": True}
    assert asked(port, get("/v2/models/colors/ready")) == {"name": "colors", "ready": True}
    assert (
        asked(port, get("/v2/models/colors"))
        == asked(port, get("/v2/models/colors/versions/1"))
        == {
            "name": "colors",
            "versions": ["1"],
            "platform": "striate_onnx",
            "inputs": [{"name": "images", "datatype": "BYTES", "shape": [-1]}],
            "outputs": [
                {"name": "label", "datatype": "BYTES", "shape": [-1]},
                {"name": "known", "datatype": "BOOL", "shape": [-1]},
                {"name": "probabilities", "datatype": "FP32", "shape": [-1, 3]},
                {"name": "logits", "datatype": "FP32", "shape": [-1, 3]},
                {"name": "where", "datatype": "FP32", "shape": [-1, 8, 8]},
            ],
        }
    )


def test_files_pixels_and_tensors_have_the_same_answer(port: int, bundle: Path) -> None:
    read = Bundle.read(bundle)
    pixels = np.stack([read.store(each) for each in (RED, BLUE)])
    x = read.preprocessing.normalize(pixels)
    files = b"".join(struct.pack("<I", len(each)) + each for each in (RED, BLUE))
    given: list[tuple[dict[str, Any], bytes]] = [
        (
            {
                "datatype": "BYTES",
                "shape": [2],
                "data": [base64.b64encode(each).decode() for each in (RED, BLUE)],
            },
            b"",
        ),
        ({"datatype": "BYTES", "shape": [2, 1], "parameters": {"binary_data_size": len(files)}}, files),
        ({"datatype": "UINT8", "shape": list(pixels.shape), "data": pixels.tolist()}, b""),
        ({"datatype": "FP32", "shape": list(x.shape), "data": x.ravel().tolist()}, b""),
        (
            {"datatype": "FP32", "shape": list(x.shape), "parameters": {"binary_data_size": x.nbytes}},
            x.tobytes(),
        ),
    ]
    answers = [infer(port, *each)[0]["outputs"] for each in given]
    assert answers[0][0] == {"name": "label", "datatype": "BYTES", "shape": [2], "data": ["red", "blue"]}
    assert all(each == answers[0] for each in answers)


def test_outputs_come_as_bytes_and_rankings(port: int) -> None:
    tensor = {"datatype": "BYTES", "shape": [1], "data": [base64.b64encode(RED).decode()]}
    said, behind = infer(
        port,
        tensor,
        id="7",
        outputs=[
            {"name": "label", "parameters": {"binary_data": True}},
            {"name": "probabilities", "parameters": {"binary_data": True}},
            {"name": "probabilities", "parameters": {"classification": 2}},
        ],
    )
    assert (said["id"], said["model_name"], said["model_version"]) == ("7", "colors", "1")
    label, shares, ranked = said["outputs"]
    assert (label["parameters"], shares["parameters"]) == ({"binary_data_size": 7}, {"binary_data_size": 12})
    assert behind[:7] == b"\x03\0\0\0red"
    row = np.frombuffer(behind[7:], "<f4")
    assert row.sum() == pytest.approx(1)
    assert (ranked["shape"], ranked["data"]) == ([1, 2], [f"{row[0]:f}:0:red", f"{row[2]:f}:2:blue"])
    everything = infer(port, tensor, parameters={"binary_data_output": True})[0]["outputs"]
    assert all("data" not in each for each in everything)


def test_what_waits_is_answered_together_and_more_is_refused(bundle: Path) -> None:
    slow = Slow(bundle)
    with (
        running(bundle, replace(TIGHT, waiting_s=0.0), read=slow.read) as (service, port),
        ThreadPoolExecutor(32) as pool,
    ):
        batches: list[int] = []
        service.engine.seen = lambda images, _: batches.append(images)
        first = pool.submit(exchange, port, post("/predict", RED))
        _until(lambda: service.engine.waiting == 1 and not service.engine._jobs)
        others = [pool.submit(exchange, port, post("/predict", BLUE)) for _ in range(31)]
        _until(lambda: service.engine.waiting == 32)
        # Before its body is read.
        head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n"
        status, headers, body = exchange(port, head)
        assert (status, headers["retry-after"]) == (429, "1")
        assert json.loads(body) == {"error": "too many images wait already; try again in 1 s"}
        # A connection goes on after refusals: bodies that come later or in pieces are skipped, others are read as ever.
        line = socket.create_connection(("127.0.0.1", port))
        whole = post("/predict", RED)
        chunked = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n.\r\n0\r\n\r\n"
        for parts in (
            [head, bytes(400), bytes(600)],
            [whole],
            [head + bytes(1000)],
            [get("/health")],
            [chunked],
        ):
            for part in parts:
                line.sendall(part)
                time.sleep(0.02)
            assert answer_on(line)[0] == (200 if parts[0].startswith(b"GET") else 429)
        slow.gate.set()
        assert [each.result()[0] for each in (first, *others)] == [200] * 32
        assert batches == [1, 16, 15]
        line.close()
        assert exchange(port, post("/predict", RED))[0] == 200
        assert (
            b'striate_requests_total{route="/predict",status="429"} 5.0' in exchange(port, get("/metrics"))[2]
        )


def test_its_end_waits_for_what_was_asked(bundle: Path) -> None:
    slow = Slow(bundle)
    with running(bundle, read=slow.read) as (service, port), ThreadPoolExecutor(6) as pool:
        under_way = [pool.submit(exchange, port, post("/predict", RED)) for _ in range(6)]
        _until(lambda: service.engine.waiting == 6)
        with socket.create_connection(("127.0.0.1", port)) as line:
            line.sendall(get("/ready"))
            assert answer_on(line)[0] == 200
            service.draining = True
            line.sendall(get("/ready"))
            assert json.loads(answer_on(line)[2]) == {"error": "the server is ending; ask another"}
        threading.Timer(0.3, slow.gate.set).start()
    # The server has ended.
    assert [each.result()[0] for each in under_way] == [200] * 6
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port))


def test_a_signal_ends_the_command_when_all_is_answered(bundle: Path) -> None:
    command = [
        sys.executable,
        "-c",
        "from striate.cli.main import main; main()",
        "serve",
        str(bundle),
        "--port",
        "0",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        head = [process.stdout.readline() for _ in range(2)]
        found = re.fullmatch(
            r"bundle    colors: 3 classes, fp32\npage      http://127.0.0.1:(\d+)/\n", "".join(head)
        )
        assert found, head
        _until(lambda: exchange(int(found[1]), get("/ready"))[0] == 200)
        assert exchange(int(found[1]), post("/predict", RED))[0] == 200
        process.send_signal(signal.SIGTERM)
        assert process.stdout.read() == ""
        assert process.wait(20) == 0


def test_a_new_bundle_is_taken_without_a_failed_request(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place, second = (
        write_bundle(tmp_path / "b"),
        write_bundle(tmp_path / "second", classes=("rot", "grün", "blau")),
    )
    damaged = write_bundle(tmp_path / "damaged")
    (damaged / "network.onnx").write_bytes(b"nothing")
    # Nobody looks but the test.
    with running(place) as (service, port), ThreadPoolExecutor(4) as pool:
        ended = threading.Event()

        def ask() -> set[tuple[int, str]]:
            found = set()
            while not ended.is_set():
                status, _, body = exchange(port, post("/predict", RED))
                found.add((status, json.loads(body)["answers"][0]["class"]))
            return found

        asking = [pool.submit(ask) for _ in range(4)]
        try:
            time.sleep(0.2)
            place.rename(tmp_path / "first")
            damaged.rename(place)
            _until(lambda: b'result="refused"' in exchange(port, get("/metrics"))[2])
            assert asked(port, post("/predict", RED))["answers"][0]["class"] == "red"
            place.rename(damaged)
            second.rename(place)
            _until(lambda: service.held.current.classes[0] == "rot")
            time.sleep(0.2)
        finally:
            ended.set()
        assert set[tuple[int, str]]().union(*(each.result() for each in asking)) == {
            (200, "red"),
            (200, "rot"),
        }
    assert "network.onnx is not the one that was proven: its SHA-256 differs" in caplog.text


def test_an_address_for_all_needs_a_token(bundle: Path) -> None:
    token = "a-token-of-the-test"
    with running(bundle, token=token) as (_, port):
        status, headers, body = exchange(port, post("/predict", RED, Host="example.com"))
        assert (status, headers["www-authenticate"]) == (401, "Bearer")
        assert json.loads(body) == {"error": "a token is needed; send the header Authorization: Bearer TOKEN"}
        _, _, body = exchange(port, post("/predict", RED, Authorization="Bearer another"))
        assert json.loads(body) == {
            "error": "the token is wrong; send the header Authorization: Bearer TOKEN"
        }
        given = {"Authorization": f"Bearer {token}", "Host": "example.com"}
        assert exchange(port, post("/predict", RED, **given))[0] == 200
        assert [
            exchange(port, get(path))[0] for path in ("/", "/health", "/ready", "/v2/health/ready", "/docs")
        ] == [200] * 5
        assert [exchange(port, get(path))[0] for path in ("/metrics", "/v2", "/v2/models/colors")] == [
            401
        ] * 3


@pytest.mark.parametrize(
    ("host", "loopback"), [("127.0.0.1", True), ("localhost", True), ("127.0.0.2", True), ("0.0.0.0", False)]
)
def test_only_loopback_needs_no_token(host: str, loopback: bool) -> None:
    with listen(host, 0) as opened:
        assert is_loopback(opened) is loopback


def test_an_address_that_cannot_be_had() -> None:
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StriateError) as error:
            listen("127.0.0.1", port)
    assert str(error.value) == (
        f"--port: port {port} cannot be had at 127.0.0.1: address already in use\n"
        "  expected: a port that is free, of 1024 and above\n"
        "  try: --port 0, which takes a free one"
    )
    with pytest.raises(StriateError) as error:
        listen("no such host.", 0)
    assert str(error.value) == (
        "--host: `no such host.` is no address of this machine\n"
        "  expected: 127.0.0.1 for this machine alone, or 0.0.0.0 for all its addresses\n"
        "  try: leave out --host"
    )


def test_slow_and_broken_off_requests(port: int) -> None:
    head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n"
    cases = [
        # Headers that never end, byte by byte.
        (
            [bytes([each]) for each in head[:40]],
            0.03,
            False,
            408,
            "the headers took more than 0.5 seconds; send them at once",
        ),
        # A body that never ends.
        (
            [head + b"\r\n", *[b"x"] * 40],
            0.03,
            False,
            408,
            "the body took more than 0.5 seconds; send it faster",
        ),
        # Whoever sends is done before the body is.
        (
            [head + b"\r\nhalf"],
            0.0,
            True,
            400,
            "the body is not as its headers declare it; send it whole, in one piece",
        ),
        (
            [head[:30]],
            0.0,
            True,
            400,
            "this is not a valid HTTP/1.1 request; check its first line and its headers",
        ),
    ]
    for parts, pause_s, half_close, status, sentence in cases:
        found, _, body = exchange(port, *parts, pause_s=pause_s, half_close=half_close)
        assert (found, json.loads(body)) == (status, {"error": sentence})


def test_one_connection_too_many(bundle: Path) -> None:
    with running(bundle, replace(TIGHT, connections=2)) as (_, port):
        lines = [socket.create_connection(("127.0.0.1", port)) for _ in range(2)]
        for line in lines:
            line.sendall(get("/health"))
            assert answer_on(line)[0] == 200
        status, headers, body = exchange(port)
        assert (status, headers["retry-after"]) == (503, "1")
        assert json.loads(body) == {"error": "there are too many connections; try again"}
        lines.pop().close()
        _until(lambda: exchange(port, get("/health"))[0] == 200)
        lines.pop().close()


def test_all_bodies_together_have_a_limit(port: int) -> None:
    head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 190000\r\n\r\n"
    lines = [socket.create_connection(("127.0.0.1", port)) for _ in range(2)]
    for line in lines:
        line.sendall(head)
    time.sleep(0.1)
    status, headers, body = exchange(port, head)
    assert (status, headers["retry-after"]) == (429, "1")
    assert json.loads(body) == {"error": "too much is being sent at once; try again"}
    for line in lines:
        line.close()
    _until(lambda: exchange(port, post("/predict", RED + bytes(190_000 - len(RED))))[0] == 200)


def test_what_fails_inside_tells_nothing(bundle: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Slow):
        def __init__(self, path: Path) -> None:
            super().__init__(path)

            def fails(x: Any) -> Any:
                raise RuntimeError(f"at {__file__}")

            self.bundle.answer_input = fails

    with running(bundle, read=Broken(bundle).read) as (_, port):
        status, _, body = exchange(port, post("/predict", RED))
        assert (status, json.loads(body)) == (
            500,
            {"error": "the server failed at this request; its log says why"},
        )
        assert exchange(port, get("/ready"))[0] == 200
    assert f"at {__file__}" in caplog.text


def test_one_bad_batch_mate_spoils_no_other(bundle: Path) -> None:
    slow = Slow(bundle)
    with running(bundle, read=slow.read) as (service, port), ThreadPoolExecutor(4) as pool:
        first = pool.submit(exchange, port, post("/predict", RED))
        _until(lambda: service.engine.waiting == 1 and not service.engine._jobs)
        others = [pool.submit(exchange, port, post("/predict", each)) for each in (RED, RED[:50], BLUE)]
        _until(lambda: service.engine.waiting == 4)
        slow.gate.set()
        assert [each.result()[0] for each in (first, *others)] == [200, 200, 422, 200]


def test_the_page_asks_for_nothing_from_elsewhere(port: int) -> None:
    status, headers, body = exchange(port, get("/"))
    text, policy = page()
    assert (status, body.decode()) == (200, text)
    assert headers["content-security-policy"].startswith(policy)
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert not re.findall(r"""(?:src|href)=["'](?!data:|docs")|https?://|url\(""", text)
    docs = exchange(port, get("/docs"))[2].decode()
    assert re.findall(r'(?:src|href)="([^"]*)"', docs) == [
        "data:,",
        "docs/swagger-ui.css",
        "docs/swagger-ui-bundle.js",
        "docs/start.js",
    ]
    for name in ("swagger-ui.css", "swagger-ui-bundle.js"):
        status, headers, _ = exchange(port, get(f"/docs/{name}"))
        assert (status, headers["content-encoding"]) == (200, "gzip")


def test_openapi_describes_every_route(port: int) -> None:
    described = asked(port, get("/openapi.json"))
    assert sorted(described["paths"]) == [
        "/health",
        "/metrics",
        "/predict",
        "/ready",
        "/v2",
        "/v2/health/live",
        "/v2/health/ready",
        "/v2/models",
        "/v2/models/{name}",
        "/v2/models/{name}/infer",
        "/v2/models/{name}/ready",
        "/v2/models/{name}/versions/{version}",
        "/v2/models/{name}/versions/{version}/infer",
        "/v2/models/{name}/versions/{version}/ready",
    ]
    known = described["components"]["schemas"]
    named = re.findall(r'"#/components/schemas/(\w+)"', json.dumps(described))
    assert set(named) == set(known)
    assert {"Prediction", "Error", "InferRequest"} <= set(known)
    assert not any("HTTPValidationError" in each for each in known)


def _until(true: Any) -> None:
    """Wait until something is true; twenty seconds are a failure."""
    for _ in range(2_000):
        if true():
            return
        time.sleep(0.01)
    raise AssertionError("it never came to be")


@pytest.mark.slow
def test_schemathesis_finds_nothing(port: int) -> None:
    command = Path(sys.executable).with_name("schemathesis")
    if not command.exists():
        pytest.skip("schemathesis is not installed here")
    # Bytes that are drawn are no image: that they are refused is right.
    words = [
        "--phases",
        "coverage,fuzzing",
        "-n",
        "40",
        "--seed",
        "1",
        "--exclude-checks",
        "positive_data_acceptance",
    ]
    address = f"http://127.0.0.1:{port}/openapi.json"
    done = subprocess.run([str(command), "run", address, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
