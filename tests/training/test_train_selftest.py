"""The machine's own figures: measured once, kept, told; and what is tried because of them."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from striate.data.gather import Data, Split
from striate.modules.module import build
from striate.net.layout.layout import lay
from striate.net.notation.reader import read_text
from striate.net.shape import Map
from striate.progress import Silence
from striate.recipe.keys import Recipe
from striate.training import layout as tune
from striate.training import resolve as resolve_recipe
from striate.training import selftest
from striate.training.layout import Arrangement, Trial
from striate.training.selftest import SelfTest, self_test

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def an_empty_cache_and_little_to_measure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "empty"))
    for name, little in {"MEASURED_S": 0.0, "IMAGES": 1, "CHANNELS": 32, "COPIED": 2**16}.items():
        monkeypatch.setattr(selftest, name, little)


def test_it_is_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    first = self_test(CPU)
    assert min(first.fp32_flops, first.bf16_flops, first.copy_bytes) > 1e6
    assert 0 < first.bf16_error < 0.01
    real = selftest.measure
    monkeypatch.setattr(selftest, "measure", lambda *_: pytest.fail("it was kept"))
    assert self_test(CPU) == first
    monkeypatch.setattr(selftest, "measure", real)
    assert self_test(CPU, again=True).machine == first.machine


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"machine": 1}', b"\xff"])
def test_a_damaged_file_is_measured_anew(content: bytes, tmp_path: Path) -> None:
    self_test(CPU)
    (file,) = (tmp_path / "empty" / "machine").glob("machine-*.json")
    file.write_bytes(content)
    made = self_test(CPU)
    assert made.fp32_flops > 0
    assert SelfTest(**json.loads(file.read_bytes())) == made


def test_a_cache_that_cannot_be_written_is_no_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "file" / "cache"))
    assert self_test(CPU).fp32_flops > 0


@pytest.mark.parametrize(
    ("bf16_flops", "bf16_error", "taken", "why"),
    [
        (2.5e11, 0.003, True, "bf16 is tried first: 2.50 times as fast as fp32, and within 0.30% of it"),
        (1.1e11, 0.003, False, "fp32: bf16 is only 1.10 times as fast here"),
        (2.5e11, 0.02, False, "fp32: bf16 is off by 2.0% of the largest value here"),
    ],
)
def test_why(bf16_flops: float, bf16_error: float, taken: bool, why: str) -> None:
    found = SelfTest({}, {}, 1e11, bf16_flops, 5e10, bf16_error, 1e-3, 1e-1)
    assert (found.bf16, found.why()) == (taken, why)


@pytest.mark.parametrize(
    ("bf16_flops", "fp32_muon_s", "bf16_muon_s", "taken"),
    [
        (2e10, 1e-3, 0.1, ["fp32", "fp32", "fp32", "fp64", "fp32"]),
        (3e11, 1e-3, 0.9e-3, ["bf16", "bf16", "fp32", "fp64", "fp32"]),
        (3e11, 1e-3, 0.2e-3, ["bf16", "bf16", "bf16", "fp64", "fp32"]),
    ],
)
def test_each_part_has_its_arithmetic(
    bf16_flops: float, fp32_muon_s: float, bf16_muon_s: float, taken: list[str]
) -> None:
    found = SelfTest({}, {}, 1e11, bf16_flops, 5e10, 0.003, fp32_muon_s, bf16_muon_s).arithmetic()
    assert list(found) == ["network", "evaluation", "optimizer", "whitening", "prediction"]
    assert [choice.value for choice in found.values()] == taken
    assert all(choice.why for choice in found.values())
    slower = {"fp32": bf16_muon_s, "bf16": fp32_muon_s}[found["optimizer"].value]
    assert found["optimizer"].why.endswith(f" in {1000 * slower:.3g} ms")


def test_a_disturbed_measurement_does_not_make_bf16_the_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two measurements of fp32, around that of bf16, the better counts."""
    figures = iter([1e9, 1.1e11, 1e11])
    monkeypatch.setattr(selftest, "peak_flops", lambda *_: next(figures))
    assert not selftest.measure(CPU, {}, {}).bf16


