"""The benchmarks' arithmetic, and the page that is made of their receipts."""

from __future__ import annotations

import argparse
import json
import runpy
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import striate
from striate.net.shape import Map
from striate.net.zoo.list import zoo_names

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))


@pytest.fixture
def made() -> dict[str, Any]:
    """The generator's names."""
    before = list(sys.path)
    names = runpy.run_path(str(DOCS / "make_benchmarks.py"))
    sys.path[:] = before
    return names


def a_row(**other: Any) -> dict[str, Any]:
    """Striate took 1, 2 and 4 s where a peer took 2 each time."""
    from receipt import Row

    given = {"what": "a step", "peer": "a peer", "unit": "s", "better": "lower"}
    return Row(**{**given, "ours": [1.0, 2.0, 4.0], "theirs": [2.0, 2.0, 2.0], **other}).to_record()


def a_file(folder: Path, *rows: dict[str, Any], **other: Any) -> Path:
    """A results folder with one benchmark in it."""
    receipt = {
        "date": "2026-01-02", "commit": "0123456789ab", "changed": False, "rounds": 3, "seconds": 60.0,
        "machine": {"processor": "a processor", "cores": 2, "system": "Linux x86_64"},
        "versions": {"striate": "0.1.0"}, "peers": {"torch": "2.0"}, "foreign_load": 0.07,
        "peaks_gflops": {"fp32": 230.0}, "settings": {},
    }  # fmt: skip
    whole = {"format": 1, "benchmark": "steps", "quick": False, "receipt": receipt, "rows": list(rows)}
    folder.mkdir(exist_ok=True)
    (folder / "steps.json").write_text(json.dumps({**whole, **other}))
    return folder


def test_page_is_generated(made: dict[str, Any]) -> None:
    page = made["page"]()
    assert (DOCS / "benchmarks.md").read_text(encoding="utf-8") == page, "run `make bench-page`"


def test_results_name_no_places() -> None:
    for file in (ROOT / "benchmarks" / "results").glob("*.json"):
        text = file.read_text(encoding="utf-8")
        for place in ("/home", "/root", "/tmp", "/work", "://"):
            assert place not in text, f"{file.name} names {place}"


def test_what_is_not_measured_says_so(made: dict[str, Any], tmp_path: Path) -> None:
    page = made["page"](tmp_path)
    assert page.count("Not measured yet") == len(made["SECTIONS"])
    assert "Not measured yet: `benchmarks/steps.py`." in page


def test_parts_of_a_benchmark_have_sections_of_their_own(made: dict[str, Any], tmp_path: Path) -> None:
    results = a_file(tmp_path, a_row(what="a whole"))
    whole = results / "steps.json"
    for part in ("LeNet-5", "all-else"):
        (results / f"steps-{part}.json").write_text(whole.read_text())
    page = made["page"](results)
    titles = [line for line in page.splitlines() if line.startswith("## A training step")]
    assert titles == ["## A training step", "## A training step: LeNet-5", "## A training step: all-else"]
    assert "In 3 measured comparisons" in page


@pytest.mark.parametrize(
    ("instructions", "peer", "part"),
    [
        ("AVX2", "Keras on TensorFlow", "-LeNet-5"),
        ("AVX2, ONEDNN_MAX_CPU_ISA=AVX2", "Keras on TensorFlow (not held back)", ""),
    ],
)
def test_what_is_measured_with_less_stands_in_the_same_table(
    instructions: str, peer: str, part: str, made: dict[str, Any], tmp_path: Path
) -> None:
    results = a_file(tmp_path, a_row(what="a step", peer="PyTorch"))
    other = json.loads((results / "steps.json").read_text())
    other["receipt"]["machine"]["instructions"] = instructions
    other["rows"] = [a_row(what="a step", peer=peer) for peer in ("PyTorch", "Keras on TensorFlow")]
    # All at once, or a part in a file of its own.
    (results / f"steps{part}-avx2.json").write_text(json.dumps(other))
    page = made["page"](results)
    assert page.count("## A training step") == 1
    rows = [line.split(" | ")[:2] for line in page.splitlines() if line.startswith("| a step")]
    label = "| a step; AVX2 alone, a processor"
    assert rows == [["| a step", "PyTorch"], [label, "PyTorch"], [label, peer]]
    assert f"a processor, 2 cores, Linux x86_64, {instructions};" in page
    assert page.count("<sub>") == 2


