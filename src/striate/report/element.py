"""Elements of the page.  What is not marked as markup is escaped, so a hostile name stays a name."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Mapping
from html import escape
from typing import TYPE_CHECKING

from striate.text.visible import visible

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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


# Colors that no drawing means, each standing for one of the style sheet, which knows light and dark.
INK, SOFT, LINE, TRAINING, VALIDATION = (f"#00000{digit}" for digit in range(1, 6))
SERIES = tuple(f"#0000{number:02x}" for number in range(17, 23))
_VARIABLES = {INK: "ink", SOFT: "soft", LINE: "line", TRAINING: "training", VALIDATION: "validation"}
_VARIABLES |= {color: f"series-{number}" for number, color in enumerate(SERIES, 1)}

_COLOR = re.compile("|".join(_VARIABLES))
_ID = re.compile(r' id="([^"]*)"')
_REFERENCE = re.compile(r'(?:url\(#|xlink:href="#)([^)"]*)')
_FONT = re.compile(r"font: ([0-9.]+px)[^;\"]*")
_STYLE = re.compile(r"<style[^>]*>.*?</style>", re.DOTALL)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_EMPTY = re.compile(r"<defs>\s*</defs>")
_SPACE = re.compile(r">\s+<")


def svg(figure: Figure, name: str, told: str) -> Html:
    """A figure as an inline <svg>, the same bytes for the same figure.

    name: begins each of its ids, so that two drawings on a page do not meet.  told: what it shows, for
    people who hear the page.
    """
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata=dict.fromkeys(_METADATA))
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = _COMMENT.sub("", _STYLE.sub("", text))
    places = {each: f"{name}-{index}" for index, each in enumerate(dict.fromkeys(_REFERENCE.findall(text)))}
    text = _ID.sub(lambda found: f' id="{places[found[1]]}"' if found[1] in places else "", text)
    text = _REFERENCE.sub(lambda found: found[0].replace(found[1], places[found[1]]), text)
    text = _COLOR.sub(lambda found: f"var(--{_VARIABLES[found[0]]})", text)
    text = _FONT.sub(r"font-size: \1", text)
    text = _EMPTY.sub("", _SPACE.sub("><", text)).strip()
    return Html(text.replace("<svg", f'<svg role="img" aria-label="{markup(told)}"', 1))


_METADATA = ("Date", "Creator", "Format", "Type")
