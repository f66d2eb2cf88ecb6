"""Files that lie about themselves: refused with the lie, before memory is taken for it."""

from __future__ import annotations

import io
import json
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from crafted import FOUR, Claim, Row, both, old, pickled, refused, written
from safetensors.torch import save

from striate.weights.file import read_tensors

CLAIMS: list[Any] = [
    Claim(size=(5,)),
    Claim(offset=1),
    Claim(offset=2**62),
    Claim(offset=-1),
    Claim(offset=True),
    Claim(offset="0"),
    Claim(size=(2, 2), stride=(3, 1)),
    Claim(size=(2, 2), stride=(-2, 1)),
    Claim(size=(-4,)),
    Claim(size=(4.0,)),
    Claim(size=((4,),)),
    Claim(size="4"),
    Claim(size=(2**40, 2**40), stride=(0, 0)),
    Claim(size=(100, 100), stride=(0, 0)),
    Claim(size=(10**30,)),
    Claim(size=(2, 2), stride=(2,)),
    Claim(row=None),
    Claim(row="0"),
    Claim(row=Row(numbers=5)),
    Claim(row=Row(numbers=2**50)),
    Claim(row=Row(numbers=10**30)),
    Claim(row=Row(numbers=-4)),
    Claim(row=Row(numbers="4")),
    Claim(row=Row(kind=torch.DoubleStorage)),
    Claim(row=Row(kind="torch.FloatStorage")),
    Claim(row=Row(identity=("file", "/etc/passwd"))),
    Claim(row=Row(identity="0")),
    Claim(row=Row(identity=("storage", torch.FloatStorage, "0", "cpu", 4, ("v", 3, 4)))),
]


@pytest.mark.parametrize("form", ["zip", "old"])
@pytest.mark.parametrize("claim", CLAIMS)
def test_tensors_that_cannot_be(claim: Claim, form: str, tmp_path: Path) -> None:
    said = refused(both({"a": claim, "b": Claim()})[form], tmp_path)
    assert "weights_only" not in said
    assert len(said) < 400


def test_a_storage_that_is_not_there(tmp_path: Path) -> None:
    for key in ("1", "../../etc/passwd"):
        assert refused(both({"a": Claim(row=Row(key=key))})["zip"], tmp_path)


def test_odd_tensors_that_do_no_harm_are_read(tmp_path: Path) -> None:
    for claim in (Claim(size=(0, 2**62), stride=(1, 1)), Claim(size=(1,) * 65, stride=(1,) * 65)):
        for content in both({"a": claim}).values():
            assert read_tensors(written(content, tmp_path))["a"].numel() < 2


def test_what_torch_would_take_is_said(tmp_path: Path) -> None:
    # Numbers out of other parts of the file, or any number of one number.
    for claim, problem in [
        (Claim(row=Row(numbers=5)), "its tensors say that they take 20 bytes, and the file has 16"),
        (Claim(size=(100, 100), stride=(0, 0)), "a tensor of 100x100 does not fit in its storage"),
    ]:
        assert refused(both({"a": claim})["zip"], tmp_path) == problem


def test_the_claims_are_true_by_default(tmp_path: Path) -> None:
    for content in both({"a": Claim(), "b": Claim((2, 2), (1, 2))}).values():
        found = read_tensors(written(content, tmp_path))
        assert found["b"].tolist() == [[1, 3], [2, 4]]


def test_an_old_file_whose_storages_lie(tmp_path: Path) -> None:
    value = pickled({"a": Claim()}, form="old")
    for content in (
        *(old(value, counts={"0": count}) for count in (5, -1, 2**62, 3)),
        *(old(value, keys=keys) for keys in (["1"], "00")),
        old(value, magic=1),
        old(value, version=2),
    ):
        assert refused(content, tmp_path)


HEADERS: list[tuple[bytes, int]] = [
    (b"{}", 2**62),
    (b"{}", 1000),
    (b"{" + b"a" * 50, 51),
    (b'{"a":[[[[' + b"[" * 5000, 5009),
    (json.dumps({"a": {"dtype": "F32", "shape": [5], "data_offsets": [0, 16]}}).encode(), 0),
    (json.dumps({"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 2**40]}}).encode(), 0),
    (json.dumps({"a": {"dtype": "F32", "shape": [4], "data_offsets": [16, 0]}}).encode(), 0),
    (json.dumps({"a": {"dtype": "F32", "shape": [-4], "data_offsets": [0, 16]}}).encode(), 0),
    (json.dumps({"a": {"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 16]}}).encode(), 0),
    (json.dumps({"a": {"dtype": "F33", "shape": [4], "data_offsets": [0, 16]}}).encode(), 0),
    (json.dumps({"a": {"dtype": "F32", "shape": [4]}}).encode(), 0),
    (json.dumps({"a": 1}).encode(), 0),
    (json.dumps({k: {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]} for k in "ab"}).encode(), 0),
    (b"{}", 2),
]


@pytest.mark.parametrize(("header", "length"), HEADERS)
def test_safetensors_whose_header_lies(header: bytes, length: int, tmp_path: Path) -> None:
    content = struct.pack("<Q", length or len(header)) + header + FOUR
    said = refused(content, tmp_path)
    assert said.startswith(("its header ", "there is no tensor in it"))


def test_safetensors_cut_anywhere(tmp_path: Path) -> None:
    content = save({"a": torch.ones(20), "b": torch.ones(3, dtype=torch.int64)})
    for end in range(0, len(content), 7):
        assert refused(content[:end], tmp_path)


@pytest.mark.parametrize("form", [True, False])
def test_torchs_files_cut_anywhere(form: bool, tmp_path: Path) -> None:
    content = io.BytesIO()
    torch.save({"a": torch.ones(20), "b": {"c": torch.ones(3)}}, content, _use_new_zipfile_serialization=form)
    whole = content.getvalue()
    for end in range(0, len(whole), 23):
        assert refused(whole[:end], tmp_path)