def test_without_a_gpu_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    import gpu

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit) as caught:
        gpu.require_device("cuda")
    assert caught.value.code == (
        "gpu.py: torch finds no NVIDIA GPU here\n"
        f"  torch: {torch.__version__}, built for CUDA: {torch.version.cuda or 'no'}\n"
        "  try: a machine with a GPU and torch's build for CUDA;\n"
        "       --device cpu --quick tries the script itself"
    )
    assert gpu.require_device("cpu") == "cpu"


def test_the_script_for_a_gpu_compares_and_leaves_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """On the CPU a step is the CPU's; a wrong one is seen; what has no data or time left is said, and the rest done."""
    import gpu

    machine = gpu.Machine("cpu", tmp_path)
    monkeypatch.setattr(gpu, "STEPS", 1)
    row = gpu.parity(machine)
    assert (row.ours, row.theirs) == ([0.0], [gpu.TOLERANCE])
    asked = argparse.Namespace(data=tmp_path, quick=False)
    monkeypatch.setattr(gpu, "parity", lambda _: replace(row, ours=[0.5]))
    rows: list[Any] = []
    assert gpu.done(asked, ["parity", "cifar"], machine, rows) == [
        "cifar",
        "a training step on the GPU, gradients",
    ]
    assert len(rows) == 1
    monkeypatch.setattr(gpu, "MOST_S", 0.0)
    with pytest.raises(gpu.LeftOut, match="the 0 s are over"):
        gpu.Machine("cpu", tmp_path).left_s()


def test_band_and_ratio_by_hand() -> None:
    from pairs import Band, band, ratio

    # Of 0 to 10 the tenth is 1, the half 5, nine tenths 9.
    assert band([*range(11), None]) == Band(11, 5.0, 1.0, 9.0)
    assert band([None]) is None
    lower = ratio([1.0, 2.0, 4.0, None], [2.0, 2.0, 2.0, 2.0], "lower")
    assert lower is not None
    assert (lower.n, lower.median) == (3, 1.0)
    assert ratio([3.0], [2.0], "higher") == Band(1, 1.5, 1.5, 1.5)
    assert ratio([3.0], [2.0], "neither") is None
    assert ratio([0.0], [2.0], "lower") is None


def test_rounds_take_turns() -> None:
    from pairs import interleaved

    order: list[str] = []
    sides = {name: (lambda name=name: order.append(name) or len(order)) for name in "abc"}
    found = interleaved(sides, 3, lambda text: None)
    assert "".join(order) == "abccbaabc"
    assert found == {"a": [1, 6, 7], "b": [2, 5, 8], "c": [3, 4, 9]}


