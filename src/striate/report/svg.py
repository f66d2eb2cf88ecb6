"""Drawings of matplotlib as markup that belongs to the page: its fonts, its colours, ids of its own."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

from striate.report.element import Html, markup

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Colours that no drawing means, each standing for one of the style sheet, which knows light and dark.
INK, SOFT, LINE, TRAINING, VALIDATION = (f"#00000{digit}" for digit in range(1, 6))
_VARIABLES = {INK: "ink", SOFT: "soft", LINE: "line", TRAINING: "training", VALIDATION: "validation"}

_COLOUR = re.compile("|".join(_VARIABLES))
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
    text = _COLOUR.sub(lambda found: f"var(--{_VARIABLES[found[0]]})", text)
    text = _FONT.sub(r"font-size: \1", text)
    text = _EMPTY.sub("", _SPACE.sub("><", text)).strip()
    return Html(text.replace("<svg", f'<svg role="img" aria-label="{markup(told)}"', 1))


_METADATA = ("Date", "Creator", "Format", "Type")
