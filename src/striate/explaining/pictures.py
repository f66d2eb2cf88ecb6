"""Every picture of an explanation, drawn: by its name, on the scale that it shares."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from striate.explaining.class_map import on_image
from striate.explaining.colors import (
    Colors,
    Scale,
    as_picture,
    colored,
    enlarged,
    filter_colors,
    framed_box,
    overlay,
    png,
    scale_of,
    sheet,
)
from striate.explaining.explain import Explained, Explanation, Heat
from striate.explaining.filters import Filters
from striate.explaining.maps import FeatureMaps, Sight

# Of a map with a value a pixel, the share that lies within the scale: a few pixels are far stronger than all others.
INSIDE = 0.995


@dataclass(frozen=True)
class Scales:
    """The scales that all images of an explanation share: of each method, and of the feature maps of each layer."""

    heats: Mapping[str, Scale]
    maps: Mapping[str, Scale]


def scales(explanation: Explanation) -> Scales:
    """They are taken over all images."""
    heats: dict[str, list[Heat]] = {}
    maps: dict[str, list[NDArray[np.float32]]] = {}
    for image in explanation.images:
        for heat in image.heats:
            heats.setdefault(heat.key, []).append(heat)
        for each in image.maps:
            maps.setdefault(each.at.path, []).append(each.values)
    return Scales(
        {
            key: scale_of(
                [each.values for each in some],
                signed=some[0].signed,
                most=INSIDE if some[0].key == "integrated-gradients" else 1.0,
            )
            for key, some in heats.items()
        },
        {
            path: scale_of(some, signed=any(float(each.min()) < 0 for each in some))
            for path, some in maps.items()
        },
    )


def heat_pictures(heat: Heat, scale: Scale, picture: Colors) -> tuple[Colors, Colors]:
    """The map at half strength on the image in gray, and its own values, each a square.

    picture: the image as it is shown.
    """
    size = picture.shape[0], picture.shape[1]
    laid = overlay(colored(on_image(heat.values, size), scale), picture)
    return enlarged(laid), enlarged(colored(heat.values, scale))


def map_pictures(maps: FeatureMaps, scale: Scale) -> list[Colors]:
    """Its maps, each a picture."""
    return [colored(each, scale) for each in maps.values]


def sight_picture(sight: Sight, picture: Colors) -> Colors:
    """How much each pixel moves the unit, on the image in gray, and a box around what can."""
    largest = float(sight.values.max())
    shares = sight.values / largest if largest > 0 else sight.values
    laid = overlay(colored(shares, Scale(1.0, signed=False)), picture)
    factor = max(1, enlarged(laid).shape[0] // laid.shape[0])
    top, left, height, width = sight.box or (0, 0, *picture.shape[:2])
    return framed_box(enlarged(laid), (factor * top, factor * left, factor * height, factor * width))


def filter_pictures(filters: Filters) -> list[Colors]:
    """Each filter as a picture: of three channels one in color, else its channels side by side."""
    high = float(np.abs(filters.weights).max())
    return [sheet(filter_colors(each, high), each.shape[0]) for each in filters.weights]


def stems(explanation: Explanation) -> list[str]:
    """The names that the files of each image begin with: its own, and a number where two are alike."""
    found: list[str] = []
    for number, image in enumerate(explanation.images):
        stem = re.sub(r"[^A-Za-z0-9_-]+", "-", PurePath(image.name).stem).strip("-")[:60] or f"image-{number}"
        found.append(f"{stem}-{number}" if stem in found else stem)
    return found


def picture_files(explanation: Explanation) -> dict[str, bytes]:
    """All pictures as PNG files, by name."""
    return {f"{name}.png": png(picture) for name, picture in _all(explanation)}


def _all(explanation: Explanation) -> Iterator[tuple[str, Colors]]:
    shared = scales(explanation)
    for stem, image in zip(stems(explanation), explanation.images, strict=True):
        picture, _ = as_picture(image.image, explanation.values)
        yield stem, enlarged(picture)
        for heat in image.heats:
            laid, grid = heat_pictures(heat, shared.heats[heat.key], picture)
            yield f"{stem}-{heat.key}", laid
            yield f"{stem}-{heat.key}-grid", grid
        for maps in image.maps:
            drawn = map_pictures(maps, shared.maps[maps.at.path])
            yield (
                f"{stem}-maps-{_safe(maps.at.path)}",
                sheet([enlarged(each, 96) for each in drawn], 6, gap=4),
            )
        for sight in image.sights:
            yield f"{stem}-sees-{_safe(sight.at.path)}", sight_picture(sight, picture)
        for unit in image.patches:
            tiles = [thumbnail(as_picture(each, explanation.values)[0], square=96) for each in unit.patches]
            yield f"{stem}-unit-{_safe(unit.at.path)}-{unit.channel}", sheet(tiles, len(tiles), gap=4)
    for filters in explanation.filters:
        drawn = [enlarged(each, 40) for each in filter_pictures(filters)]
        yield f"filters-{_safe(filters.path)}", sheet(drawn, 8, gap=4)


def thumbnail(picture: Colors, *, square: int) -> Colors:
    """A picture in the middle of a white square of that side, in proportion; small ones are enlarged by a whole
    factor."""
    factor = max(1, square // max(picture.shape[:2]))
    image = Image.fromarray(picture.repeat(factor, axis=0).repeat(factor, axis=1))
    image.thumbnail((square, square))
    ground = Image.new("RGB", (square, square), "white")
    ground.paste(image, ((square - image.width) // 2, (square - image.height) // 2))
    return np.asarray(ground)


def _safe(path: str) -> str:
    return path.replace(".", "-")


def shown(image: Explained, explanation: Explanation) -> tuple[Colors, str]:
    """The image as a person sees it, and what had to be done for that."""
    values: Any = explanation.values
    return as_picture(image.image, values)
