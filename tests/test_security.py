"""Nothing in the package can run foreign code, read a file that could, or call home.

The walk reads every module of `src/striate`; a planted snippet of each kind shows that it would be found.
Hostile archives and model files are opened before a canary outside that must stay as it is.
"""

from __future__ import annotations

import ast
import json
import os
import re
import runpy
import stat
import subprocess
import sys
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

import striate
from data.packed import HONEST, HOSTILE, image
from striate.data.archives import allowance
from striate.data.formats.listing import list_data
from striate.errors import DataError, ResourceError
from striate.weights.error import WeightsError
from striate.weights.file import read_tensors
from weights.crafted import Claim, Run, both

PACKAGE = Path(striate.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))

# Modules that run what they read, or start other programs.
FORBIDDEN = frozenset([
    "pickle", "_pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal", "yaml",
    "ruamel", "joblib", "jsonpickle", "code", "codeop", "runpy", "imp", "pty", "multiprocessing",
    "subprocess", "xmlrpc", "ftplib", "telnetlib", "smtplib", "socket", "socketserver", "requests",
    "httpx", "aiohttp", "urllib3", "webbrowser",
])  # fmt: skip

# What goes to the network, and in which folder alone it may.
NETWORK = frozenset(["urllib.request", "urllib.error", "http.client", "huggingface_hub", "ssl"])
NETWORK_FOLDER = PACKAGE / "weights"

# What alone may call torch.load.
READER = PACKAGE / "weights" / "pth.py"

# What alone may show a page of ours in the browser, where --open asks for it.
OPENER = PACKAGE / "cli" / "console.py"

BUILTINS = frozenset(["eval", "exec", "compile", "__import__"])

# By their last name, whatever they are called on.
ATTRIBUTES = frozenset([
    "system", "popen", "spawnl", "spawnv", "spawnve", "spawnlp", "posix_spawn", "execv", "execve",
    "execvp", "execl", "execlp", "startfile", "extract", "extractall", "unsafe_load", "full_load", "load_module",
    "exec_module", "load_state_dict_from_url", "set_start_method", "fork", "load_library",
    "load_inline", "run_code", "import_module", "pickle", "_pickle",
])  # fmt: skip

# By module and name.
CALLS = frozenset([
    "torch.load", "sys.modules", "torch.jit.load", "torch.hub.load", "torch.package.PackageImporter",
    "torch.export.load", "joblib.load", "numpy.fromregex", "numpy.loadtxt", "numpy.genfromtxt",
])  # fmt: skip

# The addresses of `striate serve`.
THIS_MACHINE = ("127.0.0.1", "0.0.0.0", "127.0.0.1:8000")

# Host names that stand in the package, and why.
# `www.w3.org` names SVG, `git-lfs` begins its pointers, `huggingface.co` is where weights are; the rest stand for
# any host in errors.
HOSTS = {"www.w3.org", "huggingface.co", "git-lfs", "host", "...", *THIS_MACHINE}
_HOST = re.compile(
    r"(?<![\w./@-])((?:[a-z0-9-]+\.)+(?:com|org|net|io|ai|co|dev|edu|gov|info|cloud|sh|app))(?![\w(-])",
    re.IGNORECASE,
)
_ADDRESS = re.compile(r"(?:https?|ftp|wss?)://([^/\s\"'<>`,]+)", re.IGNORECASE)
_IP = re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])")


# What a module does although no other may, and why.
ALLOWED = {
    "__init__.py": (
        "calls importlib.import_module",
    ),  # of the package's own modules, by a table that stands there
    "serve/server.py": (
        "imports socket",
    ),  # it listens: loopback, unless the user gives an address and a token
    "bundle/bench.py": ("imports subprocess",),  # each runtime is measured in a Python of its own
    "progress.py": ("uses sys.modules",),  # asks whether a notebook runs it, without importing one
}


