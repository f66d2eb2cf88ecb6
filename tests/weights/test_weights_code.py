"""A file that asks to run code: it is not run, and it is named."""

from __future__ import annotations

import builtins
import collections
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

from striate.weights.error import Hostile, WeightsError
from striate.weights.file import read_tensors


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
        f"w.pth: the file asks for `{name}`; it was not run, and nothing of the file is used\n"
        "  expected: tensors and plain values only\n"
        '  try: torch.save(model.state_dict(), "weights.pth") where the file comes from, or a .safetensors '
        "file from a source you trust"
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
def test_a_program_is_not_run(name: str, form: str, protocol: int, tmp_path: Path, canary: Path) -> None:
    program = PROGRAMS[name](str(canary))
    # Protocol 0 has no references to storages.
    value = {"state_dict": {"b": program} if protocol == 0 else {"a.weight": Claim(), "b": program}}
    content = pickled(value, protocol, fix_imports=False, form=form)
    content = zipped(content) if form == "zip" else old(content)
    if protocol == 2:
        assert refused(content, tmp_path) == told(name.removeprefix("builtins."))
    else:
        # torch.save writes protocol 2, and no other is read.
        with pytest.raises(WeightsError, match="save does not write"):
            read_tensors(written(content, tmp_path))
    assert not canary.exists()


@pytest.mark.parametrize(
    "wrap",
    [
        lambda program: program,
        lambda program: [[[program]]],
        lambda program: {"a": Claim(), program: 1},
        lambda program: Claim(row=program),
        lambda program: Claim(size=program),
        lambda program: Run(collections.OrderedDict, ([("a", program)],)),
    ],
)
def test_wherever_it_hides(wrap: Callable[[Run], Any], tmp_path: Path, canary: Path) -> None:
    program = Run(os.system, (f"touch {canary}",))
    for content in both(wrap(program)).values():
        assert refused(content, tmp_path) == told("posix.system")
    assert not canary.exists()


def test_in_the_other_pickles_of_the_old_form(tmp_path: Path, canary: Path) -> None:
    program = Run(os.system, (f"touch {canary}",))
    value = pickled({"a": Claim()}, form="old")
    for content in (
        old(value, magic=program),
        old(value, version=program),
        old(value, system={"little_endian": True, "more": program}),
        old(value, keys=[program]),
    ):
        assert refused(content, tmp_path) == told("posix.system")
    assert not canary.exists()


@pytest.mark.parametrize(
    "program",
    [
        # Opcodes that Python's own pickler has not written for twenty years, and names that lead further.
        b"(S'touch CANARY'\nios\nsystem\n.",
        b"(cposix\nsystem\nS'touch CANARY'\no.",
        b"cos\nsystem\n(X\x0c\x00\x00\x00touch CANARYtR.",
        b"c__builtin__\neval\n(X\x01\x00\x00\x001tR.",
        b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x0ctouch CANARY\x85R.",
        b"cnumpy.testing._private.utils\nrunstring\n.",
        b"ctorch\nload\n.",
        b"ctorch\nTensor.__globals__\n.",
        b"cpathlib\nPath.write_text\n.",
        b"coperator\nattrgetter\n.",
        b"cos.path\nexists\n.",
        b"cos\nsystem\nq\x00h\x00.",
        # Allowed by torch, and given any length by a file.
        b"\x80\x02cbuiltins\nbytearray\nJ\xff\xff\xff\x7f\x85R.",
        # Calls, attributes and items of what is allowed.
        b"\x80\x02cargparse\nNamespace\n)R}X\x01\x00\x00\x00acposix\nsystem\nsb.",
        b"\x80\x02cargparse\nNamespace\n)R(X\x01\x00\x00\x00aK\x01tR.",
        b"\x82\x01.",
        b"\x83\x01\x00.",
        b"\x84\x01\x00\x00\x00.",
    ],
)
def test_written_by_hand(program: bytes, tmp_path: Path, canary: Path) -> None:
    for content in both(program.replace(b"CANARY", str(canary)[:6].encode())).values():
        with pytest.raises(WeightsError) as caught:
            read_tensors(written(content, tmp_path))
        assert "weights_only" not in str(caught.value)
    assert not canary.exists()


def test_a_foreign_module_is_not_imported(
    tmp_path: Path, canary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a_stranger.py").write_text(f"open({str(canary)!r}, 'w')\n\n\ndef call(*given):\n    pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    program = b"\x80\x02ca_stranger\ncall\n(X\x01\x00\x00\x001tR."
    assert refused(zipped(program), tmp_path) == told("a_stranger.call")
    assert "a_stranger" not in sys.modules
    assert not canary.exists()
