"""Networks as ONNX graphs: checked by onnx, and answered by ONNX Runtime as torch does."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given, settings

from exporting.living import lived
from networks import fitting_networks
from striate.api.networks import read
from striate.bundle.verify import agreement
from striate.exporting.onnx_graph import CLASS_MAP, IMAGES, LOGITS, head_of, onnx_bytes
from striate.modules.fold import folded
from striate.modules.initial import initialize
from striate.modules.module import Net, build
from striate.net.layout.layout import lay
from striate.net.zoo.list import zoo_names, zoo_net


def answers(net: Net, x: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Of torch, and of ONNX Runtime; where there is a class map, its mean and the bias are checked to be the logits."""
    model = onnx_bytes(net, with_map=True)
    onnx.checker.check_model(onnx.load_from_string(model), full_check=True)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    with torch.inference_mode():
        wanted = net.eval()(x).numpy()
    head = head_of(net)
    if head is None:
        return wanted, session.run([LOGITS], {IMAGES: x.numpy()})[0]
    found, places = session.run([LOGITS, CLASS_MAP], {IMAGES: x.numpy()})
    bias = None if head.fc is None else net.part(head.fc.path).bias
    total = places.mean(axis=(2, 3)) + (0 if bias is None else bias.detach().numpy())
    assert places.shape[2:] == head.places
    assert np.abs(total - found).max() <= 1e-5 * max(np.abs(found).max(), 1e-3)
    return wanted, found


def assert_alike(net: Net, x: torch.Tensor, share: float = 1e-4) -> None:
    """Differences of at most a share of the largest answer."""
    wanted, found = answers(net, x)
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() <= share * max(np.abs(wanted).max(), 1e-3)


LAYERS = [
    "conv 6 3x3 stride 2", "conv 6 3x3 same stride 2", "conv 8 3x3 dilate 2 groups 4", "local 4 3x3",
    "local 4 3x2 stride 2 pad 1 groups 2", "local 6 3x3 dilate 2 nobias", "grey", "filter sobel-x",
    "maxpool 3 stride 2 pad 1", "maxpool 3 stride 2 ceil", "avgpool 3 stride 2 pad 1", "avgpool 2 ceil",
    "avgpool 3 stride 2 ceil", "pool avg", "pool max 2", "pool avg 3x2", "pool max 3", "depthpool max 2",
    "depthpool avg 4", "maxout 2", "bn", "ln", "lrn 5", "lrn 3 alpha 0.1 beta 0.5 k 2", "lrn 4 alpha 0.5", "lrn 2 alpha 0.5 k 2", "scale 0.1", "dropout 0.5",
    "dropout2d 0.5", "droppath 0.2", "relu", "relu6", "leaky 0.1", "prelu", "elu", "sigmoid", "tanh", "gelu",
    "silu", "flatten -> ln", "flatten -> prelu", "flatten -> scale 2", "flatten -> depthpool max 5", "softmax",
    "widen 13", "identity",
]  # fmt: skip


@pytest.mark.parametrize("layer", LAYERS)
def test_every_layer(layer: str) -> None:
    torch.manual_seed(0)
    net = lived(read(f"conv 8 3x3 -> {layer} -> fc classes").build((3, 10, 9), 7))
    assert_alike(net, torch.randn(3, 3, 10, 9))


def test_whitening() -> None:
    net = read("whiten 12 2x2 -> gelu -> fc classes").build((3, 9, 9), 4)
    assert_alike(net, torch.randn(2, 3, 9, 9))


def test_branches_sides_and_a_closing_softmax() -> None:
    text = """
    conv 4 3x3 -> add { identity | conv 4 -> bn | conv 4 3x3 } -> concat { conv 3 | maxpool 3 stride 1 pad 1 }
      -> aux 0.3 { fc classes } -> pool avg -> fc classes -> softmax
    """
    assert_alike(lived(read(text).build((3, 8, 8), 4)), torch.randn(2, 3, 8, 8))


def test_a_softmax_that_closes_a_closing_bracket() -> None:
    text = "conv 4 3x3 -> softmax -> head: [pool avg -> [fc classes -> softmax]]"
    assert_alike(read(text).build((3, 8, 8), 4), torch.randn(2, 3, 8, 8))


def test_what_only_a_side_classifier_has_is_no_obstacle() -> None:
    """Side classifiers are left out, so what they hold is not asked for."""
    net = read("conv 4 3x3 -> aux 0.3 { lrn 4 -> fc classes } -> pool avg -> fc classes").build((3, 8, 8), 4)
    assert_alike(net, torch.randn(2, 3, 8, 8))


@pytest.mark.parametrize("name", ["lenet5", "resnet20", "squeezenet1_1", "swift32"])
def test_the_zoo(name: str) -> None:
    known = zoo_net(name)
    torch.manual_seed(0)
    net = folded(lived(read(name).build(known.input, known.classes)))
    assert_alike(net, torch.randn(2, *known.input))


@pytest.mark.slow
@pytest.mark.parametrize("name", zoo_names())
def test_all_of_the_zoo(name: str) -> None:
    """256 images, of networks above 2 thousand million multiply-adds 16; labels too, where they are decided."""
    known = zoo_net(name)
    torch.manual_seed(0)
    net = folded(lived(read(name).build(known.input, known.classes)))
    work = sum(placed.layer.multiply_adds(placed.input) for placed in net.layout.layers(sides=False))
    checks = [
        agreement(name, *answers(net, torch.randn(16, *known.input)), 1e-4)
        for _ in range(1 if work > 2_000_000_000 else 16)
    ]
    assert max(each.share for each in checks) <= 1e-4
    assert all(each.decided_equal == each.decided > 0 for each in checks)


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("conv 4 -> relu -> pool avg -> fc classes", (6, 5)),
        ("conv 4 stride 2 -> [pool avg -> dropout 0.5 -> head: [fc classes -> softmax]]", (3, 3)),
        ("conv 4 -> pool avg -> flatten -> fc classes nobias", (6, 5)),
        ("conv classes -> relu -> pool avg -> flatten", (6, 5)),
        ("conv 4 -> add { conv 4 | identity } -> pool avg -> aux 0.3 { fc classes } -> fc classes", (6, 5)),
        ("conv 4 -> pool max -> fc classes", None),
        ("conv 4 -> pool avg 2 -> fc classes", None),
        ("conv 4 -> pool avg -> relu -> fc classes", None),
        ("conv 4 -> pool avg -> fc 8 -> fc classes", None),
        ("conv 4 -> fc classes", None),
    ],
)
def test_which_networks_have_a_class_map(text: str, places: tuple[int, int] | None) -> None:
    """Where nothing that is not linear stands between the mean and the logits."""
    net = lived(read(text).build((3, 6, 5), 4))
    head = head_of(net)
    assert (head and head.places) == places
    assert_alike(net, torch.randn(3, 3, 6, 5))


@given(fitting_networks())
@settings(max_examples=60, deadline=None)
def test_drawn_networks(drawn: tuple) -> None:  # type: ignore[type-arg]
    network, shape, classes = drawn
    torch.manual_seed(0)
    net = build(lay(network, shape, classes))
    initialize(net)
    assert_alike(folded(lived(net)), torch.randn(2, *shape), share=1e-3)
