"""What makes a short training short: small images first, test-time augmentation, a target, held weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import striate
from striate.errors import RecipeError
from striate.modules.initial import fit_whitening, initialize, whitening
from striate.modules.module import Net, build
from striate.modules.nn.whitening import WhiteningConv2d
from striate.net.layout.layout import lay
from striate.net.layout.normed import before_norm
from striate.net.notation.reader import read_text
from striate.net.shape import Map
from striate.predict.evaluate import looked_at_again, probabilities
from striate.predict.normalize import Feeder, Normalization
from striate.recipe.keys import read_recipe, recipe_names
from striate.training.loop.loop import Stopped
from striate.training.settings import OptimizerSettings
from striate.training.step.muon import Muon
from striate.training.step.optimizers import make_optimizer
from striate.training.step.progressive_resizing import (
    augment_strength,
    downsample,
    require_progressive_resizing,
    size_at,
)
from training.jobs import Ear, contents, lines, resume, train

SHAPE = Map(3, 12, 12)
NET = (
    "conv 6 3x3 -> bn -> relu -> maxpool 2 -> conv 8 3x3 -> maxpool 2 -> bn -> relu -> pool avg -> fc classes"
)


# What is left open is chosen by timing, and not the same each time.
EXACTLY = {"precision": "fp32", "layout": "contiguous"}


def built(text: str, shape: Map = SHAPE, classes: int = 3) -> Net:
    net = build(lay(read_text(text), shape, classes))
    initialize(net, generator=torch.Generator().manual_seed(0))
    return net


# Small images first


@pytest.mark.parametrize(
    ("size", "start", "progress", "expected"),
    [
        ((32, 32), 1.0, 0.0, (32, 32)),
        ((32, 32), 0.75, 0.0, (24, 24)),
        ((32, 32), 0.75, 0.3, (28, 28)),  # 24 + 8 * 0.45 = 27.6
        ((32, 32), 0.75, 0.6, (32, 32)),  # 31.2, to the next multiple of 4
        ((32, 32), 0.75, 2 / 3, (32, 32)),
        ((32, 32), 0.75, 1.0, (32, 32)),
        ((50, 30), 0.5, 0.0, (24, 16)),  # 25 and 15, to multiples of 4
        ((50, 30), 0.5, 0.9, (50, 30)),
        ((9, 6), 0.25, 0.0, (4, 4)),
        ((3, 6), 0.25, 0.0, (3, 4)),  # never larger than they are
    ],
)
def test_images_grow(size: tuple[int, int], start: float, progress: float, expected: tuple[int, int]) -> None:
    assert size_at(size, start, progress) == expected


@pytest.mark.parametrize(
    ("side", "start", "least", "share"),
    [
        (24, 0.75, 0.4, 0.4),
        (28, 0.75, 0.4, 0.7),
        (32, 0.75, 0.4, 1.0),
        (16, 0.5, 0.0, 0.0),
        # Without growing nothing is milder.
        (32, 1.0, 0.4, 1.0),
    ],
)
def test_augmentation_rises_with_the_side(side: int, start: float, least: float, share: float) -> None:
    assert augment_strength((side, side), (32, 32), start, least) == pytest.approx(share)


def test_shrunk_images_keep_their_mean() -> None:
    x = torch.rand(2, 3, 16, 16)
    assert downsample(x, (16, 16)) is x
    small = downsample(x, (8, 8))
    assert small.shape == (2, 3, 8, 8)
    torch.testing.assert_close(small.mean((2, 3)), x.mean((2, 3)), atol=0.02, rtol=0)
    ramp = torch.arange(16.0).expand(1, 1, 16, 16)
    assert (downsample(ramp, (8, 8)).diff(dim=3) > 1.5).all()


def test_a_network_that_cannot_grow_is_refused() -> None:
    with pytest.raises(RecipeError) as caught:
        require_progressive_resizing(lay(read_text("conv 4 3x3 -> fc classes"), Map(1, 16, 16), 3), 0.5)
    assert str(caught.value) == (
        "progressive_resizing: on 8x8 pixels the network has other weights than on 16x16\n"
        "  expected: a network that reads images of each size with the same weights\n"
        "  try: `pool avg` before the first fc, numbers for padding; or progressive_resizing=none"
    )
    deep = lay(read_text("[conv 4 3x3 -> maxpool 2] x4 -> pool avg -> fc classes"), Map(1, 16, 16), 3)
    with pytest.raises(RecipeError, match="progressive_resizing: the network cannot read 8x8 pixels: "):
        require_progressive_resizing(deep, 0.5)
    require_progressive_resizing(deep, 1.0)
    require_progressive_resizing(
        lay(read_text("conv 4 3x3 -> pool avg -> fc classes"), Map(1, 16, 16), 3), 0.5
    )


def test_a_growing_run_is_resumed_to_the_bit(arrays: Path, tmp_path: Path) -> None:
    keys = {"net": NET, "epochs": 4, "progressive_resizing": 0.5, "augment": "crop 2, cutout 3", **EXACTLY}
    train(arrays, tmp_path / "strong", **keys)
    keys["progressive_augment"] = 0.3
    train(arrays, tmp_path / "whole", **keys)
    assert contents(tmp_path / "whole") != contents(tmp_path / "strong")
    for stop_at in (3, 9):
        cut = tmp_path / f"cut{stop_at}"
        with pytest.raises(Stopped):
            train(arrays, cut, Ear(stop_at=stop_at), **keys)
        resume(cut)
        assert contents(cut) == contents(tmp_path / "whole")


def test_the_network_sees_small_images_first(
    arrays: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    forward = Net.forward

    def noting(self: Net, x: torch.Tensor) -> torch.Tensor:
        if self.training and torch.is_grad_enabled():
            seen.append(x.shape[3])
        return forward(self, x)

    monkeypatch.setattr(Net, "forward", noting)
    train(arrays, tmp_path / "run", net=NET, epochs=6, progressive_resizing=0.5, **EXACTLY)
    assert seen == sorted(seen)
    assert len(set(seen)) > 1


# A test-time augmentation


def test_only_unsure_images_are_looked_at_mirrored() -> None:
    net = built(NET).eval()
    images = np.random.default_rng(0).integers(0, 256, (40, 12, 12, 3), dtype=np.uint8)
    feeder = Feeder(
        Normalization((12, 12), (12, 12), 3, (128.0,) * 3, (60.0,) * 3, "uint8"), torch.device("cpu")
    )

    def asked(tta: float, images: np.ndarray = images) -> np.ndarray:
        return probabilities(net, feeder, images, (12, 12), batch=16, precision="fp32", tta=tta)

    once, always = asked(0.0), asked(1.0)
    with torch.no_grad():
        x = feeder.images(images)
        both = torch.softmax(looked_at_again(net, x, net(x)), dim=1).numpy()
    np.testing.assert_allclose(always, both, atol=1e-6)
    limit = float(np.median(once.max(axis=1)))
    some, unsure = asked(limit), once.max(axis=1) < limit
    assert 0 < unsure.sum() < 40
    np.testing.assert_allclose(some[unsure], both[unsure], atol=1e-6)
    assert np.array_equal(some[~unsure], once[~unsure])


def test_a_second_look_by_hand() -> None:
    """The network gives the pixel at 1, 2: six looks see six pixels."""

    class Pixel(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x[:, :, 1, 2]

    x = torch.arange(20.0).reshape(1, 1, 4, 5) ** 2
    at = lambda row, column: float(x[0, 0, row, column])  # noqa: E731
    # Mirrored, column 2 of 5 is column 2 again; shifted, it is its neighbor up left or down right, and
    # mirrored behind that the same.
    wanted = (2 * 2 * at(1, 2) + 2 * at(0, 1) + 2 * at(2, 3)) / 8
    net = Pixel()
    assert float(looked_at_again(net, x, net(x))) == pytest.approx(wanted)  # type: ignore[arg-type]


def test_digits_are_not_looked_at_mirrored(arrays: Path, tmp_path: Path) -> None:
    train(arrays, tmp_path / "digits", net=NET, epochs=1, tta=0.9, augment="crop 1")
    train(arrays, tmp_path / "photos", net=NET, epochs=1, tta=0.9, augment="flip")
    assert striate.load(tmp_path / "digits").tta == 0.0
    assert striate.load(tmp_path / "photos").tta == 0.9


# A target


def test_a_training_ends_at_its_target(arrays: Path, tmp_path: Path) -> None:
    ear = Ear()
    train(arrays, tmp_path / "run", ear, net=NET, epochs=50, learning_rate=0.01, target=0.5)
    epochs = [each for each in lines(tmp_path / "run" / "events.jsonl") if each["event"] == "epoch"]
    assert epochs[-1]["val_accuracy"] >= 0.5
    assert all(each["val_accuracy"] < 0.5 for each in epochs[:-1])
    assert len(epochs) < 50
    assert any(said.startswith("reaches 50.00% after ") for said in ear.said)


def test_a_target_that_the_last_epoch_reaches_is_told(arrays: Path, tmp_path: Path) -> None:
    ear = Ear()
    train(arrays, tmp_path / "run", ear, net=NET, epochs=1, learning_rate=0.01, target=0.01)
    assert any(said.startswith("reaches 1.00% after ") for said in ear.said)


def test_a_target_that_is_missed_is_told(arrays: Path, tmp_path: Path) -> None:
    ear = Ear()
    train(arrays, tmp_path / "run", ear, net=NET, epochs=1, learning_rate=1e-6, target=1.0)
    assert any(
        said.startswith("100.00% was not reached: the best validation accuracy is ") for said in ear.said
    )


# Weights before a norm


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("conv 4 -> bn -> relu -> conv 4 -> relu -> bn -> fc classes", ["0"]),
        ("conv 4 -> maxpool 2 -> avgpool 2 -> bn -> pool avg -> fc 6 -> bn -> fc classes", ["0", "5"]),
        ("conv 4 -> gelu -> bn -> fc classes", []),
        ("conv 4 -> ln -> fc classes", []),
        ("s: add { b: conv 3 3x3 -> bn | identity } -> fc classes", ["s.1.b"]),
    ],
)
def test_before_a_norm(text: str, expected: list[str]) -> None:
    found = [placed.path for placed in before_norm(lay(read_text(text), Map(3, 12, 12), 3))]
    assert [path.split(".")[-1] for path in found] == [path.split(".")[-1] for path in expected]


@pytest.mark.parametrize("factor", [0.1, 7.0])
def test_a_norm_takes_length_and_bias_out(factor: float) -> None:
    net = built(NET).double().train()
    x = torch.randn(8, 3, 12, 12, dtype=torch.float64)
    first = net(x)
    for placed in before_norm(net.layout):
        part = net.part(placed.path)
        assert isinstance(part, nn.Conv2d)
        with torch.no_grad():
            part.weight.mul_(factor)
            assert part.bias is not None
            part.bias.add_(factor)
    torch.testing.assert_close(net(x), first, atol=2e-2, rtol=1e-2)


def test_held_weights_keep_their_length_and_turn_by_the_rate() -> None:
    weight = (7 * torch.randn(8, 3, 3, 3)).requires_grad_()
    weight.grad = torch.randn_like(weight)
    before = weight.detach() * 8**0.5 / weight.detach().norm()
    Muon([{"params": [weight], "fixed_norm": True}], lr=0.003).step()
    turned = (weight.detach() - before).norm() / 8**0.5
    assert 0.24 * 0.6 < float(turned) < 0.24 * 1.3
    other = weight.detach().clone().requires_grad_()
    other.grad = torch.zeros_like(other)
    Muon([{"params": [other], "fixed_norm": True}], lr=0.0).step()
    assert float(other.detach().norm()) == pytest.approx(8**0.5)


def test_groups_of_a_recipe() -> None:
    net = built(NET)
    held = [net.part(placed.path).weight for placed in before_norm(net.layout)]
    settings = OptimizerSettings("muon", 0.01, 0.02, norm_lr_multiplier=3.0)
    groups = make_optimizer([(net, 1.0)], settings, held).param_groups
    assert {
        (each["lr_multiplier"], each["weight_decay"], each["fixed_norm"], len(each["params"]))
        for each in groups
    } == {
        (1.0, 0.02, True, 2),
        (1.0, 0.02, False, 1),
        (3.0, 0.0, False, 7),
    }
    plain = make_optimizer([(net, 1.0)], OptimizerSettings("adamw", 0.01, 0.02), held).param_groups
    assert len(plain) == 2


def test_a_bias_before_a_norm_is_not_trained(arrays: Path, tmp_path: Path) -> None:
    train(arrays, tmp_path / "run", net=NET, epochs=1)
    net = striate.load(tmp_path / "run").net
    assert all(not net.part(placed.path).bias.any() for placed in before_norm(net.layout))
    assert net.get_parameter("9.bias").any()


# First weights


def test_whitening_is_measured_behind_what_stands_before_it() -> None:
    net = built("conv 4 3x3 -> whiten 8 2x2 -> relu -> whiten 6 1x1 -> fc classes").train()
    x = torch.randn(64, 3, 12, 12)
    fit_whitening(net, x)
    assert net.training
    first, second = (each for each in net.modules() if isinstance(each, WhiteningConv2d))
    inputs = net.get_submodule("0")(x)
    wanted = WhiteningConv2d(4, 8, (2, 2), (1, 1))
    wanted.fit(inputs)
    assert torch.equal(first.weight, wanted.weight)
    then = WhiteningConv2d(8, 6, (1, 1), (1, 1))
    then.fit(wanted(inputs).relu())
    assert torch.equal(second.weight, then.weight)
    assert whitening(net) == [first, second]
    assert not whitening(built(NET))


def test_a_run_with_whitening_is_resumed_and_loaded(arrays: Path, tmp_path: Path) -> None:
    net = "whiten 6 2x2 -> relu -> conv 6 3x3 -> bn -> relu -> pool avg -> fc classes"
    train(arrays, tmp_path / "whole", net=net, epochs=2, **EXACTLY)
    with pytest.raises(Stopped):
        train(arrays, tmp_path / "cut", Ear(stop_at=1), net=net, epochs=2, **EXACTLY)
    resume(tmp_path / "cut")
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")


def test_dirac_hands_its_input_on() -> None:
    net = built("conv 6 3x3 -> conv 8 3x3 groups 2 -> fc classes")
    initialize(net, initial="dirac", generator=torch.Generator().manual_seed(0))
    net.requires_grad_(False)
    x = torch.randn(2, 3, 12, 12)
    assert torch.equal(net.get_submodule("0")(x)[:, :3], x)
    bound = (3 * 9) ** -0.5
    rest = net.get_parameter("0.weight")[3:]
    assert rest.abs().max() <= bound
    assert rest.std() == pytest.approx(bound / 3**0.5, rel=0.1)
    maps = torch.randn(2, 6, 12, 12)
    handed = net.get_submodule("1")(maps)
    assert torch.equal(handed[:, :3], maps[:, :3])
    assert torch.equal(handed[:, 4:7], maps[:, 3:])


def test_every_recipe_can_be_read() -> None:
    for name in recipe_names():
        assert read_recipe(name)
