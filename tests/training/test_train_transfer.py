"""A training that begins with weights from elsewhere."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import striate
from striate.api.trainings import begin_with
from striate.errors import StriateError
from striate.progress import Silence
from striate.recipe.keys import read_recipe, write_recipe
from striate.training import pretrained
from striate.training.job import prepare
from striate.weights.published import CIFAR_10, published_classes
from training.drawn import draw

NET = "stem: [conv 8 3x3 nobias -> bn -> relu -> maxpool 2] -> pool avg -> head: fc classes"
QUICK = {"epochs": 3, "precision": "fp32", "layout": "contiguous", "batch": 16}


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on three classes."""
    folder = tmp_path_factory.mktemp("first")
    images, labels = draw(90, 1)
    np.savez(folder / "three.npz", x_train=images, y_train=labels)
    striate.train(folder / "three.npz", net=NET, out=folder / "run", **QUICK)
    return folder


def two_classes(folder: Path) -> Path:
    images, labels = draw(90, 5)
    keep = labels < 2
    np.savez(folder / "two.npz", x_train=images[keep], y_train=labels[keep])
    return folder / "two.npz"


def test_the_frozen_body_is_kept_to_the_bit(first: Path, tmp_path: Path) -> None:
    weights = first / "run" / "weights.safetensors"
    run = striate.train(
        two_classes(tmp_path), net=NET, weights=str(weights), freeze="body", out=tmp_path / "run", **QUICK
    )
    before, after = load_file(weights), load_file(tmp_path / "run" / "weights.safetensors")
    assert before.keys() == after.keys()
    for name in before:
        same = before[name].shape == after[name].shape and torch.equal(before[name], after[name])
        assert same == (not name.startswith("head")), name
    # Prepared as the first run prepared its images, whatever these ones measure.
    known = striate.load(first / "run").preparation
    assert (run.preparation.mean, run.preparation.deviation) == (known.mean, known.deviation)
    assert run.record.result.accuracy > 0.6


def test_thawed_everything_changes(first: Path, tmp_path: Path) -> None:
    weights = first / "run" / "weights.safetensors"
    striate.train(
        two_classes(tmp_path), net=NET, weights=str(weights), freeze="body", thaw=2, learning_rate=0.01,
        out=tmp_path / "run", **QUICK,
    )  # fmt: skip
    before, after = load_file(weights), load_file(tmp_path / "run" / "last.safetensors")
    assert not torch.equal(before["stem.0.weight"], after["stem.0.weight"])


def test_grey_images_for_a_network_of_colors(tmp_path: Path) -> None:
    run = striate.train(two_classes(tmp_path), net=NET, channels=3, out=tmp_path / "run", **QUICK)
    assert run.net.layout.input.channels == 3
    assert len(run.preparation.mean) == 3
    answer = run.predict(draw(1, 9)[0][0])
    assert sum(answer[0].probabilities) == pytest.approx(1)


def test_transfer_chooses_what_is_left_open() -> None:
    text, recipe = begin_with(None, None, {"epochs": 3}, transfer=True)
    assert text is not None
    assert text.zoo == "efficientnet_lite0"
    assert recipe.model_dump(exclude_unset=True) == {
        "epochs": 3, "weights": "builtin", "freeze": "body", "channels": 3, "size": 224,
        "published": "efficientnet_lite0", "weights_sha256": None,
    }  # fmt: skip


def test_what_suited_the_network_of_another_run_does_not_stand(tmp_path: Path) -> None:
    """Its recipe says every key, also those that were chosen for its network."""
    _, before = begin_with(None, None, {"weights_sha256": "0" * 64}, transfer=True)
    file = tmp_path / "recipe.toml"
    file.write_text(write_recipe(before.model_copy(update={"size": 192})))
    _, recipe = begin_with(striate.read("resnet18"), str(file), {"weights": "a.pth"})
    assert (recipe.published, recipe.size, recipe.channels) == ("resnet18", 224, 3)
    _, recipe = begin_with(striate.read("resnet18"), str(file), {"weights": "a.pth", "size": 96})
    assert (recipe.published, recipe.size) == ("resnet18", 96)
    _, recipe = begin_with(striate.read("efficientnet_lite0"), str(file), {})
    assert (recipe.published, recipe.size, recipe.freeze) == ("efficientnet_lite0", 192, "body")
    with pytest.raises(StriateError, match="try: --net efficientnet_lite0"):
        begin_with(None, str(file), {})
    file.write_text('weights = "resnet18.pth"\nweights_sha256 = "' + "1" * 64 + '"\n')
    _, recipe = begin_with(None, str(file), {}, transfer=True)
    assert (recipe.weights, recipe.weights_sha256) == ("builtin", None)


