"""Files are fetched once, resumed, checked by their hash, and refused with a reason."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from local_server import Site, serving

from striate.errors import ResourceError, StriateError
from striate.weights.download import download
from striate.weights.fetched import hash_in_name
from striate.weights.source import cache_folder, fetch


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("striate.weights.download._PAUSE_S", 0.01)


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


def kept(folder: Path) -> int:
    """How many bytes of an unfinished download there are."""
    return sum(path.stat().st_size for path in folder.glob("*.partial"))


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


def test_a_cut_is_resumed_at_once(site: Site, tmp_path: Path) -> None:
    site.cut_after = 30_000
    assert download(site.url, tmp_path).read_bytes() == CONTENT
    assert site.asked == [None, "bytes=30000-", "bytes=60000-", "bytes=90000-"]


def test_a_cut_is_resumed_by_the_next_call(site: Site, tmp_path: Path) -> None:
    site.cut_after = 0
    assert refused(site, tmp_path) == (
        "URL: the connection was cut\n  expected: the whole file\n  try: check the address and the network"
    )
    site.cut_after, site.cuts = 30_000, 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("striate.weights.download._MOST_TRIES", 1)
        assert refused(site, tmp_path) == (
            "URL: the connection was cut; 30,000 of 102,400 bytes are here and kept\n"
            "  expected: the whole file\n"
            "  try: the same command again, which goes on from there"
        )
    assert download(site.url, tmp_path).read_bytes() == CONTENT
    assert site.asked[-1] == "bytes=30000-"
    assert kept(tmp_path) == 0


def test_a_stall_ends_and_what_came_is_kept(site: Site, tmp_path: Path) -> None:
    site.stall_after = 40_000
    assert refused(site, tmp_path, wait_s=0.4) == (
        "URL: the server sent nothing for 0.4 s; 40,000 of 102,400 bytes are here and kept\n"
        "  expected: the whole file\n"
        "  try: the same command again, which goes on from there"
    )
    site.stall_after = None
    assert download(site.url, tmp_path).read_bytes() == CONTENT
    assert site.asked == [None, "bytes=40000-"]


def test_a_server_that_says_nothing_at_all(site: Site, tmp_path: Path) -> None:
    site.silent_head = True
    assert refused(site, tmp_path, wait_s=0.4) == (
        "URL: the server sent nothing for 0.4 s\n"
        "  expected: the whole file\n"
        "  try: check the address and the network"
    )


def test_a_server_that_drips(site: Site, tmp_path: Path) -> None:
    site.drip = True
    assert "URL: the server sent nothing for 0.5 s; " in refused(site, tmp_path, wait_s=0.5)


def test_another_version_of_the_file_is_not_mixed_with_the_first(site: Site, tmp_path: Path) -> None:
    site.stall_after = 40_000
    refused(site, tmp_path, wait_s=0.3)
    site.stall_after, site.etag, site.content = None, '"two"', CONTENT[::-1]
    assert download(site.url, tmp_path).read_bytes() == CONTENT[::-1]


@pytest.mark.parametrize("sha256", [None, HASH])
def test_without_a_version_only_a_hash_lets_it_go_on(sha256: str | None, site: Site, tmp_path: Path) -> None:
    site.etag, site.stall_after = None, 40_000
    refused(site, tmp_path, wait_s=0.3)
    site.stall_after = None
    assert download(site.url, tmp_path, sha256=sha256).read_bytes() == CONTENT
    assert site.asked == [None, None if sha256 is None else "bytes=40000-"]


def test_a_server_without_ranges_begins_again(site: Site, tmp_path: Path) -> None:
    site.stall_after = 40_000
    refused(site, tmp_path, wait_s=0.3)
    site.stall_after, site.ranges = None, False
    assert download(site.url, tmp_path).read_bytes() == CONTENT


def test_a_file_that_came_whole_but_was_not_accepted_yet(site: Site, tmp_path: Path) -> None:
    path = download(site.url, tmp_path)
    notes = path.with_name(path.name + ".json")
    path.rename(path.with_name(path.name + ".partial"))
    notes.write_text('{"validator": "\\"one\\"", "size_bytes": 102400}')
    assert download(site.url, tmp_path).read_bytes() == CONTENT
    assert site.asked[-1] == "bytes=102400-"


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
        (503, "the server answers 503 Service Unavailable"),
    ],
)
def test_errors_of_the_server_are_told(status: int, problem: str, site: Site, tmp_path: Path) -> None:
    site.status = status
    assert refused(site, tmp_path).startswith(f"URL: {problem}\n")
    assert len(site.asked) == (3 if status == 503 else 1)


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
    for url in ("file:///etc/passwd", "ftp://a/b", "http:///w.pth", "https://"):
        with pytest.raises(StriateError, match="expected: https://HOST/PATH"):
            download(url, tmp_path)


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
