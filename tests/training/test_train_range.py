"""The learning-rate range test, and arrangements tried on the machine."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from striate.errors import RecipeError
from striate.modules.module import build
from striate.modules.nn.depthwise import Conv2d
from striate.net.layout.layout import lay
from striate.net.notation.reader import read_text
from striate.net.shape import Map
from striate.progress import Silence
from striate.recipe.keys import read_recipe
from striate.training import layout
from striate.training.job import prepare
from striate.training.layout import ALIKE, ARRANGEMENTS, IM2COL, apply_layout, tune
from striate.training.loop.loop import Diverged, Stopped
from striate.training.loop.prepared import Prepared
from striate.training.lr_range import HIGHEST, LOWEST, range_test, read_range
from training.jobs import Ear

FIXED = {"precision": "fp32", "layout": "contiguous"}


def test_steepest_and_lowest_by_hand() -> None:
    rates = tuple(10.0**k for k in range(-5, 1))
    found = read_range(rates, (2.0, 2.0, 1.5, 0.5, 0.4, 3.0))
    # Slopes over ln rate, times ln 10: (0, -.25, -.75, -.55, 1.25, 2.6); the lowest loss is at 0.1.
    assert (found.steepest, found.lowest) == (1e-3, 1e-1)
    assert found.suggested == pytest.approx(1e-2)


def test_rates_rise_by_one_factor(arrays: Path) -> None:
    made = prepare(
        arrays,
        network=read_text("conv 8 3x3 -> bn -> relu -> pool avg -> fc classes"),
        recipe=read_recipe(None, given=FIXED),
        device="cpu",
        strict=False,
        watch=Silence(),
    )
    found = range_test(made, steps=60, watch=Silence())
    factor = (HIGHEST / LOWEST) ** (1 / 59)
    assert found.rates[0] == LOWEST
    ratios = [b / a for a, b in zip(found.rates, found.rates[1:], strict=False)]
    assert ratios == pytest.approx([factor] * len(ratios))
    assert all(math.isfinite(loss) for loss in found.losses)
    assert 1e-5 < found.suggested < 1
    assert min(found.losses) < 0.9 * found.losses[0]


def prepared(arrays: Path, net: str, **keys: object) -> Prepared:
    return prepare(
        arrays, network=read_text(net), recipe=read_recipe(None, given={**FIXED, **keys}), device="cpu",
        strict=False, watch=Silence(),
    )  # fmt: skip


def test_a_first_step_that_is_lost_is_told(arrays: Path) -> None:
    made = prepared(arrays, "conv 8 3x3 -> relu -> pool avg -> fc classes")
    with torch.no_grad():
        next(made.net.parameters()).fill_(float("inf"))
    with pytest.raises(Diverged) as caught:
        range_test(made, steps=10, watch=Silence())
    assert str(caught.value) == (
        "the first step is lost already: the loss is nan, the gradient's length nan\n"
        "  expected: finite numbers at the lowest rate\n"
        "  try: --set initial=auto, or a network with bn"
    )


def test_a_test_that_was_stopped_tells_nothing(arrays: Path) -> None:
    made = prepared(arrays, "conv 8 3x3 -> relu -> pool avg -> fc classes")
    with pytest.raises(Stopped, match="stopped before the end: there is no result"):
        range_test(made, steps=30, watch=Ear(stop_at=5))


def test_a_part_that_is_frozen_has_no_range(arrays: Path) -> None:
    made = prepared(arrays, "conv 8 3x3 -> relu -> pool avg -> head: fc classes", freeze="body")
    with pytest.raises(RecipeError, match="a part is frozen, and the rates of what is left"):
        range_test(made, steps=30, watch=Silence())


def test_tuning_leaves_everything_as_it_was(arrays: Path) -> None:
    made = prepare(
        arrays,
        network=read_text("conv 8 3x3 -> bn -> relu -> dropout 0.5 -> fc classes"),
        recipe=read_recipe(None, given=FIXED),
        device="cpu",
        strict=False,
        watch=Silence(),
    )
    before = {name: tensor.clone() for name, tensor in made.net.state_dict().items()}
    chance = torch.get_rng_state()
    trials = tune(
        made.net, Map(1, 12, 12), 8, torch.device("cpu"), precision="auto", layout="auto", backward=True
    )
    # The first of their order that is as fast as the fastest, then the others by time.
    fastest = min(trial.step_s for trial in trials)
    alike = [trial.arrangement for trial in trials if trial.step_s <= ALIKE * fastest]
    assert trials[0].arrangement == min(alike, key=ARRANGEMENTS.index)
    assert [trial.step_s for trial in trials[1:]] == sorted(trial.step_s for trial in trials[1:])
    assert torch.equal(torch.get_rng_state(), chance)
    assert all(torch.equal(tensor, before[name]) for name, tensor in made.net.state_dict().items())
    assert all(parameter.grad is None for parameter in made.net.parameters())
    only = tune(
        made.net,
        Map(1, 12, 12),
        8,
        torch.device("cpu"),
        precision="fp32",
        layout="contiguous",
        backward=False,
    )
    assert [str(trial.arrangement) for trial in only] == ["fp32 contiguous"]


@pytest.mark.parametrize(
    ("im2col_s", "contiguous_s", "taken"),
    [
        (0.96, 1.2, "channels_last"),
        (0.94, 1.2, IM2COL),
        (0.8, 1.2, IM2COL),
        (1.0, 0.9, "channels_last"),
        (0.9, 0.8, IM2COL),
        (1.0, 0.8, "contiguous"),
    ],
)
def test_matrix_products_are_taken_where_they_are_faster(
    im2col_s: float, contiguous_s: float, taken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = {"channels_last": 1.0, IM2COL: im2col_s, "contiguous": contiguous_s}
    monkeypatch.setattr(layout, "_time", lambda net, x, labels, each, most_s: times[each.layout])
    net = build(lay(read_text("conv 64 3x3 -> conv 64 3x3 -> pool avg -> fc classes"), Map(3, 8, 8), 2))
    keys = {"precision": "fp32", "layout": "auto"}
    found = tune(net, Map(3, 8, 8), 2, torch.device("cpu"), **keys, backward=True)
    assert found[0].arrangement == ("fp32", taken)
    assert len(found) == 3
    # Without a backward pass there is nothing to choose.
    assert len(tune(net, Map(3, 8, 8), 2, torch.device("cpu"), **keys, backward=False)) == 2
    for each in (IM2COL, "channels_last"):
        convolutions = [module for module in apply_layout(net, each).modules() if isinstance(module, Conv2d)]
        assert [module.im2col for module in convolutions] == [each == IM2COL] * 2
        assert convolutions[1].weight.is_contiguous(memory_format=torch.channels_last)


def test_arranged_weights(arrays: Path) -> None:
    kernel = torch.nn.Conv2d(8, 8, 3)
    apply_layout(kernel, "channels_last")  # type: ignore[arg-type]
    assert kernel.weight.is_contiguous(memory_format=torch.channels_last)
    apply_layout(kernel, "contiguous")  # type: ignore[arg-type]
    assert kernel.weight.is_contiguous()
