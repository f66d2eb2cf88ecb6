"""Layers at work: figures against sums by hand, what is named, and a network that stays as it was."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import striate
from striate.data.gather import gather
from striate.errors import StriateError
from striate.explaining.activations import with_activation
from striate.modules.initial import initialize
from striate.modules.module import build
from striate.net.notation.reader import read_text
from striate.net.notation.writer import write_text
from striate.predict.normalize import Feeder, default_normalization
from striate.predict.trained import Trained
from striate.recipe.keys import read_recipe
from striate.report.activations import Activations, Moment, histogram, scale, shown_layers, sparkline
from training.drawn import write_arrays

DEEP = "conv 8 3x3 -> tanh -> [conv 8 3x3 -> tanh] x5 -> pool avg -> fc classes"
NET = "conv 4 3x3 -> bn -> relu -> maxpool 2 -> fc classes"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("run")
    keys = {"epochs": 2, "precision": "fp32", "layout": "contiguous", "batch": 32, "seed": 1}
    return striate.train(write_arrays(folder / "bars.npz"), net=NET, out=folder / "run", **keys)


def test_figures_are_those_of_the_layer(tmp_path: Path) -> None:
    source = write_arrays(tmp_path / "bars.npz")
    found = striate.look(
        "conv 4 3x3 -> relu -> conv 4 3x3 -> relu6 -> fc classes", source, initial="large", images=20
    )
    (variant,) = found.variants
    assert [each.path for each in variant.layers] == ["1", "3", "4"]
    data = gather(source)
    preparation = default_normalization(data, read_recipe(None))
    net = build(striate.read("conv 4 3x3 -> relu -> conv 4 3x3 -> relu6 -> fc classes").lay((1, 12, 12), 3))
    initialize(net, initial="large", generator=torch.Generator().manual_seed(0))
    x = Feeder(preparation, torch.device("cpu")).images(
        np.ascontiguousarray(data.train.images[:: 108 // 20][:20])
    )
    with torch.no_grad():
        first = torch.relu(net.part("0")(x))
        second = net.part("2")(first).clamp(0, 6)
    assert variant.spread == pytest.approx(float(x.std(unbiased=False)), rel=1e-5)
    for layer, values in zip(variant.layers, (first, second), strict=False):
        assert layer.mean == pytest.approx(float(values.mean()), rel=1e-4)
        assert layer.std == pytest.approx(float(values.std(unbiased=False)), rel=1e-4)
        assert layer.zero == pytest.approx(float((values == 0).float().mean()), abs=1e-3)
        assert (layer.low, layer.high) == pytest.approx((float(values.min()), float(values.max())), rel=1e-4)
    assert variant.layers[0].saturated is None
    assert variant.layers[1].saturated == pytest.approx(float((second >= 5.999).float().mean()), abs=1e-3)


def test_small_weights_shrink_large_ones_saturate_or_grow(tmp_path: Path) -> None:
    source = write_arrays(tmp_path / "bars.npz")
    found = striate.look(DEEP, source, initial=["small", "xavier", "large"], activation=["tanh", "relu"])
    codes = {each.name: [code for code, _ in each.findings()] for each in found.variants}
    assert codes == {
        "small, tanh": ["shrinking"],
        "xavier, tanh": [],
        "large, tanh": ["saturated"],
        "small, relu": ["shrinking"],
        "xavier, relu": codes["xavier, relu"],
        "large, relu": ["growing"],
    }
    text = str(found)
    assert text.startswith("small, tanh: shrinking: std 1 in the images, ")
    assert "large, tanh: saturated: " in text
    page = found.page()
    assert page.startswith("<!doctype html>")
    for each in found.variants:
        assert f"<h2>{each.name}</h2>" in page
    assert '<span class="bad">shrinking</span>: std 1 in the images' in page


def test_overflow_is_named_where_it_begins(tmp_path: Path) -> None:
    source = write_arrays(tmp_path / "bars.npz")
    text = "[conv 64 3x3 -> relu] x40 -> pool avg -> fc classes"
    (variant,) = striate.look(text, source, initial="large", images=4).variants
    ((code, said),) = variant.findings()
    lost = next(each for each in variant.layers if not each.finite)
    assert (code, said) == ("infinite", f"from {lost.path} on, values overflow")
    record = Activations("n", "d", 4, False, (variant,)).to_record()
    assert record["variants"][0]["layers"][-1]["std"] is None


def test_a_run_with_its_first_and_best_weights(run: Trained) -> None:
    found = striate.look(run)
    assert [each.name for each in found.variants][:2] == [
        "first weights",
        f"best weights, epoch {run.record.result.best_epoch + 1}",
    ]
    assert found.trained
    # What the training noted of the same layers, from its first step on.
    assert found.history[0].epochs == 0
    assert all(set(each.layers) >= {"2", "4"} for each in found.history)
    later = replace(found, history=(*found.history, Moment(2.0, found.history[0].layers)))
    assert "<h2>While it trained</h2>" in later.page()
    assert [each.path for each in found.variants[0].layers] == ["2", "4"]
    assert [code for each in found.variants for code, _ in each.findings()] == []


def test_dead_units_are_seen(run: Trained) -> None:
    net = striate.load(run.run.path)
    norm = net.net.part("1")
    with torch.no_grad():
        norm.weight[:3] = 0
        norm.bias[:3] = -1
    best = striate.look(net).variants[1]
    assert best.layers[0].dead == 0.75
    assert best.sentence() == "dead: 75% of the units of 2"


def test_the_network_stays_as_it_was(run: Trained) -> None:
    before = {name: each.clone() for name, each in run.net.state_dict().items()}
    run.net.eval()
    state = torch.random.get_rng_state()
    striate.look(run)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert not run.net.training
    assert all(not module._forward_hooks for module in run.net.modules())
    assert all(torch.equal(each, before[name]) for name, each in run.net.state_dict().items())


def test_activations_are_replaced_everywhere() -> None:
    text = "let unit(c) = conv c 3x3 -> relu; unit(4) -> add { conv 4 -> gelu | identity } -> aux { pool avg -> fc 8 -> elu 0.5 -> fc classes } -> [leaky 0.1] x2 -> maxout 2 -> fc classes"
    changed = write_text(with_activation(read_text(text), "tanh"))
    assert changed.count("tanh") == 4
    assert "maxout" in changed
    assert not any(word in changed for word in ("relu", "gelu", "elu", "leaky"))


def test_histograms_count_what_lies_beyond(run: Trained) -> None:
    layer = striate.look(run).variants[0].layers[0]
    shares, (below, above) = histogram(layer, 0.0, float(np.quantile(layer.sample, 0.9)), 10)
    assert below == 0
    assert above == pytest.approx(0.1, abs=0.01)
    assert shares.sum() == pytest.approx(1 - float((layer.sample == 0).mean()))
    low, high = scale(striate.look(run).variants[0])
    assert len(sparkline(layer, low, high)) == 15


def test_of_many_layers_some_are_drawn(tmp_path: Path) -> None:
    (variant,) = striate.look(DEEP, write_arrays(tmp_path / "bars.npz"), images=2).variants
    assert [each.path for each in shown_layers(variant, 3)] == ["1", "2.1.1", "2.4.1"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"net": DEEP, "activation": "rulu"},
         "--activation: `rulu` is no activation that can stand for another\n"
         "  expected: one of relu, relu6, leaky, prelu, elu, sigmoid, tanh, gelu, silu\n"
         "  try: --activation relu"),
        ({"net": "pool avg"},
         "look: the network has neither an activation nor weights\n"
         "  expected: layers whose outputs can be looked at\n"
         "  try: conv 32 3x3 -> relu -> fc classes"),
        ({"net": DEEP, "images": 1},
         "--images: 1 image is too few\n  expected: at least 2\n  try: --images 64"),
        ({"net": "resnet18", "data": None},
         "look: resnet18 is a network, and there are no images to look at it with\n"
         "  expected: a network and images, or a run\n"
         "  try: striate look resnet18 DATA"),
        ({"net": "nosuch", "data": None},
         "nosuch: there is no such run\n"
         "  expected: a folder with run.json in it, as `striate train` leaves it\n"
         "  try: striate runs, which lists them"),
    ],
)  # fmt: skip
def test_errors(given: dict[str, object], said: str, tmp_path: Path) -> None:
    call = {"data": write_arrays(tmp_path / "bars.npz"), **given}
    with pytest.raises(StriateError) as caught:
        striate.look(call.pop("net"), call.pop("data"), **call)
    assert str(caught.value) == said


def test_a_run_has_its_own_weights(run: Trained) -> None:
    with pytest.raises(StriateError) as caught:
        striate.look(run, initial="he")
    path = run.run.quoted
    assert str(caught.value) == (
        "--initial: a run has its own\n"
        "  expected: a run alone, or a network and images\n"
        f"  try: leave out --initial; or striate look {path}/net.txt DATA --initial ..."
    )


def test_a_run_without_its_data(run: Trained, tmp_path: Path) -> None:
    source = Path(run.record.source)
    moved = source.rename(tmp_path / "moved.npz")
    try:
        with pytest.raises(StriateError) as caught:
            striate.look(run)
        assert str(caught.value) == (
            f"{run.run.path}: the data are not at {source} any more\n"
            "  expected: the images of the run, or others\n"
            f"  try: striate look {run.run.quoted} DATA"
        )
        assert striate.look(run, moved).images == 64
    finally:
        moved.rename(source)
