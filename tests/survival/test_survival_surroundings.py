"""What a run does not depend on: the clock, the locale, whether the data may be written, who trains elsewhere."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from striate.errors import RunError
from striate.progress import Silence
from striate.runs.folder import RunFolder
from striate.runs.lock import is_held
from striate.runs.record import RunRecord
from striate.training import replay as replay_module
from striate.training.job import reopen_job, run_job
from striate.training.loop.loop import Stopped
from striate.training.replay import replay
from survival.tiny import EXACT, contents, differing, make, resume, train
from training.drawn import CLASSES, draw, write_folder
from training.jobs import Ear

# The least of all locales, and a time zone of odd minutes.
PLAIN = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "TZ": "Asia/Kathmandu"}

TESTS = Path(__file__).resolve().parent.parent

# A process that trains slowly, and says when it has begun.
SLOWLY = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import torch
torch.set_num_threads(1)
from striate.cli.screen import Screen
from survival.tiny import make
from striate.training.job import run_job
screen = Screen(quiet=True)
def advance(done, note):
    print("step", flush=True)
    time.sleep(0.1)
screen.advance = advance
try:
    with screen.stoppable():
        run_job(make(Path(sys.argv[2]), Path(sys.argv[3])), screen, resume=False, checkpoint_s=0.0)
except BaseException as error:
    print(type(error).__name__, flush=True)
"""


