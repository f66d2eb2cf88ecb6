"""Small pictures first: most of what a network learns at first can be learnt from half of the pixels."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from striate.errors import FitError, RecipeError
from striate.spec.layout import Layout, lay
from striate.spec.shape import Map

# The share of the training after which pictures have their whole size.
WHOLE_AFTER = 2 / 3

# Sides are multiples of it, so that they can be halved.
MULTIPLE = 4


def grown(size: tuple[int, int], start: float | None, progress: float) -> tuple[int, int]:
    """Height and width of the pictures in an epoch that ends after a share `progress` of the training.

    side * (start + (1 - start) * progress / (2/3)), in multiples of 4; from two thirds on, the whole side

    Source: Howard 2018 (progressive resizing); Tan and Le 2021, section 4.2.
    """
    share = 1.0 if start is None else min(1.0, start + (1 - start) * progress / WHOLE_AFTER)
    if share == 1.0:
        return size
    height, width = (min(side, max(MULTIPLE, MULTIPLE * round(side * share / MULTIPLE))) for side in size)
    return height, width


def strength(size: tuple[int, int], whole: tuple[int, int], start: float | None, least: float) -> float:
    """The share of the numbers of augment that pictures of a size are changed by.

    least + (1 - least) * (side - first) / (whole - first), first being the smallest side that grow allows

    Source: Tan and Le 2021, section 4.2: small pictures need less regularisation.
    """
    first, side, full = max(grown(whole, start, 0.0)), max(size), max(whole)
    return 1.0 if side == full else least + (1 - least) * (side - first) / (full - first)


def shrunk(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Pictures at a smaller size, N x C x H x W, averaged over the pixels that fall together."""
    if x.shape[2:] == size:
        return x
    return F.interpolate(x, size, mode="bilinear", antialias=True, align_corners=False)


def require_grows(layout: Layout, start: float | None) -> None:
    """Raise RecipeError where the network does not take the smallest pictures, or has other weights on them."""
    size = (layout.input.height, layout.input.width)
    small = grown(size, start, 0.0)
    if small == size:
        return
    try:
        other = lay(layout.network, Map(layout.input.channels, *small), layout.classes)
        same = [_weights(each) for each in (layout, other)]
    except FitError as error:
        problem = f"the network cannot read {small[0]}x{small[1]} pixels: {error.problem}"
    else:
        if same[0] == same[1]:
            return
        problem = f"on {small[0]}x{small[1]} pixels the network has other weights than on {size[0]}x{size[1]}"
    raise RecipeError(
        problem,
        place="grow",
        expected="a network that reads pictures of each size with the same weights",
        cure="`pool avg` before the first fc; or leave out grow",
    )


def _weights(layout: Layout) -> list[int]:
    return [placed.layer.weights(placed.input) for placed in layout.layers()]
