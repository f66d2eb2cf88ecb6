"""Writes that fail, and checkpoints that were damaged: always a sound one is left, or it is said that none is."""

from __future__ import annotations

import errno
import json
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from striate.disk.atomic import write_atomic
from striate.errors import ResourceError, RunError
from striate.progress import Silence
from striate.runs.folder import RunFolder
from striate.training import finish
from striate.training.job import run_job
from striate.training.loop.checkpoint import load_checkpoint, save_checkpoint
from survival.instants import Instant, instants
from survival.soak import SOAK
from survival.tiny import OFTEN_S, contents, left_over, make, resume

NUMBERS = (errno.EIO, errno.ENOSPC, errno.EACCES)

# A folder that cannot be synced is no error: some drives have no such thing.
FAIL = ("open", "write", "fsync", "replace", "append", "sync")


@pytest.fixture(autouse=True)
def _plain_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Written as a report is, but not drawn: that takes longer than all the rest."""
    monkeypatch.setattr(finish, "write_report", lambda run: write_atomic(run.report, b"<!doctype html>"))


def fail_from(number: int, code: int, *, once: bool) -> Callable[[Instant], None]:
    """Fail as the system does, at an instant, or from it on; a write has written half by then."""
    done = False

    def happens(instant: Instant) -> None:
        nonlocal done
        if instant.number >= number and instant.kind in FAIL and not (once and done):
            done = True
            instant.partly()
            raise OSError(code, os.strerror(code))

    return happens


def instants_of_a_run(source: Path, out: Path) -> list[Instant]:
    """All, in order."""
    found: list[Instant] = []
    job = make(source, out)
    with instants(found.append):
        run_job(job, Silence(), resume=False, checkpoint_s=OFTEN_S)
    return found


@pytest.fixture(scope="module")
def passed(arrays: Path, unbroken: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Instant]:
    """The instants of a run that nothing happened to."""
    return instants_of_a_run(arrays, tmp_path_factory.mktemp("passed") / "run")


def chosen(passed: list[Instant], count: int, seed: int) -> list[Instant]:
    """So many instants at which something can fail, all kinds of them in turn."""
    chance = random.Random(seed)
    kinds = {kind: [each for each in passed if each.kind == kind] for kind in FAIL}
    assert all(kinds.values())
    return [chance.choice(kinds[FAIL[number % len(FAIL)]]) for number in range(count)]


def survives(source: Path, out: Path, instant: Instant, code: int, *, once: bool) -> None:
    """Let one write fail, look at what is left, and go on."""
    job = make(source, out)
    with instants(fail_from(instant.number, code, once=once)), pytest.raises(ResourceError) as caught:
        run_job(job, Silence(), resume=False, checkpoint_s=OFTEN_S)
    told = caught.value
    assert Path(told.place).parent in (out, out / "state"), told
    if instant.path.suffix == ".jsonl":
        assert told.place == str(out / instant.path.name)
    assert told.cure
    if code == errno.ENOSPC:
        assert told.problem.startswith("the disk is full: "), told
    else:
        assert told.problem == f"cannot be written: {os.strerror(code)}"
    if any((out / "state").glob("*.safetensors")):
        assert load_checkpoint(out / "state").damaged == ()
    resume(out)


@pytest.mark.parametrize(("count", "seed"), [(42, 1), pytest.param(400, 2, marks=SOAK)], ids=["42", "400"])
def test_a_write_that_fails(
    arrays: Path, unbroken: Path, passed: list[Instant], tmp_path: Path, count: int, seed: int
) -> None:
    for number, instant in enumerate(chosen(passed, count, seed)):
        out = tmp_path / f"run{number}"
        survives(arrays, out, instant, NUMBERS[number % 3], once=number % 2 == 0)
        assert contents(out) == contents(unbroken), (number, instant)
        assert left_over(out) == [], (number, instant)


def test_a_folder_that_cannot_be_synced_changes_nothing(arrays: Path, unbroken: Path, tmp_path: Path) -> None:
    def happens(instant: Instant) -> None:
        if instant.kind == "folder":
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    out = tmp_path / "run"
    job = make(arrays, out)
    with instants(happens):
        run_job(job, Silence(), resume=False, checkpoint_s=OFTEN_S)
    assert contents(out) == contents(unbroken)


@pytest.fixture(scope="module")
def two(arrays: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of two checkpoints of a run that was killed, without the one for a way back."""
    out = tmp_path_factory.mktemp("two") / "run"
    job = make(arrays, out)
    with instants(fail_from(60, errno.EIO, once=False)), pytest.raises(ResourceError):
        run_job(job, Silence(), resume=False, checkpoint_s=OFTEN_S)
    first, *latest = sorted((out / "state").glob("*.safetensors"))
    assert first.name.startswith("00000000-")
    assert len(latest) == 2
    first.unlink()
    return out / "state"