def chosen(monkeypatch: pytest.MonkeyPatch, known: SelfTest, **keys: Any) -> list[str]:
    """The precisions of a recipe: of the network, evaluation, optimizer; and the tries that it took."""
    tries = []

    def noting(*_: object, precision: str, backward: bool, **__: object) -> list[Trial]:
        tries.append(f"{precision} {'whole' if backward else 'forward'}")
        fast = "bf16" if precision == "auto" and known.bf16 else "fp32"
        return [Trial(Arrangement(fast, "contiguous"), 0.25)]

    for module in (resolve_recipe, tune):
        monkeypatch.setattr(module, "self_test", lambda _: known)
    monkeypatch.setattr(resolve_recipe, "time_layouts", noting)
    net = build(lay(read_text("conv 4 3x3 -> head: fc classes"), Map(1, 8, 8), 3))
    recipe = Recipe(batch=4, **{"optimizer": "muon", **keys})
    split = Split(np.zeros((8, 8, 8, 1), np.uint8), np.zeros(8, np.int64), ("",) * 8)
    data = Data("drawn", ("a", "b", "c"), 1, (8, 8), (8, 8), split, split, None, (), {})
    found = resolve_recipe.resolve(recipe, resolve_recipe.Facts(data, net, CPU, 0.0, time), Silence())
    return [found.precision, found.evaluation_precision, found.optimizer.precision, *tries]


def test_a_recipe_says_all_arithmetic(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = SelfTest({}, {}, 1e11, 1e10, 5e10, 0.003, 1e-3, 1e-1)
    fast = SelfTest({}, {}, 1e11, 3e11, 5e10, 0.003, 1e-3, 1e-4)
    assert chosen(monkeypatch, slow) == ["fp32", "fp32", "fp32", "auto whole"]
    assert chosen(monkeypatch, slow, freeze="body") == ["fp32", "fp32", "fp32", "auto forward"]
    assert chosen(monkeypatch, slow, precision="bf16")[1:3] == ["fp32", "fp32"]
    assert (
        chosen(monkeypatch, slow, optimizer_precision="bf16", evaluation_precision="bf16")[1:3]
        == ["bf16"] * 2
    )
    assert chosen(monkeypatch, fast) == ["bf16", "bf16", "bf16", "auto whole", "auto forward"]
    assert chosen(monkeypatch, fast, precision="fp32") == ["fp32", "fp32", "bf16", "fp32 whole"]
    assert chosen(monkeypatch, fast, freeze="body", thaw=1)[3:] == ["auto whole", "auto forward"]
    assert chosen(monkeypatch, fast, optimizer="adamw")[2] == "fp32"


def tried(monkeypatch: pytest.MonkeyPatch, known: SelfTest, text: str = "conv 4 3x3 -> fc classes") -> str:
    """The precision that is asked for when a network is tuned."""
    asked = []

    def noting(*_: object, precision: str, **__: object) -> list[Trial]:
        asked.append(precision)
        return [Trial(Arrangement("fp32", "contiguous"), 0.25)]

    monkeypatch.setattr(tune, "self_test", lambda _: known)
    monkeypatch.setattr(tune, "tune", noting)
    net = build(lay(read_text(text), Map(1, 8, 8), 3))
    found = tune.time_layouts(net, Map(1, 8, 8), 4, CPU, precision="auto", layout="auto", backward=True)
    assert found == [Trial(Arrangement("fp32", "contiguous"), 0.25)]
    return asked[0] if asked else "kept"


def test_a_network_is_tried_once(monkeypatch: pytest.MonkeyPatch) -> None:
    fast = SelfTest({"a": 1}, {}, 1e11, 3e11, 5e10, 0.003, 1e-3, 1e-1)
    assert tried(monkeypatch, fast) == "auto"
    assert tried(monkeypatch, fast) == "kept"
    assert tried(monkeypatch, fast, "conv 5 3x3 -> fc classes") == "auto"
    assert tried(monkeypatch, replace(fast, machine={"a": 2})) == "auto"
    slow = SelfTest({"a": 3}, {}, 1e11, 1e11, 5e10, 0.003, 1e-3, 1e-1)
    assert tried(monkeypatch, slow) == "fp32"


def test_again_forgets_the_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    fast = SelfTest({"a": 1}, {}, 1e11, 3e11, 5e10, 0.003, 1e-3, 1e-1)
    tried(monkeypatch, fast)
    self_test(CPU, again=True)
    assert tried(monkeypatch, fast) == "auto"


def test_it_is_plain_numbers() -> None:
    assert json.loads(json.dumps(asdict(self_test(CPU)))) == asdict(self_test(CPU))
