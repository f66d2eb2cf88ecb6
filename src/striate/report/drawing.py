"""A small drawing over the time of a training: its frame, its lines, its key."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from striate.report.element import LINE, SOFT, Html, joined, svg, tag

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Points of a line that the eye can tell apart, twice over; longer lines are thinned to it.
MOST_POINTS = 800
# Up to as many points each has a dot.
MOST_DOTS = 40

Points = Sequence[tuple[float, float]]


def drawing(
    name: str,
    title: str,
    unit: str,
    *,
    across: tuple[str, float],
    keys: Sequence[tuple[str, str, Points]],
    told: str,
    draw: Callable[[Axes], None],
) -> Html:
    """A figure with its title and key.

    across: what runs along the bottom, and its last value.  keys: class, name and points of each line.
    told: what it shows, in a sentence.  draw: draws the lines.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(5.0, 2.75))
    axes = figure.add_axes((0.115, 0.175, 0.865, 0.7))
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(LINE)
    axes.grid(axis="y", color=LINE, linewidth=0.7)
    axes.set_axisbelow(True)
    draw(axes)
    axes.tick_params(colors=SOFT, length=0, pad=5, which="both")
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True, steps=[1, 2, 5, 10]))
    axes.set_xlim(0, across[1])
    axes.set_xlabel(across[0], color=SOFT, labelpad=4)
    figure.text(0, 0.935, unit, color=SOFT, ha="left", va="bottom")
    key = joined(tag("span", said, css=f"key {css}") for css, said, points in keys if points)
    caption = tag("figcaption", tag("strong", title), key)
    return tag("figure", caption, svg(figure, f"curve-{name}", told), css="curve")


def line(axes: Axes, points: Points, color: str, *, dashed: bool = False) -> None:
    """Draw a line, with a dot for each point where they are few."""
    shown = thinned(points)
    axes.plot(
        [x for x, _ in shown],
        [y for _, y in shown],
        color=color,
        linestyle="--" if dashed else "-",
        linewidth=1.5,
        marker="o" if len(shown) <= MOST_DOTS else "",
        markersize=5 if len(shown) == 1 else 3.2,
        clip_on=False,
    )


def thinned(points: Points) -> Points:
    """At most MOST_POINTS points: of each stretch the lowest and the highest, in their order."""
    if len(points) <= MOST_POINTS:
        return points
    stretches = MOST_POINTS // 2
    kept: list[tuple[float, float]] = []
    for index in range(stretches):
        part = points[index * len(points) // stretches : (index + 1) * len(points) // stretches]
        low, high = min(part, key=lambda each: each[1]), max(part, key=lambda each: each[1])
        kept += [low] if low == high else sorted((low, high))
    return kept