def flipped(content: bytes, chance: random.Random) -> bytes:
    """One bit is another."""
    changed = bytearray(content)
    changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def cut(content: bytes, chance: random.Random) -> bytes:
    """The end is missing."""
    return content[: chance.randrange(len(content))]


def longer(content: bytes, chance: random.Random) -> bytes:
    """Something follows."""
    return content + chance.randbytes(chance.randint(1, 5000))


def emptied(content: bytes, chance: random.Random) -> bytes:
    """A block that was never written."""
    at = chance.randrange(len(content))
    hole = bytes(min(512, len(content) - at))
    return (
        content[:at] + (hole if content[at : at + len(hole)] != hole else b"\1") + content[at + len(hole) :]
    )


@pytest.mark.parametrize(
    ("spoil", "count"),
    [(flipped, 1000), (cut, 100), (longer, 30), (emptied, 100)],
    ids=lambda each: str(each)[:17],
)
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_taken(
    two: Path, spoil: Callable[[bytes, random.Random], bytes], count: int
) -> None:
    older, newest = sorted(two.glob("*.safetensors"))
    sound, before = newest.read_bytes(), load_checkpoint(two).numbers
    chance = random.Random(5)
    try:
        for number in range(count):
            newest.write_bytes(spoil(sound, chance))
            found = load_checkpoint(two)
            assert found.damaged == (newest.name,), number
            assert found.numbers["step"] < before["step"]
            assert f"{found.numbers['step']:08d}" == older.name[:8]
    finally:
        newest.write_bytes(sound)
    assert load_checkpoint(two).numbers == before


def test_a_checkpoint_under_the_name_of_another(two: Path, tmp_path: Path) -> None:
    older, newest = sorted(two.glob("*.safetensors"))
    for path, content in ((older, older), (newest, older)):
        (tmp_path / path.name).write_bytes(content.read_bytes())
    assert load_checkpoint(tmp_path).damaged == (newest.name,)


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("net.txt", "conv 4", "conv 5"),
        ("net.txt", "dropout 0.3", "dropout 0.2"),
        ("recipe.toml", 'optimizer = "adamw"', 'optimizer = "sgd"'),
        ("recipe.toml", "ema = 0.8", "# ema ="),
    ],
)
def test_a_network_or_recipe_that_was_edited_is_told(
    arrays: Path, unbroken: Path, tmp_path: Path, name: str, old: str, new: str
) -> None:
    out = tmp_path / "run"
    job = make(arrays, out)
    with instants(fail_from(60, errno.EIO, once=False)), pytest.raises(ResourceError):
        run_job(job, Silence(), resume=False, checkpoint_s=OFTEN_S)
    text = (out / name).read_text()
    assert old in text
    (out / name).write_text(text.replace(old, new))
    with pytest.raises(RunError) as caught:
        resume(out)
    assert str(caught.value) == (
        f"{out}: {name} was edited since the run began\n"
        "  expected: the network and the recipe that the run began with\n"
        f"  try: put them back, or striate train {arrays} --net {out}/net.txt --recipe {out}/recipe.toml, "
        "which starts over"
    )
    if name == "net.txt" and "conv" in old:
        # Without the sums, as by hand: the checkpoint does not fit.
        record = json.loads((out / "run.json").read_bytes())
        (out / "run.json").write_text(json.dumps({**record, "texts": {}}))
        with pytest.raises(RunError, match="the checkpoint is not of this network and recipe"):
            resume(out)
    (out / name).write_text(text)
    resume(out)
    assert contents(out) == contents(unbroken)


def test_a_clock_that_was_set_back_between_two_checkpoints_of_one_step(two: Path, tmp_path: Path) -> None:
    """The later is the newer, whatever the clock says."""
    job_folder = RunFolder(tmp_path).state
    job_folder.mkdir()
    found = load_checkpoint(two)
    for number in range(4):
        save_checkpoint(job_folder, 7, found.tensors, {**found.numbers, "stage": number})
        assert load_checkpoint(job_folder).numbers["stage"] == number
        for path in job_folder.iterdir():
            later = path.stat().st_mtime_ns + 3600 * 10**9
            os.utime(path, ns=(later, later))
