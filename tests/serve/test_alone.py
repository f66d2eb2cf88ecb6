"""The page as one file, and what `striate serve` says where it cannot serve."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import re
import tarfile
from pathlib import Path

import pytest
from served import write_bundle

from striate.bundle.bundle import Bundle
from striate.cli.predict import predict
from striate.cli.serve import serve
from striate.errors import StriateError
from striate.serve import alone
from striate.serve.alone import page_alone

SCRIPT, WASM = b"export const env = {};", b"\0asm"
CURE = "npm pack onnxruntime-web@1.30.0, then --onnxruntime-web onnxruntime-web-1.30.0.tgz"


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return write_bundle(tmp_path / "b", classes=("red</script>", "green", "blue"))


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package whose hashes are taken for the known ones."""
    hashes = tuple(hashlib.sha256(each).hexdigest() for each in (SCRIPT, WASM))
    monkeypatch.setattr(alone, "PINNED", {"1.30.0": hashes})
    path = tmp_path / "onnxruntime-web.tgz"
    with tarfile.open(path, "w:gz") as archive:
        for name, content in ((alone.SCRIPT, SCRIPT), (alone.WASM, WASM), ("other.js", b"")):
            member = tarfile.TarInfo(f"package/dist/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def test_one_file_has_all_it_needs(bundle: Path, package: Path) -> None:
    text = page_alone(Bundle.read(bundle), package)
    parts = dict(re.findall(r'<script type="text/plain" id="(\w+)">([^<]*)</script>', text))
    unpacked = {name: gzip.decompress(base64.b64decode(content)) for name, content in parts.items()}
    assert unpacked == {"script": SCRIPT, "wasm": WASM, "network": (bundle / "network.onnx").read_bytes()}
    known = re.search(r'<script type="application/json" id="known">([^<]*)</script>', text)
    assert known is not None
    assert json.loads(known[1])["classes"] == ["red</script>", "green", "blue"]
    # Every element that begins ends, whatever a class is called; nothing is asked from elsewhere.
    assert text.count("<script") == text.count("</script>") == 6
    assert not re.findall(
        r"""(?:src|href)=["'](?!data:)|https?://|url\(""", re.sub(r">[^<]{200,}</script>", ">", text)
    )
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    assert policy is not None
    assert policy[1].startswith("default-src &#x27;none&#x27;; script-src &#x27;sha256-")
    assert "connect-src" not in policy[1]
    hashed = [
        base64.b64encode(hashlib.sha256(each.encode()).digest()).decode()
        for each in re.findall(r"<script>(.*?)</script>", text, re.S)
    ]
    assert re.findall(r"sha256-([^&]*)&", policy[1]) == hashed


def test_a_folder_of_the_package_will_do(bundle: Path, package: Path, tmp_path: Path) -> None:
    with tarfile.open(package) as archive:
        archive.extractall(tmp_path, filter="data")
    for folder in (tmp_path / "package", tmp_path / "package" / "dist"):
        assert page_alone(Bundle.read(bundle), folder) == page_alone(Bundle.read(bundle), package)


def test_the_command_writes_it_once(bundle: Path, package: Path, capsys: pytest.CaptureFixture[str]) -> None:
    serve(bundle, html=Path("page.html"), onnxruntime_web=package)
    said = capsys.readouterr().out
    assert re.fullmatch(r"page      page.html: [\d.]+ kB, opens in any browser\n", said)
    with pytest.raises(StriateError) as error:
        serve(bundle, html=Path("page.html"), onnxruntime_web=package)
    assert str(error.value) == "page.html: there is a file already\n  try: --force, or another --html"
    serve(bundle, html=Path("page.html"), onnxruntime_web=package, force=True)


def test_another_package_is_refused(
    bundle: Path, package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alone, "PINNED", {"1.30.0": ("0" * 64, "1" * 64)})
    expected = {
        package: (
            f"{package}: this is not onnxruntime-web 1.30.0: the SHA-256 of its files differ\n"
            f"  expected: onnxruntime-web 1.30.0, whose files are known\n  try: {CURE}"
        ),
        tmp_path: (
            f"{tmp_path}: there is no {alone.SCRIPT} and {alone.WASM} in it\n"
            f"  expected: the npm package onnxruntime-web: its .tgz or its folder\n  try: {CURE}"
        ),
        tmp_path / "none.tgz": f"{tmp_path / 'none.tgz'}: there is no such file or folder",
        bundle / "network.onnx": (
            f"{bundle / 'network.onnx'}: it cannot be read: it is no .tgz\n"
            "  expected: the npm package onnxruntime-web: its .tgz or its folder"
        ),
    }
    for path, text in expected.items():
        with pytest.raises(StriateError) as error:
            page_alone(Bundle.read(bundle), path)
        assert str(error.value) == text
    with pytest.raises(StriateError) as error:
        serve(bundle, html=Path("page.html"))
    assert str(error.value) == (
        "--html: the page needs onnxruntime-web, which striate does not fetch\n"
        f"  expected: --onnxruntime-web with the npm package, its .tgz or its folder\n  try: {CURE}"
    )


def test_what_is_no_port_and_no_token(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(StriateError) as error:
        serve(bundle, port=70_000)
    assert str(error.value) == "--port: 70000 is no port\n  expected: 0 to 65535\n  try: --port 8000"
    Path("token.txt").write_text("short\n")
    with pytest.raises(StriateError) as error:
        serve(bundle, token_file=Path("token.txt"))
    assert str(error.value) == (
        "token.txt: this is no token\n  expected: 16 letters and digits, or more, in one line\n"
        "  try: python -c 'import secrets; print(secrets.token_urlsafe(24))' > token.txt"
    )
    with pytest.raises(StriateError) as error:
        serve(tmp_path / "nothing", port=0)
    assert error.value.problem == "there is no such bundle"


def test_the_answer_is_the_line_of_predict(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from served import exchange, form, image_file, post, running

    names = [f"{number}.png" for number in range(5)]
    for number, name in enumerate(names):
        Path(name).write_bytes(image_file((50 * number, 255 - 40 * number, 90)))
    capsys.readouterr()
    predict(str(bundle), *names, json_=True)
    lines = capsys.readouterr().out.splitlines()
    parts = [
        (f'Content-Disposition: form-data; name="i"; filename="{name}"', Path(name).read_bytes())
        for name in names
    ]
    with running(bundle) as (_, port):
        for name, line in zip(names, lines, strict=True):
            assert exchange(port, post(f"/predict?name={name}", Path(name).read_bytes()))[2].decode() == line
        together = exchange(
            port, post("/predict", form(*parts), Content_Type="multipart/form-data; boundary=edge")
        )
    assert together[2].decode() == '{"version": 1, "images": [' + ", ".join(lines) + "]}"
