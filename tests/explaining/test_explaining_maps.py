"""Every map against what is known by hand, against Captum, and against networks that were not trained."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from explaining.conftest import one, subject
from striate.explaining.attribution import integrated_gradients, occlusion
from striate.explaining.class_map import class_map, grad_cam, on_image
from striate.explaining.confidence import Method, areas, confidence, rank_correlation
from striate.explaining.layers import find_at, find_head, stages
from striate.explaining.maps import feature_maps, sights
from striate.explaining.subject import Subject

RESIDUAL = """conv 6 3x3 -> bn -> relu -> maxpool 2
-> block: add { conv 6 3x3 -> bn -> relu -> conv 6 3x3 | identity } -> relu -> conv 8 3x3 stride 2 -> relu"""


def set_weights(net: torch.nn.Module, values: dict[str, list[float]]) -> None:
    """Weights by their names, row by row."""
    own = dict(net.named_parameters())
    for name, numbers in values.items():
        own[name].data.copy_(torch.tensor(numbers).reshape(own[name].shape))


def test_the_class_map_behind_a_mean_by_hand() -> None:
    made = subject("conv 2 1x1 nobias -> relu -> pool avg -> fc classes", (1, 2, 2), 2)
    set_weights(made.net, {"0.weight": [1, -1], "3.weight": [2, 3, 0, 1], "3.bias": [0.5, 0]})
    x = torch.tensor([[[[1.0, -2.0], [0.0, 4.0]]]])
    head = find_head(made.layout)
    assert head is not None
    assert (head.at.path, head.fc, head.averages) == ("1", "3", True)
    found = class_map(made.net, x, head, one(2, 0))
    # 2 max(x, 0) + 3 max(-x, 0)
    assert found.values.tolist() == [[2.0, 6.0], [0.0, 8.0]]
    assert (found.bias, found.logit, found.total) == (0.5, 4.5, 4.5)
    against = class_map(made.net, x, head, one(2, 0, against=1))
    assert against.values.tolist() == [[2.0, 4.0], [0.0, 8.0]]
    assert (against.bias, against.total) == (0.5, against.logit)


def test_the_class_map_of_an_fc_that_reads_the_maps_by_hand() -> None:
    made = subject("conv 1 1x1 nobias -> flatten -> dropout 0.5 -> fc classes", (1, 2, 2), 2)
    set_weights(made.net, {"0.weight": [3], "3.weight": [1, 2, 3, 4, 0, 0, 0, 0], "3.bias": [1, 0]})
    head = find_head(made.layout)
    assert head is not None
    assert (head.at.path, head.averages) == ("0", False)
    found = class_map(made.net, torch.tensor([[[[1.0, 1.0], [0.0, -1.0]]]]), head, one(2, 0))
    assert found.values.tolist() == [[3.0, 6.0], [0.0, -12.0]]
    assert (found.bias, found.total, found.logit) == (1.0, -2.0, -2.0)


def test_the_class_map_behind_a_maximum_by_hand() -> None:
    made = subject("conv 2 1x1 nobias -> pool max -> fc classes", (1, 2, 2), 2)
    set_weights(made.net, {"0.weight": [1, -1], "2.weight": [2, 3, 0, 1], "2.bias": [0.5, 0]})
    head = find_head(made.layout)
    assert head is not None
    found = class_map(made.net, torch.tensor([[[[1.0, -2.0], [0.0, 4.0]]]]), head, one(2, 0))
    # The first map is largest at 4, the second at 2, where the image is -2.
    assert found.values.tolist() == [[0.0, 6.0], [0.0, 8.0]]
    assert (found.total, found.logit, found.adds_up) == (14.5, 14.5, True)


ADDING_UP = [
    f"{RESIDUAL} -> pool avg -> fc classes",
    f"{RESIDUAL} -> avgpool 4 -> flatten -> dropout 0.5 -> fc classes nobias",
    f"{RESIDUAL} -> conv classes 1x1 -> relu -> pool avg -> flatten -> softmax",
    f"{RESIDUAL} -> fc classes",
    f"{RESIDUAL} -> pool max -> fc classes",
    f"{RESIDUAL} -> conv classes 1x1 -> maxpool 4 -> flatten",
]


@pytest.mark.parametrize("text", ADDING_UP)
@pytest.mark.parametrize("against", [None, 2])
def test_exact_class_maps_add_up_to_the_logit(text: str, against: int | None) -> None:
    made = subject(text, (2, 16, 16))
    head = find_head(made.layout)
    assert head is not None
    assert head.at.shape[1:] == (4, 4)
    found = class_map(made.net, torch.randn(1, 2, 16, 16), head, one(3, 1, against))
    assert found.total == pytest.approx(found.logit, abs=1e-5)


@pytest.mark.parametrize(
    "end", ["fc 5 -> relu -> fc classes", "pool max -> relu -> fc classes", "pool avg 2 -> fc 4 -> fc classes", "pool avg -> relu -> fc classes"]
)  # fmt: skip
def test_other_ends_have_no_exact_class_map(end: str) -> None:
    assert find_head(subject(f"{RESIDUAL} -> {end}", (2, 16, 16)).layout) is None


def test_grad_cam_of_a_mean_is_the_positive_part_of_the_class_map() -> None:
    """Selvaraju et al. 2017, section 3.1: a[c] = w[c] / (H W)."""
    made = subject(f"{RESIDUAL} -> pool avg -> fc classes", (2, 16, 16))
    head, x = find_head(made.layout), torch.randn(1, 2, 16, 16)
    assert head is not None
    exact = class_map(made.net, x, head, one(3, 2)).values
    found = grad_cam(made.net, x, head.at.path, one(3, 2))
    np.testing.assert_allclose(found, np.maximum(exact, 0) / 16, atol=1e-6)


def test_what_is_linear_is_taken_apart_exactly() -> None:
    """Of logit = sum of w x, integrated gradients and covering single pixels are w x, all channels of a pixel added."""
    made = subject("fc classes", (2, 3, 4), 2)
    x = torch.randn(1, 2, 3, 4)
    weight = dict(made.net.named_parameters())["0.weight"].detach()[1].reshape(2, 3, 4)
    by_hand = (weight * x[0]).sum(dim=0).numpy()
    found = integrated_gradients(made.net, x, one(2, 1), steps=2, group=1)
    np.testing.assert_allclose(found.values, by_hand, atol=1e-6)
    assert found.error < 1e-5
    covered = occlusion(made, x, one(2, 1), window=(1, 1), stride=(1, 1))
    np.testing.assert_allclose(covered, by_hand, atol=1e-5)


def test_integrated_gradients_are_complete_with_many_steps() -> None:
    made = subject(f"{RESIDUAL} -> fc 8 -> sigmoid -> fc classes", (2, 16, 16))
    x = 5 * torch.randn(1, 2, 16, 16)
    few, many = (integrated_gradients(made.net, x, one(3, 0), steps=steps, group=7) for steps in (1, 400))
    assert many.error < 0.005 < few.error
    assert many.total == pytest.approx(float(many.values.sum()), abs=1e-4)


CAPTUM = "captum is not installed: pip install captum"


@pytest.mark.parametrize(
    "text", [f"{RESIDUAL} -> pool avg -> fc classes", f"{RESIDUAL} -> fc 8 -> tanh -> fc classes"]
)
def test_as_captum_has_it(text: str) -> None:
    attr = pytest.importorskip("captum.attr", reason=CAPTUM)
    made = subject(text, (2, 16, 16))
    x = torch.randn(1, 2, 16, 16)
    ours = integrated_gradients(made.net, x, one(3, 1), steps=20, group=6)
    theirs = attr.IntegratedGradients(made.net).attribute(x, target=1, n_steps=20, method="gausslegendre")
    np.testing.assert_allclose(ours.values, theirs.sum(dim=1)[0].detach().numpy(), atol=1e-5)
    covered = occlusion(made, x, one(3, 1), window=(5, 4), stride=(3, 2))
    theirs = attr.Occlusion(made.net).attribute(
        x, target=1, sliding_window_shapes=(2, 5, 4), strides=(2, 3, 2), baselines=0
    )
    np.testing.assert_allclose(covered, theirs[0, 0].numpy(), atol=1e-5)
    for path in ("block", "6", "3"):
        module = made.net.part(path)
        theirs = attr.LayerGradCam(made.net, module).attribute(x, target=1, relu_attributions=True)
        found = grad_cam(made.net, x, path, one(3, 1))
        np.testing.assert_allclose(found, theirs[0, 0].detach().numpy(), atol=1e-6)


def test_a_comparison_with_captum_can_fail() -> None:
    made = subject(f"{RESIDUAL} -> pool avg -> fc classes", (2, 16, 16))
    x = torch.randn(1, 2, 16, 16)
    one_class, other = (integrated_gradients(made.net, x, one(3, each), steps=20, group=6) for each in (0, 1))
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(one_class.values, other.values, atol=1e-5)


def test_a_map_is_spread_evenly_over_the_image() -> None:
    values = np.array([[0, 4], [8, 12]], dtype=np.float32)
    laid = on_image(values, (4, 4))
    # The middle of each value's quarter lies between pixels: a quarter of the way to the next value.
    assert laid[0].tolist() == [0, 1, 3, 4]
    assert laid[:, 0].tolist() == [0, 2, 6, 8]
    assert on_image(laid, (4, 4)) is laid


def test_what_a_unit_sees_by_hand() -> None:
    made = subject("conv 1 3x3 nobias -> conv 1 3x3 nobias dilate 2 -> fc classes", (1, 9, 9))
    weights = {"0.weight": [0, 0, 0, 0, 1, 0, 0, 0, 0], "1.weight": [0, 0, 0, 1, 2, -1, 0, 0, 0]}
    set_weights(made.net, weights)
    first, second = sights(made.net, torch.randn(1, 1, 9, 9), [find_at(made.layout, each) for each in "01"])
    assert (first.unit, first.box, first.side) == ((4, 4), (3, 3, 3, 3), 1)
    # Reached can be 7x7; weights that are not zero lie in the middle row, two pixels apart.
    assert (second.box, second.side) == ((1, 1, 7, 7), 5)
    assert second.values[4].tolist() == [0, 0, 1, 0, 2, 0, 1, 0, 0]
    assert second.values.sum() == 4


def test_a_unit_behind_a_dead_layer_sees_nothing() -> None:
    made = subject("conv 1 3x3 nobias -> relu -> fc classes", (1, 5, 5))
    set_weights(made.net, {"0.weight": [-1] * 9})
    (seen,) = sights(made.net, torch.ones(1, 1, 5, 5), [find_at(made.layout, "1")])
    assert (seen.side, float(seen.values.max())) == (0, 0.0)


def test_feature_maps_are_the_strongest_first() -> None:
    made = subject("conv 3 1x1 nobias -> fc classes", (1, 4, 4))
    set_weights(made.net, {"0.weight": [1, -3, 0]})
    (found,) = feature_maps(made.net, torch.ones(1, 1, 4, 4), [find_at(made.layout, "0")])
    assert (found.channels, found.silent) == ((1, 0, 2), 1)
    assert found.values[:, 0, 0].tolist() == [-3, 1, 0]


STAGES = [
    (RESIDUAL, ["2", "5", "7"]),
    ("conv 4 3x3 -> relu -> maxpool 2 -> conv 4 3x3 -> bn -> relu -> maxpool 2 -> dropout 0.5", ["1", "5"]),
    ("stem: [conv 4 3x3] -> a: concat { conv 2 1x1 | conv 2 3x3 } -> pool avg", ["a"]),
    ("flatten -> fc 5 -> relu", []),
]


@pytest.mark.parametrize(("text", "paths"), STAGES)
def test_the_last_maps_of_each_size(text: str, paths: list[str]) -> None:
    assert [at.path for at in stages(subject(f"{text} -> fc classes", (2, 16, 16)).layout)] == paths


def corner() -> tuple[Subject, torch.Tensor]:
    """A network that answers by the brightness of the upper left quarter alone, and a bright image."""
    made = subject("avgpool 4 -> fc classes", (1, 8, 8), 2)
    set_weights(made.net, {"1.weight": [2, 0, 0, 0, 0, 0, 0, 0], "1.bias": [-1, 0]})
    return made, torch.ones(1, 1, 8, 8)


def test_deletion_and_insertion_of_a_map_that_is_right_wrong_and_random() -> None:
    made, x = corner()
    right = np.zeros((8, 8), dtype=np.float32)
    right[:4, :4] = 1
    good, bad = areas(made, x, 0, right), areas(made, x, 0, 1 - right)
    noise = [
        areas(made, x, 0, np.random.default_rng(seed).random((8, 8), dtype=np.float32)) for seed in range(5)
    ]
    assert all(good[0] < each[0] < bad[0] for each in noise)
    # By hand: the probability falls from e / (e + 1) to 1 / (e + 1), over the first quarter of the pixels.
    assert good[0] == pytest.approx(0.375 * 1 / (np.e + 1) * 2 + 0.125, abs=0.06)
    # Blurred or not, this image is the same.
    assert good[1] == pytest.approx(np.e / (np.e + 1), abs=1e-3)


def test_a_map_depends_on_the_weights_of_every_layer() -> None:
    made = subject(f"{RESIDUAL} -> pool avg -> fc classes", (2, 16, 16))
    x, head = torch.randn(1, 2, 16, 16), find_head(made.layout)
    assert head is not None
    before = {name: each.clone() for name, each in made.net.state_dict().items()}
    exact = head
    learned = Method("class-map", "Class map", head.at, lambda s, x, t: class_map(s.net, x, exact, t).values)
    edges = Method(
        "edges", "Edges", None, lambda s, x, t: (x[0, 0].diff(dim=0, append=x[0, 0, :1])).abs().numpy()
    )
    known, fooled = (
        confidence(made, x, one(3, 0), each, each.compute(made, x, one(3, 0))) for each in (learned, edges)
    )
    assert [share for share, _ in known.likeness] == sorted(share for share, _ in known.likeness)
    assert abs(known.likeness[-1][1]) < 0.7
    # What ignores the network is found out.
    assert [alike for _, alike in fooled.likeness] == pytest.approx([1.0] * 5)
    assert all(torch.equal(each, before[name]) for name, each in made.net.state_dict().items())


def test_rank_correlation_by_hand() -> None:
    ranks = np.array([1, 2, 3, 4], dtype=np.float32)
    assert rank_correlation(ranks, ranks**3) == pytest.approx(1)
    assert rank_correlation(ranks, -ranks) == pytest.approx(-1)
    assert rank_correlation(ranks, np.zeros(4, dtype=np.float32)) == 0
    # Ranks 1, 2.5, 2.5, 4 against 1, 2, 3, 4: covariance 4.5, variances 4.5 and 5.
    tied = np.array([0, 5, 5, 9], dtype=np.float32)
    assert rank_correlation(ranks, tied) == pytest.approx(4.5 / np.sqrt(4.5 * 5))
