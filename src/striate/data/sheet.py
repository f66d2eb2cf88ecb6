"""A sheet of training images as they are stored and as a network sees them, epoch after epoch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from striate.data.augment.augment import Augment, augmented, default_augment, read_augment
from striate.data.augment.chance import Chance
from striate.data.augment.mixup import Mixup
from striate.data.decode.size import Fit, Size
from striate.data.gather import gather
from striate.data.images import Images, center
from striate.errors import StriateError
from striate.text.visible import visible

# Small images are drawn larger, in whole steps, so that their pixels stay sharp.
SIDE = 96

_GAP, _MARGIN, _NAMES, _LINE, _TEXT = 6, 12, 150, 20, 13
# Neither black nor white, so that borders of both kinds can be seen.
_PAPER, _INK, _FAINT = (226, 228, 231), (20, 20, 24), (92, 96, 104)

# Epochs beside each other: as many as fit on a screen with images of 128 pixels.
EPOCHS = 7

# More rows make a file that no viewer likes.
MOST = 200

_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True, slots=True)
class Row:
    """One image: its class, its name, and its images from left to right, h x w x 3 bytes each."""

    label: str
    name: str
    images: tuple[NDArray[np.uint8], ...]


@dataclass(frozen=True, slots=True)
class Sheet:
    """A drawn sheet.  shape: of the images, as 3x32x32."""

    image: Image.Image
    augment: Augment
    count: int
    shape: str


def make_sheet(
    data: str | Path,
    *,
    augment: str = "auto",
    size: Size | None = None,
    fit: Fit = "crop",
    count: int = 24,
    epoch: int = 0,
    seed: int = 0,
    progress: Callable[[int, int | None], None] | None = None,
) -> Sheet:
    """Draw training images as the network sees them in EPOCHS epochs from `epoch` on; see `striate show`.

    Raises RecipeError for the words of `augment`, StriateError for the numbers, and what `gather` raises.
    """
    for wrong, problem, place, expected, cure in (
        (
            not 1 <= count <= MOST,
            f"{count} images cannot be shown",
            "--count",
            f"1 to {MOST}",
            "--count 24",
        ),
        (not 0 <= epoch < 10**9, f"there is no epoch {epoch}", "--epoch", "0 or more", "--epoch 0"),
        (not 0 <= seed < 2**32, f"{seed} cannot be a seed", "--seed", "0 to 4294967295", "--seed 0"),
    ):
        if wrong:
            raise StriateError(problem, place=place, expected=expected, cure=cure)
    asked = None if augment == "auto" else read_augment(augment)
    found = gather(data, size=size, fit=fit, seed=seed, progress=progress)
    margin = found.stored_size != found.size
    chosen = default_augment(found.size, found.channels, margin=margin) if asked is None else asked
    chosen.require_fits(found.size)
    epochs = range(epoch, epoch + EPOCHS)
    rows = sheet_rows(
        found.train.images, found.train.labels, found.train.names, found.classes, found.size, chosen,
        count=count, epochs=epochs, seed=seed,
    )  # fmt: skip
    shape = f"{found.channels}x{found.size[0]}x{found.size[1]}"
    heads = ["stored", *(f"epoch {each}" for each in epochs)]
    mixed = ", mixed with the next row" if any(isinstance(word, Mixup) for word in chosen.words) else ""
    title = f"augment: {chosen}{mixed}   |   {found.name}, images of {shape}, seed {seed}"
    return Sheet(draw_sheet(title, heads, rows), chosen, len(rows), shape)


def spread(labels: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Places of at most `count` images: the first of each class, then the second of each, and so on.

    Where there are more classes than that, classes at even distances.  In the order of the classes.
    """
    classes = np.unique(labels)
    if count < len(classes):
        classes = classes[np.linspace(0, len(classes) - 1, count).round().astype(np.int64)]
    places = [np.flatnonzero(labels == each) for each in classes]
    turns = [
        (turn, label, place) for label, own in enumerate(places) for turn, place in enumerate(own[:count])
    ]
    return np.array([place for _, _, place in sorted(sorted(turns)[:count], key=lambda each: each[1:])])


