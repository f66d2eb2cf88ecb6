"""Classes and splits that are odd as a whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from checks.hostile import encoded, scene
from striate.checks.check import check
from striate.data.files.finding import Finding
from striate.data.makeup import makeup_findings

NONE: dict[str, list[None]] = {}


def test_nothing_is_odd() -> None:
    assert makeup_findings(("a", "b"), {"train": np.array([0, 0, 1, 1]), "val": np.array([0, 1])}, NONE) == []
    assert makeup_findings(("1", "-1", "10", "1 0"), {"train": np.repeat(np.arange(4), 2)}, NONE) == []


@pytest.mark.parametrize(
    "names",
    [
        ("Cat", "cat"),
        ("cat", "cat "),
        ("hot dog", "hot_dog"),
        ("hot-dog", "HOT  DOG"),
        ("Straße", "STRASSE"),
        ("ﬁg", "fig"),
    ],
)
def test_names_that_nobody_tells_apart(names: tuple[str, str]) -> None:
    assert makeup_findings(names, {"train": np.array([0, 0, 1, 1])}, NONE) == [
        Finding(
            "similar-classes",
            names[0],
            f"`{names[0]}` and `{names[1]}` are two classes",
            "join them into one, or give them names that nobody confuses",
            names[1:],
        )
    ]


def test_few_and_many() -> None:
    labels = np.repeat([0, 1, 2], [1, 2, 41])
    assert [
        (each.code, each.name, each.reason)
        for each in makeup_findings(("a", "b", "c"), {"train": labels}, NONE)
    ] == [
        ("one-image-class", "a", "it has one image in all"),
        ("imbalance", "b", "it has 2 images, and c has 41: 20 times as many"),
    ]
    assert makeup_findings(("b", "c"), {"train": np.repeat([0, 1], [2, 40])}, NONE) == []


def test_a_validation_folder_that_lacks_a_class(tmp_path: Path) -> None:
    """Elsewhere it shifts the labels of all the classes behind it."""
    for number, name in enumerate(
        ("train/a", "train/b", "train/c", "train/a", "train/b", "train/c", "val/a", "val/c")
    ):
        (tmp_path / name).mkdir(parents=True, exist_ok=True)
        (tmp_path / name / f"{number}.png").write_bytes(encoded(scene(number), "PNG"))
    checked = check(tmp_path)
    assert [(each.code, each.name, each.reason) for each in checked.findings] == [
        ("split-lacks-class", "val", "it has no image of b")
    ]
    assert checked.counts == {"train": (2, 2, 2), "val": (1, 0, 1)}
    assert [checked.classes[each.label] for each in checked.used if each.split == "val"] == ["a", "c"]
