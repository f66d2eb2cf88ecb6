"""Files are fetched once, resumed, checked by their hash, and refused with a reason."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from local_server import Site, serving

from striate.errors import ResourceError, StriateError
from striate.weights.fetch import cache_folder, download, fetch, hash_in_name

CONTENT = bytes(range(256)) * 400
HASH = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def site() -> Iterator[Site]:
    with serving(Site(CONTENT)) as running:
        yield running


def refused(
    site: Site, folder: Path, *, sha256: str | None = None, wait_s: float = 5, most_bytes: int = 10**9
) -> str:
    with pytest.raises(StriateError) as caught:
        download(site.url, folder, sha256=sha256, wait_s=wait_s, most_bytes=most_bytes)
    return str(caught.value).replace(site.url, "URL").replace(str(folder), "CACHE")


def test_a_file_is_fetched_once_and_lies_in_the_hugging_face_cache(site: Site, hf_home: Path) -> None:
    news: list[tuple[int, int | None]] = []
    path = fetch(site.url, progress=lambda done, total: news.append((done, total)))
    assert path.read_bytes() == CONTENT
    assert path.parent == hf_home / "striate" == cache_folder()
    assert path.name.endswith("-w.pth")
    assert news[-1] == (len(CONTENT), len(CONTENT))
    assert [done for done, _ in news] == sorted(done for done, _ in news)
    assert fetch(site.url) == path
    assert len(site.asked) == 1


def test_the_cache_is_where_hugging_face_has_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("HF_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "huggingface" / "striate"


AGAIN = "  expected: the whole file\n  try: the same command again; if that does not help, fetch it by hand, and give its path"


def test_a_cut_or_a_stall_leaves_nothing_behind(site: Site, tmp_path: Path) -> None:
    site.cut_after = 30_000
    assert refused(site, tmp_path) == f"URL: the connection was cut after 30,000 of 102,400 bytes\n{AGAIN}"
    site.cut_after, site.stall_after = None, 40_000
    assert refused(site, tmp_path, wait_s=0.4) == f"URL: the server sent nothing for 0.4 s\n{AGAIN}"
    site.stall_after, site.silent_head = None, True
    assert refused(site, tmp_path, wait_s=0.4) == f"URL: the server sent nothing for 0.4 s\n{AGAIN}"
    site.silent_head, site.drip = False, True
    assert refused(site, tmp_path, wait_s=0.5) == f"URL: the server sent nothing for 0.5 s\n{AGAIN}"
    assert [path for path in tmp_path.iterdir() if path.suffix != ".lock"] == []
    site.drip = False
    assert download(site.url, tmp_path).read_bytes() == CONTENT


def test_a_length_that_is_not_said(site: Site, tmp_path: Path) -> None:
    site.say_length = False
    news: list[int | None] = []
    path = download(site.url, tmp_path, progress=lambda done, total: news.append(total))
    assert path.read_bytes() == CONTENT
    assert set(news) == {None}


def test_a_hash_is_checked(site: Site, tmp_path: Path) -> None:
    assert download(site.url, tmp_path / "a", sha256=HASH).read_bytes() == CONTENT
    assert download(site.url, tmp_path / "b", sha256=HASH[:8]).read_bytes() == CONTENT
    wrong = "0" * 64
    assert refused(site, tmp_path / "c", sha256=wrong) == (
        f"URL: its SHA-256 is {HASH}; the file is not used\n"
        f"  expected: {wrong}\n"
        "  try: another source; or --sha256 with this hash, if you are sure that it is right"
    )
    assert not [path for path in (tmp_path / "c").iterdir() if path.suffix != ".lock"]


def test_a_hash_in_the_name_is_checked(site: Site, tmp_path: Path) -> None:
    site.url = site.url.replace("w.pth", f"resnet18-{HASH[:8]}.pth")
    assert download(site.url, tmp_path).read_bytes() == CONTENT
    site.url = site.url.replace(HASH[:8], "5c106cde")
    assert f"its SHA-256 is {HASH}; the file is not used" in refused(site, tmp_path)


def test_a_wrong_hash_takes_no_file_away(site: Site, tmp_path: Path) -> None:
    path = download(site.url, tmp_path)
    told = refused(site, tmp_path, sha256="0" * 64)
    assert told == (
        f"URL: its SHA-256 is {HASH}; the file is not used\n  expected: {'0' * 64}\n"
        "  try: the right hash, or another source"
    )
    assert path.read_bytes() == CONTENT
    assert len(site.asked) == 1


def test_what_counts_as_a_hash_in_a_name() -> None:
    assert hash_in_name("resnet18-f37072fd.pth") == "f37072fd"
    assert hash_in_name("model-20210831.pth") is None
    assert hash_in_name("resnet18.pth") is None


def test_a_file_in_the_cache_that_changed_is_fetched_again(site: Site, tmp_path: Path) -> None:
    path = download(site.url, tmp_path)
    path.write_bytes(b"other")
    assert download(site.url, tmp_path).read_bytes() == CONTENT
    assert len(site.asked) == 2


@pytest.mark.parametrize(
    ("status", "problem"),
    [
        (404, "there is no such file: it answers 404 Not Found"),
        (403, "the server refuses: it answers 403 Forbidden"),
        (503, "the server refuses: it answers 503 Service Unavailable"),
    ],
)
def test_errors_of_the_server_are_told(status: int, problem: str, site: Site, tmp_path: Path) -> None:
    site.status = status
    assert refused(site, tmp_path).startswith(f"URL: {problem}\n")
    assert len(site.asked) == 1


def test_redirections_are_followed_to_the_web_only(site: Site, tmp_path: Path) -> None:
    # A short path: errors show the beginning of a long one.
    canary = Path(tempfile.mkdtemp(prefix="s-")) / "s"
    canary.write_text("secret")
    for target in (f"file://{canary}", "ftp://127.0.0.1/a", "data:text/plain,abc"):
        site.location = target
        shown = target.replace("data:text/plain,abc", "data:text/plain,abc")
        assert refused(site, tmp_path / "a") == (
            f"URL: the server sends on to `{shown}`\n"
            "  expected: an address of https, or of http where the first was http\n"
            "  try: fetch the file by hand if you trust it, and give its path"
        )
    site.location = "/elsewhere/w.pth"
    assert download(site.url, tmp_path / "b").read_bytes() == CONTENT
    site.location = "/file/round/and/round"
    assert "302" in refused(site, tmp_path / "c")


def test_secrets_in_an_address_are_not_shown(site: Site, tmp_path: Path) -> None:
    site.status = 404
    plain = site.url
    site.url = plain.replace("127.0.0.1", "me:secret@127.0.0.1") + "?token=secret"
    with pytest.raises(StriateError) as caught:
        download(site.url, tmp_path)
    assert "secret" not in str(caught.value)
    assert str(caught.value).startswith(plain)


def test_other_addresses_are_refused(tmp_path: Path) -> None:
    for url in (
        "file:///etc/passwd",
        "ftp://a/b",
        "http:///w.pth",
        "https://",
        "https://[::1",
        "http://a:b/c",
    ):
        for get in (lambda: download(url, tmp_path), lambda: fetch(url)):  # noqa: B023 - called at once
            with pytest.raises(StriateError) as caught:
                get()
            assert str(caught.value) == (
                f"{url}: this is no address of the web\n"
                "  expected: https://HOST/PATH\n"
                "  try: check the address, or give a file's path"
            )


def test_nobody_there(tmp_path: Path) -> None:
    with serving(Site(CONTENT)) as site:
        pass
    assert "URL: Connection refused" in refused(site, tmp_path).replace("[Errno 111] ", "")


def test_too_large_a_file_is_refused_before_it_comes(site: Site, tmp_path: Path) -> None:
    assert refused(site, tmp_path, most_bytes=1000) == (
        "URL: the file takes 102,400 bytes\n  expected: at most 1,000\n  try: fetch it by hand, and give its path"
    )
    site.say_length = False
    assert "bytes\n  expected: at most 1,000" in refused(site, tmp_path, most_bytes=1000)


def test_a_disk_without_room_is_named(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage:
        free = 1000

    monkeypatch.setattr("shutil.disk_usage", lambda path: Usage)
    with pytest.raises(ResourceError) as caught:
        download(site.url, tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: the file takes 102,400 bytes and 1,000 are free\n"
        "  expected: room for it in the cache\n"
        "  try: HF_HOME=/a/folder/with/room"
    )
