"""The layers that torch lacks: by hand, against slow loops in float64, and by gradcheck."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import slow
import torch
from torch import Tensor, nn

from striate.modules.nn.local import LocallyConnected2d
from striate.modules.nn.scale import ChannelNorm, ChannelScale, DropPath
from striate.modules.nn.whitening import EPSILON, WhiteningConv2d
from striate.modules.nn.window import ChannelMean, DepthPool, FixedFilter, GridMaxPool2d, PaddedConv2d, Widen
from striate.net.layers.convolution import KERNELS


def maps(*rows: list[list[float]]) -> Tensor:
    """One image, a channel for each argument."""
    return torch.tensor([rows], dtype=torch.float64)


def require_close(found: Tensor, expected: Tensor) -> None:
    """Fail unless both are the same float64 numbers up to rounding."""
    torch.testing.assert_close(found, expected.to(torch.float64), rtol=1e-12, atol=1e-12)


# --- by hand -------------------------------------------------------------------------------------------


def test_local_by_hand() -> None:
    """Two places with a window of 1x2 each: 1*1 + 2*2 + 0.5 and 3*2 + 4*3 - 0.5."""
    layer = LocallyConnected2d(1, 1, (1, 2), places=(1, 2)).double()
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[[[1.0, 2.0]], [[3.0, 4.0]]]]))
        assert layer.bias is not None
        layer.bias.copy_(torch.tensor([[[0.5, -0.5]]]))
    require_close(layer(maps([[1.0, 2.0, 3.0]])), maps([[5.5, 17.5]]))


def test_local_groups_by_hand() -> None:
    """Each output reads its own channel, at every second column."""
    layer = LocallyConnected2d(2, 2, (1, 1), stride=(1, 2), groups=2, bias=False, places=(1, 2)).double()
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([1.0, 2.0, 3.0, 4.0]).reshape(2, 2, 1, 1))
    found = layer(maps([[1.0, 9.0, 2.0]], [[3.0, 9.0, 4.0]]))
    require_close(found, maps([[1.0, 4.0]], [[9.0, 16.0]]))


def test_a_convolution_is_local_with_shared_weights() -> None:
    conv = nn.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2), groups=2).double()
    x = torch.randn(2, 4, 7, 6, dtype=torch.float64)
    expected = conv(x)
    layer = LocallyConnected2d(
        4, 6, (3, 2), stride=(2, 1), padding=(0, 0, 1, 1), dilation=(1, 2), groups=2, places=(4, 4)
    ).double()
    with torch.no_grad():
        layer.weight.copy_(conv.weight.reshape(2, 1, 3, 12).expand(-1, 16, -1, -1))
        assert conv.bias is not None
        assert layer.bias is not None
        layer.bias.copy_(conv.bias.reshape(6, 1, 1).expand(-1, 4, 4))
    require_close(layer(x), expected)


IMPULSE = [[0.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]]


@pytest.mark.parametrize("kind", KERNELS)
def test_a_filter_shows_its_kernel_turned_at_a_single_bright_point(kind: str) -> None:
    kernel = [list(map(float, row)) for row in KERNELS[kind]]
    turned = [row[::-1] for row in kernel[::-1]]
    require_close(FixedFilter(KERNELS[kind]).double()(maps(IMPULSE)), maps(turned))


def test_filters_by_hand() -> None:
    """An edge from dark to light, left to right: sobel-x answers +, sobel-y nothing but at the border."""
    edge = maps(*[[[0.0, 0.0, 1.0, 1.0]] * 3] * 2)
    found = FixedFilter(KERNELS["sobel-x"]).double()(edge)
    require_close(found[:, :, 1], torch.tensor([[0.0, 4.0, 4.0, -4.0]] * 2).reshape(1, 2, 4))
    found = FixedFilter(KERNELS["sobel-y"]).double()(edge)
    require_close(found[:, :, 1], torch.zeros(1, 2, 4))
    require_close(found[:, :, 0], torch.tensor([[0.0, 1.0, 3.0, 3.0]] * 2).reshape(1, 2, 4))
    flat = maps([[2.0] * 3] * 3)
    for kind, middle in (
        ("laplacian", 0.0),
        ("sharpen", 2.0),
        ("blur", 2.0),
        ("emboss", 2.0),
        ("identity", 2.0),
    ):
        require_close(FixedFilter(KERNELS[kind]).double()(flat)[0, 0, 1, 1], torch.tensor(middle))


def test_a_fixed_kernel_is_neither_trained_nor_stored() -> None:
    layer = FixedFilter(KERNELS["blur"])
    assert list(layer.parameters()) == []
    assert layer.state_dict() == {}
    assert layer(torch.randn(1, 2, 4, 4).bfloat16()).dtype == torch.bfloat16


def test_pools_over_channels_by_hand() -> None:
    x = torch.tensor([[1.0, 5.0, -3.0, -7.0]], dtype=torch.float64)
    require_close(DepthPool(2)(x), torch.tensor([[5.0, -3.0]]))
    require_close(DepthPool(2, mean=True)(x), torch.tensor([[3.0, -5.0]]))
    require_close(DepthPool(4)(x), torch.tensor([[5.0]]))
    require_close(DepthPool(1)(x), x)
    require_close(ChannelMean()(maps([[0.0]], [[3.0]], [[6.0]])), maps([[3.0]]))
    require_close(Widen(4)(maps([[2.0]])), maps([[0.0]], [[2.0]], [[0.0]], [[0.0]]))
    require_close(GridMaxPool2d((1, 2))(maps([[1.0, 7.0, 3.0]])), maps([[7.0, 7.0]]))


def test_uneven_padding_by_hand() -> None:
    """TensorFlow's SAME at stride 2 on 4 columns: a zero behind, none before: 1+2+3 and 3+4."""
    layer = PaddedConv2d(
        1, 1, (1, 3), stride=(1, 2), dilation=(1, 1), groups=1, bias=False, around=(0, 1, 0, 0)
    ).double()
    nn.init.ones_(layer.weight)
    require_close(layer(maps([[1.0, 2.0, 3.0, 4.0]])), maps([[6.0, 7.0]]))
    assert "around=(0, 1, 0, 0)" in repr(layer)