def findings(text: str, path: Path) -> Iterator[str]:
    """What a module does that it must not, one line each."""
    tree = ast.parse(text)
    names = dict(_imported(tree))
    for node in ast.walk(tree):
        for found in (*_imports(node, path), *_calls(node, names), *_hosts(node)):
            if path == READER and found == "uses torch.load":
                # Its own test looks at how it is called.
                continue
            if found in ALLOWED.get(
                path.relative_to(PACKAGE).as_posix() if path.is_relative_to(PACKAGE) else "", ()
            ):
                continue
            if path == OPENER and found == "imports webbrowser":
                continue
            yield f"line {getattr(node, 'lineno', 0)}: {found}"


def _imported(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Names that a module gives to others, and what they are."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for each in node.names:
                yield (each.asname, each.name) if each.asname else (each.name.split(".")[0],) * 2
        elif isinstance(node, ast.ImportFrom):
            for each in node.names:
                yield each.asname or each.name, f"{node.module}.{each.name}"


def _imports(node: ast.AST, path: Path) -> Iterator[str]:
    if isinstance(node, ast.Import):
        whole = [each.name for each in node.names]
    elif isinstance(node, ast.ImportFrom):
        whole = [f"{node.module}.{each.name}" for each in node.names] + [str(node.module)]
    else:
        return
    for name in whole:
        if name.split(".")[0] in FORBIDDEN:
            yield f"imports {name}"
        if any(name == each or name.startswith(f"{each}.") for each in NETWORK) and not path.is_relative_to(
            NETWORK_FOLDER
        ):
            yield f"imports {name}, which only weights/ may"


def _calls(node: ast.AST, names: dict[str, str]) -> Iterator[str]:
    if isinstance(node, ast.Name) and node.id in BUILTINS and isinstance(node.ctx, ast.Load):
        yield f"uses {node.id}"
    if isinstance(node, ast.Attribute):
        whole = _dotted(node, names)
        if node.attr in ATTRIBUTES and whole != "platform.system":
            yield f"uses .{node.attr}"
        if whole in CALLS or whole in {f"builtins.{each}" for each in BUILTINS}:
            yield f"uses {whole}"
    if isinstance(node, ast.Call):
        whole = _dotted(node.func, names)
        given = {each.arg: each.value for each in node.keywords}
        own = whole == "importlib.import_module" and _is_own(node)
        if (
            isinstance(node.func, ast.Name)
            and not own
            and (whole in CALLS or whole.split(".")[-1] in ATTRIBUTES - {"fork"})
        ):
            yield f"calls {whole}"
        shell = given.get("shell")
        if shell is not None and not (isinstance(shell, ast.Constant) and shell.value is False):
            yield "calls a shell"
        pickles = given.get("allow_pickle")
        refused = isinstance(pickles, ast.Constant) and pickles.value is False
        if whole in ("numpy.load", "numpy.lib.format.read_array") and not refused:
            yield f"calls {whole} without allow_pickle=False"
        elif pickles is not None and not refused:
            yield "allows pickles"
        named = node.args[1] if whole == "getattr" and len(node.args) > 1 else None
        if isinstance(named, ast.Constant) and named.value in BUILTINS | ATTRIBUTES:
            yield f"gets {named.value}"


def _is_own(call: ast.Call) -> bool:
    """Whether a module of striate, or the decoder of HEIC, is imported, by its name in the text."""
    name = call.args[0] if len(call.args) == 1 else None
    return isinstance(name, ast.Constant) and str(name.value).startswith(("striate.", "pillow_heif"))


def _hosts(node: ast.AST) -> Iterator[str]:
    if not (isinstance(node, ast.Constant) and isinstance(node.value, str | bytes)):
        return
    text = node.value if isinstance(node.value, str) else node.value.decode("latin-1")
    for host in (*_HOST.findall(text), *_ADDRESS.findall(text), *_IP.findall(text)):
        # `alexnet.net` is a file of the notation.
        if host.lower() not in HOSTS and not re.fullmatch(r"\w+\.net", host):
            yield f"names the host {host}"


def _dotted(node: ast.AST, names: dict[str, str]) -> str:
    """`np.lib.load` as `numpy.lib.load`; empty for what is no dotted name."""
    if isinstance(node, ast.Name):
        return names.get(node.id, node.id)
    if isinstance(node, ast.Attribute):
        before = _dotted(node.value, names)
        return f"{before}.{node.attr}" if before else ""
    return ""


def test_there_is_something_to_walk() -> None:
    assert len(MODULES) > 150
    assert READER in MODULES
    assert OPENER in MODULES


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_module_can_run_foreign_code(path: Path) -> None:
    assert list(findings(path.read_text(encoding="utf-8"), path)) == []


@pytest.mark.parametrize(
    ("snippet", "told"),
    [
        ("import pickle", "imports pickle"),
        ("import os, pickle as p", "imports pickle"),
        ("from pickle import loads", "imports pickle.loads"),
        ("def f():\n    import yaml", "imports yaml"),
        ("from joblib import load", "imports joblib.load"),
        ("import marshal", "imports marshal"),
        ("import shelve", "imports shelve"),
        ("import dill", "imports dill"),
        ("import cloudpickle", "imports cloudpickle"),
        ("import subprocess", "imports subprocess"),
        ("import tarfile\ntarfile.open('x').extract('y')", "uses .extract"),
        ("import requests", "imports requests"),
        ("import urllib.request", "imports urllib.request, which only weights/ may"),
        ("from urllib import request", "imports urllib.request, which only weights/ may"),
        ("from http.client import HTTPResponse", "imports http.client, which only weights/ may"),
        ("import huggingface_hub as h", "imports huggingface_hub, which only weights/ may"),
        ("eval('1')", "uses eval"),
        ("run = exec", "uses exec"),
        ("compile('1', '', 'eval')", "uses compile"),
        ("__import__('os')", "uses __import__"),
        ("import builtins\nbuiltins.eval('1')", "uses builtins.eval"),
        ("getattr(x, 'eval')", "gets eval"),
        ("getattr(os, 'system')('ls')", "gets system"),
        ("import os\nos.system('ls')", "uses .system"),
        ("import os\nos.popen('ls')", "uses .popen"),
        ("from os import system\nsystem('ls')", "calls os.system"),
        ("import os as o\no.execv('ls', [])", "uses .execv"),
        ("run('ls', shell=True)", "calls a shell"),
        ("run('ls', shell=loud)", "calls a shell"),
        ("import torch\ntorch.load('a.pt')", "uses torch.load"),
        ("import torch as t\nt.load('a.pt', weights_only=True)", "uses torch.load"),
        ("from torch import load\nload('a.pt')", "calls torch.load"),
        ("import torch\nread = torch.load", "uses torch.load"),
        ("import torch\ntorch.hub.load('a', 'b')", "uses torch.hub.load"),
        ("import torch\ntorch.jit.load('a')", "uses torch.jit.load"),
        ("import numpy as np\nnp.load('a.npy')", "calls numpy.load without allow_pickle=False"),
        (
            "import numpy as np\nnp.load('a.npy', allow_pickle=True)",
            "calls numpy.load without allow_pickle=False",
        ),
        ("from numpy import load\nload('a.npy')", "calls numpy.load without allow_pickle=False"),
        ("read(x, allow_pickle=yes)", "allows pickles"),
        ("zipfile.ZipFile(x).extractall()", "uses .extractall"),
        ("importlib.import_module(name)", "uses .import_module"),
        ("from importlib import import_module\nimport_module(name)", "calls importlib.import_module"),
        ("from importlib import import_module\nimport_module('pickle')", "calls importlib.import_module"),
        ("import torch\ntorch.serialization.pickle.loads(x)", "uses .pickle"),
        ("import sys\nsys.modules['pickle'].loads(x)", "uses sys.modules"),
        ("url = 'https://stats.example.com/ping'", "names the host stats.example.com"),
        ("host = 'stats.example.io'", "names the host stats.example.io"),
        ("host = b'10.0.0.1'", "names the host 10.0.0.1"),
        ("url = f'http://evil/{x}'", "names the host evil"),
    ],
)
def test_the_walk_finds_it(snippet: str, told: str) -> None:
    found = list(findings(snippet, PACKAGE / "planted.py"))
    assert told in [each.split(": ", 1)[1] for each in found], found


@pytest.mark.parametrize(
    "snippet",
    [
        "net.eval()",
        "from importlib import import_module\nimport_module('striate.classifier')",
        "'alexnet.net:2:6'",
        "import re\nre.compile('a')",
        "model.load(x)",
        "import numpy as np\nnp.load('a.npy', allow_pickle=False)",
        "import numpy as np\nx: np.ndarray = np.zeros(3)",
        "run('ls', shell=False)",
        "'Ioffe & Szegedy 2015, section 3.1'",
        "f'version 1.2.3 of {x}'",
        "from safetensors.torch import load",
    ],
)
def test_the_walk_finds_nothing_else(snippet: str) -> None:
    assert list(findings(snippet, PACKAGE / "planted.py")) == []


def test_weights_alone_may_go_to_the_network() -> None:
    assert list(findings("import urllib.request", NETWORK_FOLDER / "planted.py")) == []


# Importing every module, in a process of its own, in which nothing was imported before.
IMPORT_ALL = """
import json, sys
import locale, os, random, signal, warnings
import numpy, torch
# Those of others, who may do as they like.
import matplotlib.figure, sklearn.base, sklearn.metrics, huggingface_hub, PIL.Image, rich.console, onnxruntime

calls = []
def heard(event, args):
    if event.startswith(("socket.connect", "socket.getaddrinfo", "socket.bind", "subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.mkdir", "os.remove", "os.rename", "os.putenv", "os.chdir")):
        calls.append(f"{event} {str(args)[:80]}")
    if event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+") and ".pyc" not in str(args[0]):
        calls.append(f"open {args[0]} {args[1]}")

def state():
    return {
        "dtype": str(torch.get_default_dtype()),
        "threads": torch.get_num_threads(),
        "grad": torch.is_grad_enabled(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "tf32": str(torch.backends.cuda.matmul.allow_tf32) + str(torch.get_float32_matmul_precision()),
        "torch random": torch.get_rng_state().sum().item(),
        "numpy random": str(numpy.random.get_state()[1].sum()),
        "random": hash(random.getstate()),
        "print": str(numpy.get_printoptions()),
        "errors": str(numpy.geterr()),
        "signals": [str(signal.getsignal(each)) for each in sorted(signal.valid_signals()) if each not in (9, 19)],
        "warnings": [str(each) for each in warnings.filters],
        "environment": sorted(os.environ.items()),
        "folder": os.getcwd(),
        "locale": locale.setlocale(locale.LC_ALL),
        "hooks": str((sys.excepthook, sys.displayhook, sys.stdout, sys.stderr, sys.getrecursionlimit(), sys.path)),
        "pillow": str(__import__("PIL.Image").Image.MAX_IMAGE_PIXELS) + str(__import__("PIL.ImageFile").ImageFile.LOAD_TRUNCATED_IMAGES),
        "matplotlib": matplotlib.get_backend() + str(sorted(matplotlib.rcParams.items(), key=str)),
    }

before = state()
sys.addaudithook(heard)
import threading
threads = threading.active_count()

for names in (sys.argv[1:-1], sys.argv[-1:]):
    failed = []
    for name in names:
        try:
            __import__(name)
        except Exception as error:
            failed.append(f"{name}: {error!r}")
    heard_by_now, after = sorted(calls), state()
    print(json.dumps({
        "calls": heard_by_now,
        "changed": [key for key in before if before[key] != after[key]],
        "failed": failed,
        "threads": threading.active_count() - threads,
    }))
"""


PLANTED = """
import os, signal, socket, threading, time, warnings
import numpy, torch
numpy.set_printoptions(precision=3)
torch.set_default_dtype(torch.float64)
torch.manual_seed(1)
numpy.random.seed(1)
signal.signal(signal.SIGUSR1, lambda number, frame: None)
warnings.simplefilter("ignore")
os.environ["OMP_WAIT_POLICY"] = "ACTIVE"
threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
open("left.txt", "w").close()
socket.getaddrinfo("localhost", 80)
raise ValueError("planted")
"""


def test_importing_every_module_changes_nothing(tmp_path: Path) -> None:
    """No network, no file, no process, no thread, and all that is global as it was; a planted module is found."""
    names = [
        ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
        for path in MODULES
    ]
    (tmp_path / "planted.py").write_text(PLANTED)
    ended = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, *names, "planted"],
        capture_output=True, text=True, timeout=120, check=False, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    mine, planted = (json.loads(line) for line in ended.stdout.splitlines())
    assert mine == {"calls": [], "changed": [], "failed": [], "threads": 0}
    assert planted["failed"] == ["planted: ValueError('planted')"]
    assert planted["threads"] == 1
    assert {each.split()[0] for each in planted["calls"]} >= {"open", "socket.getaddrinfo", "os.putenv"}
    assert planted["changed"] == [
        "dtype", "torch random", "numpy random", "print", "signals", "warnings", "environment",
    ]  # fmt: skip


