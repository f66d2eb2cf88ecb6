"""What `spec` says of a network is what torch does, on drawn networks: shapes, weights, multiply-adds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from networks import fitting_networks
from striate.modules.module import Net, build, module_name
from striate.net.layers.words import WORDS
from striate.net.layout.layout import Chain, Join, Layout, Part, Placed, Side, lay
from striate.net.network import Network
from striate.net.notation.reader import read_text
from striate.net.notation.writer import write_text
from striate.net.plan.table import plan
from striate.net.shape import Map

BATCH = 2

Drawn = tuple[Network, Map, int]


def parts(part: Part) -> Iterator[Part]:
    """The part and all within it."""
    yield part
    if isinstance(part, Chain):
        inner: tuple[Part, ...] = part.parts
    elif isinstance(part, Join):
        inner = part.chains
    else:
        # The chain of an auxiliary classifier is one module with it.
        inner = part.chain.parts if isinstance(part, Side) else ()
    for each in inner:
        yield from parts(each)


def built(layout: Layout, net: Net) -> dict[str, nn.Module]:
    """The module of every part by path.  An auxiliary classifier is built without its closing softmax."""
    found = {}
    for part in parts(layout.root):
        if part.path:
            try:
                found[part.path] = net.part(part.path)
            except KeyError:
                assert isinstance(part, Placed)
                assert part.layer.word == "softmax"
    return found


def require_agreement(layout: Layout, net: Net) -> None:
    """Fail unless every part of the layout has the shape, weights and multiply-adds of its module.

    Multiply-adds are torch's flops / 2.  Its counter counts convolutions and matrix products, by module:
    `conv` and `filter` run as one convolution, `fc` as one product, `local` as one batched product, so
    the numbers are equal to the last one; all other words count nothing, there as here.
    """
    modules = built(layout, net)
    shapes: dict[str, tuple[int, ...]] = {}
    images = torch.randn(BATCH, *layout.input)
    counter = FlopCounterMode(display=False)
    with ExitStack() as stack:
        for path, module in modules.items():

            def note(_: nn.Module, __: object, output: Tensor, path: str = path) -> None:
                shapes[path] = tuple(output.shape)

            stack.callback(module.register_forward_hook(note).remove)
        with torch.no_grad(), counter:
            output = net.train()(images)
    assert output.shape == (BATCH, layout.output.elements)
    flops = counter.get_flop_counts()
    for part in parts(layout.root):
        if part.path not in modules:
            continue
        module = modules[part.path]
        assert shapes[part.path] == (BATCH, *part.output), part.path
        if isinstance(part, Placed):
            weights = sum(parameter.numel() for parameter in module.parameters())
            assert weights == part.layer.weights(part.input), part.path
            name = ".".join(["Net", *map(module_name, part.path.split("."))])
            counted = sum(flops.get(name, {}).values())
            assert counted == 2 * BATCH * part.layer.multiply_adds(part.input), part.path
    table = plan(layout)
    assert sum(parameter.numel() for parameter in net.parameters()) == table.weights + table.side_weights
    assert counter.get_total_flops() == 2 * BATCH * sum(row.multiply_adds for row in table.rows)
    with torch.no_grad():
        assert net.eval()(images).shape == (BATCH, layout.output.elements)


def test_drawn_networks() -> None:
    seen: set[tuple[str, Map]] = set()
    words: set[str] = set()

    @settings(
        max_examples=680,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(fitting_networks())
    def agrees(drawn: Drawn) -> None:
        network, images, classes = drawn
        if (write_text(network), images) in seen:
            return
        layout = lay(network, images, classes)
        require_agreement(layout, build(layout, logits=False))
        seen.add((write_text(network), images))
        words.update(placed.layer.word for placed in layout.layers())

    agrees()
    assert len(seen) >= 500
    assert words == set(WORDS)


def test_multiply_adds_leave_side_classifiers_out() -> None:
    text = "conv 4 3x3 -> aux { local 2 3x3 -> fc 2 } -> filter blur -> add { identity | conv 4 } -> fc 2"
    layout = lay(read_text(text), Map(3, 8, 8), 2)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        build(layout).eval()(torch.randn(BATCH, 3, 8, 8))
    by_hand = 4 * 64 * 27 + 4 * 64 * 9 + 4 * 64 * 4 + 256 * 2
    assert plan(layout).multiply_adds == by_hand
    assert counter.get_total_flops() == 2 * BATCH * by_hand


@pytest.mark.parametrize(
    ("told", "made"),
    [
        ("conv 4 3x3 -> fc 2", "conv 4 5x5 -> fc 2"),
        ("conv 4 3x3 -> fc 2", "conv 4 3x3 nobias -> fc 2"),
        ("conv 4 3x3 -> fc 2", "conv 4 3x3 valid -> fc 2"),
        ("filter blur -> fc 2", "conv 3 3x3 groups 3 nobias -> fc 2"),
        ("identity -> fc 2", "grey -> fc 2"),
        ("add { identity | conv 3 } -> fc 2", "concat { identity | conv 3 } -> fc 2"),
    ],
)
def test_it_fails_where_the_network_is_another(told: str, made: str) -> None:
    layouts = [lay(read_text(text), Map(3, 8, 8), 2) for text in (told, made)]
    require_agreement(layouts[0], build(layouts[0]))
    with pytest.raises(AssertionError):
        require_agreement(layouts[0], build(layouts[1]))
