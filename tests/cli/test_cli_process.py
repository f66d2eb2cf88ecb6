"""A training as a process: signals, terminals, pipes, and sudden death."""

from __future__ import annotations

import json
import os
import pty
import random
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cli.conftest import STRIATE, Call
from training.jobs import EXACT

# Long enough that no signal comes too late, and quick to be stopped.
LONG = ("--net", "conv 4 3x3 -> bn -> relu -> dropout 0.3 -> fc classes", "--epochs", "100000",
        "--set", "batch=8", "--device", "cpu", "--out", "mine")  # fmt: skip

# Checkpoints twenty times a second, and steps that leave time for a signal.
HASTY = """
import sys, time
from striate.cli import screen
from striate.training import job
from striate.training.loop import loop
loop.CHECKPOINT_SHARE = 1.0
job.run_job.__kwdefaults__["checkpoint_s"] = 0.05
advance = screen.Screen.advance
def slowly(self, done, note):
    print("tick", flush=True)
    time.sleep(0.02)
    advance(self, done, note)
screen.Screen.advance = slowly
from striate.cli.main import main
main()
"""
EXACTLY = ("--set", "precision=fp32", "--set", "layout=channels_last")


@contextmanager
def process(*words: str, script: str | None = None) -> Iterator[subprocess.Popen[str]]:
    """A command that runs beside the test, and is ended with it."""
    command = STRIATE if script is None else [sys.executable, "-c", script]
    running = subprocess.Popen(
        [*command, *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield running
    finally:
        running.kill()
        running.communicate()


def until(running: subprocess.Popen[str], text: str) -> None:
    """Read lines until one holds a text."""
    assert running.stdout is not None
    for line in running.stdout:
        if text in line:
            return
    assert running.stderr is not None
    raise AssertionError(f"it ended without `{text}`: {running.stderr.read()}")


def status(run: Path) -> str:
    """What the record says."""
    return str(json.loads((run / "run.json").read_bytes())["status"])


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGINT,
        pytest.param(signal.SIGTERM, marks=pytest.mark.slow),
        pytest.param(signal.SIGHUP, marks=pytest.mark.slow),
    ],
)
def test_a_signal_in_training(here: Path, bars: Path, number: signal.Signals, call: Call) -> None:
    """It is saved and can be resumed."""
    with process("train", bars, *LONG) as running:
        until(running, "epoch ")
        running.send_signal(number)
        out, err = running.communicate(timeout=60)
    assert running.returncode == 130
    assert out.splitlines()[-1] == "stopping"
    step = int(re.fullmatch(r"striate: stopped at step (\d+); everything is saved\n  try: striate resume mine\n", err)[1])  # type: ignore[index]  # fmt: skip
    assert status(here / "mine") == "stopped"
    assert any(path.name.startswith(f"{step:08d}-") for path in (here / "mine" / "state").iterdir())
    assert "stopped" in call("runs", str(here)).out


@pytest.mark.slow
def test_a_stopped_run_is_resumed_and_stopped_again(here: Path, bars: Path) -> None:
    with process("train", bars, *LONG) as running:
        until(running, "epoch ")
        running.send_signal(signal.SIGINT)
        _, first = running.communicate(timeout=60)
    with process("resume", "mine") as running:
        until(running, "goes on at step ")
        until(running, "epoch ")
        running.send_signal(signal.SIGINT)
        _, second = running.communicate(timeout=60)
    steps = [int(re.search(r"stopped at step (\d+)", each)[1]) for each in (first, second)]  # type: ignore[index]
    assert steps[1] > steps[0]


