"""Weights of another network are refused with the first disagreement, and the network stays as it was."""

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

from striate.modules.module import Net
from striate.weights.error import WeightsError
from striate.weights.match import fill
from striate.weights.target import target_layers


def refusal(net: Net, state: State, *, skip_head: bool = False) -> str:
    """The text of the error, after which the network must be as it was."""
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    with pytest.raises(WeightsError) as caught:
        fill(net, state, skip_head=skip_head, name="w.pth")
    require_filled(net, before)
    return str(caught.value)


def saved_cifar(name: str, blocks: int) -> State:
    """The zoo's network with the names of akamaster/pytorch_resnet_cifar10."""
    names = ["conv1", "bn1"]
    for stage in (1, 2, 3):
        for block in range(blocks):
            names += [f"layer{stage}.{block}.{part}" for part in ("conv1", "bn1", "conv2", "bn2")]
    found = {}
    for target, module in zip(target_layers(zoo(name)), [*names, "linear"], strict=True):
        found.update({f"{module}.{part}": tensor.detach().clone() for part, tensor in target.tensors.items()})
    return found


@pytest.mark.parametrize("order", ["as saved", "sorted"])
def test_weights_of_another_network_show_where_they_part(order: str) -> None:
    state = saved_cifar("resnet20", 3)
    if order == "sorted":
        state = in_order(state)
    assert refusal(zoo("resnet32"), state) == (
        "w.pth: these are the weights of another network: they part at layer 15 of 63\n"
        "    the text: stage1.3.0.0.0 at resnet32.net:8:5, `conv 16 3x3 nobias`, weight 16x16x3x3\n"
        "    the file: layer2.0.conv1, weight 32x16x3x3\n"
        "  expected: the layers of the text in its order, each with the same tensors\n"
        "  try: --net resnet20, whose layers these are"
    )
    fill(zoo("resnet20"), state)


def test_other_classes_name_the_cure() -> None:
    state = renamed(random_state(net_of(TEXT, (3, 8, 8))), NAMES)
    net = net_of(TEXT, (3, 8, 8), classes=7)
    assert refusal(net, state) == (
        "w.pth: the checkpoint has 10 classes, the network 7\n"
        "    the text: head at net:1:71, `fc 7`, weight 7x4, bias 7\n"
        "    the file: last, weight 10x4, bias 10\n"
        "  expected: the same number of classes\n"
        "  try: --transfer, which keeps all layers but the last and trains that anew"
    )
    assert fill(net, state, skip_head=True).left == ("head",)


def test_a_missing_classifier_names_the_cure() -> None:
    net = net_of(TEXT, (3, 8, 8))
    state = renamed(random_state(net), NAMES)
    body = {name: tensor for name, tensor in state.items() if not name.startswith("last")}
    assert refusal(net, body) == (
        "w.pth: the file has no classifier\n"
        "    the text: head at net:1:71, `fc 10`, weight 10x4, bias 10\n"
        "    the file: ends here\n"
        "  expected: weights of all layers\n"
        "  try: --transfer, which trains the last layer anew"
    )
    assert fill(net, body, skip_head=True).left == ("head",)


def test_other_channels_are_named() -> None:
    state = renamed(random_state(net_of(TEXT, (3, 8, 8))), NAMES)
    assert refusal(net_of(TEXT, (1, 8, 8)), state) == (
        "w.pth: the checkpoint is for images of 3 channels\n"
        "    the text: a at net:1:1, `conv 4 3x3 nobias`, weight 4x1x3x3\n"
        "    the file: first, weight 4x3x3x3\n"
        "  expected: 1 channel\n"
        "  try: images of 3 channels, or no --weights"
    )


def test_a_file_with_more_layers_is_refused() -> None:
    state = renamed(random_state(net_of(TEXT, (3, 8, 8))), NAMES)
    more = {**state, "more.weight": torch.rand(10, 10), "more.bias": torch.rand(10)}
    assert refusal(net_of(TEXT, (3, 8, 8)), more) == (
        "w.pth: these are the weights of another network: the network has 4 layers with weights and the file 5\n"
        "    the text: ends here\n"
        "    the file: more, weight 10x10, bias 10\n"
        "  expected: the layers of the text in its order, each with the same tensors\n"
        "  try: striate zoo, for a text with these layers"
    )


