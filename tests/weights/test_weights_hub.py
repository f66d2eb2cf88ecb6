"""Files of the Hugging Face hub, from a hub on this machine."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("huggingface_hub") is None, reason="huggingface_hub is not installed"
)

CONTENT = b"weights" * 1000
HASH = hashlib.sha256(CONTENT).hexdigest()
COMMIT = "a" * 40


class _Hub(BaseHTTPRequestHandler):
    """One repository, `owner/one`, with one file of weights, and `owner/two` with two."""

    def do_HEAD(self) -> None:
        self.answer(b"")

    def do_GET(self) -> None:
        self.answer(CONTENT)

    def answer(self, body: bytes) -> None:
        if self.path.startswith("/api/models/owner/"):
            names = ["README.md", "w.pth"] + (["v.pth"] if "/two/" in self.path else [])
            listed = json.dumps([{"type": "file", "path": name, "size": 1, "oid": "0"} for name in names])
            self.reply(200, {"Content-Type": "application/json"}, listed.encode(), len(listed))
        elif self.path.endswith("/w.pth"):
            commit = {"ETag": f'"{HASH}"', "X-Repo-Commit": COMMIT}
            self.reply(200, commit, body, len(CONTENT))
        else:
            missing = "RepoNotFound" if "/none/" in self.path else "EntryNotFound"
            self.reply(404, {"X-Error-Code": missing, "X-Repo-Commit": COMMIT}, b"", 0)

    def reply(self, status: int, headers: dict[str, str], body: bytes, length: int) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(length)}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Hub)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


# The library reads its environment when it is imported, so a process of its own.
PROGRAM = """
import sys
from striate.errors import StriateError
from striate.weights.fetch import fetch
for where in sys.argv[1:]:
    try:
        news = []
        path = fetch(where, progress=lambda done, total: news.append((done, total)))
        print(path.name, path.stat().st_size, news[-1:])
    except StriateError as problem:
        print(problem)
    print("--")
"""


def fetched(endpoint: str, home: Path, *wheres: str, offline: bool = False) -> list[str]:
    settings = {"HF_ENDPOINT": endpoint, "HF_HOME": str(home), "HF_HUB_OFFLINE": "1" if offline else "0"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *wheres],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.split("\n--\n")[:-1]


EXPECTED = "  expected: hf:OWNER/NAME, hf:OWNER/NAME@REVISION or hf:OWNER/NAME/FILE\n"


def test_files_of_the_hub(endpoint: str, tmp_path: Path) -> None:
    named, again, only, missing, two, none = fetched(
        endpoint,
        tmp_path,
        "hf:owner/one@main/w.pth",
        "hf:owner/one/w.pth",
        "hf:owner/one",
        "hf:owner/one/x.pth",
        "hf:owner/two",
        "hf:owner/none",
    )
    assert named == "w.pth 7000 [(7000, 7000)]"
    assert again == only == "w.pth 7000 []"
    assert missing == (
        f"hf:owner/one/x.pth: the repository has no such file\n{EXPECTED}  try: leave the file's name out"
    )
    assert two == (
        "hf:owner/two: the repository has 2 files of weights: w.pth, v.pth\n"
        "  expected: one file of weights, or the name of one\n"
        "  try: hf:owner/two/w.pth"
    )
    assert (
        none
        == f"hf:owner/none: there is no such repository\n{EXPECTED}  try: check the name on huggingface.co"
    )


def test_without_a_network_what_is_in_the_cache_serves(endpoint: str, tmp_path: Path) -> None:
    fetched(endpoint, tmp_path, "hf:owner/one/w.pth")
    found, absent = fetched(endpoint, tmp_path, "hf:owner/one/w.pth", "hf:owner/one", offline=True)
    assert found == "w.pth 7000 []"
    assert absent == (
        "hf:owner/one: the hub cannot be reached, and the file is not in the cache\n"
        "  expected: a way to huggingface.co, or the file in its cache\n"
        "  try: check the network and HF_HUB_OFFLINE, or give a file's path"
    )


def test_a_damaged_file_in_the_cache_is_not_used(endpoint: str, tmp_path: Path) -> None:
    fetched(endpoint, tmp_path, "hf:owner/one/w.pth")
    (blob,) = tmp_path.glob("hub/models--owner--one/blobs/*")
    blob.write_bytes(b"other")
    (said,) = fetched(endpoint, tmp_path, "hf:owner/one/w.pth")
    assert said == (
        f"hf:owner/one/w.pth: its SHA-256 is {hashlib.sha256(b'other').hexdigest()}; the file is not used\n"
        f"  expected: {HASH}\n"
        "  try: delete it from the cache (`hf cache rm`), and the same again"
    )
