"""Cross-validation and sweeps: what scikit-learn gives, and what goes on."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from sklearn.model_selection import StratifiedKFold, cross_val_score

import striate
from striate.data.gather import Split, gather
from striate.errors import DataError, RecipeError, RunError
from striate.progress import Silence
from striate.searching.folds import fold_sides, joined_split
from striate.searching.sweep import read_grid, sweep
from training.drawn import draw

NET = "conv 4 3x3 -> relu -> maxpool 2 -> fc classes"
KEYS = {
    "epochs": 3,
    "batch": 16,
    "precision": "fp32",
    "layout": "channels_last",
    "augment": "none",
    "learning_rate": 0.01,
}


def test_five_folds_are_those_of_scikit_learn(tmp_path: Path) -> None:
    images, labels = draw(90, 5)
    np.savez(tmp_path / "all.npz", x_train=images, y_train=labels)
    found = striate.cross_validate(
        tmp_path / "all.npz", folds=5, net=NET, out=tmp_path / "f", device="cpu", **KEYS
    )
    # The order in which they lie is that of the splits of training and validation.
    data = gather(tmp_path / "all.npz")
    whole = joined_split(data.train, data.val)
    keys = {key: value for key, value in KEYS.items() if key not in ("epochs", "batch", "learning_rate")}
    estimator = striate.Classifier(
        net=NET, epochs=3, batch=16, learning_rate=0.01, keys=keys, device="cpu", seed=0
    )
    splits = StratifiedKFold(5, shuffle=True, random_state=0)
    scores = cross_val_score(estimator, whole.images, whole.labels, cv=splits)
    assert found.accuracies == tuple(scores)
    assert found.mean == pytest.approx(scores.mean())
    with (tmp_path / "f" / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert sorted(row["name"] for row in rows) == sorted(whole.names)
    right = np.mean([row["label"] == row["answer"] for row in rows])
    assert right == pytest.approx(np.mean(found.accuracies), abs=0.01)
    assert float(rows[0]["p:0"]) + float(rows[0]["p:1"]) + float(rows[0]["p:2"]) == pytest.approx(1, abs=1e-5)
    # The same command takes what is there; another one is refused.
    before = [each.stat().st_mtime_ns for each in sorted((tmp_path / "f").glob("fold-*/run.json"))]
    again = striate.cross_validate(
        tmp_path / "all.npz", folds=5, net=NET, out=tmp_path / "f", device="cpu", **KEYS
    )
    assert again == found
    assert [each.stat().st_mtime_ns for each in sorted((tmp_path / "f").glob("fold-*/run.json"))] == before
    with pytest.raises(RunError) as caught:
        striate.cross_validate(
            tmp_path / "all.npz", folds=3, net=NET, out=tmp_path / "f", device="cpu", **KEYS
        )
    assert caught.value.problem == "another cross-validation lies in this folder"


def test_groups_and_copies_stay_on_one_side() -> None:
    labels = np.arange(24) % 2
    groups = tuple(f"g{at // 4}" if at < 20 else None for at in range(24))
    contents = tuple("same" if at in (21, 23) else str(at) for at in range(24))
    images = np.zeros((24, 2, 2, 1), dtype=np.uint8)
    whole = Split(images, labels, tuple(map(str, range(24))), contents, None, groups)
    sides = fold_sides(whole, 3, 2, 0)
    assert len(sides) == 6
    for rest, held in sides:
        assert sorted([*rest, *held]) == list(range(24))
        assert not {groups[at] for at in held if groups[at]} & {groups[at] for at in rest if groups[at]}
        assert not {contents[at] for at in held} & {contents[at] for at in rest}
    assert any((a[1].tolist() != b[1].tolist()) for a, b in zip(sides[:3], sides[3:], strict=True))


def test_more_folds_than_images_of_a_class() -> None:
    whole = Split(
        np.zeros((9, 2, 2, 1), dtype=np.uint8), np.array([0] * 7 + [1] * 2), tuple(map(str, range(9)))
    )
    with pytest.raises(DataError) as caught:
        fold_sides(whole, 5, 1, 0)
    assert str(caught.value) == (
        "--folds: there are 5 folds, and the rarest class has 2 images\n"
        "  expected: an image of each class in each fold\n"
        "  try: --folds 2"
    )
    assert len(fold_sides(whole, 2, 1, 0)) == 2


def test_a_sweep(arrays: Path, tmp_path: Path) -> None:
    grid = read_grid("learning_rate=0.0001,0.01 batch=16,32")
    keys = {key: value for key, value in KEYS.items() if key not in grid}

    def swept() -> list[tuple[float | None, ...]]:
        found = sweep(
            str(arrays), grid, network=striate.read(NET).network, recipe=None, keys=keys, seeds=2,
            out=tmp_path / "s", device="cpu", watch=Silence(),
        )  # fmt: skip
        return [each.metrics for each in found]

    first = swept()
    assert len(first) == 4
    assert all(len(each) == 2 for each in first)
    assert (tmp_path / "s" / "sweep.png").read_bytes()[:4] == b"\x89PNG"
    rows = (tmp_path / "s" / "sweep.csv").read_text().splitlines()
    assert rows[0] == "learning_rate,batch,seed,validation"
    assert len(rows) == 9
    # A trial that came to its end is not trained again.
    assert swept() == first


def test_a_grid_that_is_none() -> None:
    with pytest.raises(RecipeError) as caught:
        read_grid("learning_rate 0.1")
    assert str(caught.value) == (
        "sweep: `learning_rate 0.1` is no key with values\n"
        "  expected: KEY=VALUE,VALUE\n"
        '  try: "learning_rate=0.001,0.01,0.1"'
    )
    with pytest.raises(RecipeError) as caught:
        read_grid("seed=1,2")
    assert caught.value.cure == "--seeds 5"
    with pytest.raises(RecipeError, match="batch cannot be 0"):
        read_grid("batch=0,1")