def test_norm_by_hand() -> None:
    """Mean 2 and variance 1 over the channels of each place."""
    layer = ChannelNorm(2, eps=3.0).double()
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([1.0, 2.0]))
        layer.bias.copy_(torch.tensor([0.0, 0.5]))
    require_close(layer(maps([[1.0, 13.0]], [[3.0, 11.0]])), maps([[-0.5, 0.5]], [[1.5, -0.5]]))
    require_close(layer(torch.tensor([[1.0, 3.0]], dtype=torch.float64)), torch.tensor([[-0.5, 1.5]]))


def test_scale_by_hand() -> None:
    layer = ChannelScale(2, start=0.5).double()
    require_close(layer(maps([[2.0]], [[4.0]])), maps([[1.0]], [[2.0]]))
    assert [tuple(parameter.shape) for parameter in layer.parameters()] == [(2,)]


# --- stochastic depth ----------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(4000, 3), (4000, 2, 2, 2)])
def test_drop_path_drops_whole_images(shape: tuple[int, ...]) -> None:
    layer = DropPath(0.25)
    found = layer(torch.ones(shape)).reshape(shape[0], -1)
    kept = found[:, 0] > 0
    assert bool((found == kept.unsqueeze(1) / 0.75).all())
    # Of 4,000 draws the share strays by sqrt(0.25 * 0.75 / 4000) = 0.007.
    assert abs(float(kept.float().mean()) - 0.75) < 0.035
    assert abs(float(found.mean()) - 1) < 0.05
    # One draw has nothing to do with the next.
    pairs = float((kept[1:] & kept[:-1]).float().mean())
    assert abs(pairs - 0.75**2) < 0.05


def test_drop_path_is_nothing_at_inference_and_at_share_0() -> None:
    x = torch.randn(3, 2)
    assert DropPath(0.9).eval()(x) is x
    assert DropPath(0.0)(x) is x


def test_drop_path_hands_gradients_to_the_kept_images_alone() -> None:
    x = torch.ones(50, 4, requires_grad=True)
    y = DropPath(0.5)(x)
    y.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, y.detach())


# --- slow loops, gradients, order in memory ------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """One layer on one shape, and what it is in loops."""

    name: str
    layer: Callable[[], nn.Module]
    shape: tuple[int, ...]
    slow: Callable[[nn.Module, Tensor], Tensor]


def _local(name: str, shape: tuple[int, ...], outputs: int, places: tuple[int, int], **more: object) -> Case:
    kernel = (3, 2)

    def make() -> nn.Module:
        return LocallyConnected2d(shape[1], outputs, kernel, places=places, **more)  # type: ignore[arg-type]

    def loops(layer: nn.Module, x: Tensor) -> Tensor:
        assert isinstance(layer, LocallyConnected2d)
        return slow.local(
            x, layer.weight, layer.bias, kernel, layer.stride, layer.padding, layer.dilation, layer.places
        )

    return Case(name, make, shape, loops)


def _conv(name: str, shape: tuple[int, ...], outputs: int, groups: int, around: tuple[int, ...]) -> Case:
    def make() -> nn.Module:
        return PaddedConv2d(
            shape[1], outputs, (2, 3), stride=(2, 1), dilation=(1, 2), groups=groups, bias=groups == 1,
            around=around,  # type: ignore[arg-type]
        )  # fmt: skip

    def loops(layer: nn.Module, x: Tensor) -> Tensor:
        assert isinstance(layer, PaddedConv2d)
        return slow.padded_conv(x, layer.weight, layer.bias, (2, 1), (1, 2), layer.around)

    return Case(name, make, shape, loops)


