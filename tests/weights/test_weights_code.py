"""A file that asks to run code: it is not run, and it is named."""

from __future__ import annotations

import builtins
import functools
import importlib
import os
import pickle
import runpy
import subprocess
import sys
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from crafted import Claim, Run, both, old, pickled, written, zipped

from striate.weights.file import read_tensors, read_weights
from striate.weights.forbidden import runs_code
from striate.weights.trouble import Hostile, WeightsError


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """A file that any of the programs here would make."""
    return tmp_path / "canary"


def refused(content: bytes, folder: Path) -> str:
    path = written(content, folder)
    with pytest.raises(Hostile) as caught:
        read_tensors(path)
    return str(caught.value).replace(str(path), "w.pth")


def told(name: str) -> str:
    return (
        f"w.pth: the file asks to run `{name}`; it was not run, and nothing of the file is used\n"
        "  expected: tensors and plain values only\n"
        "  try: throw the file away, and take weights in a .safetensors file from a source you trust"
    )


PROGRAMS: dict[str, Callable[[str], Any]] = {
    "posix.system": lambda path: Run(os.system, (f"touch {path}",)),
    "builtins.exec": lambda path: Run(exec, (f"open({path!r}, 'w')",)),
    "builtins.eval": lambda path: Run(eval, (f"open({path!r}, 'w')",)),
    "io.open": lambda path: Run(open, (path, "w")),
    "subprocess.Popen": lambda path: Run(subprocess.Popen, (["touch", path],)),
    "subprocess.check_output": lambda path: Run(subprocess.check_output, (["touch", path],)),
    "runpy.run_path": lambda path: Run(runpy.run_path, (path,)),
    "builtins.getattr": lambda path: Run(getattr, ("", "join")),
    "builtins.__import__": lambda path: Run(builtins.__import__, ("os",)),
    "builtins.compile": lambda path: Run(compile, ("1", "a", "eval")),
    "importlib.import_module": lambda path: Run(importlib.import_module, ("os",)),
    "torch.serialization.load": lambda path: Run(torch.load, (path,)),
    "torch.storage._load_from_bytes": lambda path: Run(torch.storage._load_from_bytes, (b"",)),
    "torch.hub.load": lambda path: Run(torch.hub.load, ("a/b", "c")),
    "_pickle.loads": lambda path: Run(pickle.loads, (b"",)),
    "webbrowser.open": lambda path: Run(webbrowser.open, (path,)),
    "posix.remove": lambda path: Run(os.remove, (path,)),
}


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("form", ["zip", "old"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_is_named_and_not_run(
    name: str, form: str, protocol: int, tmp_path: Path, canary: Path
) -> None:
    program = PROGRAMS[name](str(canary))
    # Protocol 0 has no references to storages.
    value = {"state_dict": {"b": program} if protocol == 0 else {"a.weight": Claim(), "b": program}}
    content = both(pickled(value, protocol, fix_imports=False))[form]
    assert refused(content, tmp_path) == told(name)
    assert not canary.exists()


@pytest.mark.parametrize(
    "wrap",
    [
        lambda program: program,
        lambda program: [[[program]]],
        lambda program: {"a": Claim(), program: 1},
        lambda program: functools.partial(program.function, *program.arguments),
        lambda program: Claim(row=program),
        lambda program: Claim(size=program),
        lambda program: Run(dict, ([("a", program)],)),
    ],
)
def test_wherever_it_hides(wrap: Callable[[Run], Any], tmp_path: Path, canary: Path) -> None:
    program = Run(os.system, (f"touch {canary}",))
    for content in both(pickled(wrap(program))).values():
        assert refused(content, tmp_path) == told("posix.system")
    assert not canary.exists()


def test_in_the_other_pickles_of_the_old_form(tmp_path: Path, canary: Path) -> None:
    program = Run(os.system, (f"touch {canary}",))
    value = pickled({"a": Claim()})
    for content in (
        old(value, magic=program),
        old(value, version=program),
        old(value, system={"little_endian": True, "more": program}),
        old(value, keys=[program]),
    ):
        assert refused(content, tmp_path) == told("posix.system")
    assert not canary.exists()


@pytest.mark.parametrize(
    ("program", "name"),
    [
        # Opcodes that Python's own pickler has not written for twenty years.
        (b"(S'touch CANARY'\nios\nsystem\n.", "os.system"),
        (b"(cposix\nsystem\nS'touch CANARY'\no.", "posix.system"),
        (b"cos\nsystem\n(S'touch CANARY'\ntR.", "os.system"),
        (b"c__builtin__\neval\n(S'1'\ntR.", "__builtin__.eval"),
        (b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x0ctouch CANARY\x85R.", "posix.system"),
        (b"cnumpy.testing._private.utils\nrunstring\n.", "numpy.testing._private.utils.runstring"),
        (b"ctorch\nload\n.", "torch.load"),
        (b"\x80\x04\x8c\x05torch\x8c\x12Tensor.__globals__\x93.", "torch.Tensor.__globals__"),
        (b"\x80\x04\x8c\x07pathlib\x8c\x0fPath.write_text\x93.", "pathlib.Path.write_text"),
        (b"coperator\nattrgetter\n.", "operator.attrgetter"),
        (b"cos.path\nexists\n.", "os.path.exists"),
        (b"cbuiltins\nexec\n0N.", "builtins.exec"),
        (b"cos\nsystem\nq\x00h\x00.", "os.system"),
    ],
)
def test_written_by_hand(program: bytes, name: str, tmp_path: Path, canary: Path) -> None:
    made = program.replace(b"CANARY", str(canary).encode())
    for content in both(made).values():
        assert refused(content, tmp_path) == told(name)
    assert not canary.exists()


def test_a_number_of_the_extension_registry_is_not_looked_up(tmp_path: Path) -> None:
    for program in (b"\x82\x01.", b"\x83\x01\x00.", b"\x84\x01\x00\x00\x00."):
        with pytest.raises(WeightsError, match="a number of Python's extension registry"):
            read_tensors(written(zipped(program), tmp_path))


def test_a_foreign_function_is_passed_over_and_its_module_not_imported(
    tmp_path: Path, canary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a_stranger.py").write_text(f"open({str(canary)!r}, 'w')\n\n\ndef call(*given):\n    pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    tensors = pickled({"a": Claim()})[2:-1]
    program = (
        b"\x80\x02}(X\x01\x00\x00\x00mca_stranger\ncall\n(S'1'\ntR}X\x01\x00\x00\x00kK\x01sbX\x01\x00\x00\x00s"
        + tensors
        + b"u."
    )
    found = read_weights(written(zipped(program), tmp_path))
    assert found.foreign == ("a_stranger.call",)
    assert found.tensors["a"].tolist() == [1, 2, 3, 4]
    assert "a_stranger" not in sys.modules
    assert not canary.exists()


def test_honest_names_are_not_on_the_list() -> None:
    for module, name in [
        ("torch._utils", "_rebuild_tensor_v2"),
        ("torch", "FloatStorage"),
        ("torch.nn.modules.conv", "Conv2d"),
        ("collections", "OrderedDict"),
        ("numpy.core.multiarray", "scalar"),
        ("numpy", "dtype"),
        ("argparse", "Namespace"),
        ("pathlib", "PosixPath"),
        ("__main__", "Net"),
        ("__torch__.torch.nn.modules.conv", "Conv2d"),
        ("models.resnet", "ResNet"),
        ("datetime", "datetime"),
        ("functools", "partial"),
        ("builtins", "set"),
        ("__builtin__", "object"),
        ("copy_reg", "_reconstructor"),
        ("omegaconf.dictconfig", "DictConfig"),
    ]:
        assert not runs_code(module, name), (module, name)