@pytest.mark.parametrize(("busy", "share"), [(8.0, 0.0), (12.0, 0.4)])
def test_own_work_is_no_foreign_load(busy: float, share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """5 s on two processors, 8 processor seconds of our own: what is busy beyond them is others' work."""
    import receipt

    # The clock, what all are busy, what we are: when the session begins, and when it is asked.
    clocks = {
        "monotonic": iter([100.0, 105.0]),
        "busy_s": iter([50.0, 50.0 + busy]),
        "own_s": iter([30.0, 38.0]),
    }
    monkeypatch.setattr(receipt.time, "monotonic", lambda: next(clocks["monotonic"]))
    monkeypatch.setattr(receipt.os, "cpu_count", lambda: 2)
    for name in ("busy_s", "own_s"):
        monkeypatch.setattr(receipt, name, lambda name=name: next(clocks[name]))
    assert receipt.Session().record() == {"seconds": 5.0, "foreign_load": share}


def test_a_receipt_names_no_folders() -> None:
    from receipt import without_folders

    said = "--recipe /home/me/best.toml --net runs/a/net.txt --epochs 2"
    assert without_folders(said) == "--recipe best.toml --net net.txt --epochs 2"
    assert a_row(note="`striate train mnist --recipe /a/b.toml`")["note"].endswith("--recipe b.toml`")


def test_a_losing_row_stays(made: dict[str, Any], tmp_path: Path) -> None:
    lost = a_row(what="a lost step", ours=[4.0, 4.0, 4.0])
    page = made["page"](a_file(tmp_path, a_row(ours=[1.0, 1.0, 1.0]), lost))
    assert "| a step | a peer | 1 s (1 to 1) | 2 s (2 to 2) | **x2.00** (2.00 to 2.00) |  | 3 |" in page
    assert "| a lost step | a peer | 4 s (4 to 4) | 2 s (2 to 2) | **loses**: x0.50 (0.50 to 0.50) |" in page
    assert "In 2 measured comparisons striate loses 1." in page
    assert "other processes used 7% of the cores" in page


def test_not_to_get_there_is_to_lose(made: dict[str, Any], tmp_path: Path) -> None:
    often = a_row(ours=[1.0, None, None])
    never = a_row(ours=[None, None, None])
    peer = a_row(theirs=[None, None, None])
    page = made["page"](a_file(tmp_path, often, never, peer))
    assert "| 1 s, 2 of 3 did not get there | 2 s (2 to 2) | **loses**: x2.00 |" in page
    assert "| did not get there | 2 s (2 to 2) | **loses**: did not get there |" in page
    assert "| did not get there | the peer did not get there |" in page
    assert "In 3 measured comparisons striate loses 2." in page


def test_what_was_not_measured_here_is_not_won(made: dict[str, Any], tmp_path: Path) -> None:
    rows = [a_row(kind=kind, ours=[1.0, 1.0, 1.0]) for kind in ("extrapolated", "literature")]
    page = made["page"](a_file(tmp_path, *rows))
    assert "**x2.00** (2.00 to 2.00), extrapolated |" in page
    assert "**x2.00** (2.00 to 2.00), from the literature |" in page
    assert "measured comparisons" not in page


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"receipt": None}, "steps.json: it has no receipt"),
        ({"receipt": {"date": "2026-01-02"}}, "its receipt lacks commit, changed, machine, versions, peers"),
        ({"quick": True}, "steps.json: a smoke run measures nothing"),
        ({"benchmark": "start"}, "steps.json: it is of the benchmark start"),
        ({"rows": []}, "steps.json: it has no rows"),
        ({"rows": [{"what": "a step"}]}, "steps.json: a row lacks peer, unit"),
    ],
)
def test_without_a_receipt_there_is_no_page(
    made: dict[str, Any], tmp_path: Path, other: dict[str, Any], said: str
) -> None:
    with pytest.raises(made["NoReceipt"], match=said):
        made["page"](a_file(tmp_path, a_row(), **other))


def test_figures_have_to_add_up(made: dict[str, Any], tmp_path: Path) -> None:
    row = a_row()
    row["ratio"]["median"] = 3.0
    with pytest.raises(made["NoReceipt"], match="the ratio of `a step` is not that of its figures"):
        made["page"](a_file(tmp_path, row))
    with pytest.raises(made["NoReceipt"], match="has not one figure of each side for each round"):
        made["page"](a_file(tmp_path, {**a_row(), "theirs": [1.0]}))


def test_what_is_no_json_is_named(made: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "steps.json").write_text("{")
    with pytest.raises(made["NoReceipt"], match=r"steps\.json: this is not the JSON of a benchmark"):
        made["page"](tmp_path)


@pytest.mark.parametrize("name", ["small28", "small32", "resnet20", "lenet5"])
def test_plain_modules_answer_the_same(name: str) -> None:
    from plain import plain

    assert name in zoo_names()
    shape = (1, 28, 28) if name in ("small28", "lenet5") else (3, 32, 32)
    net = striate.read(name).build(shape, 10).eval()
    layout = striate.read(name).lay(shape, 10)
    assert layout.input == Map(*shape)
    other = plain(layout).eval()
    other.load_state_dict(dict(zip(other.state_dict(), net.state_dict().values(), strict=True)))
    x = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(other(x), net(x))


def test_the_work_of_a_step_by_hand() -> None:
    from steps import Case, step_flops

    # 4 x 8 x 8 outputs of 9 products, then 256 x 10; the first layer's input needs no gradient.
    conv, fc = 4 * 8 * 8 * 9, 256 * 10
    case = Case("small", "conv 4 3x3 -> relu -> fc classes", (1, 8, 8), 5)
    assert step_flops(case) == 5 * 2 * (2 * conv + 3 * fc)
