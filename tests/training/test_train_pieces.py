"""Optimizers, preparation, evaluation, mistakes and the choices: each by hand."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import striate
from striate.data.gather import Split
from striate.machine.device import (
    choose_device,
    describe_machine,
    free_memory_bytes,
    left_of_container,
    versions,
)
from striate.net.layout.layout import lay
from striate.net.layout.normed import normalizes
from striate.net.notation.reader import read_text
from striate.net.shape import Map
from striate.optimizers import OPTIMIZERS, OptimizerWord
from striate.predict.evaluate import probabilities
from striate.predict.normalize import Feeder, Normalization, measure
from striate.predict.score import MOST, png, worst_mistakes
from striate.recipe.defaults import (
    default_batch,
    default_epochs,
    default_network,
    default_recipe,
)
from striate.recipe.keys import read_recipe, read_settings
from striate.training.settings import OptimizerSettings
from striate.training.step.optimizers import make_optimizer
from striate.training.step.progressive_resizing import require_progressive_resizing

CPU = torch.device("cpu")


def split(images: np.ndarray, labels: list[int]) -> Split:
    """A split of named images."""
    return Split(images, np.array(labels), tuple(f"p{i}" for i in range(len(labels))))


# Optimizers


@pytest.mark.parametrize("word", OPTIMIZERS)
def test_every_optimizer_learns(word: str) -> None:
    torch.manual_seed(1)
    net = striate.read("conv 4 3x3 -> bn -> relu -> pool avg -> fc classes").build((1, 8, 8), 2)
    settings = OptimizerSettings(word, OPTIMIZERS[word].learning_rate, OPTIMIZERS[word].weight_decay)
    optimizer = make_optimizer([(net, 1.0)], settings)
    x = torch.randn(16, 1, 8, 8)
    labels = (x.mean(dim=(1, 2, 3)) > 0).long()
    losses = []

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(net(x), labels)
        loss.backward()
        return loss.detach()

    for _ in range(30):
        losses.append(float(optimizer.step(closure)))
    assert losses[-1] < losses[0] - 0.01


def test_weight_decay_falls_on_matrices_only() -> None:
    net = striate.read("conv 4 3x3 -> bn -> prelu -> local 3 3x3 -> relu -> fc classes").build((1, 6, 6), 2)
    groups = make_optimizer([(net, 1.0)], OptimizerSettings("adamw", 0.1, 0.02)).param_groups
    decayed = {id(p) for group in groups if group["weight_decay"] == 0.02 for p in group["params"]}
    plain = {id(p) for group in groups if group["weight_decay"] == 0 for p in group["params"]}
    names = {name: id(parameter) for name, parameter in net.named_parameters()}
    assert {name for name, each in names.items() if each in decayed} == {"0.weight", "3.weight", "5.weight"}
    assert decayed | plain == set(names.values())
    assert not decayed & plain


def test_parts_with_a_share_of_the_rate() -> None:
    net = striate.read("conv 4 3x3 -> relu -> fc classes").build((1, 6, 6), 2)
    body, _, head = net.children()
    groups = make_optimizer([(head, 1.0), (body, 0.1)], OptimizerSettings("adamw", 0.1, 0.02)).param_groups
    assert [(g["lr_multiplier"], g["weight_decay"], len(g["params"])) for g in groups] == [
        (1.0, 0.02, 1), (1.0, 0.0, 1), (0.1, 0.02, 1), (0.1, 0.0, 1),
    ]  # fmt: skip


def test_a_step_of_sgd_by_hand() -> None:
    net = striate.read("fc classes").build((1, 1, 1), 2)
    with torch.no_grad():
        net.part("0").weight.copy_(torch.tensor([[1.0], [2.0]]))
        net.part("0").bias.copy_(torch.tensor([3.0, 4.0]))
    optimizer = make_optimizer([(net, 1.0)], OptimizerSettings("sgd", 0.5, 0.1))
    for parameter in net.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    # w - rate * (gradient + decay * w); biases are not decayed
    assert net.part("0").weight.flatten().tolist() == pytest.approx([1 - 0.5 * 1.1, 2 - 0.5 * 1.2])
    assert net.part("0").bias.tolist() == [2.5, 3.5]


def test_the_rate_is_lower_without_normalization() -> None:
    texts = ("conv 4 3x3 -> bn -> relu -> fc classes", "conv 4 3x3 -> relu -> fc classes")
    with_norm, without = (normalizes(lay(read_text(text), Map(1, 6, 6), 2)) for text in texts)
    assert (with_norm, without) == (True, False)
    assert tuple(OPTIMIZERS) == get_args(OptimizerWord)
    for kind in (kind for kind in OPTIMIZERS.values() if not kind.line_search):
        assert kind.learning_rate_for(normalized=with_norm) > kind.learning_rate_for(normalized=without)


# Normalization


def test_mean_and_deviation_by_hand() -> None:
    images = np.zeros((4, 1, 2, 3), dtype=np.uint8)
    images[..., 0] = np.array([0, 2, 4, 6, 8, 10, 12, 14]).reshape(4, 1, 2)
    images[..., 1] = 7
    images[:2, ..., 2] = 255
    mean, deviation = measure(images)
    # The values 0 to 14 in steps of 2: variance 4 * (8^2 - 1) / 12 = 21.  What never changes has deviation 1.
    assert mean == pytest.approx((7.0, 7.0, 127.5))
    assert deviation == pytest.approx((21**0.5, 1.0, 127.5))


def test_measured_in_pieces_as_at_once() -> None:
    images = np.random.default_rng(0).integers(0, 256, (700, 3, 4, 2), dtype=np.uint8)
    mean, deviation = measure(images)
    assert mean == pytest.approx(images.mean(axis=(0, 1, 2)).tolist())
    assert deviation == pytest.approx(images.std(axis=(0, 1, 2)).tolist())


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_what_the_network_reads(dtype: str) -> None:
    stored = np.random.default_rng(0).integers(0, 256, (5, 4, 6, 3)).astype(dtype)
    before = stored.copy()
    preparation = Normalization((4, 6), (4, 6), 3, (10.0, 100.0, 50.0), (2.0, 30.0, 60.0), dtype)
    x = Feeder(preparation, CPU).images(stored)
    wanted = (stored.astype(np.float64) - np.array(preparation.mean)) / np.array(preparation.deviation)
    np.testing.assert_allclose(x.numpy().transpose(0, 2, 3, 1), wanted, rtol=1e-5, atol=1e-5)
    assert x.is_contiguous(memory_format=torch.channels_last)
    assert np.array_equal(stored, before), "what is stored is never written to"


def test_read_only_images_and_labels() -> None:
    stored = np.zeros((2, 3, 3, 1), dtype=np.uint8)
    stored.setflags(write=False)
    labels = np.array([1, 0])
    labels.setflags(write=False)
    feeder = Feeder(Normalization((3, 3), (3, 3), 1, (1.0,), (2.0,), "uint8"), CPU)
    assert feeder.images(stored).unique().tolist() == [-0.5]
    assert feeder.labels(labels).tolist() == [1, 0]


def test_grey_images_for_a_network_that_reads_colors() -> None:
    feeder = Feeder(Normalization((1, 2), (1, 2), 3, (1.0, 2.0, 3.0), (1.0, 2.0, 4.0), "uint8"), CPU)
    x = feeder.images(np.array([[[[5], [7]]]], dtype=np.uint8))
    assert x.tolist() == [[[[4.0, 6.0]], [[1.5, 2.5]], [[0.5, 1.0]]]]


def test_a_preparation_is_kept_whole() -> None:
    preparation = Normalization((4, 6), (5, 7), 3, (0.1, 1 / 3, 2e-9), (1.0, 2.0, 3.0), "uint8")
    assert Normalization.from_record(preparation.to_record()) == preparation


# Evaluation


@pytest.mark.parametrize("batch", [1, 3, 7, 100])
@pytest.mark.parametrize("training", [True, False])
def test_answers_are_in_order_and_the_mode_is_left(batch: int, training: bool) -> None:
    net = striate.read("conv 4 3x3 -> bn -> relu -> dropout 0.5 -> fc classes").build((1, 6, 6), 3)
    net.train(training)
    images = np.random.default_rng(0).integers(0, 256, (7, 6, 6, 1), dtype=np.uint8)
    feeder = Feeder(Normalization((6, 6), (6, 6), 1, (128.0,), (70.0,), "uint8"), CPU)
    done: list[int] = []
    state = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    found = probabilities(net, feeder, images, (6, 6), batch=batch, precision="fp32", advance=done.append)
    assert net.training is training
    assert done[-1] == 7
    assert found.shape == (7, 3)
    assert all(torch.equal(tensor, state[name]) for name, tensor in net.state_dict().items())
    net.eval()
    for row, image in zip(found, images, strict=True):
        logits = net(feeder.images(image[None]))
        np.testing.assert_allclose(row, logits.softmax(1)[0].detach().numpy(), atol=1e-6)


def test_the_mode_is_left_where_evaluation_fails() -> None:
    net = striate.read("conv 4 3x3 -> fc classes").build((1, 6, 6), 3).train()
    feeder = Feeder(Normalization((5, 5), (5, 5), 1, (0.0,), (1.0,), "uint8"), CPU)
    with pytest.raises(RuntimeError):
        probabilities(net, feeder, np.zeros((2, 5, 5, 1), np.uint8), (5, 5), batch=2, precision="fp32")
    assert net.training


# Mistakes


def mistakes_of(found: Any, given: Split, classes: tuple[str, ...]) -> list[dict[str, Any]]:
    return worst_mistakes(found, given.labels, given.names, classes, (4, 4), lambda at: given.images[at])


def test_the_surest_mistakes_come_first() -> None:
    found = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.55, 0.45]], dtype=np.float32)
    images = np.arange(4, dtype=np.uint8)[:, None, None, None] * np.ones((4, 4, 4, 1), np.uint8)
    worst = mistakes_of(found, split(images, [0, 1, 0, 1]), ("cat", "dog"))
    assert [(m.name, m.label, m.answer) for m in worst] == [
        ("p2", "cat", "dog"), ("p1", "dog", "cat"), ("p3", "dog", "cat"),
    ]  # fmt: skip
    assert worst[0].probability == pytest.approx(0.8)
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(worst[0].png))))
    assert shown.shape == (96, 96)
    assert (shown == 2).all()


def test_not_all_mistakes_are_shown() -> None:
    found = np.tile(np.array([[1.0, 0.0]], dtype=np.float32), (100, 1))
    assert len(mistakes_of(found, split(np.zeros((100, 4, 4, 1), np.uint8), [1] * 100), ("a", "b"))) == MOST  # fmt: skip
    assert mistakes_of(found, split(np.zeros((100, 4, 4, 1), np.uint8), [0] * 100), ("a", "b")) == []  # fmt: skip


@pytest.mark.parametrize("shape", [(4, 6, 1), (4, 6, 2), (4, 6, 3), (4, 6, 5), (500, 20, 3), (1, 1, 1)])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_any_image_can_be_shown(shape: tuple[int, ...], dtype: str) -> None:
    image = (np.random.default_rng(0).random(shape) * 255).astype(dtype)
    image = Image.open(io.BytesIO(png(image)))
    assert max(image.size) <= 192
    assert image.mode == ("RGB" if shape[2] == 3 else "L")


# Choices and the machine


@pytest.mark.parametrize(
    ("side", "name"), [(8, "small28"), (28, "small28"), (29, "small32"), (64, "small64"), (224, "small128")]
)
def test_the_network_that_suits(side: int, name: str) -> None:
    choice = default_network((side, side), 3, 1234)
    assert choice.value == name
    assert choice.why == f"it suits {side}x{side} pixels and 1,234 training images"
    assert striate.read(name).zoo == name


@pytest.mark.parametrize(
    ("channels", "side", "name"),
    [
        (1, 8, "swift28"), (2, 28, "swift28"), (1, 29, "small32"), (3, 15, "small28"), (3, 16, "swift32"),
        (3, 48, "swift32"), (4, 28, "swift32"), (3, 49, "small64"), (1, 224, "small128"),
    ],
)  # fmt: skip
def test_the_swift_network_that_suits(channels: int, side: int, name: str) -> None:
    assert default_network((side, side), channels, 1234, "swift").value == name
    layout = striate.read(name).lay((channels, side, side), 7)
    require_progressive_resizing(layout, read_recipe("quick").progressive_resizing)


def test_the_recipe_that_suits() -> None:
    assert default_recipe(None, [], net=False) == "quick"
    assert default_recipe(None, ["epochs", "learning_rate", "batch"], net=False) == "quick"
    assert default_recipe(None, ["optimizer"], net=False) is None
    assert default_recipe(None, ["weights", "freeze"], net=False) is None
    assert default_recipe(None, [], net=True) is None
    assert default_recipe("classic", [], net=False) == "classic"
    assert read_recipe(None).optimizer == "adamw"
    assert read_recipe(None, given=read_settings(["epochs=3"]), net=False) == read_recipe(
        "quick", given=read_settings(["epochs=3"])
    )
    assert read_recipe(None, given=read_settings(["optimizer=adam"]), net=False) == read_recipe(
        None, given=read_settings(["optimizer=adam"])
    )


def test_the_length_that_suits() -> None:
    assert [default_epochs(n) for n in (1, 1_000, 30_000, 60_000, 10**7)] == [40, 40, 10, 5, 5]
    assert [default_batch(n) for n in (1, 1_999, 2_000, 20_000)] == [32, 32, 64, 128]
    assert [default_batch(n, "muon") for n in (1, 2_000, 20_000)] == [64, 128, 256]


def test_devices() -> None:
    assert choose_device("cpu") == CPU
    assert choose_device(None) == choose_device("auto")
    for name in ("cuda:99", "tpu", "", "cpu:x"):
        with pytest.raises(striate.StriateError) as caught:
            choose_device(name)
        assert str(caught.value).startswith(f"--device: this machine has no device `{name}`\n  expected: one")
        assert str(caught.value).endswith("cpu\n  try: leave out --device")


def test_files_that_a_container_keeps_in_memory_give_way(tmp_path: Path) -> None:
    def group(limit: str, used: int) -> int | None:
        (tmp_path / "memory.max").write_text(f"{limit}\n")
        (tmp_path / "memory.current").write_text(f"{used}\n")
        (tmp_path / "memory.stat").write_text("anon 100\ninactive_file 2000\nactive_file 500\nslab 10\n")
        return left_of_container(tmp_path)

    assert group("4000", 3000) == 3500
    assert group("4000", 2000) == 4000
    assert group("max", 3000) is None
    assert left_of_container(tmp_path / "nowhere") is None


def test_the_machine_is_described() -> None:
    free = free_memory_bytes(CPU)
    assert free is None or free > 0
    assert versions()["torch"] == torch.__version__
    assert describe_machine(CPU)["device"] == "cpu"
