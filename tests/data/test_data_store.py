"""The store: built once, reused, rebuilt where it must be, and never half there."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import striate.data.decode.decode
import striate.data.decode.image
import striate.data.store.part
import striate.data.store.store
import striate.data.store.survey
from data.conftest import Paint
from striate.data.files.file import opening_failed
from striate.data.gather import Data, gather
from striate.disk.cache import cache_root
from striate.errors import DataError, ResourceError


class Count:
    """Counts calls of a function."""

    def __init__(self, module: object, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls = 0
        self.inner = getattr(module, name)
        monkeypatch.setattr(module, name, self)

    def __call__(self, *arguments: object, **named: object) -> object:
        self.calls += 1
        return self.inner(*arguments, **named)


@pytest.fixture
def decodes(monkeypatch: pytest.MonkeyPatch) -> Count:
    return Count(striate.data.decode.image, "decode", monkeypatch)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Count:
    return Count(striate.data.store.survey, "read_header", monkeypatch)


def aged(folder: Path) -> Path:
    """The files as if they were written an hour ago: freshly written ones are not trusted to stay."""
    for each in folder.rglob("*"):
        os.utime(each, (time.time() - 3600,) * 2)
    return folder


@pytest.fixture
def past(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if every look were an hour later; a file's ctime cannot be set back."""
    real = time.time_ns
    monkeypatch.setattr("striate.data.store.files.now_ns", lambda: real() + 3600 * 10**9)


def same(one: Data, other: Data) -> bool:
    return one.record == other.record and all(
        (getattr(one, split).images == getattr(other, split).images).all() for split in ("train", "val")
    )


def stores(cache: Path) -> list[str]:
    return sorted(os.listdir(cache / "store"))