@pytest.mark.slow
def test_ctrl_c_twice(here: Path, bars: Path) -> None:
    """The second one stops at once, even if a step never ends."""
    script = """
import sys, time
from striate.training.loop import loop
real = loop._take_step
def stuck(loop_, state, batch, rate):
    if state.step == 3:
        print("stuck", flush=True)
        time.sleep(1000)
    return real(loop_, state, batch, rate)
loop._take_step = stuck
from striate.cli.main import main
main()
"""
    with process("train", bars, *LONG, script=script) as running:
        until(running, "stuck")
        running.send_signal(signal.SIGINT)
        time.sleep(0.3)
        assert running.poll() is None
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=60)
    assert (running.returncode, err) == (130, "striate: stopped\n  try: striate resume mine\n")
    assert status(here / "mine") == "stopped"


@pytest.mark.slow
def test_ctrl_c_while_the_images_are_read(here: Path, photos: Path, tmp_path: Path) -> None:
    script = """
import time
from striate.data.store import store
real = store.write_values
def slowly(file, values):
    print("writing", flush=True)
    time.sleep(0.2)
    real(file, values)
store.write_values = slowly
from striate.cli.main import main
main()
"""
    for times in (1, 2, 5):
        with process("train", photos, *LONG, script=script) as running:
            until(running, "writing")
            for _ in range(times):
                running.send_signal(signal.SIGINT)
                time.sleep(0.01)
            _, err = running.communicate(timeout=60)
        # The last of several may come when Python itself ends, which then ends by the signal.
        assert running.returncode in ((130,) if times == 1 else (130, -signal.SIGINT))
        assert err in ("striate: stopped\n", "")
        assert not (here / "mine").exists()
        assert list((tmp_path / "cache").rglob("images")) == []


@pytest.mark.slow
def test_ctrl_c_at_any_moment(here: Path, photos: Path) -> None:
    """Never a traceback, and never a run that can be neither resumed nor begun again."""
    for number, delay_s in enumerate([0.3, 0.6, 1.0, 1.5, 2.0, 2.5, 3.0]):
        out = f"r{number}"
        with process("train", photos, *LONG[:-1], out) as running:
            time.sleep(delay_s)
            for _ in range(random.Random(number).randint(1, 3)):
                running.send_signal(signal.SIGINT)
                time.sleep(0.02)
            _, err = running.communicate(timeout=60)
        assert running.returncode in (130, -signal.SIGINT), err
        # Before striate's own code runs, Python itself tells of the interruption.
        if delay_s >= 1:
            assert "Traceback" not in err, (delay_s, err)
        assert not (here / out).exists() or status(here / out) in ("stopped", "running")


def test_further_signals_are_not_heard(here: Path) -> None:
    """The first asks, the second stops, and what comes while the end is written down cuts nothing short."""
    script = """
import os, signal, time
from striate.cli.screen import Screen
screen = Screen(quiet=True)
def press():
    os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGTERM)
assert not screen.stopping()
try:
    with screen.stoppable():
        os.kill(os.getpid(), signal.SIGINT)
        assert screen.stopping()
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(10)
        finally:
            press()
            print("written")
except KeyboardInterrupt:
    press()
    print("ended")
"""
    ended = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert (ended.stdout, ended.stderr) == ("written\nended\n", "")


def test_nohup_is_heeded(here: Path, bars: Path) -> None:
    """A signal that was ignored when we began stays so."""
    script = """
import signal
signal.signal(signal.SIGHUP, signal.SIG_IGN)
from striate.cli.screen import Screen
with Screen().stoppable():
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    assert signal.getsignal(signal.SIGINT) != signal.default_int_handler
assert signal.getsignal(signal.SIGINT) == signal.default_int_handler
"""
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.slow
def test_a_reader_that_leaves_in_training(here: Path, bars: Path) -> None:
    """As in `striate train ... | head -1`: it is saved, and no traceback comes."""
    with process("train", bars, *LONG) as running:
        until(running, "data")
        assert running.stdout is not None
        running.stdout.close()
        assert running.wait(60) == 130
        assert running.stderr is not None
        err = running.stderr.read()
    assert err.startswith("striate: stopped at step ")
    assert status(here / "mine") == "stopped"