def test_a_bias_too_many_is_refused() -> None:
    state = renamed(random_state(net_of(TEXT.replace(" nobias", ""), (3, 8, 8))), NAMES)
    text = refusal(net_of(TEXT, (3, 8, 8)), state)
    assert "weight 4x3x3x3\n    the file: first, weight 4x3x3x3, bias 4\n" in text


@pytest.mark.parametrize("number", [float("nan"), float("inf"), 1e300])
def test_numbers_that_are_none_are_refused(number: float) -> None:
    net = net_of(TEXT, (3, 8, 8))
    state = renamed(random_state(net), NAMES)
    state["second.running_var"] = state["second.running_var"].double()
    state["second.running_var"][2] = number
    assert refusal(net, state) == (
        "w.pth: `second.running_var` has NaN or infinity in it\n"
        "  expected: finite numbers, as float32 can hold them\n"
        "  try: an earlier checkpoint of the same training, or fetch the file again"
    )


def test_two_layers_that_could_change_places_are_not_guessed() -> None:
    net = net_of("conv 4 3x3 nobias -> conv 4 3x3 nobias -> pool avg -> fc classes", (4, 8, 8))
    state = renamed(random_state(net), {"0": "left", "1": "right", "3": "fc"})
    assert refusal(net, in_order(state)) == (
        "w.pth: two layers of the file fit the same place, and the file does not say which comes first\n"
        "    the text: 0 at net:1:1, `conv 4 3x3 nobias`, weight 4x4x3x3\n"
        "    the file: left, weight 4x4x3x3\n"
        "    or: right, weight 4x4x3x3\n"
        "  expected: names that are numbered in their order, or a file that keeps the order of the layers\n"
        '  try: torch.save(model.state_dict(), "weights.pth") where the file comes from'
    )
    fill(net, state)


def test_layers_listed_against_their_numbers_are_not_guessed() -> None:
    net = net_of("conv 4 3x3 -> conv 4 3x3 -> pool avg -> fc classes", (4, 8, 8))
    state = renamed(random_state(net), {"0": "conv2", "1": "conv1", "3": "fc"})
    assert "two layers of the file fit the same place" in refusal(net, state)


def test_two_orders_of_a_thousand_alike_are_refused_in_a_moment() -> None:
    net = net_of("scale 1e-6 x300 -> pool avg -> fc classes", (4, 2, 2))
    words = [f"{chr(97 + at // 26)}{chr(97 + at % 26)}s" for at in range(300)]
    names = {f"0.{at}": word for at, word in enumerate(words)}
    state = renamed(random_state(net), {**names, "2": "fc"})
    assert "two layers of the file fit the same place" in refusal(net, in_order(state))


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"a": torch.zeros(())},
        {"x.weight": torch.zeros(0, 3)},
        {"..": torch.zeros(3), ".": torch.zeros(3), "": torch.zeros(3)},
        {".".join(["a"] * 200): torch.zeros(3)},
        {f"{at}.weight": torch.zeros(4, 4, 3, 3) for at in range(3000)},
        {f"n{at * 7919 % 3000}x.weight": torch.zeros(4, 4, 3, 3) for at in range(3000)},
        {"a.bias": torch.zeros(3)},
        {"a.weight": torch.zeros(4, 3, 3, 3, dtype=torch.complex64)},
    ],
)
def test_odd_files_are_refused_in_a_moment(state: State) -> None:
    assert "the weights of another network" in refusal(net_of(TEXT, (3, 8, 8)), state)


def test_absurd_names_and_numbers_of_tensors_are_refused() -> None:
    net = net_of(TEXT, (3, 8, 8))
    assert "a tensor's name has 2,000 characters" in refusal(net, {"a" * 2000: torch.zeros(3)})
    assert "it has 50,001 tensors" in refusal(net, {str(at): torch.zeros(1) for at in range(50_001)})
