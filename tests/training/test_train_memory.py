"""Training in little memory: the same gradients, a choice that is said, a peak that was predicted."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

import striate
from striate.errors import RecipeError, ResourceError
from striate.modules.module import Net, build, set_in_place
from striate.modules.norm_activation import one_tensor
from striate.modules.recompute import forward_again, main_flow
from striate.net.plan.memory import Thrift, step_memory
from striate.net.plan.memory_fit import Fitter
from striate.net.plan.tape import steps
from striate.recipe.keys import read_recipe, read_settings
from striate.runs.folder import RunFolder
from striate.training.loop import memory as fit
from striate.training.loop.loop import Stopped
from striate.training.loop.memory import read_recompute, write_recompute
from striate.training.replay import replay
from striate.training.step.micro_batches import add_gradients
from striate.training.step.target import Target
from training.jobs import Ear, contents, make, resume, train

ACTIVATIONS = ("relu", "relu6", "leaky", "elu", "sigmoid", "tanh", "gelu", "silu", "prelu")
DEEP = """[conv 8 3x3 -> bn -> relu -> dropout 0.3] x3 -> maxpool 2 -> aux 0.3 { pool avg -> fc classes }
-> add { conv 8 3x3 -> bn | identity } -> relu -> fc 6 -> bn -> relu -> dropout 0.5 -> fc classes"""
RUNS = [((0, 3), (4, 11)), ((2, 9), (14, 17)), ((0, 11),)]


def built(text: str, memory: torch.memory_format = torch.channels_last) -> Net:
    """As a training builds it: activations write over their inputs where they may."""
    torch.manual_seed(0)
    return build(striate.read(text).lay((3, 12, 12), 5)).to(memory_format=memory)  # type: ignore[call-overload, no-any-return]


def after_step(net: Net, precision: str, thrift: Thrift | None) -> list[torch.Tensor]:
    """Gradients, buffers, and the next number drawn, of a step on a copy."""
    net = copy.deepcopy(net)
    torch.manual_seed(1)
    x, labels = torch.randn(6, 3, 12, 12), torch.randint(0, 5, (6,))

    def loss_of(logits: torch.Tensor, target: Target) -> torch.Tensor:
        loss = target.cross_entropy(logits.float(), 0.0)
        for weight, side in net.auxiliary_logits:
            loss = loss + weight * F.cross_entropy(side.float(), target.labels)
        return loss

    add_gradients(net, x, Target(labels), thrift or Thrift(), precision, loss_of)
    found = [weight.grad for weight in net.parameters() if weight.grad is not None]
    assert len(found) == len(list(net.parameters()))
    return [*found, *net.buffers(), torch.rand(1)]


def equal(one: list[torch.Tensor], other: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("memory", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("word", ACTIVATIONS)
def test_one_tensor_changes_no_bit(word: str, memory: torch.memory_format, precision: str) -> None:
    net = built(
        f"conv 8 3x3 -> bn -> {word} -> conv 8 3x3 -> bn -> {word} -> add {{ conv 8 3x3 -> bn | identity }} -> relu "
        f"-> concat {{ conv 4 | bn -> {word} | identity }} -> bn -> bn -> {word} -> maxpool 2 -> fc 5 -> bn -> relu",
        memory,
    )
    for training in (True, False):
        net.train(training)
        plain = after_step(net, precision, None)
        assert equal(plain, after_step(net, precision, Thrift(pairs=True)))
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.weight.zero_()
    net.train()
    plain = after_step(net, precision, None)
    assert equal(plain, after_step(net, precision, Thrift(pairs=True)))
    set_in_place(net, False)
    assert equal(plain, after_step(net, precision, Thrift(pairs=True)))


def test_a_difference_is_seen() -> None:
    net = built("conv 8 3x3 -> bn -> relu -> fc 5").train()
    other = copy.deepcopy(net)
    with torch.no_grad():
        next(other.parameters())[0] += 1e-6
    assert not equal(after_step(net, "fp32", None), after_step(other, "fp32", Thrift(pairs=True)))


def test_one_tensor_second_derivatives() -> None:
    net = built("conv 4 3x3 -> bn -> tanh -> conv 4 3x3 -> bn -> gelu -> fc 2").double()
    x = torch.randn(3, 3, 12, 12, dtype=torch.float64, requires_grad=True)

    def norm(enabled: bool) -> torch.Tensor:
        with one_tensor(enabled):
            out = net(x)
            (gradient,) = torch.autograd.grad(out.square().sum(), x, create_graph=True)
            return torch.autograd.grad(gradient.square().sum(), x)[0]

    assert torch.allclose(norm(True), norm(False), rtol=1e-10)


def test_one_tensor_keeps_less() -> None:
    net = built("[conv 8 3x3 -> bn -> relu] x6 -> pool avg -> fc 5").train()
    maps = 64 * 4 * 8 * 12 * 12
    plain, pairs = (step_memory(net.layout, 64, thrift=Thrift(pairs=each)).total for each in (False, True))
    assert plain - pairs >= maps


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("again", RUNS)
@pytest.mark.parametrize("pairs", [False, True])
def test_runs_made_again_change_no_bit(
    again: tuple[tuple[int, int], ...], pairs: bool, precision: str
) -> None:
    net = built(DEEP).train()
    assert len(list(main_flow(net))) == len(list(steps(net.layout)))
    assert equal(after_step(net, precision, None), after_step(net, precision, Thrift(pairs, again)))


def test_runs_made_again_with_autograd_grad() -> None:
    """Gradients go where they are asked for, not into `grad`."""
    net = built("conv 8 3x3 -> bn -> relu -> conv 8 3x3 -> relu -> fc 5").train()
    x, weights = torch.randn(4, 3, 12, 12), list(net.parameters())
    plain = torch.autograd.grad(net(x).square().sum(), weights)
    again = torch.autograd.grad(forward_again(net, x, ((0, 4),), pairs=True).square().sum(), weights)
    assert equal(list(plain), list(again))
    assert all(weight.grad is None for weight in weights)


def test_micro_batches_without_norms() -> None:
    net = built("conv 8 3x3 -> relu -> fc 5").train()
    whole = after_step(net, "fp32", None)[:4]
    for pieces in (2, 4, 6):
        found = after_step(net, "fp32", Thrift(micro_batches=pieces))[:4]
        assert all(torch.allclose(a, b, rtol=1e-4, atol=1e-6) for a, b in zip(whole, found, strict=True))


def test_what_is_chosen() -> None:
    layout = built("[conv 16 3x3 -> bn -> relu] x8 -> pool avg -> fc 5").layout
    fitter = Fitter(layout, 256, "fp32", "adamw", False)
    plain = fitter.memory(Thrift()).total
    sizes = []
    for share in (1.0, 0.7, 0.45, 0.3, 0.15):
        found = fitter.fit(int(share * plain))
        assert found is not None
        assert found.memory.total <= share * plain
        sizes.append((found.thrift.pairs, bool(found.thrift.again), found.thrift.micro_batches))
    assert sizes[0] == (False, False, 1)
    assert sizes[1] == (True, False, 1)
    assert sizes[2][0]
    assert any(again for _, again, _ in sizes)
    assert sizes[-1][2] > 1
    least = fitter.least_bytes()
    assert fitter.fit(least) is not None
    assert fitter.fit(int(0.9 * least)) is None


def test_without_norms_pieces_come_first() -> None:
    layout = built("[conv 16 3x3 -> relu] x8 -> pool avg -> fc 5").layout
    fitter = Fitter(layout, 256, "fp32", "adamw", False)
    found = fitter.fit(fitter.memory(Thrift()).total // 2)
    assert found is not None
    assert found.thrift.again == ()
    assert found.thrift.micro_batches > 1


def test_what_is_open_is_chosen_beside_what_is_said() -> None:
    fitter = Fitter(
        built("[conv 16 3x3 -> bn -> relu] x8 -> pool avg -> fc 5").layout, 256, "fp32", "adamw", False
    )
    pieces = fitter.fit(fitter.least_bytes(pieces=2), pieces=2)
    assert pieces is not None
    assert pieces.thrift.micro_batches == 2
    assert pieces.thrift.again
    limit = fitter.memory(Thrift()).total // 4
    plain = fitter.fit(limit, again=Thrift())
    assert plain is not None
    assert plain.thrift == Thrift(micro_batches=plain.thrift.micro_batches)
    fewer = Thrift(micro_batches=plain.thrift.micro_batches // 2)
    assert plain.memory.total <= limit < fitter.memory(fewer).total
    assert fitter.fit(limit, again=Thrift(), pieces=1) is None
    assert fitter.least_bytes(again=Thrift(), pieces=1) >= fitter.memory(Thrift()).total


def test_the_recipe_says_what_was_chosen() -> None:
    layout = built(DEEP).layout
    thrift = Thrift(True, ((0, 3), (6, 9)), 2)
    text = write_recompute(thrift, layout)
    assert text == "pairs, 0.0.0 to 0.0.3, 0.1.2 to 0.2.1"
    assert read_recompute(text, layout) == replace(thrift, micro_batches=1)
    assert write_recompute(Thrift(), layout) == "none"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            "0.0.0 to 0.0.9",
            "recompute: the network has no step `0.0.9`\n"
            "  expected: auto, none, pairs, or steps of its main flow, as `stem.0 to stem.3`\n"
            "  try: 0.0.3",
        ),
        ("0.0.2 to 0.0.1", "recompute: the runs of `0.0.2 to 0.0.1` cross\n  expected: one behind the other"),
        (
            "1 to 3",
            "recompute: an auxiliary classifier cannot be recomputed\n"
            "  expected: runs before and behind it\n"
            "  try: recompute=auto",
        ),
    ],
)
def test_what_cannot_be_made_again(said: str, told: str) -> None:
    with pytest.raises(RecipeError) as caught:
        read_recompute(said, built(DEEP).layout)
    assert str(caught.value) == told


NET = "[conv 8 3x3 -> bn -> relu] x4 -> dropout 0.3 -> maxpool 2 -> fc classes"


def test_a_run_in_little_memory(arrays: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what it chose; the weights are those of a plain run; resumed and replayed they are, too."""
    train(arrays, tmp_path / "plain", net=NET)
    job = make(arrays, tmp_path / "probe", net=NET)
    room = Fitter(job.prepared.layout, 16, "fp32", "adamw", False).memory(Thrift(pairs=True)).total
    monkeypatch.setattr(fit, "free_memory_bytes", lambda device: room)
    ear = Ear()
    train(arrays, tmp_path / "thrifty", ear, net=NET)
    assert any(line.startswith("memory    a step takes ") for line in ear.said)
    recipe = read_recipe(str(tmp_path / "thrifty" / "recipe.toml"))
    assert recipe.recompute.startswith("pairs")
    plain, thrifty = contents(tmp_path / "plain"), contents(tmp_path / "thrifty")
    assert thrifty["last.safetensors"] == plain["last.safetensors"]
    record = json.loads((tmp_path / "thrifty" / "run.json").read_bytes())
    assert set(record["memory"]) == {"predicted_bytes", "measured_bytes"}
    monkeypatch.undo()
    assert replay(
        RunFolder(tmp_path / "thrifty"), out=tmp_path / "again", device="cpu", started=0.0, watch=Ear()
    ).equal
    monkeypatch.setattr(fit, "free_memory_bytes", lambda device: room)
    with pytest.raises(Stopped):
        train(arrays, tmp_path / "stopped", Ear(stop_at=7), net=NET)
    resume(tmp_path / "stopped")
    assert contents(tmp_path / "stopped") == thrifty