# What the system is asked for while a hostile file is read: the hook cannot be taken away, only made deaf.
_heard: list[tuple[str, str, bool]] | None = None
_WRITES = frozenset(["os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.chmod", "os.chown",
                     "os.truncate", "os.utime", "os.mkfifo", "os.mknod"])  # fmt: skip
_RUNS = (
    "subprocess.",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.fork",
    "socket.",
    "webbrowser.",
    "ctypes.",
)


def _hear(event: str, args: tuple[Any, ...]) -> None:
    if _heard is None:
        return
    if event == "open" and isinstance(args[0], str | bytes | os.PathLike):
        path, writes = os.fsdecode(args[0]), bool(args[2] & (os.O_WRONLY | os.O_RDWR))
        # What is opened relative to an open folder, as rmtree does, is not told; nothing else opens bare names here.
        if os.path.dirname(path) or writes:
            _heard.append((event, os.path.realpath(path), writes))
    elif event in _WRITES:
        named = args[1:2] if event == "os.symlink" else args[: _NAMES.get(event, 1)]
        for path, place in zip(map(os.fsdecode, named), _places(event, args), strict=False):
            # Of a link the link itself counts, not what it leads to.
            folder = os.path.realpath(os.path.join(place, os.path.dirname(path)))
            _heard.append((event, os.path.join(folder, os.path.basename(path)), True))
    elif event.startswith(_RUNS):
        _heard.append((event, str(args)[:100], True))


