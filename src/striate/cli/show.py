"""`striate show`."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Annotated, Literal

from striate.cli.console import prose
from striate.cli.screen import Screen
from striate.cli.values import OUT, require_new, require_outside
from striate.data.sheet import EPOCHS, make_sheet
from striate.disk.atomic import write_atomic
from striate.errors import StriateError, counted
from striate.progress import counting


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
    out: Annotated[Path, OUT] = Path("sheet.png"),
    force: bool = False,
) -> None:
    """A sheet of training images as the network sees them, before they are normalized.

    Each row is an image: as it is stored, then as it is seen in one epoch
    after the other, by `striate train` with the same seed and augment, at full size.

    For example:

      striate show photos/
      striate show photos/ --augment "flip, zoom 0.35, jitter 0.3" --out jitter.png
      striate show digits --augment "rotate 15, crop 1" --count 10

    Parameters
    ----------
    data
        Images, as for `striate train`.
    augment
        Words separated by commas out of rotate DEGREES, crop N, zoom LOW, flip, vflip, jitter S, grey SHARE,
        noise S, cutout N and mixup A; none; or auto, what training takes where nothing is said.
    size
        Side of the images in pixels, or HEIGHTxWIDTH as 60x180; chosen by the images if left out.
    fit
        How an image of another shape becomes one of that size: crop its edges, pad it, or stretch it.
    count
        Images, taken from all classes alike.
    epoch
        The first of the epochs, counted from 0.
    seed
        Of everything that is drawn.
    out
        The file to write.
    force
        Write over a file that is there.
    """
    if out.suffix.lower() != ".png":
        raise StriateError(
            "a sheet is a PNG file",
            place=str(out),
            expected="a name that ends in .png",
            cure=f"--out {out.stem or 'sheet'}.png",
        )
    require_new(out, force)
    require_outside("--out", out, data)
    screen = Screen()
    with screen.stoppable(), counting(screen, "reading images") as progress:
        sheet = make_sheet(
            data, augment=augment, size=size, fit=fit, count=count, epoch=epoch, seed=seed, progress=progress
        )
    file = io.BytesIO()
    sheet.image.save(file, "PNG")
    write_atomic(out, file.getvalue())
    prose().print(f"augment  {sheet.augment}")
    prose().print(
        f"sheet    {out}: {counted(sheet.count, 'image')} of {sheet.shape}, epochs {epoch} to {epoch + EPOCHS - 1}"
    )
