"""`striate features` on the images that a run was trained on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cli.conftest import Call
from striate.data.gather import gather
from striate.predict.trained import load_trained


def test_features_of_what_was_trained(call: Call, here: Path) -> None:
    """Small images that are no squares, grey and read as color: as they were held out in the training."""
    chance = np.random.default_rng(0)
    images = chance.integers(0, 255, (40, 8, 12), dtype=np.uint8)
    np.savez(here / "wide.npz", x_train=images, y_train=np.arange(40) % 2)
    words = ("--net", "conv 4 3x3 -> relu -> pool avg -> fc classes", "--epochs", "1", "--device", "cpu")
    keys = ("--set", "channels=3", "--set", "val_share=0.25", "--seed", "7", "--set", "batch=8")
    assert call("train", "wide.npz", *words, *keys, "--out", "run").code == 0
    said = call("features", "run", "wide.npz", "--at", "0", "--out", "found.npz")
    assert (said.code, said.err) == (0, "")
    found = np.load(here / "found.npz")
    assert found["features_train"].shape == (30, 4, 8, 12)
    assert found["features_val"].shape == (10, 4, 8, 12)
    assert said.out.splitlines()[0].split() == ["train", "30", "x", "4", "x", "8", "x", "12"]


def test_values_of_another_kind_are_refused(call: Call, here: Path) -> None:
    images = np.random.default_rng(0).integers(0, 255, (40, 8, 8), dtype=np.uint8)
    for name, values in (("bytes", images), ("shares", images.astype(np.float32) / 255)):
        np.savez(here / f"{name}.npz", x_train=values, y_train=np.arange(40) % 2)
    words = ("--net", "conv 4 3x3 -> relu -> pool avg -> fc classes", "--epochs", "1", "--device", "cpu")
    assert call("train", "bytes.npz", *words, "--out", "run").code == 0
    said = call("features", "run", "shares.npz", "--at", "0", "--out", "found.npz")
    assert (said.code, said.err) == (
        1,
        "striate: shares.npz: the images hold values of kind float32\n"
        "  expected: uint8, as those that the network was trained on\n"
        "  try: the same scaling in both\n",
    )


def test_wide_images_from_training_to_answer(call: Call, here: Path) -> None:
    """Of 300x100 pixels, their class at the left end, which a square from the middle would lose."""
    chance = np.random.default_rng(0)
    for name, color in (("red", (230, 40, 40)), ("blue", (40, 40, 230))):
        (here / "wide" / name).mkdir(parents=True)
        for number in range(8):
            image = chance.integers(90, 160, (100, 300, 3)).astype(np.uint8)
            image[:, :60] = color
            Image.fromarray(image).save(here / "wide" / name / f"{number}.png")
    words = ("--net", "conv 4 3x3 -> relu -> pool avg -> fc classes", "--epochs", "1", "--device", "cpu")
    said = call("train", "wide", *words, "--out", "square")
    assert (
        "warning   wide: the crop to 64x64 cuts off 67% of an image on average\n"
        "          try: --size 64x192, --set fit=pad or --set fit=stretch\n"
    ) in said.out
    for number, (how, size, stored) in enumerate(
        (
            (("--size", "12", "36"), (12, 36), (14, 41)),
            (("--size", "16", "--set", "fit=pad"), (16, 16), (16, 16)),
            (("--size", "16x24", "--set", "fit=stretch"), (16, 24), (16, 24)),
        )
    ):
        run = f"run{number}"
        said = call("train", "wide", *words, *how, "--out", run)
        assert said.code == 0
        assert f"images of 3x{size[0]}x{size[1]} " in said.out
        assert "cuts off" not in said.out
        prepared = json.loads((here / run / "data.json").read_text())["preparation"]
        assert (tuple(prepared["size"]), tuple(prepared["stored_size"])) == (size, stored)
        assert "\nequal: the last weights" in call("replay", run, "--out", f"again{number}").out
        assert call("predict", run, "wide").code == 0
        assert call("features", run, "wide", "--at", "0", "--out", f"{run}.npz").code == 0
        assert np.load(here / f"{run}.npz")["features_train"].shape == (14, 4, *size)
        trained = load_trained(run)
        data = gather("wide", size=size, fit=prepared["fit"])
        alone = trained.predict_stored(data.train.images[:1])[0]
        (answer,) = trained.predict(here / "wide" / data.train.names[0])
        assert answer.probability == pytest.approx(float(alone.max()), abs=1e-5)
    assert call("show", "wide", "--size", "12x36", "--fit", "pad", "--out", "sheet.png").code == 0


def test_values_on_another_scale_are_refused(call: Call, here: Path) -> None:
    images = np.random.default_rng(0).random((40, 8, 8), np.float32)
    for name, values in (("shares", images), ("grades", 255 * images)):
        np.savez(here / f"{name}.npz", x_train=values, y_train=np.arange(40) % 2)
        np.save(here / f"{name}.npy", values[0])
    words = ("--net", "conv 4 3x3 -> relu -> pool avg -> fc classes", "--epochs", "1", "--device", "cpu")
    assert call("train", "shares.npz", *words, "--out", "run").code == 0
    low, high = json.loads((here / "run" / "data.json").read_text())["preparation"]["values"]
    assert (low, high) == (images.min(), images.max()) or 0 <= low < 0.01 < 0.99 < high <= 1
    said = call("features", "run", "grades.npz", "--at", "0", "--out", "found.npz")
    assert said.code == 1
    assert said.err.endswith(" try: divide it by 255\n")
    said = call("predict", "run", "shares.npy", "grades.npy")
    assert said.code == 1
    assert said.out.startswith("shares.npy: ")
    assert said.err.startswith("grades.npy: its values go from ")
    assert " (try: divide it by 255)\n" in said.err
