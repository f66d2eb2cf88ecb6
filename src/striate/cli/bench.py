"""`striate bench`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from striate.api.bundles import bench as measure
from striate.bundle.certificate import Timing
from striate.cli.console import print_json, prose
from striate.errors import StriateError
from striate.text.figures import NONE, aligned, size
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
    for line in aligned([*rows, *map(_row, found)], left=2):
        prose().print(visible(line))


def _row(each: Timing) -> list[str]:
    if each.single_ms is None or each.quartiles_ms is None or each.images_per_s is None:
        return [each.runtime, each.precision, f"not measured: {each.why_not}", "", "", "", ""]
    low, high = each.quartiles_ms
    return [
        each.runtime,
        each.precision,
        f"{each.single_ms:.3g} ms",
        f"{low:.3g} to {high:.3g}",
        f"{each.images_per_s:,.0f}",
        NONE if each.peak_bytes is None else size(each.peak_bytes),
        NONE if each.network_bytes is None else size(each.network_bytes),
    ]
