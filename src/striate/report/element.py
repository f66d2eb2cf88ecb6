"""Elements of the page.  What is not marked as markup is escaped, so a hostile name stays a name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape

from striate.text.visible import visible


class Html(str):
    """Text that is markup already."""

    __slots__ = ()


def markup(text: str) -> Html:
    """Text as markup: as it is where it is markup already, escaped where not."""
    return text if isinstance(text, Html) else Html(escape(visible(text), quote=True))


def joined(parts: Iterable[str], between: str = "") -> Html:
    """Parts one behind the other, each escaped unless it is markup."""
    return Html(markup(between).join(markup(part) for part in parts))


def tag(name: str, *inside: str, css: str = "", attributes: Mapping[str, str] | None = None) -> Html:
    """An element with its end tag.  css: its classes.  Attributes are escaped."""
    return Html(f"<{name}{_attributes(css, attributes)}>{joined(inside)}</{name}>")


def void(name: str, *, css: str = "", attributes: Mapping[str, str] | None = None) -> Html:
    """An element that has no end tag, as `img`."""
    return Html(f"<{name}{_attributes(css, attributes)}>")


def verbatim(text: str) -> Html:
    """Several lines as they were written, in a <pre>; tabs are four spaces."""
    lines = text.expandtabs(4).replace("\r\n", "\n").split("\n")
    return tag("pre", joined(lines, Html("\n")))


def spoken(text: str) -> Html:
    """A sentence, in which what stands between `backticks` is code."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return markup(text)
    return joined(tag("code", part) if index % 2 else part for index, part in enumerate(parts))


def _attributes(css: str, attributes: Mapping[str, str] | None) -> str:
    every = {"class": css} if css else {}
    every.update(attributes or {})
    return "".join(f' {name}="{escape(visible(value), quote=True)}"' for name, value in every.items())
