"""The page of the service: one text, with its styles and scripts in it, that asks for nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from html import escape
from importlib import resources

FOOTER = (
    'Nothing is kept of an image, and none leaves the machine that serves this page. <a href="docs">API</a>'
)


@cache
def page() -> tuple[str, str]:
    """The page that asks the server, and the policy that its browser is to hold it to."""
    scripts = [read_page("page.js"), read_page("served.js")]
    policy = (
        f"default-src 'none'; script-src {hashes(scripts)}; style-src 'unsafe-inline'; "
        "img-src blob: data:; media-src blob:; connect-src 'self'"
    )
    return assembled("striate", "", FOOTER, policy, [f"<script>{each}</script>" for each in scripts]), policy


def read_page(name: str) -> str:
    """One of the texts that the page is made of."""
    return resources.files("striate.serve").joinpath("page", name).read_text(encoding="utf-8")


def assembled(title: str, about: str, footer: str, policy: str, scripts: Sequence[str]) -> str:
    """The page.  title, about: texts; footer, scripts: markup."""
    known = {
        "title": escape(title),
        "about": escape(about),
        "policy": escape(policy),
        "footer": footer,
        "style": read_page("page.css"),
        "scripts": "\n".join(scripts),
    }
    text = read_page("page.html")
    # Piece by piece, so that no text is taken for a place of another.
    found = []
    while "{" in text:
        before, _, rest = text.partition("{")
        key, _, text = rest.partition("}")
        found += [before, known[key]]
    return "".join([*found, text])


def hashes(scripts: Sequence[str]) -> str:
    """What a policy names scripts by, that stand in the page."""
    return " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(each.encode()).digest()).decode()}'" for each in scripts
    )