# A terminal


def on_a_terminal(words: list[str], script: str | None = None, keys: bytes = b"", after: bytes = b"") -> tuple[int, bytes]:  # fmt: skip
    """Run a command on a pseudo-terminal; type `keys` once `after` was seen.  The exit code and the screen."""
    command = STRIATE if script is None else [sys.executable, "-c", script]
    child, terminal = pty.fork()
    if child == 0:
        os.environ["TERM"] = "xterm-256color"
        os.execv(command[0], [*command, *words])
    screen = b""
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        if select.select([terminal], [], [], 0.2)[0]:
            try:
                part = os.read(terminal, 65536)
            except OSError:  # Linux says so when the other end was closed
                break
            if not part:
                break
            screen += part
        if keys and after in screen:
            os.write(terminal, keys)
            keys = b""
    _, code = os.waitpid(child, 0)
    os.close(terminal)
    return os.waitstatus_to_exitcode(code), screen


HIDE, SHOW = b"\x1b[?25l", b"\x1b[?25h"


def test_a_bar_on_a_terminal(here: Path, bars: Path) -> None:
    code, screen = on_a_terminal(
        ["train", str(bars), "--net", "fc classes", "--epochs", "30", "--out", "mine", "--device", "cpu"]
    )
    assert code == 0
    assert "━".encode() in screen
    assert b"epoch 30/30: loss " in screen
    assert screen.count(HIDE) == screen.count(SHOW) > 0
    assert screen.rfind(SHOW) > screen.rfind(HIDE)


@pytest.mark.slow
def test_ctrl_c_on_a_terminal(here: Path, bars: Path) -> None:
    code, screen = on_a_terminal(["train", str(bars), *LONG], keys=b"\x03", after=b": loss ")
    assert code == 130
    assert screen.rfind(SHOW) > screen.rfind(HIDE)
    assert screen.replace(b"\r", b"").endswith(b"; everything is saved\n  try: striate resume mine\n")


@pytest.mark.slow
def test_ctrl_c_on_a_terminal_while_images_are_read(here: Path, photos: Path) -> None:
    script = """
import time
from striate.data.store import store
real = store.write_values
def slowly(file, values):
    time.sleep(0.2)
    real(file, values)
store.write_values = slowly
from striate.cli.main import main
main()
"""
    code, screen = on_a_terminal(
        ["train", str(photos), *LONG], script=script, keys=b"\x03", after=b"reading images"
    )
    assert code == 130
    assert screen.rfind(SHOW) > screen.rfind(HIDE)
    assert screen.replace(b"\r", b"").endswith(b"striate: stopped\n")


# Sudden death


@pytest.mark.slow
def test_killed_and_resumed_is_as_unbroken(here: Path, bars: Path) -> None:
    """kill -9 at any moment, three times: the weights come out equal to the last bit."""
    words = (bars, "--net", "conv 4 3x3 -> bn -> relu -> dropout 0.3 -> fc 8 -> bn -> relu -> fc classes",
             "--epochs", "16", "--set", "batch=16", "--device", "cpu", *EXACTLY)  # fmt: skip
    with process("train", *words, "--out", "unbroken") as running:
        assert running.wait(90) == 0
    chance = random.Random(7)
    command = ["train", *words, "--out", "mine"]
    for _ in range(3):
        with process(*command, script=HASTY) as running:
            for _ in range(chance.randint(1, 40)):
                until(running, "tick")
            running.send_signal(signal.SIGKILL)
        command = ["resume", "mine"]
    with process(*command) as running:
        out, _ = running.communicate(timeout=90)
    assert "goes on at step " in out
    assert running.returncode == 0
    for name in EXACT:
        assert (here / "mine" / name).read_bytes() == (here / "unbroken" / name).read_bytes(), name
    assert status(here / "mine") == "done"
    assert not [path for path in (here / "mine").rglob("*") if path.name.endswith(".tmp")]
