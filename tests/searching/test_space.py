"""What may be searched, and what is said of a space that cannot be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from striate.errors import FitError, RecipeError
from striate.net.layout.layout import lay
from striate.net.notation.holes import fill_holes, find_holes
from striate.net.notation.reader import read_text
from striate.net.notation.writer import write_text
from striate.net.shape import Map
from striate.recipe.keys import read_recipe
from striate.searching.findings import Outcome, describe_stage, importance, narrowed
from striate.searching.space import Parameter, default_space, read_space

NET = (
    "let u(c) = conv c ?(3x3, 5x5) -> relu; a: conv ?(16, 32, 64) ?(3x3, 5x5) -> u(?(8, 16))"
    " -> ?(maxpool 2, avgpool 2, [conv ?(4 .. 9) 3x3 -> relu]) x?(1 .. 2) -> pool ?(avg, max) -> fc classes"
)


def test_holes_of_every_kind_are_found_and_filled() -> None:
    network = read_text(NET)
    assert read_text(write_text(network)) == network
    found = {each.key: each.options() for each in find_holes(network)}
    assert found == {
        "u.conv.kernel": ("3x3", "5x5"),
        "a.channels": ("16", "32", "64"),
        "a.kernel": ("3x3", "5x5"),
        "u.1": ("8", "16"),
        "step": ("1", "2", "3"),
        "conv.channels": (),
        "repeat": (),
        "pool.kind": ("avg", "max"),
    }
    values: dict[str, str | int | float] = {key: options[-1] for key, options in found.items() if options}
    filled = fill_holes(network, {**values, "conv.channels": 9, "repeat": 2})
    assert write_text(filled) == (
        "let u(c) = conv c 5x5 -> relu;\n"
        "a: conv 64 5x5 -> u(16) -> [conv 9 3x3 -> relu] x2 -> pool max -> fc classes"
    )
    assert find_holes(filled) == []
    plain = fill_holes(network, {**values, "step": "1", "conv.channels": 4, "repeat": 1})
    assert "-> maxpool 2 ->" in write_text(plain)
    lay(read_text(write_text(plain)), Map(3, 32, 32), 10)


def test_a_hole_of_steps_that_is_left() -> None:
    with pytest.raises(FitError) as caught:
        lay(read_text("relu -> ?(maxpool 2, avgpool 2) -> fc classes"), Map(1, 8, 8), 10)
    assert (
        str(caught.value)
        == """\
network:1:9: the hole of steps is not filled
    1 | relu -> ?(maxpool 2, avgpool 2) -> fc classes
      |         ^^^^^^^^^^^^^^^^^^^^^^^    after `relu`, 1x8x8
  expected: a value
  try: one of its values in its place; `striate search DATA --net TEXT` tries them"""
    )


def test_a_space_of_a_file_and_of_settings(tmp_path: Path) -> None:
    file = tmp_path / "space.toml"
    file.write_text(
        'lr = "?(0.001 .. 0.1)"\noptimizer = ["adamw", "nesterov"]\nwarmup = "?(0 .. 0.3)"\nmomentum = 0.8\n'
    )
    space = read_space(str(file), ["optimizer=?(adamw, muon)", "clip=2"], read_text("conv ?(4, 8) 3x3"))
    assert space.fixed == {"clip": 2, "momentum": 0.8}
    assert [(each.name, each.domain()) for each in space.parameters] == [
        ("learning_rate", "0.001 to 0.1, by ratio"),
        ("optimizer", "adamw, muon"),
        ("warmup", "0 to 0.3"),
        ("net.conv.channels", "4, 8"),
    ]
    assert default_space(space, read_recipe("classic"), 100) is space


def test_a_space_that_nobody_said() -> None:
    recipe = read_recipe("classic", given={"learning_rate": 0.003, "weight_decay": 0.05, "batch": 32})
    space = default_space(read_space(None, ["schedule=step"], None), recipe, 1000)
    assert [(each.name, each.domain()) for each in space.parameters] == [
        ("learning_rate", "0.0001 to 0.09, by ratio"),
        ("weight_decay", "0.0005 to 0.5, by ratio"),
        ("batch", "16, 32, 64"),
        ("label_smoothing", "0.0, 0.1"),
    ]


ERRORS = [
    (["learning_rat=?(0.1 .. 1)"], "learning_rate", "--set: there is no key `learning_rat`"),
    (["learning_rate=?(0.1 .. 0.001)"], "0.001 .. 0.1", """\