def _whitening(layer: nn.Module, x: Tensor) -> Tensor:
    assert isinstance(layer, WhiteningConv2d)
    return slow.padded_conv(x, layer.weight, layer.bias, (1, 2), (1, 1), (0, 0, 0, 0))


def _norm(layer: nn.Module, x: Tensor) -> Tensor:
    assert isinstance(layer, ChannelNorm)
    return slow.channel_norm(x, layer.weight, layer.bias, layer.eps)


def _scale(layer: nn.Module, x: Tensor) -> Tensor:
    assert isinstance(layer, ChannelScale)
    return slow.channel_scale(x, layer.weight)


CASES = [
    _local("local", (2, 2, 5, 4), 3, (3, 3)),
    _local("local, one image", (1, 2, 5, 4), 3, (3, 3)),
    _local("local padded", (2, 2, 4, 4), 2, (4, 5), padding=(1, 1, 0, 2)),
    _local("local stride dilation groups", (2, 4, 7, 6), 4, (2, 2), stride=(2, 3), dilation=(2, 1), groups=2, bias=False),
    _local("local one place", (2, 1, 3, 2), 2, (1, 1)),
    _conv("conv", (2, 2, 4, 5), 3, 1, (0, 1, 1, 0)),
    _conv("conv groups", (1, 4, 4, 5), 4, 2, (1, 2, 0, 1)),
    Case("whiten", lambda: WhiteningConv2d(2, 12, (2, 3), (1, 2)), (2, 2, 4, 5), _whitening),
    Case("filter", lambda: FixedFilter(KERNELS["emboss"]), (2, 3, 4, 3), lambda _, x: slow.filtered(x, KERNELS["emboss"])),
    Case("filter on one pixel", lambda: FixedFilter(KERNELS["blur"]), (1, 2, 1, 1), lambda _, x: slow.filtered(x, KERNELS["blur"])),
    Case("grey", ChannelMean, (2, 3, 4, 3), lambda _, x: slow.channel_mean(x)),
    Case("depth max", lambda: DepthPool(3), (2, 6, 3, 2), lambda _, x: slow.depth_pool(x, 3, mean=False)),
    Case("depth mean", lambda: DepthPool(3, mean=True), (2, 6, 3, 2), lambda _, x: slow.depth_pool(x, 3, mean=True)),
    Case("depth max of features", lambda: DepthPool(2), (3, 6), lambda _, x: slow.depth_pool(x, 2, mean=False)),
    Case("grid max", lambda: GridMaxPool2d((3, 2)), (2, 2, 7, 5), lambda _, x: slow.grid_max(x, (3, 2))),
    Case("grid max that divides", lambda: GridMaxPool2d((2, 3)), (2, 2, 4, 6), lambda _, x: slow.grid_max(x, (2, 3))),
    Case("grid max, more windows than rows", lambda: GridMaxPool2d((4, 1)), (1, 2, 3, 2), lambda _, x: slow.grid_max(x, (4, 1))),
    Case("widen", lambda: Widen(6), (2, 3, 2, 3), lambda _, x: slow.widen(x, 6)),
    Case("widen by none", lambda: Widen(3), (2, 3, 2, 3), lambda _, x: slow.widen(x, 3)),
    Case("norm", lambda: ChannelNorm(4, eps=1e-3), (2, 4, 3, 2), _norm),
    Case("norm of features", lambda: ChannelNorm(4, eps=1e-6), (3, 4), _norm),
    Case("scale", lambda: ChannelScale(3, start=0.1), (2, 3, 2, 2), _scale),
    Case("scale of features", lambda: ChannelScale(3, start=0.1), (2, 3), _scale),
]  # fmt: skip

every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def made(case: Case) -> tuple[nn.Module, Tensor]:
    """The layer in float64 with drawn weights, and drawn numbers for it, no two alike."""
    layer = case.layer().double().eval()
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    return layer, torch.randn(case.shape, dtype=torch.float64)


@every_case
def test_against_slow_loops(case: Case) -> None:
    layer, x = made(case)
    layer.requires_grad_(False)
    require_close(layer(x), case.slow(layer, x))


@every_case
def test_gradients(case: Case) -> None:
    layer, x = made(case)
    names = [name for name, _ in layer.named_parameters()]

    def call(given: Tensor, *values: Tensor) -> Tensor:
        return torch.func.functional_call(layer, dict(zip(names, values, strict=True)), (given,))  # type: ignore[no-any-return]

    inputs = [x.requires_grad_(), *(parameter.detach().requires_grad_() for parameter in layer.parameters())]
    assert torch.autograd.gradcheck(call, inputs)


