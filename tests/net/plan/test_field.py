"""Receptive fields, and rows that the output never sees, are what the gradient of a built network shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import reduce

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from torch import Tensor, nn

from networks import fitting_networks
from striate.errors import FitError
from striate.modules.module import Net, build
from striate.modules.nn.scale import ChannelNorm, ChannelScale, DropPath
from striate.modules.nn.window import DepthPool, FixedFilter
from striate.net.layers.axis import Field
from striate.net.layers.pooling import Pool
from striate.net.layers.words import WORDS
from striate.net.layout.layout import Chain, Join, Layout, Part, Placed, lay
from striate.net.network import Network
from striate.net.notation.reader import read_text
from striate.net.plan.notes import notes, unread_rows
from striate.net.plan.receptive_field import Fields, trace_fields
from striate.net.shape import Map
from striate.net.zoo.list import zoo_text

# What each place does by itself, or not at all at inference: it changes no receptive field.
POINT_BY_POINT = (
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.Sigmoid, nn.Tanh, nn.GELU, nn.SiLU, nn.Softmax,
    nn.BatchNorm1d, nn.BatchNorm2d, nn.LocalResponseNorm, ChannelNorm, ChannelScale,
    nn.Dropout, nn.Dropout2d, DropPath,
)  # fmt: skip


def averaging(layout: Layout) -> Net:
    """The network with every window a plain mean: what a unit reads has a gradient above 0, all else 0."""
    net = build(layout, logits=False).double().eval()
    for module in list(net.modules()):
        for name, child in module.named_children():
            module._modules[name] = _averaging(child)
    with torch.no_grad():
        # The windows of `whiten` are not trained, and no parameters.
        windows = [each for each in net.named_buffers() if each[0].endswith(".weight")]
        for name, parameter in [*net.named_parameters(), *windows]:
            parameter.fill_(0 if name.endswith("bias") else 1 / parameter[0].numel())
    return net


def _averaging(module: nn.Module) -> nn.Module:
    if isinstance(module, POINT_BY_POINT):
        return nn.Identity()
    if isinstance(module, nn.MaxPool2d):
        size, stride, padding = module.kernel_size, module.stride, module.padding
        return nn.AvgPool2d(size, stride, padding, ceil_mode=module.ceil_mode, count_include_pad=False)
    if isinstance(module, nn.AdaptiveMaxPool2d):
        return nn.AdaptiveAvgPool2d(module.output_size)
    if isinstance(module, DepthPool):
        module.mean = True
    if isinstance(module, FixedFilter):
        module.kernel.fill_(1 / 9)
    return module


class Measured:
    """What the outputs of all layers of a network owe to each row and column of the image."""

    def __init__(self, layout: Layout) -> None:
        self.outputs: dict[str, Tensor] = {}
        net = averaging(layout)
        for placed in layout.layers(sides=False):
            net.part(placed.path).register_forward_hook(self._note(placed.path))
        self.image = torch.zeros(1, *layout.input, dtype=torch.float64, requires_grad=True)
        self.output = net(self.image)

    def _note(self, path: str) -> Callable[[nn.Module, object, Tensor], None]:
        def note(_: nn.Module, __: object, output: Tensor) -> None:
            self.outputs[path] = output

        return note

    def seen(self, numbers: Tensor) -> tuple[list[int], list[int]]:
        """The rows and the columns of the image that some of these numbers depend on."""
        (gradient,) = torch.autograd.grad(numbers.sum(), self.image, retain_graph=True)
        places = gradient[0].sum(0)
        assert (places >= 0).all()
        return places.any(1).nonzero().flatten().tolist(), places.any(0).nonzero().flatten().tolist()

    def fields(self, placed: Placed, unit: tuple[int, int]) -> tuple[list[int], list[int]]:
        """What one unit sees, or all of a vector together."""
        output = self.outputs[placed.path]
        return self.seen(output[0, :, unit[0], unit[1]] if output.ndim == 4 else output)


def laid(text: str, image: Map) -> Layout:
    return lay(read_text(text), image, 5)


# --- by hand -------------------------------------------------------------------------------------------

# Text, image, the field of its last layer: size, step, start of rows and of columns.
BY_HAND: list[tuple[str, Map, Field, Field]] = [
    # Three 3x3 convolutions see what one 7x7 sees (Simonyan and Zisserman 2014, section 2.3).
    ("conv 2 3x3 -> conv 2 3x3 -> conv 2 3x3", Map(1, 15, 15), Field(7, 1, -3), Field(7, 1, -3)),
    ("conv 2 7x7", Map(1, 15, 15), Field(7, 1, -3), Field(7, 1, -3)),
    ("[conv 2 3x3 -> relu] x3 -> bn -> tanh", Map(1, 15, 15), Field(7, 1, -3), Field(7, 1, -3)),
    ("conv 2 3x5 valid -> conv 2 3x1 valid", Map(1, 15, 15), Field(5, 1, 0), Field(5, 1, 0)),
    # The stem of ResNet: 7x7 at stride 2, then 3x3 pooled at stride 2: 7 + 2 * 2 = 11, step 4.
    ("conv 2 7x7 stride 2 -> maxpool 3x3 stride 2 pad 1", Map(3, 64, 64), Field(11, 4, -5), Field(11, 4, -5)),
    # Dilation spreads the window: 2 * (3 - 1) + 1 = 5.
    ("conv 2 3x3 dilate 2 -> maxpool 2", Map(1, 16, 16), Field(6, 2, -2), Field(6, 2, -2)),
    ("conv 2 2x2 same -> avgpool 2 stride 1", Map(1, 9, 9), Field(3, 1, 0), Field(3, 1, 0)),
    ("local 2 3x3 -> filter sobel-x", Map(1, 9, 9), Field(5, 1, -2), Field(5, 1, -2)),
    ("maxpool 2x3 stride 1x3 pad 1 ceil", Map(1, 12, 12), Field(2, 1, -1), Field(3, 3, -1)),
    # A grid that divides the map is a plain pool.
    ("conv 2 3x3 -> pool max 3x4", Map(1, 12, 12), Field(6, 4, -1), Field(5, 3, -1)),
    # Branches: the union, and the shortcut alone is a point.
    ("add { conv 1 5x3 -> relu | identity }", Map(1, 9, 9), Field(5, 1, -2), Field(3, 1, -1)),
    ("concat { conv 1 1x7 | conv 1 7x1 | maxpool 3x3 stride 1 pad 1 }", Map(1, 9, 9), Field(7, 1, -3), Field(7, 1, -3)),
    ("concat { conv 1 3x3 valid | maxpool 3 stride 1 }", Map(1, 9, 9), Field(3, 1, 0), Field(3, 1, 0)),
    ("add { conv 1 3x3 valid | conv 1 3x3 dilate 2 pad 1 }", Map(1, 9, 9), Field(5, 1, -1), Field(5, 1, -1)),
    # What is dense reads the whole map, which here is not the whole image.
    ("conv 2 3x3 valid stride 3 -> fc 4", Map(1, 10, 11), Field(9, 9, 0), Field(9, 9, 0)),
]  # fmt: skip


@pytest.mark.parametrize(("text", "image", "rows", "columns"), BY_HAND)
def test_by_hand(text: str, image: Map, rows: Field, columns: Field) -> None:
    layout = laid(f"{text} -> end: identity", image)
    assert trace_fields(layout)["end"] == (rows, columns)
    end = layout.root.parts[-1]
    assert isinstance(end, Placed)
    measured = Measured(layout)
    middle = next(neighbors(end))
    assert all(map(check_field, (rows, columns), middle, image[1:], measured.fields(end, middle)))
    for unit in neighbors(end):
        for side in zip((rows, columns), unit, image[1:], measured.fields(end, unit), strict=True):
            check_field(*side)


def test_every_unit_of_a_dense_layer_sees_the_whole_image() -> None:
    layout = laid("conv 2 3x3 -> maxpool 2 -> flatten -> relu -> fc 4 -> relu -> fc 5", Map(1, 8, 8))
    assert list(trace_fields(layout).values())[2:] == [None] * 5
    layout = laid("conv 2 3x3 -> pool avg -> conv 4 -> fc 5", Map(1, 8, 8))
    assert list(trace_fields(layout).values())[1:] == [None] * 3
    # A branch that sees everything shows all that the sum shows.
    layout = laid("add { pool avg | conv 1 8x8 valid } -> identity", Map(1, 8, 8))
    assert trace_fields(layout)["1"] is None


# The largest field of a network.  Araujo, Norris and Sim 2019 list AlexNet, VGG-16 and MobileNet.  The
# ResNets here move in the 3x3 convolution, as torchvision's, and not in the 1x1 before it as those listed
# there, so each stage begins with a window at the smaller step; for ResNet-50 that is
# 11 + 3*8 + (8 + 3*16) + (16 + 5*32) + (32 + 2*64).
PUBLISHED = {
    "alexnet": 195,
    "vgg16": 212,
    "mobilenet_v1": 315,
    "resnet18": 435,
    "resnet50": 427,
}


@pytest.mark.parametrize(("name", "size"), PUBLISHED.items())
def test_published_sizes(name: str, size: int) -> None:
    layout = lay(read_text(zoo_text(name)), Map(3, 224, 224), 1000)
    found = [fields for fields in trace_fields(layout).values() if fields is not None]
    assert max(fields.rows.size for fields in found) == size
    assert max(fields.columns.size for fields in found) == size


# --- drawn networks ------------------------------------------------------------------------------------


def even(part: Part, steps: tuple[int, int]) -> tuple[int, int] | None:
    """The steps behind a part; None where its units see unlike much, so that no one field fits them all.

    That is so behind an adaptive pool whose grid does not divide the map, and where branches of more than
    one unit have moved unlike far.
    """
    if isinstance(part, Placed):
        if not isinstance(part.input, Map):
            return steps
        grid = part.layer.grid if isinstance(part.layer, Pool) else (1, 1)
        if any(length % count for length, count in zip(part.input[1:], grid, strict=True)):
            return None
        rows, columns = part.layer.axes(part.input)
        return steps[0] * rows.stride, steps[1] * columns.stride
    if isinstance(part, Chain):
        now: tuple[int, int] | None = steps
        for each in part.parts:
            now = even(each, now) if now else None
        return now
    if isinstance(part, Join):
        ends = [even(chain, steps) for chain in part.chains]
        units = part.output[1:] if isinstance(part.output, Map) else (1, 1)
        found = [end for end in ends if end]
        alike = all(count == 1 or len({end[side] for end in found}) == 1 for side, count in enumerate(units))
        return found[0] if alike and len(found) == len(ends) else None
    return steps


def neighbors(placed: Placed) -> Iterator[tuple[int, int]]:
    """The unit in the middle and the one next to it."""
    height, width = placed.output[1:] if isinstance(placed.output, Map) else (1, 1)
    yield height // 2, width // 2
    if height > 1 or width > 1:
        yield min(height // 2 + 1, height - 1), min(width // 2 + 1, width - 1)


def lies_inside(field: Field, unit: int, length: int) -> bool:
    first = field.start + unit * field.step
    return first >= 0 and first + field.size <= length


def check_field(field: Field, unit: int, length: int, seen: list[int]) -> bool:
    """Compare one side; whether the field lies inside the image, where every row of it shows."""
    first = field.start + unit * field.step
    last = first + field.size - 1
    if lies_inside(field, unit, length):
        assert (seen[0], seen[-1]) == (first, last)
        return True
    # Of a dilated window the rows next to the border may not be read.
    assert not seen or (max(0, first) <= seen[0] and seen[-1] <= min(length - 1, last))
    return False


def check_fields(layout: Layout, told: dict[str, Fields | None], measured: Measured) -> int:
    """Compare every layer; how many sides of units lay inside the image."""
    inside = 0
    image = layout.input[1:]
    axes = [axis for placed in layout.layers() for axis in placed.layer.axes(placed.input)]
    gaps = any(axis.dilation > 1 or axis.stride > axis.kernel for axis in axes)
    gaps = gaps or any(unread_rows(placed) for placed in layout.layers())
    for placed in layout.layers(sides=False):
        fields = told[placed.path]
        for unit in neighbors(placed):
            seen = measured.fields(placed, unit)
            if not any(seen):
                # Its window reads nothing but padding.
                assert fields is None or not all(map(lies_inside, fields, unit, image))
                continue
            if fields is None:
                # Between dilated rows, between windows that step far, and at the end, some may be unread.
                assert seen == measured.seen(measured.outputs[placed.path])
                assert gaps or [(side[0], side[-1] + 1) for side in seen] == [(0, end) for end in image]
                continue
            for field, place, length, side in zip(fields, unit, image, seen, strict=True):
                inside += check_field(field, place, length, side)
    return inside


def test_drawn_networks() -> None:
    """Each on its own image and on one of 41x43, on which most fields lie inside."""
    inside = uneven = 0
    words: set[str] = set()

    @settings(
        max_examples=400,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(fitting_networks(classified=False, aux=False))
    def agrees(drawn: tuple[Network, Map, int]) -> None:
        nonlocal inside, uneven
        network, image, classes = drawn
        for shape in (image, Map(image.channels, 41, 43)):
            try:
                layout = lay(network, shape, classes)
            except FitError:
                continue
            if sum(placed.layer.weights(placed.input) for placed in layout.layers()) > 3_000_000:
                continue
            measured = Measured(layout)
            check_never_seen(layout, measured)
            if even(layout.root, (1, 1)):
                inside += check_fields(layout, trace_fields(layout), measured)
                words.update(placed.layer.word for placed in layout.layers())
            else:
                uneven += 1

    agrees()
    assert inside > 1000
    assert uneven < inside / 10
    assert words == set(WORDS)


def check_never_seen(layout: Layout, measured: Measured) -> None:
    """The warning names those rows and columns, and only those, whose gradient is 0 for every output."""
    said = [each.text for each in notes(layout, trace_fields(layout)) if each.code == "unseen-pixels"]
    seen = measured.seen(measured.output)
    missed = [sorted({*range(length)} - {*side}) for length, side in zip(layout.input[1:], seen, strict=True)]
    if not any(missed):
        assert not said
        return
    if not any(seen):
        # A window in the padding, all of it: no row, or no column.
        assert said
        return
    named = said[0].removeprefix("the output never sees ").split(" of the ")[0]
    for what, places in zip(("row", "column"), missed, strict=True):
        assert (what in named) == bool(places)
        if places:
            assert (
                f"{what} {places[0]}" in named
                or f"{what}s {places[0]}" in named
                or (f"{len(places)} {what}s ({places[0]}, " in named)
            )


@pytest.mark.parametrize("units", [1, 2, 5])
@pytest.mark.parametrize(
    "fields",
    [
        [Field(3, 1, -1), Field(5, 1, -2), Field(1, 1, 0)],
        [Field(3, 2, 0), Field(2, 2, 5)],
        [Field(3, 2, 0), Field(2, 1, 1)],
        [Field(1, 1, 0), Field(4, 3, -2)],
    ],
)
def test_a_join_holds_what_each_branch_sees(fields: list[Field], units: int) -> None:
    """Against every unit in turn."""
    joined = reduce(lambda one, other: one.joined(other, units), fields)
    first = [min(field.start + unit * field.step for field in fields) for unit in range(units)]
    last = [max(field.start + unit * field.step + field.size for field in fields) for unit in range(units)]
    assert joined.size == max(b - a for a, b in zip(first, last, strict=True))
    assert joined.start == first[0]


@pytest.mark.parametrize("grid", ["3", "4", "5x7", "9x11"])
def test_behind_an_uneven_grid_no_unit_sees_more(grid: str) -> None:
    """The field of the largest window, and the farthest step: an estimate that is never too small."""
    layout = laid(f"conv 1 3x3 -> pool avg {grid} -> conv 1 3x3 -> conv 1 -> end: identity", Map(1, 13, 17))
    end = layout.root.parts[-1]
    assert isinstance(end, Placed)
    assert isinstance(end.output, Map)
    told, measured = trace_fields(layout)["end"], Measured(layout)
    assert told is not None
    for row in range(end.output.height):
        for column in range(end.output.width):
            rows, columns = measured.fields(end, (row, column))
            assert rows[-1] - rows[0] < told.rows.size
            assert columns[-1] - columns[0] < told.columns.size


# --- the comparison can fail ---------------------------------------------------------------------------


def test_comparing_fails_where_one_number_is_off() -> None:
    layout = laid("conv 2 3x3 -> maxpool 2 -> conv 2 3x3 -> identity", Map(1, 20, 20))
    told, measured = trace_fields(layout), Measured(layout)
    assert check_fields(layout, told, measured) == 16
    fields = told["3"]
    assert fields is not None
    rows = fields.rows
    for wrong in (
        Field(rows.size + 1, rows.step, rows.start),
        Field(rows.size, rows.step + 1, rows.start),
        Field(rows.size, rows.step, rows.start + 1),
    ):
        with pytest.raises(AssertionError):
            check_fields(layout, {**told, "3": Fields(wrong, fields.columns)}, measured)
    with pytest.raises(AssertionError):
        check_fields(layout, {**told, "3": None}, measured)


def test_comparing_fails_where_other_rows_are_missed() -> None:
    layout = laid("maxpool 2 -> fc 5", Map(1, 9, 9))
    check_never_seen(layout, Measured(layout))
    with pytest.raises(AssertionError):
        check_never_seen(layout, Measured(laid("maxpool 3 -> fc 5", Map(1, 9, 9))))
    with pytest.raises(AssertionError):
        check_never_seen(layout, Measured(laid("maxpool 1 stride 3 -> fc 5", Map(1, 9, 9))))
