"""Files with a few bytes changed are read, or refused in the one voice of errors; nothing else happens."""

from __future__ import annotations

import io
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from crafted import Claim, Row, old, pickled, zipped
from safetensors.torch import save

from striate.errors import StriateError
from striate.weights.file import read_tensors


def torchs(value: Any, form: bool) -> bytes:
    content = io.BytesIO()
    torch.save(value, content, _use_new_zipfile_serialization=form)
    return content.getvalue()


VALUE = {
    "state_dict": {"a.weight": torch.ones(2, 3), "a.bias": torch.ones(2, dtype=torch.float16)},
    "epoch": 3,
    "more": [(1, "two"), {3.0}, torch.ones(2), {"c": [1, 2.5, b"bytes", None, True, 2**70]}],
}
SEEDS = {
    "zip": lambda: torchs(VALUE, True),
    "old": lambda: torchs(VALUE, False),
    # Without checksums, so that the pickle is reached.
    "crafted zip": lambda: _unchecked(zipped(pickled({"a": Claim(), "b": Claim((2, 2), (2, 1), 0, Row())}))),
    "crafted old": lambda: old(pickled({"a": Claim(), "b": Claim((2, 2), (2, 1))}, form="old")),
    "safetensors": lambda: save({"a": torch.ones(2, 3), "b": torch.ones(2, dtype=torch.int64)}),
}


def _unchecked(content: bytes) -> bytes:
    at = content.find(b"PK\x01\x02")
    while at >= 0:
        content = content[: at + 16] + bytes(4) + content[at + 20 :]
        at = content.find(b"PK\x01\x02", at + 4)
    return content


# Whatever else they may do, these come up often in pickles and in the records of zip files.
TELLING = b"\x00\x01\xff\x7f\x80.(0)]}tusbRcQqhXKJ\x86\x85\x94\x93"


@pytest.mark.parametrize("seed", SEEDS)
def test_mutations_are_read_or_refused(seed: str, tmp_path: Path) -> None:
    whole = SEEDS[seed]()
    path = tmp_path / "w.pth"
    chance = random.Random(seed)
    refused = 0
    for _ in range(150):
        content = bytearray(whole)
        for _ in range(chance.choice((1, 1, 2, 5))):
            at = chance.randrange(len(content))
            match chance.randrange(4):
                case 0:
                    content[at] = chance.randrange(256)
                case 1:
                    content[at] = chance.choice(TELLING)
                case 2:
                    del content[at : at + chance.randrange(1, 9)]
                case _:
                    content[at:at] = chance.randbytes(chance.randrange(1, 9))
        path.write_bytes(content)
        try:
            found = read_tensors(path)
        except StriateError:
            refused += 1
        else:
            assert all(isinstance(each, torch.Tensor) for each in found.values())
    assert refused > 20


def test_noise_is_refused(tmp_path: Path) -> None:
    chance = random.Random(0)
    for start in (b"\x80\x02", b"PK\x03\x04", b"\x80\x04\x95", b"", b"(", b"}"):
        for _ in range(20):
            (tmp_path / "w.pth").write_bytes(start + chance.randbytes(chance.randrange(1, 300)))
            with pytest.raises(StriateError):
                read_tensors(tmp_path / "w.pth")