_NAMES = {"os.rename": 2, "os.link": 2}


def _places(event: str, args: tuple[Any, ...]) -> list[str]:
    """The folders that the names of a call are relative to."""
    if event in ("os.remove", "os.rmdir") and args[1] != -1:
        return [os.readlink(f"/proc/self/fd/{args[1]}")]
    return [os.getcwd()] * 2


sys.addaudithook(_hear)


@contextmanager
def heard() -> Iterator[list[tuple[str, str, bool]]]:
    """What files are asked for inside: event, path, whether to write."""
    global _heard
    _heard = found = []
    try:
        yield found
    finally:
        _heard = None


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder that nothing may touch, where a canary could be made and a secret be read."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "secret.png").write_bytes(image(77))
    return folder


def trees(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Everything below: mode and content."""
    return {
        str(each.relative_to(folder)): (each.lstat().st_mode, each.read_bytes() if each.is_file() else b"")
        for each in folder.rglob("*")
    }


def astray(found: list[tuple[str, str, bool]], read: Path, cache: Path) -> list[tuple[str, str, bool]]:
    """What was asked for but the file itself, the cache, and (to read) what is installed."""
    installed = [str(PACKAGE.parent), sys.prefix, sys.base_prefix, "/usr", "/lib", "/proc", "/sys"]
    free = [os.path.realpath(each) for each in (read, *installed)]
    return [
        (event, path, writes)
        for event, path, writes in found
        if not path.startswith(str(cache) + os.sep)
        and path != str(cache)
        and (writes or not any(path == each or path.startswith(each + os.sep) for each in free))
    ]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_archive_stays_in_its_folder(
    name: str, tmp_path: Path, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told as it should be; the canary is never made, and nothing outside is read or written."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    # Small, so that bombs are quickly drawn.
    monkeypatch.setattr(allowance, "SMALL_BYTES", 2**20)
    monkeypatch.setattr(allowance, "SMALL_MEMBER_BYTES", 2**19)
    cache = tmp_path / "cache"
    monkeypatch.setenv("STRIATE_CACHE", str(cache))
    make, code = HOSTILE[name]
    (tmp_path / "in").mkdir()
    archive = tmp_path / "in" / "photos"
    archive.write_bytes(make(outside / "canary"))
    before = trees(outside), trees(archive.parent)
    listing = None
    with heard() as found:
        try:
            listing = list_data(archive)
        except (DataError, ResourceError) as problem:
            told = problem
    assert found
    assert astray(found, archive, cache) == []
    assert (trees(outside), trees(archive.parent)) == before
    assert sorted(each.name for each in tmp_path.iterdir()) == (
        ["cache", "here", "in", "outside"] if cache.exists() else ["here", "in", "outside"]
    )
    assert trees(tmp_path / "here") == {}
    made = list(cache.rglob("*"))
    if listing is None:
        assert code == ""
        assert told.place == str(archive)
        assert all((told.problem, told.expected, told.cure))
        assert [each for each in made if each.is_file()] == [], "of a hostile archive nothing is kept"
        return
    assert {each.code for each in listing.findings} == ({code} if code != "none" else set())
    names = {each.name for each in listing.entries}
    assert names >= HONEST.keys()
    for each in listing.entries:
        if each.name in HONEST:
            assert each.path.read_bytes() == HONEST[each.name]
    for each in made:
        mode = each.lstat().st_mode
        assert stat.S_ISDIR(mode) or (stat.S_ISREG(mode) and not mode & 0o7133), each


def test_the_hook_would_hear_it(tmp_path: Path) -> None:
    """A reader that does each of the forbidden things is found out."""
    (tmp_path / "link").symlink_to(tmp_path / "away")
    with heard() as found:
        (tmp_path / "canary").touch()
        (tmp_path / "link").write_text("x")
        (tmp_path / "canary").read_text()
        os.symlink("a", tmp_path / "second")
        subprocess.run([sys.executable, "-c", ""], check=True)
    events = astray(found, tmp_path / "archive", tmp_path / "cache")
    here = os.path.realpath(tmp_path)
    assert ("open", f"{here}/canary", True) in events
    assert ("open", f"{here}/away", True) in events
    assert ("open", f"{here}/canary", False) in events
    assert ("os.symlink", f"{here}/second", True) in events
    assert any(event == "subprocess.Popen" for event, _, _ in events)


PROGRAMS: dict[str, Callable[[str], Run]] = {
    "system": lambda path: Run(os.system, (f"touch {path}",)),
    "exec": lambda path: Run(exec, (f"open({path!r}, 'w')",)),
    "eval": lambda path: Run(eval, (f"open({path!r}, 'w')",)),
    "open": lambda path: Run(open, (path, "w")),
    "process": lambda path: Run(subprocess.Popen, (["touch", path],)),
    "program": lambda path: Run(runpy.run_path, (path,)),
    "browser": lambda path: Run(webbrowser.open, (path,)),
    "another pickle": lambda path: Run(torch.load, (path,)),
    "remove": lambda path: Run(os.remove, (str(Path(path).with_name("secret.png")),)),
    "read": lambda path: Run(open, (str(Path(path).with_name("secret.png")),)),
    "link": lambda path: Run(os.symlink, ("a", path)),
    "folder": lambda path: Run(os.mkdir, (path,)),
}


@pytest.mark.parametrize("form", ["zip", "old"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_hostile_model_file_runs_nothing(name: str, form: str, tmp_path: Path, outside: Path) -> None:
    program = PROGRAMS[name](str(outside / "canary"))
    path = tmp_path / "w.pth"
    path.write_bytes(both({"state_dict": {"a.weight": Claim(), "b": program}})[form])
    before = trees(tmp_path)
    with (
        heard() as found,
        pytest.raises(WeightsError, match="it was not run, and nothing of the file is used"),
    ):
        read_tensors(path)
    assert astray(found, path, tmp_path / "cache") == []
    assert trees(tmp_path) == before


def test_there_are_enough_of_them() -> None:
    assert len(HOSTILE) >= 25
    assert len(HOSTILE) + 2 * len(PROGRAMS) >= 40
