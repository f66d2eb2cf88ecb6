"""`striate filter`."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Annotated

from striate.api.networks import filter as filter_image
from striate.cli.console import prose
from striate.cli.process import set_up_process
from striate.cli.values import OUT, require_new
from striate.disk.atomic import write_atomic
from striate.errors import StriateError, require_train


def filter(
    flow: str, image: Path, /, *, out: Annotated[Path, OUT] = Path("filtered.png"), force: bool = False
) -> None:
    """Put an image through a filter, or any flow without trained weights, and write the image that comes out.

    For example:

      striate filter sobel-x cat.jpg
      striate filter "grey -> filter blur -> filter laplacian" cat.jpg --out edges.png
      striate filter "filter blur -> maxpool 2" cat.jpg --out half.png

    Parameters
    ----------
    flow
        sobel-x, sobel-y, laplacian, sharpen, blur, emboss or identity; or a flow of layers without weights.
    image
        The image, at its own size.
    out
        The PNG file to write.
    force
        Write over a file that is there.
    """
    require_train("striate filter")
    if out.suffix.lower() != ".png":
        raise StriateError(
            "what comes out is a PNG file",
            place=str(out),
            expected="a name that ends in .png",
            cure=f"--out {out.stem or 'filtered'}.png",
        )
    require_new(out, force)
    set_up_process()
    made = filter_image(flow, image)
    file = io.BytesIO()
    made.image.save(file, "PNG")
    write_atomic(out, file.getvalue())
    prose().print(f"image   {out}: {made.image.width}x{made.image.height}")
    prose().print(f"values  {made.how}")
