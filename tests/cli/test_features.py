"""`striate features` on the pictures that a run was trained on."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cli.conftest import Call


def test_features_of_what_was_trained(call: Call, here: Path) -> None:
    """Small pictures that are no squares, grey and read as colour: as they were held out in the training."""
    chance = np.random.default_rng(0)
    pictures = chance.integers(0, 255, (40, 8, 12), dtype=np.uint8)
    np.savez(here / "wide.npz", x_train=pictures, y_train=np.arange(40) % 2)
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
    pictures = np.random.default_rng(0).integers(0, 255, (40, 8, 8), dtype=np.uint8)
    for name, values in (("bytes", pictures), ("shares", pictures.astype(np.float32) / 255)):
        np.savez(here / f"{name}.npz", x_train=values, y_train=np.arange(40) % 2)
    words = ("--net", "conv 4 3x3 -> relu -> pool avg -> fc classes", "--epochs", "1", "--device", "cpu")
    assert call("train", "bytes.npz", *words, "--out", "run").code == 0
    said = call("features", "run", "shares.npz", "--at", "0", "--out", "found.npz")
    assert (said.code, said.err) == (
        1,
        "striate: shares.npz: the pictures hold values of kind float32\n"
        "  expected: uint8, as those that the network was trained on\n"
        "  try: the same scaling in both\n",
    )
