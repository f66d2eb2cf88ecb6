"""Nothing phones home: a training, a prediction by each runtime and a check, watched from outside.

`strace` sees every call of every thread, those of other packages' libraries too.  Where it is not installed, a hook
inside Python sees what Python does, and the runtimes' own calls are not seen.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import matplotlib
import pytest

from striate.exporting.runtime import runtime_names
from striate.silence import no_reports
from training.drawn import write_folder

COMMAND = "from striate.cli.main import main; main()"
NET = "conv 4 3x3 -> bn -> relu -> pool avg -> fc classes"

# What is heard inside Python where strace is missing; it ends the process that it is heard in.
HOOK = """
import os, sys
def heard(event, args):
    told = ""
    if event.startswith(("socket.connect", "socket.getaddrinfo", "socket.gethostby", "socket.sendto")):
        told = f"{event} {args[1:]}"
    elif event == "open" and isinstance(args[0], (str, bytes)) and isinstance(args[1], str) and set(args[1]) & set("wax+"):
        told = f"write {os.path.abspath(os.fsdecode(args[0]))}"
    elif event in ("os.mkdir", "os.rename"):
        told = f"write {os.path.abspath(os.fsdecode(args[-2 if event == 'os.mkdir' else 1]))}"
    if told:
        os.write(log, (told + chr(10)).encode())
log = os.open(sys.argv.pop(1), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
sys.addaudithook(heard)
"""

# A socket between processes of this machine is none; the name service's daemon is asked before a name server is.
_CONNECTED = re.compile(r"(?:connect|sendto|sendmsg|sendmmsg)\(.*?(?:AF_INET6?|sin6?_addr|nscd)")
_WRITTEN = re.compile(
    r'(?:open\(|openat\([^,]*, |creat\(|mkdir\(|mkdirat\([^,]*, |rename\w*\(.*?, )"([^"]+)"(.*)'
)


def watched(work: Path, words: list[str], seen: list[str], script: str = COMMAND) -> None:
    """Run a command in a home of its own; `seen` gets what it connected to and where it wrote."""
    home, log = work / "home", work / "log"
    home.mkdir(exist_ok=True)
    log.unlink(missing_ok=True)
    environment = {key: value for key, value in os.environ.items() if not key.startswith("XDG_")} | {
        "HOME": str(home), "STRIATE_CACHE": str(work / "cache"), "TMPDIR": str(work / "temporary"),
        # matplotlib keeps a list of this machine's fonts, in its own cache; to make one takes seconds.
        "MPLCONFIGDIR": matplotlib.get_cachedir(),
        "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    (work / "temporary").mkdir(exist_ok=True)
    if shutil.which("strace"):
        # Only the calls that are watched stop the process, so that the others take no longer (strace 5.3 of 2019).
        traced = ["strace", "-f", "--seccomp-bpf", "-qq", "-s", "400", "-o", str(log), "-e",
                  "trace=%network,open,openat,creat,mkdir,mkdirat,rename,renameat,renameat2"]  # fmt: skip
        command = [*traced, sys.executable, "-c", script, *words]
    else:
        command = [sys.executable, "-c", HOOK + script, str(log), *words]
    ended = subprocess.run(
        command, env=environment, cwd=work, capture_output=True, text=True, timeout=300, check=False
    )
    assert ended.returncode == 0, ended.stderr
    for line in log.read_text(errors="replace").splitlines():
        if _CONNECTED.search(line) or line.startswith("socket."):
            seen.append(line)
        found = _WRITTEN.search(line)
        if found and ("O_CREAT" in found[2] or "open" not in line) and "ENOENT" not in line:
            seen.append(f"write {os.path.join(work, found[1])}")
        elif line.startswith("write "):
            seen.append(line)


def strange(work: Path, seen: list[str]) -> list[str]:
    """What was seen but writing to the run, the cache, the output and matplotlib's cache; devices are no files."""
    places = [
        *(work / name for name in ("run", "cache", "out")),
        # The run folder is made whole under a name of its own, and renamed.
        work / ".run.",
        matplotlib.get_cachedir(),
        "/dev/",
        "/proc/",
    ]
    allowed = [f"write {place}" for place in places]
    return [each for each in seen if not each.startswith(tuple(allowed))]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a home, images, and a run in it."""
    work = tmp_path_factory.mktemp("silence")
    write_folder(work / "photos", 36)
    (work / "out").mkdir()
    return work


def test_a_training_and_a_check(work: Path) -> None:
    seen: list[str] = []
    words = ["train", "photos", "--net", NET, "--epochs", "1", "--set", "batch=8", "--device", "cpu"]
    watched(work, [*words, "--out", "run", "--quiet"], seen)
    watched(work, ["check", "photos", "--report", "out/check.html"], seen)
    assert any(each == f"write {work / 'run'}" for each in seen), "it watches"
    assert strange(work, seen) == []
    assert list((work / "home").rglob("*")) == []


@pytest.mark.parametrize("runtime", ["torch", "onnxruntime", "openvino"])
def test_a_prediction(work: Path, runtime: str) -> None:
    if runtime not in runtime_names():
        pytest.skip(f"{runtime} is not installed")
    if runtime != "torch" and not shutil.which("strace"):
        pytest.skip("strace is not installed, and nothing else sees what the runtime itself does")
    assert (work / "run").exists()
    seen: list[str] = []
    watched(work, ["predict", "run", "photos", "--runtime", runtime, "--device", "cpu"], seen)
    assert strange(work, seen) == []
    assert list((work / "home").rglob("*")) == []


def test_the_watch_sees_what_is_there(work: Path) -> None:
    """The comparison fails where something is written or looked up."""
    seen: list[str] = []
    script = (
        "import os, socket\n"
        "open(os.path.expanduser('~/deviceid'), 'w').close()\n"
        "try: socket.create_connection(('127.0.0.1', 9), timeout=1)\n"
        "except OSError: pass\n"
    )
    watched(work, [], seen, script)
    (work / "home" / "deviceid").unlink()
    assert f"write {work / 'home' / 'deviceid'}" in strange(work, seen)
    assert len(strange(work, seen)) >= 2


def test_what_the_user_set_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORT_DISABLE_TELEMETRY", "0")
    monkeypatch.delenv("HF_HUB_DISABLE_TELEMETRY", raising=False)
    before = list(sys.meta_path)
    with no_reports():
        with pytest.raises(ModuleNotFoundError, match="openvino_telemetry is kept away"):
            import openvino_telemetry  # noqa: F401
        assert os.environ["HF_HUB_DISABLE_TELEMETRY"] == "1"
    assert os.environ["ORT_DISABLE_TELEMETRY"] == "0"
    assert sys.meta_path == before


def test_every_import_of_such_a_package_is_silent() -> None:
    """Each stands in a `with no_reports()`."""
    import striate

    package = Path(striate.__file__).parent
    for path in package.rglob("*.py"):
        lines = path.read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines):
            if re.match(r"\s*(?:import|from) (?:onnxruntime|openvino|huggingface_hub)\b", line):
                # The runner of a bundle stands alone.
                alone = path.name == "run.py" and path.parent.name == "bundle"
                silent = (
                    'os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")' if alone else "with no_reports():"
                )
                before = next(each for each in lines[number - 1 :: -1] if "from onnxruntime" not in each)
                assert before.strip() == silent, f"{path}:{number + 1}"
