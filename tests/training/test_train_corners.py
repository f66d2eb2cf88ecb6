"""Keys that meet: each pair here once ended in a traceback, or trained something else than was asked for."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import striate
from striate.errors import RecipeError
from striate.net.layout.layout import lay
from striate.net.notation.reader import read_text
from striate.net.shape import Map
from striate.predict import normalize as preparation_module
from striate.predict.normalize import Normalization, first_images
from striate.progress import Silence
from striate.recipe.keys import Recipe, read_recipe, read_settings
from striate.training import job as job_module
from striate.training.job import prepare
from striate.training.loop import loop as loop_module
from striate.training.loop.frozen import frozen_parts
from striate.training.loop.loop import Stopped
from striate.training.lr_range import range_test
from striate.training.pretrained import pretrained_normalization
from striate.training.step.progressive_resizing import require_progressive_resizing
from training.jobs import NET, Ear, contents, make, resume, train

HEADED = NET.replace("-> fc 12", "-> head: fc 12")
NORMED = "conv 4 3x3 -> relu -> pool avg -> fc 6 -> bn -> relu -> fc classes"


def accuracies(patch: pytest.MonkeyPatch, *found: float) -> None:
    """Let the validations of epochs find these, the last one over and over."""

    def validate(loop: Any, state: Any, watch: Any) -> tuple[float, float, float]:
        accuracy = found[min(state.epoch, len(found) - 1)]
        return accuracy, accuracy, 1.0

    patch.setattr(loop_module, "validate", validate)


def epochs_of(run: Path) -> int:
    return int(striate.load(run).record.result.epochs)


@pytest.mark.parametrize("stop_at", [8, 14])
def test_what_is_thawed_has_the_best_head_though_the_run_was_resumed_behind_it(
    arrays: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop_at: int
) -> None:
    accuracies(monkeypatch, 0.9, 0.5)
    keys = {"freeze": "body", "thaw": 1, "net": HEADED}
    train(arrays, tmp_path / "unbroken", **keys)
    with pytest.raises(Stopped):
        train(arrays, tmp_path / "run", Ear(stop_at), **keys)
    resume(tmp_path / "run")
    assert contents(tmp_path / "run") == contents(tmp_path / "unbroken")


def test_patience_begins_anew_when_parts_thaw(
    arrays: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    accuracies(monkeypatch, 0.9, 0.5)
    train(arrays, tmp_path / "run", freeze="body", thaw=5, patience=2, net=HEADED, epochs=9)
    assert epochs_of(tmp_path / "run") == 3 + 2


def test_a_target_that_the_head_reaches_is_the_end(
    arrays: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    accuracies(monkeypatch, 0.5, 0.9, 0.5)
    train(arrays, tmp_path / "run", freeze="body", thaw=2, target=0.8, net=HEADED, epochs=9)
    assert epochs_of(tmp_path / "run") == 2


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_values_on_another_scale_are_measured_and_not_prepared_as_published(
    dtype: str, tmp_path: Path
) -> None:
    images = np.zeros((2, 32, 32, 3), dtype)
    data: Any = SimpleNamespace(
        train=SimpleNamespace(images=images), channels=3, size=(32, 32), stored_size=(32, 32), fit="crop"
    )
    found = pretrained_normalization(tmp_path / "w.pth", data, Recipe(published="resnet18"))
    assert (found is not None) == (dtype == "uint8")


def test_large_images_are_looked_at_in_smaller_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    def count(values: int) -> int:
        monkeypatch.setattr(preparation_module, "MOST_VALUES", values)
        images = np.zeros((400, 8, 8, 3), np.uint8)
        plain = Normalization((8, 8), (8, 8), 3, (0.0,) * 3, (1.0,) * 3, "uint8")
        return len(first_images(images, plain))

    assert [count(each) for each in (1, 192 * 10, 192 * 10**6)] == [1, 10, 400]


def test_only_networks_that_whiten_look_at_images_first(
    arrays: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_module, "first_images", lambda *_: pytest.fail("it looked"))
    make(arrays, tmp_path / "run")


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        (
            {"batch": 1},
            "batch: one image alone has no variance for the bn behind an fc or on a map of 1x1\n"
            "  expected: at least 2 images in a step\n  try: batch=2",
        ),
        (
            {"batch": 16, "micro_batches": 9},
            "micro_batches: one image alone has no variance for the bn behind an fc or on a map of 1x1\n"
            "  expected: at least 2 images in each piece\n  try: micro_batches=8",
        ),
    ],
)
def test_one_image_has_no_variance(arrays: Path, tmp_path: Path, keys: dict[str, Any], told: str) -> None:
    with pytest.raises(RecipeError) as caught:
        make(arrays, tmp_path / "run", net=NORMED, **keys)
    assert str(caught.value) == told
    make(arrays, tmp_path / "run", net="conv 4 3x3 -> bn -> relu -> fc classes", **keys)


def test_pieces_of_two_at_least_train(arrays: Path, tmp_path: Path) -> None:
    train(arrays, tmp_path / "run", net=NORMED, epochs=1, micro_batches=7)


def test_grey_images_have_a_mean_image_as_color_too(arrays: Path, tmp_path: Path) -> None:
    train(arrays, tmp_path / "run", epochs=1, channels=3, center="image")
    known = striate.load(tmp_path / "run").preparation
    image = np.frombuffer(known.mean_image, "<f4").reshape(12, 12, 3)
    assert (image == image[:, :, :1]).all()
    assert len(known.deviation) == 3
    assert image.std() > 0


def test_grey_images_are_read_as_color_or_as_they_are(arrays: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        make(arrays, tmp_path / "run", channels=2)
    assert str(caught.value) == (
        "channels: the images have 1 channel\n"
        "  expected: 1; only grey images can be read as others, which is 3\n"
        "  try: leave out channels"
    )


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("conv 8 3x3 -> relu -> conv classes 1x1 -> pool avg", 2),
        ("conv 8 3x3 -> pool avg -> fc classes -> softmax", 2),
        ("conv 8 3x3 -> pool avg -> head: fc classes", 2),
    ],
)
def test_the_body_ends_before_the_last_weights(text: str, count: int) -> None:
    layout = lay(read_text(text), Map(3, 12, 12), 3)
    assert frozen_parts(layout, "body") == count


def test_what_is_behind_the_last_weights_cannot_be_trained() -> None:
    layout = lay(read_text("conv 8 3x3 -> pool avg -> head: fc classes -> softmax"), Map(3, 12, 12), 3)
    with pytest.raises(RecipeError, match="with `head` frozen, nothing is left to train"):
        frozen_parts(layout, "head")


def test_nesterov_needs_momentum() -> None:
    with pytest.raises(RecipeError) as caught:
        read_recipe(None, given=read_settings(["optimizer=nesterov", "momentum=0"]))
    assert str(caught.value) == (
        "--set: nesterov without momentum is sgd\n  expected: momentum above 0\n  try: optimizer=sgd"
    )


def test_a_range_of_rates_is_nothing_for_lbfgs(arrays: Path) -> None:
    made = prepare(
        arrays, network=read_text(NET), recipe=read_recipe(None, given=read_settings(["optimizer=lbfgs"])), device="cpu",
        strict=False, watch=Silence(),
    )  # fmt: skip
    with pytest.raises(RecipeError) as caught:
        range_test(made, steps=10, watch=Silence())
    assert str(caught.value) == (
        "optimizer: lbfgs searches along a line in each step, and its learning rate is not one of a range\n"
        "  expected: an optimizer that takes one step for each gradient\n"
        "  try: --set optimizer=adamw"
    )


def test_a_range_of_rates_is_one_of_the_steps_that_will_be_trained(arrays: Path) -> None:
    keys = ["optimizer=muon", "norm_lr_multiplier=3", "augment=mixup 0.3", "precision=fp32", "batch=16"]
    made = prepare(
        arrays, network=read_text(NET), recipe=read_recipe(None, given=read_settings(keys)), device="cpu", strict=False,
        watch=Silence(),
    )  # fmt: skip
    found = range_test(made, steps=12, watch=Silence())
    assert len(found.losses) == len(found.rates) <= 12


def test_lbfgs_by_the_estimator() -> None:
    images = np.random.default_rng(0).integers(0, 255, (24, 8, 8, 3), dtype=np.uint8)
    net = "conv 4 3x3 -> relu -> conv 4 3x3 -> pool avg -> fc classes"
    made = striate.Classifier(net=net, epochs=1, keys={"optimizer": "lbfgs"})
    made.fit(images, np.arange(24) % 2)
    assert made.predict(images).shape == (24,)


def test_sizes_between_are_padded_as_the_whole_one() -> None:
    text = "conv 4 3x3 same stride 2 -> conv 4 3x3 same stride 2 -> conv 4 3x3 same stride 2 -> pool avg -> fc classes"
    with pytest.raises(RecipeError) as caught:
        require_progressive_resizing(lay(read_text(text), Map(3, 32, 32), 3), 0.75)
    assert str(caught.value) == (
        "progressive_resizing: on 28x28 pixels `2` is padded otherwise than on 32x32\n"
        "  expected: a network that reads images of each size with the same weights\n"
        "  try: `pool avg` before the first fc, numbers for padding; or progressive_resizing=none"
    )
    require_progressive_resizing(lay(read_text(text.replace(" same stride 2", "")), Map(3, 32, 32), 3), 0.75)