def test_what_cannot_fit(arrays: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit.heap, "resident_bytes", lambda: 300_000_000)
    keys = {"net": "fc 4000 -> bn -> relu -> fc 4000 -> relu -> fc classes", "batch": 64}
    with pytest.raises(ResourceError) as caught:
        make(arrays, tmp_path / "run", memory_bytes=400_000_000, **keys)
    assert str(caught.value) == (
        "batch 64 of 1x12x12: a training step needs 272 MB, and 100 MB of 400 MB are left for it\n"
        "  expected: weights, gradients, optimizer state and activations in memory\n"
        "  try: --memory 722M, or a smaller network, or smaller images by --size"
    )
    make(arrays, tmp_path / "run", memory_bytes=722_000_000, **keys)


def test_what_the_recipe_forbids_is_told_where_it_would_help(
    arrays: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = fit.Room(3_000_000, own=False)
    monkeypatch.setattr(fit, "room_for", lambda *said, **named: room)
    with pytest.raises(ResourceError) as caught:
        make(arrays, tmp_path / "run", net=NET, batch=64, recompute="none", micro_batches=1)
    assert str(caught.value).endswith(
        "try: a smaller network, or smaller images by --size, or --set recompute=auto --set micro_batches=none"
    )
    assert read_recipe(None, given=read_settings(["micro_batches=none"])).micro_batches is None


def test_what_thaws_fits_as_well(arrays: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--memory` holds for the steps behind the head's; resumed they are the same."""
    headed = NET.replace("-> fc classes", "-> head: fc classes")
    probe = make(arrays, tmp_path / "probe", net=headed)
    room = Fitter(probe.prepared.layout, 16, "fp32", "adamw", False).memory(Thrift(pairs=True)).total
    keys = {"net": headed, "freeze": "body", "thaw": 2, "epochs": 1}
    train(arrays, tmp_path / "plain", **keys)
    monkeypatch.setattr(fit, "free_memory_bytes", lambda device: room)
    ear = Ear()
    train(arrays, tmp_path / "thrifty", ear, **keys)
    assert any(line.startswith("memory    a step takes ") for line in ear.said)
    assert "          no weights were given: what is frozen begins at its initialization" in ear.said
    assert read_recipe(str(tmp_path / "thrifty" / "recipe.toml")).recompute == "pairs"
    plain, thrifty = contents(tmp_path / "plain"), contents(tmp_path / "thrifty")
    assert thrifty["last.safetensors"] == plain["last.safetensors"]
    with pytest.raises(Stopped):
        train(arrays, tmp_path / "stopped", Ear(stop_at=11), **keys)
    resume(tmp_path / "stopped")
    assert contents(tmp_path / "stopped") == thrifty


def test_no_more_images_are_planned_for_than_there_are(arrays: Path, tmp_path: Path) -> None:
    job = make(arrays, tmp_path / "run", batch=5000)
    assert job.prepared.recipe.batch == len(job.prepared.data.train.labels)


LOADED = """
import sys, torch, striate
from striate.modules.recompute import forward_again
net = striate.read("conv 4 3x3 -> bn -> relu -> fc 2").build((1, 6, 6))
forward_again(net, torch.ones(4, 1, 6, 6), ((0, 2),), pairs=True).sum().backward()
assert all(weight.grad is not None for weight in net.parameters())
sys.exit("sympy" in sys.modules)
"""


def test_what_is_made_again_loads_no_algebra() -> None:
    """It takes a second and 33 MB, and two shapes are compared without it."""
    found = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True)
    assert (found.returncode, found.stderr) == (0, "")


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read as Linux counts it")
@pytest.mark.parametrize(
    "configuration",
    [("small64", "64", "fp32", "adamw", "1.0"), ("resnet20", "64", "bf16", "momentum", "0.5")],
)
def test_the_peak_is_as_predicted(configuration: tuple[str, ...]) -> None:
    """Within 10 % and what libraries take, in a process of its own."""
    script = Path(__file__).parents[2] / "benchmarks" / "memory.py"
    told = subprocess.run(
        [sys.executable, str(script), "--child", *configuration], check=True, capture_output=True, text=True
    )
    found = json.loads(told.stdout)
    assert abs(found["predicted_bytes"] - found["measured_bytes"]) < 0.1 * found["measured_bytes"] + 4e6