--set, learning_rate:1:3: this range is empty
    1 | ?(0.1 .. 0.001)
      |   ^^^^^^^^^^^^
  expected: a number, .., and a larger one
  try: 0.001 .. 0.1"""),
    (["learning_rate=?(0 .. 0.1)"], "", "--set: learning_rate cannot be 0"),
    (["epochs=?(5 .. 10)"], "epochs=5", """\
--set: epochs cannot be searched
  expected: a key that trials may differ in; they are compared by this one
  try: epochs=5"""),
    (["optimizer=?(adamw, adamw)"], "", """\
--set: optimizer has an option twice
  expected: options that differ
  try: ?(1, 2)"""),
    (["optimizer=?(adamw, adan)"], "optimizer=adam", "--set: optimizer cannot be 'adan'"),
    (["batch=?(16, 32) 3"], "leave it out", """\
--set, batch:1:11: unexpected `3`
    1 | ?(16, 32) 3
      |           ^
  expected: nothing behind the hole
  try: leave it out"""),
]  # fmt: skip


@pytest.mark.parametrize(("settings", "cure", "said"), ERRORS, ids=[row[0][0] for row in ERRORS])
def test_a_space_that_cannot_be(settings: list[str], cure: str, said: str) -> None:
    with pytest.raises(RecipeError) as caught:
        read_space(None, settings, None)
    assert str(caught.value).startswith(said)
    assert cure in caught.value.cure


def test_an_empty_list_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "space.toml").write_text("batch = []\n")
    with pytest.raises(RecipeError) as caught:
        read_space(str(tmp_path / "space.toml"), [], None)
    assert caught.value.problem == "batch has no options"


def test_a_range_that_goes_on_behind_its_edge() -> None:
    rate = Parameter("learning_rate", "real", 0.001, 0.1, log=True)
    assert rate.edge(0.001) == rate.edge(0.0015) == "low"
    assert rate.edge(0.01) is None
    assert rate.edge(0.099) == "high"
    wider = rate.widened("high")
    assert wider is not None
    assert wider.high == pytest.approx(0.3)
    # A share ends at 1, and a hole of the text where it is said to end.
    assert Parameter("warmup", "real", 0.5, 0.9).widened("high") is None
    assert Parameter("net.conv.channels", "whole", 4, 8, net=True).widened("high") is None


def outcomes() -> list[Outcome]:
    """27 trials: learning rates above 0.1 diverge, those near 0.02 are best, the batch does nothing."""
    rates = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.2, 0.5, 1.0]
    scores = [0.5, 0.6, 0.7, 0.9, 0.95, 0.85, None, None, None]
    return [
        Outcome(
            {"learning_rate": rate, "batch": batch},
            None if s is None else s + 0.001 * at,
            s is not None,
            "" if s is not None else "nan" if rate > 0.2 else "rate-too-high",
        )
        for at, batch in enumerate((16, 32, 64))
        for rate, s in zip(rates, scores, strict=True)
    ]


SPACE = (
    Parameter("learning_rate", "real", 0.001, 1.0, log=True),
    Parameter("batch", "option", options=(16, 32, 64)),
)


def test_the_words_of_a_stage() -> None:
    assert describe_stage(SPACE, outcomes()) == [
        "learning rates above 0.05 diverged in 9 of 9 (nan 6, rate-too-high 3)",
        "learning rate: between 0.01 and 0.02 lie the best four of 27",
        "batch made no difference that 27 trials show",
    ]
    assert describe_stage(SPACE, outcomes()[:5]) == []
    # Of those with a learning rate of 0.2 none was ended, and none learned.
    some = [
        replace(each, metric=0.1, lost="") if each.values["learning_rate"] == 0.2 else each
        for each in outcomes()
    ]
    assert (
        describe_stage(SPACE, some)[0]
        == "learning rates above 0.05 diverged or learned nothing in 9 of 9 (nan 6)"
    )


def test_what_is_left_of_a_space() -> None:
    rate, batch = narrowed(SPACE, outcomes())
    assert 0.003 < rate.low < 0.01
    assert 0.05 < rate.high < 0.1
    assert batch == SPACE[1]
    weights = importance(SPACE, outcomes())
    assert weights["learning_rate"] > 0.5
    assert weights["batch"] == 0
