"""What the first layers have learned to look for: their filters as images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from striate.explaining.layers import main_path
from striate.explaining.subject import as_array
from striate.modules.module import Net
from striate.net.layers.convolution import Conv, Local, Whiten
from striate.net.layers.linear import Fc
from striate.net.layout.layout import Chain, Join, Layout, Part, Placed
from striate.net.shape import Map

# Filters of a layer that are shown, those with the largest weights; and layers.
MOST_FILTERS, MOST_LAYERS = 64, 4


@dataclass(frozen=True)
class Filters:
    """Filters of a layer that reads the image.

    path: of the layer.  count: how many it has.  weights: some of them, K x channels x height x width, those with
    the largest weights, in their order.  units: their numbers.
    """

    path: str
    count: int
    weights: NDArray[np.float32]
    units: tuple[int, ...]


def first_filters(net: Net, layout: Layout) -> list[Filters]:
    """The filters of every layer that reads the image itself, the first few layers.

    Those of one pixel are no image and are left out.  An fc that reads the image has a template of the image's
    size for each of its features.
    """
    found: list[Placed] = []
    _find(layout.root, True, found)
    return [_filters(net, layout, placed) for placed in found[:MOST_LAYERS]]


def _find(part: Part, image: bool, found: list[Placed]) -> bool:
    """Add the layers with filters that read the image; whether what the part gives is still the image.

    image: whether what it reads is.  Norms, pools and activations leave it one.
    """
    if isinstance(part, Placed):
        layer = part.layer
        if not isinstance(layer, Conv | Whiten | Local | Fc):
            return image
        single = not isinstance(layer, Fc) and layer.kernel.height * layer.kernel.width == 1
        if image and not single and not isinstance(layer, Local):
            found.append(part)
        return False
    if isinstance(part, Join):
        # Every branch is looked at, whatever the first one says.
        left = [_find(chain, image, found) for chain in part.chains]
        return all(left)
    if isinstance(part, Chain):
        for each in part.parts:
            image = _find(each, image, found)
    return image


def _filters(net: Net, layout: Layout, placed: Placed) -> Filters:
    weight = net.part(placed.path).weight
    assert isinstance(weight, Tensor)
    if isinstance(placed.layer, Fc):
        weight = weight.reshape(len(weight), *_image_shape(layout, placed))
    return _strongest(placed.path, as_array(weight))


def _image_shape(layout: Layout, placed: Placed) -> tuple[int, int, int]:
    """Of what an fc reads: the image, or what pools and the like left of it."""
    shape: Map = layout.input
    for part in main_path(layout.root):
        if part.path == placed.path:
            break
        if isinstance(part.output, Map):
            shape = part.output
    return shape.channels, shape.height, shape.width


def _strongest(path: str, weights: NDArray[np.float32]) -> Filters:
    size = np.abs(weights).reshape(len(weights), -1).max(axis=1)
    units = np.sort(np.argsort(-size, kind="stable")[:MOST_FILTERS])
    return Filters(path, len(weights), weights[units], tuple(units.tolist()))
