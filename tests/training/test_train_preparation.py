"""Centring and scaling as the recipe says, and the same numbers after a run is loaded."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from striate.data.gather import gather
from striate.predict.normalize import Feeder, Normalization, default_normalization, measure_image
from striate.predict.trained import load_trained
from striate.recipe.keys import Recipe
from striate.runs.record import PreparationRecord, to_json
from training.jobs import make, resume, train

CPU = torch.device("cpu")

# Two images of 1x2 pixels with one channel.
IMAGES = np.array([[[[10], [100]]], [[[30], [104]]]], dtype=np.uint8)


def test_mean_image_by_hand() -> None:
    mean, deviation = measure_image(IMAGES)
    assert mean[..., 0].tolist() == [[20, 102]]
    # Squares from it: 100, 4, 100, 4.
    assert deviation == pytest.approx((52**0.5,))


def test_what_never_changes_is_only_centerd() -> None:
    mean, deviation = measure_image(IMAGES[:1])
    assert mean[..., 0].tolist() == [[10, 100]]
    assert deviation == (1.0,)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("layout", ["channels_last", "contiguous"])
def test_feeder_subtracts_the_mean_image(dtype: str, layout: str) -> None:
    stored = np.random.default_rng(0).integers(0, 256, (6, 4, 5, 3)).astype(dtype)
    mean, deviation = measure_image(stored)
    image = mean.astype("<f4").tobytes()
    preparation = Normalization((4, 5), (4, 5), 3, (0.0,) * 3, deviation, dtype, image)
    x = Feeder(preparation, CPU, layout).images(stored)
    expected = (stored - mean) / np.array(deviation)
    assert np.abs(x.permute(0, 2, 3, 1).numpy() - expected).max() < 1e-5
    assert x.mean(dim=0).abs().max() < 1e-5
    assert x.var(dim=(0, 2, 3), correction=0).tolist() == pytest.approx([1, 1, 1], abs=1e-4)
    wanted = torch.channels_last if layout == "channels_last" else torch.contiguous_format
    assert x.is_contiguous(memory_format=wanted)


@pytest.mark.parametrize("image", [b"", np.arange(24, dtype="<f4").tobytes()])
def test_record_round_trip(image: bytes) -> None:
    preparation = Normalization((2, 4), (3, 5), 3, (0.1, 1 / 3, 2e-9), (1.0, 2.0, 3.0), "uint8", image)
    written = to_json(preparation.to_record())
    assert Normalization.from_record(PreparationRecord.model_validate(json.loads(written))) == preparation


def test_a_mean_image_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="mean_image should have 64 bytes"):
        Normalization((4, 4), (4, 4), 1, (0.0,), (1.0,), "uint8", bytes(32)).to_record()


def test_center_and_scale(arrays: Path) -> None:
    data = gather(arrays)
    channels = range(data.channels)
    made = {
        (c, s): default_normalization(data, Recipe(center=c, scale=s))
        for c in ("channel", "image", "none")
        for s in ("unit", "none")
    }
    values = data.train.images.astype(np.float64)
    by_channel = [values[..., c].mean() for c in channels]
    assert made["channel", "unit"].mean == pytest.approx(by_channel)
    assert made["image", "unit"].mean == pytest.approx(by_channel)
    assert made["channel", "unit"].deviation == pytest.approx([values[..., c].std() for c in channels])
    assert made["none", "unit"].deviation == made["channel", "unit"].deviation
    for c, s in made:
        assert bool(made[c, s].mean_image) == (c == "image")
        if c == "none":
            assert made[c, s].mean == (0.0,) * data.channels
        if s == "none":
            assert made[c, s].deviation == (1.0,) * data.channels


@pytest.mark.parametrize("keys", [{"center": "image"}, {"center": "none", "scale": "none"}])
def test_the_same_numbers_after_loading(tmp_path: Path, arrays: Path, keys: dict[str, str]) -> None:
    run = tmp_path / "run"
    score = train(arrays, run, epochs=2, learning_rate=1e-3, **keys)
    data = gather(arrays)
    trained = load_trained(run, device="cpu")
    assert bool(trained.preparation.mean_image) == (keys["center"] == "image")
    job = make(arrays, tmp_path / "other", epochs=2, learning_rate=1e-3, **keys)
    assert trained.preparation == job.prepared.preparation
    first = Feeder(job.prepared.preparation, CPU).images(data.val.images[:5])
    assert torch.equal(first, Feeder(trained.preparation, CPU).images(data.val.images[:5]))
    assert data.test is not None
    found = trained.predict_stored(data.test.images)
    assert (found.argmax(axis=1) == data.test.labels).mean() == pytest.approx(score.accuracy)
    right = np.maximum(found[np.arange(len(found)), data.test.labels].astype(np.float64), 1e-12)
    assert -np.log(right).mean() == pytest.approx(score.loss, rel=1e-5)


def test_a_run_with_a_mean_image_is_resumed(tmp_path: Path, arrays: Path) -> None:
    from striate.training.loop.loop import Stopped
    from training.jobs import Ear, contents

    train(arrays, tmp_path / "whole", epochs=2, center="image")
    with pytest.raises(Stopped):
        train(arrays, tmp_path / "cut", Ear(stop_at=3), epochs=2, center="image")
    resume(tmp_path / "cut")
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")


def test_weights_of_a_run_bring_its_mean_image(tmp_path: Path, arrays: Path) -> None:
    net = "conv 4 3x3 -> relu -> pool avg -> fc classes"
    train(arrays, tmp_path / "first", epochs=1, net=net, center="image")
    first = load_trained(tmp_path / "first", device="cpu").preparation
    weights = str(tmp_path / "first" / "weights.safetensors")
    assert first.mean_image
    assert make(arrays, tmp_path / "second", epochs=1, net=net, weights=weights).prepared.preparation == first
    other = make(arrays, tmp_path / "third", epochs=1, net=net, weights=weights, size=24).prepared.preparation
    assert (other.mean, other.mean_image) == (first.mean, b"")