@pytest.mark.parametrize("case", [case for case in CASES if len(case.shape) == 4], ids=lambda case: case.name)
def test_channels_last(case: Case) -> None:
    layer, x = made(case)
    turned = x.to(memory_format=torch.channels_last)
    expected = layer(x)
    require_close(layer(turned), expected)
    # Nor does an image cut out of a larger one matter.
    wide = torch.zeros(*case.shape[:3], case.shape[3] + 2, dtype=torch.float64)
    wide[..., 1:-1] = x
    require_close(layer(wide[..., 1:-1]), expected)


@every_case
def test_each_image_by_itself_and_none_at_all(case: Case) -> None:
    layer, x = made(case)
    whole = layer(x)
    require_close(torch.cat([layer(each) for each in torch.split(x, 1)]), whole)
    assert layer(x[:0]).shape == (0, *whole.shape[1:])


@every_case
def test_half_precision_keeps_its_type(case: Case) -> None:
    layer, x = made(case)
    expected = layer(x)
    found = layer.bfloat16()(x.bfloat16())
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.double(), expected, rtol=0.1, atol=0.2)


@pytest.mark.parametrize("shape", [(3, 7), (5, 5), (8, 6), (1, 9), (14, 15)])
@pytest.mark.parametrize("grid", [(1, 1), (2, 3), (5, 4), (7, 7)])
def test_grid_max_for_the_export_is_torchs_own(shape: tuple[int, int], grid: tuple[int, int]) -> None:
    layer, x = GridMaxPool2d(grid), torch.randn(2, 3, *shape, dtype=torch.float64)
    require_close(layer.windowed(x), layer(x))
    require_close(layer.windowed(x), slow.grid_max(x, grid))


@pytest.mark.parametrize("size", [(4, 5), (6, 5), (3, 3)])
def test_a_local_layer_refuses_images_of_another_size(size: tuple[int, int]) -> None:
    layer = LocallyConnected2d(2, 3, (3, 3), places=(3, 3))
    assert layer(torch.randn(1, 2, 5, 5)).shape == (1, 3, 3, 3)
    with pytest.raises(RuntimeError, match="invalid for input of size"):
        layer(torch.randn(1, 2, *size))


def test_comparing_fails_on_small_differences() -> None:
    layer, x = made(CASES[0])
    layer.requires_grad_(False)
    expected = CASES[0].slow(layer, x)
    for wrong in (expected + 1e-9, expected.transpose(0, 1), expected[:, :, 1:], expected.roll(1)):
        with pytest.raises(AssertionError):
            require_close(layer(x), wrong)


# Whitening


def _correlated(count: int, shape: tuple[int, ...]) -> Tensor:
    """Images whose neighbors are alike, in float64."""
    x = torch.randn(count, *shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    return x.cumsum(2).cumsum(3) / 5


def test_whitened_patches_are_uncorrelated_and_of_unit_power() -> None:
    layer, x = WhiteningConv2d(3, 24, (2, 2), (1, 1)).double(), _correlated(60, (3, 8, 8))
    layer.fit(x)
    y = layer(x).transpose(0, 1).flatten(1)
    power = y @ y.T / y.shape[1]
    same = power[::2, ::2]
    require_close(power[::2, 1::2], -same)
    # What is left of a direction of power l is l / (l + e).
    patches = x.unfold(2, 2, 1).unfold(3, 2, 1).permute(0, 2, 3, 1, 4, 5).reshape(-1, 12)
    values = torch.linalg.eigvalsh(patches.T @ patches / len(patches)).flip(0)
    wanted = values / (values + EPSILON * values.mean())
    assert (wanted < 0.999).any()
    torch.testing.assert_close(same.diag(), wanted, atol=2e-5, rtol=0)
    torch.testing.assert_close(same - same.diag().diag(), torch.zeros(12, 12).double(), atol=2e-5, rtol=0)


def test_whitening_keeps_the_strongest_directions() -> None:
    x = _correlated(60, (1, 8, 8))
    whole, few = (WhiteningConv2d(1, channels, (3, 3), (1, 1)) for channels in (18, 6))
    for layer in (whole, few):
        layer.fit(x)
    assert torch.equal(few.weight, whole.weight[:6])


def test_whitening_trains_biases_alone() -> None:
    layer = WhiteningConv2d(3, 24, (2, 2), (1, 1))
    assert [name for name, _ in layer.named_parameters()] == ["bias"]
    assert set(layer.state_dict()) == {"weight", "bias"}


def test_whitening_of_black_images_is_finite() -> None:
    layer = WhiteningConv2d(3, 24, (2, 2), (1, 1))
    layer.fit(torch.zeros(4, 3, 8, 8))
    assert layer.weight.isfinite().all()
