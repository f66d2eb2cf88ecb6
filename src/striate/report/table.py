"""Tables, and the small bars in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from striate.report.element import Html, joined, tag
from striate.text.figures import NONE, percent


@dataclass(frozen=True, slots=True)
class Column:
    """The head of a column.  figures: it holds numbers, set to the right.  css: classes of its cells."""

    head: str
    figures: bool = False
    css: str = ""

    @property
    def classes(self) -> str:
        """The classes of its head and cells."""
        return " ".join(each for each in ("n" if self.figures else "", self.css) if each)


def table(
    columns: Sequence[Column], rows: Iterable[Sequence[str]], *, css: str = "", foot: Sequence[str] = ()
) -> Html:
    """A table that scrolls by itself where the screen is narrower."""
    head = tag(
        "tr",
        joined(tag("th", each.head, css=each.classes, attributes={"scope": "col"}) for each in columns),
    )
    parts = [tag("thead", head), tag("tbody", joined(_row(columns, row) for row in rows))]
    if foot:
        parts.append(tag("tfoot", _row(columns, foot)))
    return scrolling(tag("table", *parts, css=css))


def scrolling(content: Html) -> Html:
    """Content in a box of its own that scrolls sideways, with the keyboard too."""
    return tag("div", content, css="scrolling", attributes={"tabindex": "0"})


def pairs_table(rows: Iterable[tuple[str, str]]) -> Html:
    """Names and their values."""
    return tag(
        "dl", joined(tag("div", tag("dt", name), tag("dd", value)) for name, value in rows), css="pairs"
    )


def bar(share: float | None, *, css: str = "", interval: tuple[float, float] | None = None) -> Html:
    """A small bar for a share from 0 to 1.  interval: drawn over it as a thin line."""
    if share is None:
        return Html("")
    inside = [tag("i", attributes={"style": f"width:{100 * share:.1f}%"})]
    title = {}
    if interval is not None:
        low, high = interval
        inside.append(
            tag("b", attributes={"style": f"left:{100 * low:.1f}%;width:{100 * (high - low):.1f}%"})
        )
        title = {"title": f"95% interval {percent(low)} to {percent(high)}"}
    return tag("span", *inside, css=f"bar {css}".strip(), attributes=title)


def name_cell(name: str) -> Html:
    """A name that is cut where it is too long, whole in its tooltip."""
    return tag("span", name or NONE, css="name", attributes={"title": name} if len(name) > 24 else None)


def _row(columns: Sequence[Column], cells: Sequence[str]) -> Html:
    return tag(
        "tr",
        joined(tag("td", cell, css=column.classes) for column, cell in zip(columns, cells, strict=True)),
    )
