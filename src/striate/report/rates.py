"""The picture of a learning-rate range test."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from striate.runs.atomic import write_atomic


def draw_rates(rates: Sequence[float], losses: Sequence[float], suggested: float, path: Path) -> None:
    """Write a PNG of the smoothed loss over the learning rate, the suggested rate marked."""
    figure = Figure(figsize=(7, 4.2), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    axes.semilogx(rates, losses, color="#0072B2", linewidth=1.8)
    axes.axvline(suggested, color="#D55E00", linewidth=1.2, linestyle="--")
    axes.annotate(
        f"suggested {suggested:.2g}", (suggested, max(losses)), xytext=(4, -4), textcoords="offset points",
        color="#D55E00", va="top",
    )  # fmt: skip
    axes.set_xlabel("learning rate")
    axes.set_ylabel("training loss, smoothed")
    # Where the loss explodes it would flatten everything before it.
    start = losses[0]
    axes.set_ylim(top=min(max(losses), 1.6 * start) * 1.02)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)  # type: ignore[no-untyped-call]
    write_atomic(path, buffer.getvalue())
