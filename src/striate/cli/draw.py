"""`striate draw`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from striate.api.networks import draw as drawing
from striate.api.networks import read
from striate.cli.console import prose
from striate.cli.values import OUT, input_shape, require_new
from striate.disk.atomic import write_atomic


def draw(
    net: str,
    /,
    *,
    input: Annotated[str | None, Parameter(name="--input")] = None,
    classes: int | None = None,
    at: str | None = None,
    image: Path | None = None,
    format: Literal["svg", "mermaid", "dot"] = "svg",
    out: Annotated[Path | None, OUT] = None,
    force: bool = False,
) -> None:
    """Draw a network: its volumes, branches side by side, weights and multiply-adds as areas.

    For example:

      striate draw googlenet -o googlenet.svg
      striate draw "conv 32 3x3 -> relu -> maxpool 2 -> fc classes" --input 3x64x64 -o mine.svg
      striate draw resnet18 --at stage3 --image cat.jpg -o seen.svg
      striate draw lenet5 --format mermaid

    Parameters
    ----------
    net
        A text, a .net or .txt file, or the name of a network of the zoo.
    input
        Shape of the images, as 3x224x224; a network of the zoo knows its own.
    classes
        What the word `classes` stands for; 10, or what the zoo says.
    at
        The label of a layer or part whose receptive field is marked.
    image
        The image that it is marked on.
    format
        svg, or mermaid or dot: text for other programs to draw.
    out
        The file to write; standard output if left out.
    force
        Overwrite a file that is there.
    """
    text = read(net)
    if out is not None:
        require_new(out, force)
    made = drawing(
        text, None if input is None else input_shape(input), classes, at=at, image=image, format=format
    )
    if out is None:
        sys.stdout.write(made)
        return
    write_atomic(out, made.encode())
    prose().print(f"drawing  {out}")
