"""A network is filled, the report says what became of each tensor, and nothing is guessed."""

from __future__ import annotations

import pytest
import torch
from networks_for_weights import (
    NAMES,
    TEXT,
    State,
    in_order,
    net_of,
    random_state,
    renamed,
    require_filled,
    zoo,
)
from published_names import CHECKPOINTS, saved

from striate.weights.match import Report, fill


def test_layers_in_order_need_no_names() -> None:
    net = net_of(TEXT, (3, 8, 8))
    state = random_state(net)
    report = fill(net, renamed(state, NAMES))
    require_filled(net, state)
    assert report == Report(layers=4, numbers=108 + 16 + 148 + 50, left=(), unused=())
    assert report.line() == "4 layers filled, 322 numbers"


def test_the_networks_own_names_need_no_order() -> None:
    text = "c: conv 4 3x3 -> b: conv 4 3x3 -> a: conv 4 3x3 -> pool avg -> head: fc classes"
    net = net_of(text, (4, 8, 8))
    state = random_state(net)
    fill(net, in_order(state))
    require_filled(net, state)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_real_types_are_converted(dtype: torch.dtype) -> None:
    net = net_of(TEXT, (3, 8, 8))
    state = {name: tensor.to(dtype) if tensor.ndim else tensor for name, tensor in random_state(net).items()}
    fill(net, renamed(state, NAMES))
    require_filled(net, state)
    assert net.state_dict()["a.weight"].dtype == torch.float32


def test_a_matrix_fills_a_1x1_convolution_and_the_reverse() -> None:
    net = net_of("a: conv 4 1x1 -> pool avg -> head: fc classes", (3, 8, 8))
    state = random_state(net)
    given = {
        "x.weight": state["a.weight"].reshape(4, 3),
        "x.bias": state["a.bias"],
        "y.weight": state["head.weight"].reshape(10, 4, 1, 1),
        "y.bias": state["head.bias"],
    }
    fill(net, given)
    require_filled(net, state)


def test_a_convolution_over_the_whole_map_fills_a_fully_connected_layer() -> None:
    net = net_of("a: conv 4 3x3 -> hidden: fc 5 -> relu -> head: fc classes", (3, 6, 6))
    state = random_state(net)
    given = renamed(state, {"a": "a", "hidden": "b", "head": "c"})
    given["b.weight"] = given["b.weight"].reshape(5, 4, 6, 6)
    fill(net, given)
    require_filled(net, state)


def test_factors_and_slopes_find_their_place() -> None:
    text = "a: conv 4 3x3 -> b: prelu -> c: scale 1e-6 -> d: ln -> pool avg -> head: fc classes"
    net = net_of(text, (3, 6, 6))
    state = random_state(net)
    given = renamed(state, {"a": "l.0", "b": "l.1", "c": "l.gamma", "d": "l.2", "head": "l.4"})
    given["l.gamma"] = given.pop("l.gamma.weight").reshape(4, 1, 1)
    listed = [
        "l.0.weight",
        "l.0.bias",
        "l.1.weight",
        "l.gamma",
        "l.2.weight",
        "l.2.bias",
        "l.4.weight",
        "l.4.bias",
    ]
    fill(net, {name: given[name] for name in listed})
    require_filled(net, state)


def test_locally_connected_layers_are_filled_as_they_are() -> None:
    net = net_of("a: local 2 3x3 valid -> head: fc classes", (3, 6, 6))
    state = random_state(net)
    fill(net, renamed(state, {"a": "x", "head": "y"}))
    require_filled(net, state)


def test_convolutions_first_and_norms_behind_find_their_places() -> None:
    text = "conv 4 3x3 nobias -> bn -> conv 4 3x3 nobias -> bn -> conv 4 3x3 nobias -> bn -> pool avg -> fc classes"
    net = net_of(text, (4, 8, 8))
    state = random_state(net)
    names = {str(at): f"norms.{at // 2}" if at % 2 else f"convs.{at // 2}" for at in range(6)}
    given = renamed(state, {**names, "7": "head"})
    listed = sorted(given, key=lambda name: ("convs", "norms", "head").index(name.partition(".")[0]))
    fill(net, {name: given[name] for name in listed})
    require_filled(net, state)


def test_norms_without_a_trained_gamma_are_filled_too() -> None:
    net = net_of("bn nogamma -> conv 4 3x3 nobias -> bn nogamma -> pool avg -> fc classes", (3, 8, 8))
    state = random_state(net)
    fill(net, renamed(state, {"0": "a", "1": "b", "2": "c", "4": "head"}))
    require_filled(net, state)


