"""Small images first: most of what a network learns at first can be learnt from half of the pixels."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from striate.errors import FitError, RecipeError
from striate.net.layers.convolution import Conv
from striate.net.layers.pooling import AvgPool, MaxPool
from striate.net.layout.layout import Layout, Placed, lay
from striate.net.shape import Map

# The share of the training after which images have their whole size.
WHOLE_AFTER = 2 / 3

# Sides are multiples of it, so that they can be halved.
MULTIPLE = 4


def size_at(size: tuple[int, int], start: float, progress: float) -> tuple[int, int]:
    """Height and width of the images in an epoch that ends after a share `progress` of the training.

    side * (start + (1 - start) * progress / (2/3)), in multiples of 4; from two thirds on, the whole side

    Source: Howard 2018 (progressive resizing); Tan and Le 2021, section 4.2.
    """
    share = min(1.0, start + (1 - start) * progress / WHOLE_AFTER)
    if share == 1.0:
        return size
    height, width = (min(side, max(MULTIPLE, MULTIPLE * round(side * share / MULTIPLE))) for side in size)
    return height, width


def augment_strength(size: tuple[int, int], whole: tuple[int, int], start: float, least: float) -> float:
    """The share of the numbers of augment that images of a size are changed by.

    least + (1 - least) * (side - first) / (whole - first), first being the smallest side that grow allows

    Source: Tan and Le 2021, section 4.2: small images need less regularization.
    """
    first, side, full = max(size_at(whole, start, 0.0)), max(size), max(whole)
    return 1.0 if side == full else least + (1 - least) * (side - first) / (full - first)


def downsample(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Images at a smaller size, N x C x H x W, averaged over the pixels that fall together."""
    if x.shape[2:] == size:
        return x
    return F.interpolate(x, size, mode="bilinear", antialias=True, align_corners=False)


def require_progressive_resizing(layout: Layout, start: float) -> None:
    """Raise RecipeError where the network does not take a size of smaller images, or is another one on them."""
    size = (layout.input.height, layout.input.width)
    # Sides grow in multiples of 4, so no size is passed over.
    sizes = dict.fromkeys(size_at(size, start, WHOLE_AFTER * step / max(size)) for step in range(max(size)))
    for small in sizes:
        if small != size and (problem := _misfit(layout, small)):
            break
    else:
        return
    raise RecipeError(
        problem,
        place="progressive_resizing",
        expected="a network that reads images of each size with the same weights",
        cure="`pool avg` before the first fc, numbers for padding; or progressive_resizing=none",
    )


def _misfit(layout: Layout, small: tuple[int, int]) -> str:
    """What hinders a network on smaller images; empty where nothing does."""
    smaller, whole = (
        f"{height}x{width}" for height, width in (small, (layout.input.height, layout.input.width))
    )
    try:
        other = lay(layout.network, Map(layout.input.channels, *small), layout.classes)
    except FitError as error:
        return f"the network cannot read {smaller} pixels: {error.problem}"
    for one, two in zip(layout.layers(), other.layers(), strict=True):
        if one.layer.weights(one.input) != two.layer.weights(two.input):
            return f"on {smaller} pixels the network has other weights than on {whole}"
        if _padding(one) != _padding(two):
            return f"on {smaller} pixels `{one.path}` is padded otherwise than on {whole}"
    return ""


def _padding(placed: Placed) -> list[tuple[int, int]]:
    if not isinstance(placed.layer, Conv | MaxPool | AvgPool):
        return []
    return [(axis.before, axis.after) for axis in placed.layer.axes(placed.input)]
