"""What a flow without trained weights makes of one image, as an image."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from striate.data.decode.decode import MAX_PIXELS, decode
from striate.data.decode.image import fitted
from striate.errors import FitError, StriateError, nearest
from striate.explaining.colors import Scale, colored
from striate.modules.module import build
from striate.net.layers.convolution import KERNELS
from striate.net.layers.words import write_layer
from striate.net.layout.layout import Layout, lay
from striate.net.network import Network
from striate.net.notation.reader import read_text
from striate.net.shape import Map

# The share of the values that a scale reaches over.
REACH = 0.99

# A flow takes the brightness away where it makes less than this share of a uniform image.
_DARK = 0.02


@dataclass(frozen=True, slots=True, eq=False)
class Filtered:
    """What came out.

    image: as it is to be looked at.  values: H x W x C, as they are.  flow: as it is written.
    how: how values became colors, a sentence.
    """

    image: Image.Image
    values: NDArray[np.float32]
    flow: str
    how: str


def filter_image(flow: str, network: Network | None, image: str | Path) -> Filtered:
    """Put an image through a flow.

    flow: the name of a fixed kernel (see KERNELS), where there is no network; else what the network is called.

    Its values are 0 to 255, and outside of it is 0.  Where a uniform image keeps its brightness, what comes out is
    shown as it is, clipped to 0..255; where it becomes 0, as with `sobel-x`, values have a sign: one channel is blue
    below, white at and orange above 0, several are gray at 0 each, on a scale that reaches over 99 %
    of them.

    Raises StriateError where there is no such kernel, FitError where a layer has weights to be trained or what comes
    out is no image, Unreadable (a DataError).
    """
    if network is None:
        if flow not in KERNELS:
            raise StriateError(
                f"there is no filter `{flow}`",
                place="filter",
                expected="one of " + ", ".join(KERNELS) + "; or a flow, as `grey -> filter sobel-x`",
                cure=nearest(flow, KERNELS) or "sobel-x",
            )
        network = read_text(f"filter {flow}")
    pixels = decode(Path(image), (MAX_PIXELS, MAX_PIXELS), MAX_PIXELS)
    height, width = round(pixels.height), round(pixels.width)
    size = (height, width) if pixels.orientation < 5 else (width, height)
    content = pixels.content
    channels = (
        (1 if content.mode in ("L", "1", "I;16") else 3)
        if isinstance(content, Image.Image)
        else content.shape[2]
    )
    stored = fitted(pixels, size, channels, np.dtype("uint8"))
    layout = lay(network, Map(channels, *size), None)
    _require_fixed(layout)
    values = _through(layout, stored)
    uniform = _through(layout, np.full_like(stored, 128))
    if float(np.median(np.abs(uniform))) >= _DARK * 128:
        shown, how = _clipped(values)
    elif values.min() < 0:
        shown, how = _signed(values)
    else:
        most, said = _reach(values)
        shown, how = np.rint(values * (255 / most)).clip(0, 255), f"black is 0, white {most:.4g}{said}"
    return Filtered(_image(shown.astype(np.uint8)), values, flow, how)


def _require_fixed(layout: Layout) -> None:
    for placed in layout.layers():
        if placed.layer.weights(placed.input):
            raise FitError(
                f"`{write_layer(placed.layer)}` has weights to be trained, and this has none yet",
                place=placed.path,
                expected="layers without weights, as filter, grey, maxpool, avgpool, relu",
                cure="striate train DATA, and then striate explain RUN IMAGE",
            )
    shape = layout.output
    if not isinstance(shape, Map) or shape.channels not in (1, 3):
        raise FitError(
            f"{shape} is no image",
            place="filter",
            expected="1 or 3 channels of a height and a width",
            cure="the flow without its last layer"
            if not isinstance(shape, Map)
            else "`grey` as the last layer",
        )


def _through(layout: Layout, stored: NDArray[Any]) -> NDArray[np.float32]:
    net = build(layout).eval()
    x = torch.from_numpy(stored.copy()).permute(2, 0, 1)[None].float()
    with torch.inference_mode():
        # Not `net(x)`, which flattens.
        for module in net.children():
            x = module(x)
    made: NDArray[np.float32] = x[0].permute(1, 2, 0).numpy()
    return made


def _clipped(values: NDArray[np.float32]) -> tuple[NDArray[Any], str]:
    beyond = float(((values < -0.5) | (values > 255.5)).mean())
    how = (
        f"values as they are, {beyond:.1%} of them clipped to 0..255"
        if beyond
        else "values as they are, 0 to 255"
    )
    return np.rint(values).clip(0, 255), how


def _signed(values: NDArray[np.float32]) -> tuple[NDArray[Any], str]:
    """Values with a sign as colors, on a scale that reaches as far on both sides."""
    most, said = _reach(values)
    share = (values / most).clip(-1, 1)
    said = f"the scale is -{most:.4g} to {most:.4g}{said}"
    if values.shape[2] > 1:
        return np.rint(127.5 + 127.5 * share), f"each channel is gray at 0; {said}"
    return colored(
        values[..., 0], Scale(most, signed=True)
    ), f"blue is below 0, white 0, orange above; {said}"


def _reach(values: NDArray[np.float32]) -> tuple[float, str]:
    """Where the scale ends, and what is clipped: a few strong edges must not leave the rest without color."""
    sizes = np.abs(values)
    most = max(float(np.quantile(sizes, REACH)), float(sizes.max()) / 8, 1e-9)
    beyond = float((sizes > most).mean())
    return most, f", and {beyond:.1%} of the values lie beyond" if beyond else ""


def _image(shown: NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(shown[..., 0] if shown.shape[2] == 1 else shown)