def test_tensors_that_are_no_weights_are_left_out() -> None:
    net = net_of(TEXT, (3, 8, 8))
    state = random_state(net)
    more = {"total_ops": torch.tensor(3.0, dtype=torch.float64), "a.index": torch.arange(5)}
    report = fill(net, {**renamed(state, NAMES), **more})
    require_filled(net, state)
    assert report.line() == "4 layers filled, 322 numbers; not used: total_ops, a.index"


def test_ten_comes_behind_nine_in_a_sorted_file() -> None:
    net = net_of("[conv 4 3x3 -> relu] x12 -> pool avg -> fc classes", (4, 8, 8))
    state = random_state(net)
    names = {f"0.{at}.0": f"features.{2 * at}" for at in range(12)}
    fill(net, in_order(renamed(state, {**names, "2": "fc"})))
    require_filled(net, state)


def test_a_thousand_layers_side_by_side_take_a_moment() -> None:
    net = net_of("scale 1e-6 x1000 -> pool avg -> fc classes", (4, 2, 2))
    state = random_state(net)
    names = {f"0.{at}": f"s{at}" for at in range(1000)}
    fill(net, in_order(renamed(state, {**names, "2": "fc"})))
    require_filled(net, state)


def test_a_classifier_of_other_classes_can_be_left_as_it_was() -> None:
    net = net_of(TEXT, (3, 8, 8), classes=3)
    head = net.state_dict()["head.weight"].clone()
    state = random_state(net_of(TEXT, (3, 8, 8)))
    report = fill(net, renamed(state, NAMES), skip_head=True)
    assert torch.equal(net.state_dict()["head.weight"], head)
    assert torch.equal(net.state_dict()["c.weight"], state["c.weight"])
    assert report.line() == (
        "3 layers filled, 272 numbers; kept at initialization: head; not used: last.weight, last.bias"
    )


def test_with_the_networks_own_names_too() -> None:
    net = net_of(TEXT, (3, 8, 8), classes=3)
    state = random_state(net_of(TEXT, (3, 8, 8)))
    assert fill(net, in_order(state), skip_head=True).left == ("head",)
    assert torch.equal(net.state_dict()["c.weight"], state["c.weight"])


SIDES = """a: conv 4 3x3 -> aux { pool avg -> fc 6 -> relu -> fc classes } -> b: conv 4 3x3
  -> pool avg -> head: fc classes"""


def test_side_classifiers_may_be_missing_in_the_file() -> None:
    net = net_of(SIDES, (4, 8, 8))
    state = random_state(net)
    body = {name: tensor for name, tensor in state.items() if not name.startswith("1.")}
    report = fill(net, renamed(body, {"a": "x1", "b": "x2", "head": "y"}))
    assert report.left == ("1.1", "1.3")
    assert torch.equal(net.state_dict()["b.weight"], state["b.weight"])
    assert torch.equal(net.state_dict()["head.weight"], state["head.weight"])


@pytest.mark.parametrize("order", ["as saved", "sorted"])
def test_side_classifiers_may_be_missing_in_the_network(order: str) -> None:
    net = net_of("a: conv 4 3x3 -> b: conv 4 3x3 -> pool avg -> head: fc classes", (4, 8, 8))
    state = random_state(net_of(SIDES, (4, 8, 8)))
    given = renamed(state, {"a": "x1", "1.1": "aux.fc1", "1.3": "aux.fc2", "b": "x2", "head": "fc"})
    report = fill(net, in_order(given) if order == "sorted" else given)
    assert set(report.unused) == {"aux.fc1.weight", "aux.fc1.bias", "aux.fc2.weight", "aux.fc2.bias"}
    assert torch.equal(net.state_dict()["b.weight"], state["b.weight"])
    assert torch.equal(net.state_dict()["head.weight"], state["head.weight"])


def test_googlenet_for_other_classes_leaves_all_three_classifiers() -> None:
    net = zoo("googlenet", classes=5)
    report = fill(net, saved(CHECKPOINTS["googlenet"][1]()), skip_head=True)
    assert report.left == ("stage4.aux1.0.5", "stage4.aux2.0.5", "head.1")
    assert report.unused == (
        *("aux1.fc2.weight", "aux1.fc2.bias", "aux2.fc2.weight", "aux2.fc2.bias"),
        *("fc.weight", "fc.bias"),
    )


def test_comparing_fails_where_one_tensor_differs() -> None:
    net = net_of(TEXT, (3, 8, 8))
    state: State = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    state["c.bias"][0] += 1
    with pytest.raises(AssertionError, match=r"c\.bias"):
        require_filled(net, state)