@pytest.mark.usefixtures("past")
def test_what_passes_is_not_remembered(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A drive that fails once: the image is left out of that run, or the store is not made, and all is well then."""
    victim = sorted(photos.rglob("*.png"))[0]
    real = striate.data.store.survey.content_hash

    def once(path: Path) -> str:
        if path == victim:
            raise opening_failed(path, OSError(errno.EIO, "Input/output error"))
        return real(path)

    whole = gather(photos)
    shutil.rmtree(cache_root(None))
    with monkeypatch.context() as patch:
        patch.setattr(striate.data.store.survey, "content_hash", once)
        (finding,) = gather(photos).findings
    assert (finding.code, finding.reason) == ("unreadable", "it cannot be opened: Input/output error")
    shutil.rmtree(cache_root(None) / "store")
    inner = striate.data.decode.image.decode

    def decode(source: Path, *said: object, **named: object) -> object:
        if source == victim:
            raise OSError(errno.EIO, "Input/output error")
        return inner(source, *said, **named)

    with monkeypatch.context() as patch:
        patch.setattr(striate.data.decode.image, "decode", _with_reasons(decode))
        with pytest.raises(DataError) as error:
            gather(photos)
    assert str(error.value).endswith(
        "it cannot be decoded ([Errno 5] Input/output error)\n"
        "  expected: a file that can be read again, as it could a moment ago\n"
        "  try: run it again; if that does not help, remove the file"
    )
    assert same(gather(photos), whole)


def _with_reasons(decode: Callable[..., object]) -> Callable[..., object]:
    """A decoder that turns what it raises into a finding, as the real one does."""

    def wrapped(*said: object, **named: object) -> object:
        with striate.data.decode.decode._reasons():
            return decode(*said, **named)

    return wrapped


@pytest.mark.usefixtures("past")
def test_a_second_run_reads_no_file(photos: Path, decodes: Count, reads: Count) -> None:
    steps: list[tuple[int, int]] = []
    first = gather(photos, progress=lambda done, total: steps.append((done, total)))
    assert (decodes.calls, reads.calls) == (20, 20)
    assert steps == [(done // 2, 20) for done in range(1, 41)]
    second = gather(photos, progress=lambda done, total: steps.append((done, total)))
    assert (decodes.calls, reads.calls, len(steps)) == (20, 20, 40)
    assert same(first, second)


def test_a_fresh_file_is_read_again_but_not_decoded(photos: Path, decodes: Count, reads: Count) -> None:
    """What was written within the last two seconds could change again within one tick of the clock."""
    gather(photos)
    gather(photos)
    assert (decodes.calls, reads.calls) == (20, 40)


@pytest.mark.usefixtures("past")
def test_names_labels_and_places_do_not_matter_to_the_store(
    photos: Path, tmp_path: Path, decodes: Count, cache: Path
) -> None:
    gather(photos)
    moved = tmp_path / "moved"
    shutil.copytree(photos, moved)
    os.rename(moved / "cat", moved / "bat")
    assert gather(moved).classes == ("bat", "dog")
    assert gather(photos, seed=5, val_share=0.3).val.labels.size == 6
    assert decodes.calls == 20
    assert len(stores(cache)) == 1


@pytest.mark.usefixtures("past")
def test_a_changed_file_is_found(photos: Path, paint: Paint, decodes: Count, reads: Count) -> None:
    before = gather(photos)
    stat = os.stat(photos / "cat/3.png")
    paint(photos / "cat/3.png", 99, (43, 50))
    os.utime(photos / "cat/3.png", ns=(stat.st_atime_ns, stat.st_mtime_ns))  # even with its old time
    after = gather(photos)
    assert reads.calls == 21
    assert decodes.calls == 40
    assert not same(before, after)


@pytest.mark.usefixtures("past")
def test_a_touched_file_is_only_read_again(photos: Path, decodes: Count, reads: Count) -> None:
    gather(photos)
    (photos / "cat/3.png").touch()
    gather(photos)
    assert (decodes.calls, reads.calls) == (20, 21)


@pytest.mark.usefixtures("past")
def test_another_size_is_another_store(photos: Path, decodes: Count, cache: Path) -> None:
    assert gather(photos).stored_size == (37, 37)
    assert gather(photos, size=16).stored_size == (18, 18)
    assert decodes.calls == 40
    assert len(stores(cache)) == 2


@pytest.mark.usefixtures("past")
@pytest.mark.parametrize(
    "damage", ["cut", "long", "gone", "inverted", "one bit", "index", "index gone", "index of another"]
)
def test_a_damaged_store_is_built_again(photos: Path, decodes: Count, cache: Path, damage: str) -> None:
    before = gather(photos)
    wanted = before.train.images.copy()
    folder = cache / "store" / stores(cache)[0]
    images, index = folder / "images", folder / "index.json"
    content = images.read_bytes()
    if damage == "cut":
        images.write_bytes(content[:-1])
    elif damage == "long":
        images.write_bytes(content + b"x")
    elif damage == "gone":
        images.unlink()
    elif damage == "inverted":
        images.write_bytes(bytes(each ^ 255 * (at % 7 == 0) for at, each in enumerate(content)))
    elif damage == "one bit":
        images.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    elif damage == "index":
        index.write_text("{")
    elif damage == "index gone":
        index.unlink()
    else:
        index.write_text('{"format": 1, "count": 3, "failed": []}')
    after = gather(photos)
    assert decodes.calls == 40
    assert (after.train.images == wanted).all()
    assert images.read_bytes() == content
    assert len(stores(cache)) == 1


@pytest.mark.usefixtures("past")
@pytest.mark.parametrize("content", ["", "[]", '{"format": 1}', "[" * 100_000, "half"])
def test_a_damaged_ledger_is_ignored(
    photos: Path, reads: Count, decodes: Count, cache: Path, content: str
) -> None:
    gather(photos)
    (ledger,) = (cache / "ledger").iterdir()
    told = json.loads(ledger.read_text())
    if content == "half":
        for line in told["files"].values():
            line[2] = None
        content = json.dumps(told)
    ledger.write_text(content)
    gather(photos)
    assert (reads.calls, decodes.calls) == (40, 20)


def test_a_full_disk(photos: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(file: object, values: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(striate.data.store.store, "write_values", full)
    with pytest.raises(ResourceError) as error:
        gather(photos)
    assert str(error.value) == (
        f"{cache}: the disk is full: the prepared images take 82,140 bytes\n"
        "  expected: room for them in the cache folder; nothing half-written was left there\n"
        "  try: striate cache --clear, or STRIATE_CACHE=/a/folder/with/room, or a smaller size"
    )
    assert stores(cache) == []


def test_a_disk_that_is_really_full(photos: Path, cache: Path) -> None:
    """No simulation: the system itself refuses to let the file grow."""
    pytest.importorskip("resource", reason="no limits on the length of files here")
    code = (
        "import resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (30000, 30000))\n"
        "from striate.data.gather import gather\n"
        "from striate.errors import ResourceError\n"
        "try: gather(sys.argv[1])\n"
        "except ResourceError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(photos)], capture_output=True, text=True, check=True
    )
    assert "the disk is full: the prepared images take 82,140 bytes" in done.stdout
    assert stores(cache) == []


def test_a_disk_known_to_be_too_small(photos: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(photos)
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(ResourceError, match=r"take 82,140 bytes and 1,000 are free\n"):
        gather(photos)
    assert stores(cache) == []


def test_a_cache_that_cannot_be_written(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ResourceError) as error:
        gather(photos, cache=tmp_path / "file" / "cache")
    assert str(error.value) == (
        f"{tmp_path / 'file' / 'cache'}: the cache folder cannot be written: Not a directory\n"
        "  expected: a folder that you may write, with room for 82,140 bytes\n"
        "  try: STRIATE_CACHE=/a/folder/of/yours"
    )


def test_ctrl_c_in_the_middle(photos: Path, cache: Path, decodes: Count) -> None:
    def interrupting(done: int, total: int) -> None:
        if done == 13:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        gather(photos, progress=interrupting)
    assert stores(cache) == []
    assert gather(photos).train.images.shape == (18, 37, 37, 3)


def test_ctrl_c_from_outside_is_prompt(tmp_path: Path, paint: Paint, cache: Path) -> None:
    """A real signal, into a process whose threads have seconds of work left."""
    large = paint(tmp_path / "large.png", 0, (1000, 1000)).read_bytes()
    for number in range(400):
        path = tmp_path / "p" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(large)
    code = (
        "import sys\n"
        "from striate.data.gather import gather\n"
        "told = []\n"
        "def progress(done, total):\n"
        "    if done == 201 and not told: told.append(1); print('now', flush=True)\n"
        "try: gather(sys.argv[1], size=224, progress=progress)\n"
        "except KeyboardInterrupt: print('stopped')\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "p")], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "now\n"
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=20)[0] == "stopped\n"
    assert stores(cache) == []


def test_a_file_that_changes_while_it_is_read(photos: Path, paint: Paint, cache: Path) -> None:
    def meddling(done: int, total: int) -> None:
        if done == 10:  # every header is read
            paint(photos / "dog/9.png", 77, (49, 51))

    with pytest.raises(DataError) as error:
        gather(photos, progress=meddling)
    assert str(error.value) == (
        "dog/9.png: the file changed while it was read\n"
        "  expected: images that stay as they are for a moment\n"
        "  try: run it again once they are complete"
    )
    assert stores(cache) == []


def test_two_at_once_both_end_with_a_valid_store(photos: Path, cache: Path) -> None:
    source = photos.parent / "split"  # with a val/, so that scikit-learn is not waited for
    shutil.copytree(photos, source / "train")
    shutil.copytree(photos, source / "val")
    code = "import sys; from striate.data.gather import gather; print(int(gather(sys.argv[1]).train.images.sum()))"
    processes = [
        subprocess.Popen([sys.executable, "-c", code, str(source)], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    sums = {process.communicate(timeout=60)[0] for process in processes}
    assert all(process.returncode == 0 for process in processes)
    assert sums == {f"{int(gather(source).train.images.sum())}\n"}
    assert len(stores(cache)) == 1


def test_many_threads_that_replace_a_damaged_store_at_once(photos: Path, cache: Path) -> None:
    gather(photos)
    (cache / "store" / stores(cache)[0] / "images").write_bytes(b"")
    with ThreadPoolExecutor(6) as pool:
        sums = set(pool.map(lambda _: int(gather(photos).train.images.sum()), range(6)))
    assert len(sums) == 1
    assert len(stores(cache)) == 1


def test_what_a_killed_process_left_is_removed_after_a_day(photos: Path, cache: Path) -> None:
    for name, age_s in ((".building-old", 25 * 3600), (".building-new", 3600)):
        (cache / "store" / name).mkdir(parents=True)
        (cache / "store" / name / "images").write_bytes(b"half")
        for each in (cache / "store" / name / "images", cache / "store" / name):
            os.utime(each, (time.time() - age_s,) * 2)
    gather(photos)
    assert stores(cache)[0] == ".building-new"
    assert len(stores(cache)) == 2


def test_large_splits_are_mapped_not_copied(
    photos: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = gather(photos)
    assert not isinstance(small.train.images, np.memmap)
    monkeypatch.setattr(striate.data.store.part, "IN_MEMORY_BYTES", 0)
    large, again = gather(photos), gather(photos)
    assert isinstance(large.train.images, np.memmap)
    assert isinstance(large.val.images, np.memmap)
    assert same(small, large)
    assert same(small, again)
    picked = next(each for each in (cache / "store" / stores(cache)[0]).glob("picked-*") if not each.suffix)
    for damaged in (b"cut", bytes(picked.stat().st_size)):
        picked.write_bytes(damaged)
        assert same(small, gather(photos))

    def full(file: object, values: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(striate.data.store.part, "write_values", full)
    with pytest.raises(ResourceError, match="the disk is full"):
        gather(photos, seed=3)
    assert not list((cache / "store" / stores(cache)[0]).glob(".picking-*"))


def test_splits_on_the_disk_are_views_of_the_map(tmp_path: Path, paint: Paint) -> None:
    for number, split in enumerate(("train", "val", "test")):
        for label, name in enumerate("ab"):
            paint(tmp_path / "p" / split / name / "1.png", 2 * number + label, (200, 120))
    data = gather(tmp_path / "p")
    assert data.test is not None
    for each in (data.train, data.val, data.test):
        assert isinstance(each.images, np.memmap)
        assert not each.images.flags.writeable
        assert each.images.flags.c_contiguous
        assert len(each.images) == 2


def test_the_cache_lies_where_it_is_told(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gather(photos, cache=tmp_path / "given")
    assert (tmp_path / "given" / "store").is_dir()
    monkeypatch.delenv("STRIATE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setattr(sys, "platform", "linux")
    gather(photos)
    assert (tmp_path / "xdg" / "striate" / "store").is_dir()


def test_nothing_of_the_users_is_changed(photos: Path) -> None:
    def state() -> dict[str, tuple[int, int, bytes]]:
        return {
            str(each): (each.stat().st_mtime_ns, each.stat().st_mode, each.read_bytes())
            for each in sorted(photos.rglob("*"))
            if each.is_file()
        }

    before = state()
    gather(photos)
    gather(photos, size=16)
    assert state() == before
