"""Weights are where they are said to be, or the error says what would have been right."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

import pytest

from striate.errors import MissingExtra, StriateError
from striate.weights.fetch import fetch

CONTENT = bytes(range(256))
HASH = hashlib.sha256(CONTENT).hexdigest()


def test_a_path_is_taken_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    path.write_bytes(CONTENT)
    assert fetch(str(path)) == path
    assert fetch(str(path), sha256=HASH.upper()) == path
    with pytest.raises(StriateError) as caught:
        fetch(str(path), sha256="deadbeef")
    assert str(caught.value) == (
        f"{path}: its SHA-256 is {HASH}; the file is not used\n"
        "  expected: deadbeef\n"
        "  try: the right file, or the right hash"
    )


def test_what_is_no_file_is_named(tmp_path: Path) -> None:
    for where, problem in [("none.pth", "there is no such file"), ("", "it is a folder")]:
        with pytest.raises(StriateError, match=problem):
            fetch(str(tmp_path / where))
    with pytest.raises(StriateError) as caught:
        fetch(str(tmp_path), sha256="xyz")
    assert str(caught.value) == (
        "--sha256: `xyz` is no SHA-256\n"
        "  expected: 8 to 64 digits of 0-9 and a-f\n"
        "  try: sha256sum FILE, where the file is known to be good"
    )


def test_a_pipe_and_a_device_are_no_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for where in (str(tmp_path / "pipe"), "/dev/zero"):
        for sha256 in (None, HASH):
            with pytest.raises(StriateError) as caught:
                fetch(where, sha256=sha256)
            assert str(caught.value) == (
                f"{where}: it is no ordinary file\n"
                "  expected: a file that is there and may be read\n"
                "  try: check the path and who may read it"
            )


def test_the_hub_without_its_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingExtra) as caught:
        fetch("hf:timm/resnet18.a1_in1k")
    assert str(caught.value) == (
        "files of the Hugging Face hub are fetched by huggingface_hub, which is not installed\n"
        '  try: pip install "striate[train]"'
    )


def test_an_address_of_the_hub_that_is_none() -> None:
    for address in ("resnet18", "a/b@", "a/b@c@d", "../../a b/c"):
        with pytest.raises(StriateError, match="is no address of the hub"):
            fetch(f"hf:{address}")
