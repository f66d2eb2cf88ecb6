"""The doctor's benchmark: its cases can be trained, and its judgement is that of its description."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import striate
from striate.recipe.keys import check_recipe

FOLDER = Path(__file__).parents[1] / "benchmarks" / "doctor"


@pytest.fixture(scope="module")
def names() -> Iterator[dict[str, Any]]:
    """Of judge.py; what it imports from its folder is forgotten again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        yield runpy.run_path(str(FOLDER / "judge.py"))
        for name in ("cases", "collect", "subsets", "published"):
            sys.modules.pop(name, None)


def test_every_case_is_a_network_and_a_recipe(names: dict[str, Any]) -> None:
    every = list(runpy.run_path(str(FOLDER / "cases.py"))["cases"]())
    assert len({each.name for each in every}) == len(every) > 700
    parents = {each.name for each in every if not each.mutation}
    for case in every:
        assert case.parent in parents
        check_recipe(case.recipe, case.name)
    for net, channels in {(each.net, 3 if each.data.startswith("cifar") else 1) for each in every}:
        striate.read(net).lay((channels, 8, 8), 5)


def test_worse_is_lower_by_two_points_and_beyond_chance(names: dict[str, Any]) -> None:
    worse = names["worse"]
    parent = [0.95, 0.96, 0.95, 0.96, 0.95]
    assert worse([0.90, 0.91, 0.90, 0.89, 0.90], parent)
    # Lower, and by less than two points.
    assert not worse([0.94, 0.94, 0.94, 0.94, 0.94], parent)
    # Lower by more on average, and as likely by chance.
    assert not worse([0.95, 0.96, 0.96, 0.95, 0.80], parent)
    # Two of five seeds are lost.
    assert worse([0.97, 0.97, 0.97, 0.5, 0.5], parent)
    # One of three is lost, and the others are below all of the parent.
    assert worse([0.9, 0.3, 0.91], parent)
    assert not worse(parent, parent)


def test_a_share_comes_with_its_interval(names: dict[str, Any]) -> None:
    assert names["rate"](0, 150) == {"n": 150, "hits": 0, "share": 0.0, "interval": [0.0, 0.025]}
    assert names["rate"](0, 0) == {"n": 0, "hits": 0, "share": None, "interval": [0.0, 1.0]}