@contextmanager
def training(source: Path, out: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that has taken three steps of a run."""
    running = subprocess.Popen(
        [sys.executable, "-c", SLOWLY, str(TESTS), str(source), str(out)],
        stdout=subprocess.PIPE, text=True, env={**os.environ, **PLAIN},
    )  # fmt: skip
    assert running.stdout is not None
    try:
        for _ in range(3):
            assert running.stdout.readline() == "step\n"
        yield running
    finally:
        running.kill()
        running.communicate()


def test_one_process_writes_a_run_and_ends_when_asked(arrays: Path, unbroken: Path, tmp_path: Path) -> None:
    """Another one is refused; SIGTERM ends it; begun in another locale and ended in this one it is the same."""
    out = tmp_path / "run"
    with training(arrays, out) as running:
        before = {path.name: path.read_bytes() for path in out.glob("*.t*")}
        with pytest.raises(RunError) as caught:
            resume(out)
        assert str(caught.value) == (
            f"{out}: another process is training this run\n"
            "  expected: a run that nobody works on\n"
            "  try: wait for it, or stop it with Ctrl-C"
        )
        assert {path.name: path.read_bytes() for path in out.glob("*.t*")} == before
        assert running.poll() is None
        assert running.stdout is not None
        running.send_signal(signal.SIGTERM)
        assert any(line == "Stopped\n" for line in running.stdout)
        assert running.wait(30) == 0
    assert json.loads((out / "run.json").read_bytes())["status"] == "stopped"
    resume(out)
    assert contents(out) == contents(unbroken)


def test_a_run_that_was_killed_while_it_tidied_up(unbroken: Path, tmp_path: Path) -> None:
    """It is finished, and its checkpoints take no room any more."""
    run = tmp_path / "run"
    shutil.copytree(unbroken, run)
    (run / "state").mkdir()
    (run / "state" / "00000012-0123456789abcdef.safetensors").touch()
    with pytest.raises(RunError, match="this run is finished"):
        resume(run)
    assert not (run / "state").exists()
    assert contents(run) == contents(unbroken)


@pytest.mark.slow
def test_the_lock_of_a_killed_process_is_taken_over(arrays: Path, unbroken: Path, tmp_path: Path) -> None:
    """The quick tests do so as well, in processes that are forked: see test_survival_kill.py."""
    out = tmp_path / "run"
    with training(arrays, out) as running:
        running.send_signal(signal.SIGKILL)
        running.wait()
    assert (out / ".lock").exists()
    assert not is_held(RunFolder(out))
    assert json.loads((out / "run.json").read_bytes())["status"] == "running"
    resume(out)
    assert contents(out) == contents(unbroken)


def test_a_clock_that_was_set_back(
    arrays: Path, unbroken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a year after each stop, and the times of all files with it."""
    out = tmp_path / "run"
    with pytest.raises(Stopped):
        train(arrays, out, Ear(3))
    real = time.time
    for number in range(1, 4):
        back_s = number * 366 * 86400
        for path in (arrays, *out.rglob("*")):
            os.utime(path, (real() + back_s, real() + back_s))
        monkeypatch.setattr(time, "time", lambda back_s=back_s: real() - back_s)
        monkeypatch.setattr(time, "strftime", lambda *said: "1969-12-31T23:59:59+0000")
        with pytest.raises(Stopped):
            resume(out, Ear(2))
    resume(out)
    assert contents(out) == contents(unbroken)


@pytest.mark.parametrize(
    "language",
    [
        pytest.param(PLAIN, id="C"),
        pytest.param({"LC_ALL": "tr_TR.UTF-8", "LANG": "tr_TR.UTF-8"}, id="Turkish"),
    ],
)
@pytest.mark.slow
def test_another_locale(arrays: Path, unbroken: Path, tmp_path: Path, language: dict[str, str]) -> None:
    """Begun here, ended there; where a machine does not have a locale, its C library takes C instead."""
    out = tmp_path / "Übung ığ"
    with pytest.raises(Stopped):
        train(arrays, out, Ear(8))
    ended = subprocess.run(
        [sys.executable, "-c", "import sys; sys.path.insert(0, sys.argv[1])\nfrom pathlib import Path\n"
         "import locale; locale.setlocale(locale.LC_ALL, '') if sys.argv[3] == 'C' else None\n"
         "import torch; torch.set_num_threads(1)\nfrom survival.tiny import resume; resume(Path(sys.argv[2]))",
         str(TESTS), str(out), language["LC_ALL"]],
        env={**os.environ, **language}, capture_output=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert contents(out) == contents(unbroken)


def test_data_that_may_only_be_read(tmp_path: Path) -> None:
    """As root nothing binds, so the folder is also compared: nothing in it was touched, made or removed."""
    source = write_folder(tmp_path / "photos", count=60)

    def state() -> dict[str, tuple[int, int, int]]:
        found = {str(path): path.stat() for path in (source, *source.rglob("*"))}
        return {name: (each.st_mtime_ns, each.st_ctime_ns, each.st_size) for name, each in found.items()}

    train(source, tmp_path / "before")
    folders = [source, *(path for path in source.rglob("*") if path.is_dir())]
    for path in source.rglob("*.png"):
        path.chmod(0o444)
    for path in folders:
        path.chmod(0o555)
    try:
        before = state()
        with pytest.raises(Stopped):
            train(source, tmp_path / "run", Ear(7))
        resume(tmp_path / "run")
        assert state() == before
    finally:
        for path in folders:
            path.chmod(0o755)
    assert differing(tmp_path / "run", tmp_path / "before") == []


# Data that changed between stop and resume, in ways that a count does not show.


def relabel(source: Path) -> None:
    """An image is of another class."""
    (source / "blob" / "001.png").rename(source / "down" / "001.png")


def swap(source: Path) -> None:
    """Two images change places; the counts stay."""
    one, two, between = source / "blob" / "001.png", source / "down" / "002.png", source / "between"
    one.rename(between)
    two.rename(one)
    between.rename(two)


def edit(source: Path) -> None:
    """One pixel, and the time of the file as it was."""
    from PIL import Image

    path = source / "across" / "000.png"
    before = path.stat()
    with Image.open(path) as opened:
        image = np.array(opened)
    image[0, 0] ^= 1
    Image.fromarray(image).save(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def break_one(source: Path) -> None:
    """An image can no longer be read."""
    path = source / "across" / "000.png"
    path.write_bytes(path.read_bytes()[:40])


@pytest.mark.parametrize("change", [relabel, swap, edit, break_one], ids=lambda each: each.__name__)
def test_data_that_changed_are_named(tmp_path: Path, change: object) -> None:
    assert callable(change)
    source, out = write_folder(tmp_path / "photos", count=60), tmp_path / "run"
    shutil.copytree(source, tmp_path / "kept", copy_function=shutil.copy2)
    with pytest.raises(Stopped):
        train(source, out, Ear(7))
    change(source)
    with pytest.raises(RunError) as caught:
        resume(out)
    assert caught.value.problem.startswith("the data are not what they were: "), caught.value
    assert any(
        f"{split} {what}" in caught.value.problem or f"{what} of {split} changed" in caught.value.problem
        for split in ("train", "val")
        for what in ("had", "images or labels")
    )
    shutil.rmtree(source)
    shutil.copytree(tmp_path / "kept", source)
    resume(out)
    train(source, tmp_path / "unbroken")
    assert differing(out, tmp_path / "unbroken") == []


@pytest.mark.parametrize("what", ["y_train", "x_train", "x_test", "y_test"])
def test_arrays_that_changed_are_named(arrays: Path, tmp_path: Path, what: str) -> None:
    source, out = tmp_path / "bars.npz", tmp_path / "run"
    shutil.copy(arrays, source)
    with pytest.raises(Stopped):
        train(source, out, Ear(7))
    held = dict(np.load(source, allow_pickle=False))
    if what.startswith("x"):
        held[what][3, 2, 2] ^= 1
    else:
        held[what][3] = CLASSES[(CLASSES.index(str(held[what][3])) + 1) % 3]
    np.savez(source, **held)
    with pytest.raises(RunError, match="the data are not what they were: ") as caught:
        resume(out)
    assert ("test" if "test" in what else "train") in caught.value.problem or "val" in caught.value.problem


def test_data_that_were_moved(tmp_path: Path) -> None:
    """They are taken where they are now if they are the same, and are looked for there from then on."""
    source, out = write_folder(tmp_path / "photos", count=60), tmp_path / "run"
    with pytest.raises(Stopped):
        train(source, out, Ear(7))
    source.rename(tmp_path / "moved")
    with pytest.raises(RunError) as caught:
        resume(out)
    assert str(caught.value) == (
        f"{out}: the data are not at {source} any more\n"
        "  expected: the images and labels that the run began with\n"
        f"  try: striate resume {out} --data WHERE THEY ARE NOW"
    )
    other = tmp_path / "other"
    shutil.copytree(tmp_path / "moved", other)
    swap(other)
    record = (out / "run.json").read_bytes()
    with pytest.raises(RunError, match="the data are not what they were: images or labels of"):
        resume(out, source=other)
    assert (out / "run.json").read_bytes() == record
    with pytest.raises(Stopped):
        resume(out, Ear(2), source=tmp_path / "moved")
    assert json.loads((out / "run.json").read_bytes())["source"] == str(tmp_path / "moved")
    resume(out)
    train(tmp_path / "moved", tmp_path / "unbroken")
    assert differing(out, tmp_path / "unbroken") == []


def test_two_that_resume_one_run(arrays: Path, unbroken: Path, tmp_path: Path) -> None:
    """The second read the record while the run was open, and comes to its lock when it is finished."""
    out = tmp_path / "run"
    with pytest.raises(Stopped):
        train(arrays, out, Ear(7))
    slow = reopen_job(RunFolder(out), device=None, started=time.monotonic(), watch=Silence())
    resume(out)
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in out.iterdir()}
    with pytest.raises(RunError) as caught:
        run_job(slow, Silence(), resume=True)
    assert str(caught.value) == f"{out}: this run is finished\n  try: striate predict {out} IMAGE"
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in out.iterdir()} == before
    assert contents(out) == contents(unbroken)


def test_ctrl_c_while_the_end_is_written_down(
    arrays: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = RunFolder.write_record
    interrupted = []

    def write(run: RunFolder, record: RunRecord) -> None:
        if record.status == "stopped" and not interrupted:
            interrupted.append(True)
            raise KeyboardInterrupt
        real(run, record)

    job = make(arrays, tmp_path / "run")
    monkeypatch.setattr(RunFolder, "write_record", write)
    with pytest.raises(KeyboardInterrupt):
        run_job(job, Ear(3), resume=False)
    assert interrupted
    assert RunFolder(tmp_path / "run").read_record().status == "stopped"


# Again, from the folder alone


def test_replay_comes_out_equal(arrays: Path, unbroken: Path, tmp_path: Path) -> None:
    found = replay(
        RunFolder(unbroken), out=tmp_path / "again", device="cpu", started=time.monotonic(), watch=Silence()
    )
    assert found.equal
    assert found.differences == ()
    assert differing(tmp_path / "again", unbroken) == []
    assert set(EXACT) <= {path.name for path in (tmp_path / "again").iterdir()}


def test_replay_names_what_differs(arrays: Path, unbroken: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(unbroken, run)
    record = json.loads((run / "run.json").read_bytes())
    torch_now = record["versions"]["torch"]
    record["versions"]["torch"] = "2.0.1"
    record["machine"]["processor"] = "Z80"
    (run / "run.json").write_text(json.dumps(record))
    weights = bytearray((run / "last.safetensors").read_bytes())
    weights[-1] ^= 1
    (run / "last.safetensors").write_bytes(weights)
    found = replay_module.replay(
        RunFolder(run), out=tmp_path / "again", device="cpu", started=time.monotonic(), watch=Silence()
    )
    assert not found.equal
    assert f"versions: torch was 2.0.1 and is {torch_now}" in found.differences
    assert any(each.startswith("machine: processor was Z80 and is ") for each in found.differences)


def test_replay_with_other_data_names_them(tmp_path: Path) -> None:
    images, labels = draw(60, 1)
    source, run = tmp_path / "bars.npz", tmp_path / "run"
    np.savez(source, x_train=images, y_train=np.array(CLASSES)[labels])
    train(source, run)
    images[5] ^= 1
    np.savez(source, x_train=images, y_train=np.array(CLASSES)[labels])
    with pytest.raises(RunError, match="the data are not what they were: images or labels of"):
        replay(
            RunFolder(run), out=tmp_path / "again", device="cpu", started=time.monotonic(), watch=Silence()
        )
    assert not (tmp_path / "again").exists()


def test_replay_of_an_edited_recipe_names_it(unbroken: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(unbroken, run)
    text = (run / "recipe.toml").read_text()
    (run / "recipe.toml").write_text(text.replace("seed = 0", "seed = 1"))
    with pytest.raises(RunError, match=r"recipe.toml was edited since the run began"):
        replay(
            RunFolder(run), out=tmp_path / "again", device="cpu", started=time.monotonic(), watch=Silence()
        )