def sheet_rows(
    stored: Images,
    labels: NDArray[np.int64],
    names: Sequence[str],
    classes: Sequence[str],
    size: tuple[int, int],
    augment: Augment,
    *,
    count: int,
    epochs: Sequence[int],
    seed: int,
) -> list[Row]:
    """Rows of the middle of some stored images and of what the network sees of them in `epochs`.

    What is seen is what a training with that seed would see, but for mixup, whose partner is the image
    of the next row instead of the next one of the batch.
    """
    chosen = spread(labels, count)
    columns = [center(stored[chosen], size)]
    for epoch in epochs:
        windows = augmented(stored, chosen, size, augment, seed=seed, epoch=epoch)
        mix = augment.mix(Chance(seed, epoch, chosen))
        if mix is not None:
            own = mix.weights[:, None, None, None]
            mixed = own * windows + (1 - own) * windows[mix.partners]
            windows = np.rint(mixed).astype(np.uint8) if windows.dtype == np.uint8 else mixed
        columns.append(windows)
    low, high = (0.0, 255.0) if stored.dtype == np.uint8 else (columns[0].min(), columns[0].max())
    drawn = [_colors(column, float(low), float(high)) for column in columns]
    return [
        Row(classes[labels[place]], names[place], tuple(column[row] for column in drawn))
        for row, place in enumerate(chosen.tolist())
    ]


def _colors(images: Images, low: float, high: float) -> NDArray[np.uint8]:
    """N x h x w x 3 bytes; of other than 1 or 3 channels the first is visible."""
    some = images if images.shape[3] == 3 else np.repeat(images[..., :1], 3, axis=3)
    scaled = (some.astype(np.float64) - low) * (255 / max(high - low, 1e-9))
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)


def draw_sheet(title: str, heads: Sequence[str], rows: Sequence[Row]) -> Image.Image:
    """The rows under a title and the heads of the columns, the class and name of each at its left."""
    height, width = rows[0].images[0].shape[:2]
    title = visible(title)
    larger = max(1, SIDE // max(height, width))
    tall, wide = larger * height, max(larger * width, 56)
    step = max(tall, 2 * _LINE) + _GAP
    top = _MARGIN + 2 * _LINE + _GAP
    font = ImageFont.load_default(_TEXT)
    across = max(
        2 * _MARGIN + _NAMES + len(heads) * (wide + _GAP), 2 * _MARGIN + round(font.getlength(title))
    )
    sheet = Image.new("RGB", (across, top + len(rows) * step + _MARGIN), _PAPER)
    pen = ImageDraw.Draw(sheet)
    pen.text((_MARGIN, _MARGIN), title, _INK, font)
    lefts = [_MARGIN + _NAMES + column * (wide + _GAP) for column in range(len(heads))]
    for left, head in zip(lefts, heads, strict=True):
        pen.text((left, _MARGIN + _LINE), head, _FAINT, font)
    for number, row in enumerate(rows):
        y = top + number * step
        for line, (text, ink) in enumerate(((row.label, _INK), (row.name, _FAINT))):
            pen.text((_MARGIN, y + line * _LINE), _fitting(visible(text), font), ink, font)
        for left, image in zip(lefts, row.images, strict=True):
            tile = Image.fromarray(image)
            size = (larger * width, larger * height)
            sheet.paste(tile.resize(size, Image.Resampling.NEAREST), (left, y))
    return sheet


def _fitting(text: str, font: _Font) -> str:
    """The text, or as much of its end as fits beside the images: names differ there."""
    if font.getlength(text) <= _NAMES - _GAP:
        return text
    while text and font.getlength("…" + text) > _NAMES - _GAP:
        text = text[1:]
    return "…" + text