def test_what_is_said_stands(tmp_path: Path) -> None:
    said = {"weights": "a.pth", "size": 128, "freeze": "stem"}
    _, recipe = begin_with(striate.read("resnet18"), None, said, transfer=True)
    assert (recipe.size, recipe.freeze, recipe.weights) == (128, "stem", "a.pth")
    assert (recipe.channels, recipe.published) == (3, "resnet18")
    file = tmp_path / "mine.toml"
    file.write_text('weights = "a.pth"\nsize = 128\nfreeze = "stem"\n')
    _, written = begin_with(striate.read("resnet18"), str(file), {}, transfer=True)
    assert written == recipe
    assert begin_with(None, None, {"epochs": 3}) == (None, read_recipe("quick", given={"epochs": 3}))


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        (
            {"weights_sha256": "0" * 64},
            "weights_sha256: a hash is given without the weights that it is of\n"
            "  expected: both\n  try: --weights FILE, or leave out --sha256",
        ),
        (
            {"thaw": 3},
            "thaw: nothing is frozen that could thaw\n"
            "  expected: a part that is kept as it is until then\n  try: --freeze body, or leave out --thaw",
        ),
    ],
)
def test_keys_that_stand_alone_are_refused(keys: dict[str, object], told: str) -> None:
    with pytest.raises(StriateError) as caught:
        begin_with(striate.read("resnet18"), None, keys)
    assert str(caught.value) == told


def test_the_hash_of_the_weights_that_come_along_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "lite.pth"
    file.write_bytes(b"weights")
    monkeypatch.setattr(pretrained, "backbone_weights", lambda: file)
    right = hashlib.sha256(b"weights").hexdigest()
    assert pretrained.find_weights("builtin", right, Silence()) == file
    with pytest.raises(StriateError, match="the right file, or the right hash"):
        pretrained.find_weights("builtin", "0" * 64, Silence())


@pytest.mark.parametrize(
    ("net", "keys", "transfer", "said"),
    [
        (
            None,
            {"weights": "a.pth"},
            False,
            "weights: weights are given without their network\n  expected: both\n  try: --net resnet18",
        ),
        (
            "resnet18",
            {},
            True,
            "transfer: nothing is known yet that could be transferred\n"
            "  expected: weights for the network that was given\n  try: --weights FILE, or leave out --net",
        ),
    ],
)
def test_half_of_it_is_refused(net: str | None, keys: dict[str, object], transfer: bool, said: str) -> None:
    with pytest.raises(StriateError) as caught:
        begin_with(striate.read(net) if net else None, None, keys, transfer=transfer)
    assert str(caught.value) == said


def test_weights_of_another_network_are_refused_and_nothing_is_left(first: Path, tmp_path: Path) -> None:
    weights = first / "run" / "weights.safetensors"
    with pytest.raises(StriateError, match="8"):
        striate.train(
            two_classes(tmp_path), net="conv 9 3x3 -> bn -> relu -> pool avg -> head: fc classes",
            weights=str(weights), out=tmp_path / "run", **QUICK,
        )  # fmt: skip
    assert not (tmp_path / "run").exists()


def published_head(tmp_path: Path) -> tuple[Path, dict[str, torch.Tensor]]:
    """Weights of another tool's network with ten classes."""
    net = striate.read(NET).build((3, 16, 16), 10)
    state = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    torch.save({f"x.{name}": tensor for name, tensor in state.items()}, tmp_path / "w.pth")
    return tmp_path / "w.pth", state


@pytest.mark.parametrize("classes", [10, 3])
def test_a_head_of_as_many_classes_is_kept(classes: int, tmp_path: Path) -> None:
    path, state = published_head(tmp_path)
    chance = np.random.default_rng(0)
    images = chance.integers(0, 256, (60, 16, 16, 3), dtype=np.uint8)
    np.savez(tmp_path / "data.npz", x_train=images, y_train=np.arange(60) % classes)
    said: list[str] = []

    class Ear(Silence):
        def say(self, text: str) -> None:
            said.append(text)

    text, recipe = begin_with(striate.read(NET), None, {"weights": str(path), "epochs": 1})
    assert text is not None
    made = prepare(
        tmp_path / "data.npz", network=text.network, recipe=recipe, device="cpu", strict=False, watch=Ear()
    )
    kept = torch.equal(made.net.state_dict()["head.weight"], state["head.weight"][:classes])
    assert kept == (classes == 10)
    (line,) = (each for each in said if each.startswith("weights "))
    assert line.endswith(
        "; the head is kept: 10 classes, the same number"
        if kept
        else "; the head is trained anew: its classes are others"
    )


def test_known_names_must_agree_for_the_head_to_be_kept() -> None:
    assert published_classes("resnet20") == CIFAR_10
    assert published_classes("resnet18") is None
    assert len(CIFAR_10) == 10
