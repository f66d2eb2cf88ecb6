"""The module of a network: its names, auxiliary classifiers, copies, activations in place, depth and length."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from torch import Tensor, nn

from networks import fitting_networks
from striate.api.networks import read
from striate.modules.module import (
    Add,
    Concat,
    Net,
    Sequence,
    SideClassifier,
    SideLogits,
    build,
    module_name,
    set_in_place,
)
from striate.net.layout.layout import DEEPEST, lay
from striate.net.network import Aux, Branch, Flow, Network, Step, Word
from striate.net.notation.reader import read_text
from striate.net.shape import Map

IMAGE = Map(3, 8, 8)


def made(text: str, *, logits: bool = True) -> Net:
    return build(lay(read_text(text), IMAGE, 5), logits=logits)


def images(count: int = 2) -> Tensor:
    return torch.randn(count, *IMAGE)


def names(net: Net) -> list[str]:
    return [name for name, _ in net.named_parameters()]


# --- names ---------------------------------------------------------------------------------------------


def test_parameters_have_the_names_of_the_text() -> None:
    net = made(
        "let b(n) = conv n 3x3 nobias -> bn; stem: b(4) -> add { [conv 4] x2 | wide-1: conv 4 } -> "
        "aux { head: fc classes } -> [_q: scale] x2 -> fc classes"
    )
    assert names(net) == [
        "stem.0.weight", "stem.1.weight", "stem.1.bias",
        "1.0.0.0.0.weight", "1.0.0.0.0.bias", "1.0.0.1.0.weight", "1.0.0.1.0.bias",
        "1.1.wide-1.weight", "1.1.wide-1.bias",
        "2.head.weight", "2.head.bias",
        "3.0._q.weight", "3.1._q.weight",
        "4.weight", "4.bias",
    ]  # fmt: skip
    assert isinstance(net.part("3.0._q").weight, Tensor)
    with pytest.raises(KeyError):
        net.part("3.2")


# Labels that are attributes of a module of torch, or of one of ours.
CLASHING = [
    "type", "train", "eval", "training", "forward", "weight", "half", "float", "cpu", "to", "apply",
    "parameters", "children", "modules", "layout", "auxiliary_logits", "part", "_found", "_modules",
    "_parameters", "T_destination", "call_super_init", "__dict__", "__class__",
]  # fmt: skip


@pytest.mark.parametrize("label", CLASHING)
def test_a_label_may_be_an_attribute_of_a_module(label: str) -> None:
    net = made(
        f"{label}: add {{ {label}: conv 4 3x3 | conv 4 3x3 }} -> aux {{ {label}: fc classes }} -> "
        f"[{label}: relu] -> fc classes"
    )
    net.train()
    assert net(images()).shape == (2, 5)
    assert len(net.auxiliary_logits) == 1
    net.eval()
    assert net(images()).shape == (2, 5)
    assert isinstance(net.part(f"{label}.0.{label}"), nn.Conv2d)
    other = copy.deepcopy(net)
    other.load_state_dict(net.state_dict())
    # What torch's tools do: find each module by getattr.
    program = torch.export.export(net, (images(),))
    given = images()
    torch.testing.assert_close(program.module()(given), net(given))


def test_two_labels_never_share_a_name() -> None:
    net = made("type: conv 4 -> type_: conv 5 -> type__: conv 6 -> typed: fc classes")
    assert names(net)[::2] == ["type_.weight", "type__.weight", "type___.weight", "typed.weight"]
    assert [net.part(label).out_channels for label in ("type", "type_", "type__")] == [4, 5, 6]


def test_every_attribute_is_known() -> None:
    """An attribute added to these modules later must be added to their list as well."""
    net = made(
        "aux { fc classes } -> add { conv 3 | [identity] } -> concat { relu | identity } -> fc classes"
    )
    kinds = {type(module): module for module in net.modules()}
    for kind in (Net, Sequence, Add, Concat, SideClassifier):
        for name in {*dir(kind), *vars(kinds[kind])}:
            assert module_name(name) == f"{name}_"
    assert module_name("stem") == "stem"


# --- auxiliary classifiers and logits -----------------------------------------------------------------------


def test_side_classifiers_run_in_training_only() -> None:
    text = "conv 4 -> aux 0.5 { relu -> fc classes -> softmax } -> aux { conv classes -> pool avg } -> fc classes"
    net, given = made(text), images()
    net.train()
    logits = net(given)
    assert [weight for weight, _ in net.auxiliary_logits] == [0.5, 0.3]
    features = net.part("0")(given)
    first = net.part("1.1")(features.relu())
    # Logits, not probabilities; and one row of numbers, not a map.
    torch.testing.assert_close(net.auxiliary_logits[0][1], first)
    assert net.auxiliary_logits[1][1].shape == (2, 5)
    net(given)
    assert len(net.auxiliary_logits) == 2, "those of the last pass only"
    net.eval()
    torch.testing.assert_close(net(given), logits)
    assert net.auxiliary_logits == []


def test_a_side_classifier_leaves_its_input_as_it_is() -> None:
    net = made("conv 4 -> aux { relu -> fc classes } -> relu -> fc classes").train()
    other = made("conv 4 -> relu -> fc classes").train()
    other.load_state_dict({"0.weight": net.part("0").weight, "0.bias": net.part("0").bias,
                           "2.weight": net.part("3").weight, "2.bias": net.part("3").bias})  # fmt: skip
    given = images()
    torch.testing.assert_close(net(given), other(given))


def test_a_copy_has_side_logits_of_its_own() -> None:
    net = made("conv 4 -> aux { fc classes } -> fc classes").train()
    net(images())
    other = copy.deepcopy(net)
    assert len(net.auxiliary_logits) == 1
    assert other.auxiliary_logits == []
    assert isinstance(other.auxiliary_logits, SideLogits)
    other(images())
    other(images())
    assert len(net.auxiliary_logits) == len(other.auxiliary_logits) == 1
    assert net.auxiliary_logits[0][1] is not other.auxiliary_logits[0][1]


@pytest.mark.parametrize(
    ("text", "dropped"),
    [
        ("conv 4 -> fc classes -> softmax", "conv 4 -> fc classes"),
        ("conv 4 -> [fc classes -> softmax]", "conv 4 -> [fc classes]"),
        ("conv 4 -> fc classes -> [[softmax]]", "conv 4 -> fc classes"),
        ("let head = fc classes -> softmax; conv 4 -> head()", "conv 4 -> [fc classes]"),
        ("conv 4 -> fc classes -> softmax x2", "conv 4 -> fc classes -> [softmax]"),
        # One in the middle or in a branch is the text's own wish.
        ("conv 4 -> softmax -> fc classes", "conv 4 -> softmax -> fc classes"),
        ("add { fc classes -> softmax | fc classes }", "add { fc classes -> softmax | fc classes }"),
    ],
)
def test_logits_leave_a_closing_softmax_out(text: str, dropped: str) -> None:
    net, other = made(text), made(dropped, logits=False)
    for mine, its in zip(net.parameters(), other.parameters(), strict=True):
        mine.data.copy_(its.data)
    given = images()
    torch.testing.assert_close(net.eval()(given), other.eval()(given))


def test_with_the_softmax_it_answers_probabilities() -> None:
    net, whole = made("fc classes -> softmax"), made("fc classes -> softmax", logits=False)
    whole.load_state_dict(net.state_dict())
    given = images()
    torch.testing.assert_close(net(given).softmax(1), whole(given))


# --- activations in place ------------------------------------------------------------------------------


def in_place(net: Net) -> list[str]:
    return [name for name, module in net.named_modules() if getattr(module, "inplace", False)]


def test_only_where_nothing_else_reads_the_input() -> None:
    net = made(
        "conv 4 -> relu -> relu -> bn -> relu -> [relu] -> add { relu | conv 4 -> relu } -> relu -> "
        "concat { identity -> relu | identity } -> relu -> aux { relu -> fc classes } -> relu -> "
        "sigmoid -> relu -> identity -> relu -> ln -> relu -> fc 4 -> relu -> dropout 0 -> relu -> fc classes"
    )
    # Behind conv, bn, fc and joins; never behind the input, an activation, identity or an auxiliary classifier.
    assert in_place(net) == ["1", "4", "6.1.1", "7", "9", "19"]


# What is drawn in their place is a relu, so that most networks have one that overwrites.
_RELUS = {"relu6", "leaky", "elu", "gelu", "silu", "lrn", "ln", "dropout", "dropout2d", "droppath"}


def with_relus(flow: Flow) -> Flow:
    """The flow with a relu behind every convolution, norm, fc and join, and for most activations."""
    steps: list[Step] = []
    for step in flow.steps:
        atom = step.atom
        if isinstance(atom, Flow):
            atom = with_relus(atom)
        elif isinstance(atom, Branch):
            atom = replace(atom, flows=tuple(map(with_relus, atom.flows)))
        elif isinstance(atom, Aux):
            atom = replace(atom, flow=with_relus(atom.flow))
        elif isinstance(atom, Word) and atom.word in _RELUS:
            atom = Word("relu")
        steps.append(replace(step, atom=atom))
        if isinstance(atom, Branch) or (isinstance(atom, Word) and atom.word in ("conv", "bn")):
            steps.append(Step(Word("relu")))
    return Flow(tuple(steps))


def gradients(net: Net, given: Tensor) -> list[Tensor]:
    torch.manual_seed(1)
    given = given.clone().requires_grad_()
    output = net(given)
    loss = output.square().sum() + sum(logits.square().sum() for _, logits in net.auxiliary_logits)
    # A tensor that was written over where backward needs it raises here.
    return list(torch.autograd.grad(loss, [given, *net.parameters()], allow_unused=True))


def test_gradients_are_those_without_in_place_activations() -> None:
    found = 0

    @settings(
        max_examples=120,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(fitting_networks())
    def same(drawn: tuple[Network, Map, int]) -> None:
        nonlocal found
        network, shape, classes = drawn
        defines = tuple(replace(each, flow=with_relus(each.flow)) for each in network.defines)
        net = build(lay(Network(with_relus(network.flow), defines), shape, classes))
        if not in_place(net):
            return
        found += 1
        other = copy.deepcopy(net)
        for module in other.modules():
            if isinstance(module, nn.ReLU):
                module.inplace = False
        batch = torch.randn(2, *shape)
        for mine, its in zip(gradients(net, batch), gradients(other, batch), strict=True):
            assert (mine is None) == (its is None)
            if mine is not None:
                torch.testing.assert_close(mine, its)

    same()
    assert found >= 30


def test_the_comparison_fails_where_an_activation_overwrites_too_much() -> None:
    net = made("sigmoid -> conv 4 -> tanh -> relu -> fc classes")
    relu = net.part("3")
    assert isinstance(relu, nn.ReLU)
    relu.inplace = True
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        gradients(net, images())


@pytest.mark.parametrize("name", ["lenet5", "resnet20", "googlenet", "mobilenet_v2", "convnext_tiny"])
def test_hooks_of_every_kind(name: str) -> None:
    """Explainers and monitors of gradients hook backward passes, which an activation in place forbids."""
    text = read(name)
    net = text.build((3, 64, 64), 5).eval()
    assert in_place(net) == []
    seen = []
    for module in net.modules():
        module.register_full_backward_hook(lambda module, inward, outward: seen.append(module))
    net(torch.randn(1, 3, 64, 64, requires_grad=True)).sum().backward()
    assert {type(each).__name__ for each in seen} >= {"Net", "Conv2d", "Linear"}
    # The training's own spares the memory.
    set_in_place(net, True)
    assert in_place(net) == in_place(build(text.lay((3, 64, 64), 5)))


# --- copies --------------------------------------------------------------------------------------------


def test_a_deep_copy_and_a_state_dict_carry_everything() -> None:
    text = "conv 4 3x3 -> bn -> prelu -> aux { fc classes } -> local 2 3x3 -> ln -> scale -> fc classes"
    net, given = made(text), images()
    net.train()
    net(given)
    twin, filled = copy.deepcopy(net), made(text)
    filled.load_state_dict(net.state_dict())
    net.eval()
    expected = net(given)
    for other in (twin, filled):
        torch.testing.assert_close(other.eval()(given), expected)
    twin.part("0").weight.data.zero_()  # type: ignore[operator]
    torch.testing.assert_close(net(given), expected)


# --- depth and length ----------------------------------------------------------------------------------


def test_as_deep_as_the_notation_goes() -> None:
    """Brackets and repeats in turn: two modules inside each other for each."""
    text = "scale"
    for level in range(DEEPEST - 1):
        text = f"[{text}]" if level % 7 else f"[{text} -> relu] x2"
    net = made(f"conv 4 -> {text} -> add {{ {text} | identity }} -> fc classes")
    loss = net(images()).sum()
    loss.backward()
    assert all(parameter.grad is not None for parameter in net.parameters())
    copy.deepcopy(net).eval()(images())


def test_two_thousand_layers_in_a_row() -> None:
    net = made("conv 4 -> [conv 4 3x3 -> relu] x999 -> fc classes")
    assert sum(1 for _ in net.layout.layers()) == 2000
    net(images()).sum().backward()
    assert net.part("1.998.0").weight.grad is not None
