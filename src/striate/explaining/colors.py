"""How numbers become colors: one scale for all that is compared, and its color bar."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Colors = NDArray[np.uint8]
"""Height x width x 3."""

# Below zero, zero and above it: told apart by people who see few colors, too.
_BLUE, _WHITE, _ORANGE = (0, 92, 160), (255, 255, 255), (200, 80, 0)
_BLACK = (24, 24, 24)

# A picture file is enlarged by a whole factor until its longer side has so many pixels.
LEAST_SIDE = 224


@dataclass(frozen=True, slots=True)
class Scale:
    """Which numbers the ends of the colors stand for.

    signed: from -high to high, blue over white to orange, zero is white; else from 0 to high in viridis.
    clipped: the share of the values beyond, which have the color of the end.
    """

    high: float
    signed: bool
    clipped: float = 0.0

    @property
    def low(self) -> float:
        """The number at the other end."""
        return -self.high if self.signed else 0.0


def scale_of(arrays: Sequence[NDArray[Any]], *, signed: bool, most: float = 1.0) -> Scale:
    """The scale that all arrays share.

    most: the share of the values of each, by magnitude, that lies inside; single pixels are then clipped.
    """
    sizes = [np.abs(each) for each in arrays]
    high = max(float(np.quantile(each, most)) if most < 1 else float(each.max()) for each in sizes)
    beyond = sum(int((each > high).sum()) for each in sizes) / max(1, sum(each.size for each in sizes))
    return Scale(high, signed, beyond)


def colored(values: NDArray[np.float32], scale: Scale) -> Colors:
    """Values, height x width, as colors."""
    if not scale.high > 0:
        share = np.zeros_like(values)
    elif scale.signed:
        share = (values / scale.high).clip(-1, 1)
    else:
        share = (values / scale.high).clip(0, 1)
    if not scale.signed:
        import matplotlib

        return (matplotlib.colormaps["viridis"](share)[..., :3] * 255).round().astype(np.uint8)
    points = (-1.0, 0.0, 1.0)
    channels = [np.interp(share, points, ends) for ends in zip(_BLUE, _WHITE, _ORANGE, strict=True)]
    return np.stack(channels, axis=-1).round().astype(np.uint8)


def color_bar(scale: Scale) -> Colors:
    """All colors of a scale from low to high, 1 x 128 x 3."""
    return colored(np.linspace(scale.low, scale.high, 128, dtype=np.float32)[None], scale)


def overlay(colors: Colors, image: Colors) -> Colors:
    """Colors at half strength on the image in gray."""
    gray = np.asarray(Image.fromarray(image).convert("L"), dtype=np.float32)[..., None]
    return (0.5 * colors + 0.5 * gray).round().astype(np.uint8)


def as_picture(stored: NDArray[Any], values: tuple[float, float] | None) -> tuple[Colors, str]:
    """A stored image, height x width x channels, as a person sees it, and what had to be done for that.

    values: the least and the largest of real numbers in training.
    Images of other than one or three channels are shown as the mean of theirs, in gray.
    """
    said = ""
    channels = stored.shape[2]
    array = stored.astype(np.float32)
    if channels not in (1, 3):
        array = array.mean(axis=2, keepdims=True)
        said = f"shown is the mean of the {channels} channels"
    if stored.dtype != np.uint8:
        low, high = values or (float(array.min()), float(array.max()))
        array = (array - low) / max(high - low, 1e-12) * 255
    colors = np.asarray(array.clip(0, 255).round(), dtype=np.uint8)
    return (np.repeat(colors, 3, axis=2) if colors.shape[2] == 1 else colors), said


def filter_colors(weights: NDArray[np.float32], high: float) -> list[Colors]:
    """One filter, channels x height x width, as pictures: of three channels one in color, gray where they are zero;
    else one a channel, blue to orange.

    high: the largest magnitude of the filters that are compared.
    """
    if len(weights) == 3:
        share = (weights / max(high, 1e-12)).clip(-1, 1).transpose(1, 2, 0)
        return [(127.5 + 127.5 * share).round().astype(np.uint8)]
    return [colored(each, Scale(high, signed=True)) for each in weights]


def sheet(pictures: Sequence[Colors], columns: int, *, gap: int = 1) -> Colors:
    """Pictures of one size as a sheet, row by row."""
    height, width = pictures[0].shape[:2]
    rows = -(-len(pictures) // columns)
    columns = min(columns, len(pictures))
    out = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), 255, dtype=np.uint8)
    for place, each in enumerate(pictures):
        top, left = place // columns * (height + gap), place % columns * (width + gap)
        out[top : top + height, left : left + width] = each
    return out


def framed_box(picture: Colors, box: tuple[int, int, int, int]) -> Colors:
    """A picture with a box drawn on it: top, left, height and width; what lies outside is cut off."""
    out = picture.copy()
    top, left, high, wide = box
    rows, columns = out.shape[:2]
    thick = max(1, round(max(rows, columns) / 150))
    inside = slice(max(0, top), max(0, top + high)), slice(max(0, left), max(0, left + wide))
    mark = np.zeros(out.shape[:2], dtype=bool)
    mark[inside] = True
    inner = (
        slice(max(0, top + thick) if top >= 0 else 0, max(0, top + high - thick) if top + high <= rows else rows),
        slice(max(0, left + thick) if left >= 0 else 0, max(0, left + wide - thick) if left + wide <= columns else columns),
    )  # fmt: skip
    mark[inner] = False
    out[mark] = _ORANGE
    return out


def enlarged(picture: Colors, least: int = LEAST_SIDE) -> Colors:
    """Each pixel as a square, so that the longer side has at least so many."""
    factor = max(1, -(-least // max(picture.shape[:2])))
    return picture.repeat(factor, axis=0).repeat(factor, axis=1)


def png(picture: Colors) -> bytes:
    """The bytes of a PNG file."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG", compress_level=3)
    return file.getvalue()
