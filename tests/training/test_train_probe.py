"""The experiments of the doctor, on tiny runs and data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import striate
from striate.doctor.finding import Diagnosis
from striate.errors import StriateError

NET = "conv 8 3x3 -> relu -> maxpool 2 -> fc classes"
KEYS = {"precision": "fp32", "layout": "contiguous", "epochs": 4}


def codes(found: Diagnosis) -> list[str]:
    """Of the findings."""
    return [each.code for each in found.findings]


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose learning rate is far too low, with an augmentation that leaves nothing."""
    out = tmp_path_factory.mktemp("runs") / "slow"
    striate.train(
        "digits", net=NET, out=out, learning_rate=1e-6, augment="rotate 180, noise 1, cutout 6", **KEYS
    )
    return out


def test_probe_of_a_run_that_learns_nothing(slow: Path) -> None:
    before = {path.name: path.read_bytes() for path in slow.iterdir() if path.is_file()}
    state = torch.get_rng_state()
    found = striate.diagnose(slow, probe=True)
    assert {"one-batch-not-fitted", "worse-than-linear"} <= set(codes(found))
    first = next(each for each in found.findings if each.code == "one-batch-not-fitted")
    assert first.cure == (
        f"`striate train digits --net {slow}/net.txt --recipe {slow}/recipe.toml "
        "--set optimizer=adamw --set learning_rate=0.001`"
    )
    # Nothing of the run is changed, nor torch's random state.
    assert {path.name: path.read_bytes() for path in slow.iterdir() if path.is_file()} == before
    assert torch.equal(torch.get_rng_state(), state)


def test_probe_of_a_sound_run(tmp_path: Path) -> None:
    striate.train("digits", net=NET, out=tmp_path / "run", learning_rate=0.01, augment="none", **KEYS)
    found = striate.diagnose(tmp_path / "run", probe=True)
    probed = {"one-batch-not-fitted", "input-ignored", "labels-unrelated", "augmentation-destroys"}
    assert not probed & set(codes(found))
    assert [each.reason for each in found.not_applicable if each.code == "augmentation-destroys"] == [
        "nothing is drawn"
    ]


def test_first_look_at_digits_and_at_shuffled_labels(tmp_path: Path) -> None:
    from sklearn.datasets import load_digits

    digits = load_digits()
    images, labels = np.round(digits.images * 255 / 16).astype(np.uint8)[:700], digits.target[:700]
    sound, shuffled = tmp_path / "sound.npz", tmp_path / "shuffled.npz"
    np.savez(sound, x_train=images, y_train=labels)
    np.savez(shuffled, x_train=images, y_train=np.random.default_rng(0).permutation(labels))
    assert codes(striate.diagnose(sound, net=NET)) == []
    assert codes(striate.diagnose(shuffled, net=NET)) == ["labels-unrelated"]


def test_a_code_that_there_is_not(slow: Path) -> None:
    with pytest.raises(StriateError) as caught:
        striate.diagnose(slow, mute=["input-ignore"])
    assert str(caught.value) == (
        "--mute: there is no code `input-ignore`\n"
        "  expected: a code of docs/doctor.md\n"
        "  try: --mute input-ignored"
    )
