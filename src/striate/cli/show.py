"""`striate show`."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Literal

from striate.cli.console import prose
from striate.cli.screen import Screen
from striate.cli.values import require_new, require_outside
from striate.data.augment import read_augment, suited_augment
from striate.data.changes.mixup import Mixup
from striate.data.gather import gather
from striate.data.sheet import draw_sheet, sheet_rows
from striate.errors import StriateError, counted
from striate.runs.atomic import write_atomic
from striate.train.watch import counting

# Epochs beside each other: as many as fit on a screen with pictures of 128 pixels.
EPOCHS = 7

# More rows make a file that no viewer likes.
MOST = 200


def show(
    data: str,
    /,
    *,
    augment: str = "auto",
    size: str | None = None,
    fit: Literal["crop", "pad", "stretch"] = "crop",
    count: int = 24,
    epoch: int = 0,
    seed: int = 0,
    out: Path = Path("sheet.png"),
    force: bool = False,
) -> None:
    """A sheet of training pictures as the network sees them, before they are normalised.

    Each row is a picture: as it is stored, then as it is seen in one epoch
    after the other, by `striate train` with the same seed and augment, at full size.

    For example:

      striate show photos/
      striate show photos/ --augment "flip, zoom 0.35, jitter 0.3" --out jitter.png
      striate show digits --augment "rotate 15, crop 1" --count 10

    Parameters
    ----------
    data
        Pictures, as for `striate train`.
    augment
        Words separated by commas out of rotate DEGREES, crop N, zoom LOW, flip, vflip, jitter S, grey SHARE,
        noise S, cutout N and mixup A; none; or auto, what training takes where nothing is said.
    size
        Side of the pictures in pixels, or HEIGHTxWIDTH as 60x180; chosen by the pictures if left out.
    fit
        How a picture of another shape becomes one of that size: crop its edges, pad it, or stretch it.
    count
        Pictures, taken from all classes alike.
    epoch
        The first of the epochs, counted from 0.
    seed
        Of everything that is drawn.
    out
        The file to write.
    force
        Write over a file that is there.
    """
    if not 1 <= count <= MOST:
        raise _refused(f"{count} pictures cannot be shown", "--count", f"1 to {MOST}", "--count 24")
    if not 0 <= epoch < 10**9:
        raise _refused(f"there is no epoch {epoch}", "--epoch", "0 or more", "--epoch 0")
    if not 0 <= seed < 2**32:
        raise _refused(f"{seed} cannot be a seed", "--seed", "0 to 4294967295", "--seed 0")
    if out.suffix.lower() != ".png":
        raise _refused(
            "a sheet is a PNG file", str(out), "a name that ends in .png", f"--out {out.stem or 'sheet'}.png"
        )
    require_new(out, force)
    require_outside("--out", out, data)
    asked = None if augment == "auto" else read_augment(augment)
    screen = Screen()
    with screen.stoppable(), counting(screen, "reading pictures") as progress:
        found = gather(data, size=size, fit=fit, seed=seed, progress=progress)
    margin = found.stored_size != found.size
    chosen = suited_augment(found.size, found.channels, margin=margin) if asked is None else asked
    chosen.require_fits(found.size)
    epochs = range(epoch, epoch + EPOCHS)
    rows = sheet_rows(
        found.train.pictures, found.train.labels, found.train.names, found.classes, found.size, chosen,
        count=count, epochs=epochs, seed=seed,
    )  # fmt: skip
    shape = f"{found.channels}x{found.size[0]}x{found.size[1]}"
    heads = ["stored", *(f"epoch {each}" for each in epochs)]
    mixed = ", mixed with the next row" if any(isinstance(word, Mixup) for word in chosen.words) else ""
    title = f"augment: {chosen}{mixed}   |   {found.name}, pictures of {shape}, seed {seed}"
    file = io.BytesIO()
    draw_sheet(title, heads, rows).save(file, "PNG")
    write_atomic(out, file.getvalue())
    prose().print(f"augment  {chosen}")
    prose().print(
        f"sheet    {out}: {counted(len(rows), 'picture')} of {shape}, epochs {epoch} to {epochs[-1]}"
    )


def _refused(problem: str, place: str, expected: str, cure: str) -> StriateError:
    return StriateError(problem, place=place, expected=expected, cure=cure)
