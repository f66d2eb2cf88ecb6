"""`striate bench`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from striate.api.bundles import bench as measure
from striate.cli.console import print_json, prose
from striate.errors import StriateError
from striate.text.figures import aligned
from striate.text.visible import visible


def bench(
    model: str,
    /,
    *,
    threads: int | None = None,
    json_: Annotated[bool, Parameter(name="--json")] = False,
) -> None:
    """How fast a trained network or a bundle answers here, by each runtime.

    Each runtime is measured in a process of its own: the median time of one image, images a second in batches of
    16, the peak memory of the process. Reading and preparing images is not counted.

    For example:

      striate bench runs/latest
      striate bench bundle/ --threads 1

    Parameters
    ----------
    model
        A run, or a bundle; a bundle needs no torch.
    threads
        Of each runtime; as many as there are processors if left out.
    json_
        Print one JSON object.
    """
    if threads is not None and threads < 1:
        raise StriateError(f"{threads} threads cannot answer", place="--threads", cure="--threads 1")
    found = measure(model, threads=threads)
    if json_:
        print_json({"model": model, "timings": [each.model_dump() for each in found]})
        return
    rows = [["runtime", "precision", "an image", "quartiles", "a second by 16", "peak memory", "file"]]
    rows += [each.cells(f"not measured: {each.why_not}") for each in found]
    for line in aligned(rows, left=2):
        prose().print(visible(line))
