"""The page of a check: what was found, with small images, in one file without a script."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from dataclasses import fields

from PIL import Image

from striate.checks.checked import Checked
from striate.data.files.finding import CODES, Finding
from striate.errors import counted
from striate.report.element import Html, joined, spoken, tag, void
from striate.report.page import framed, notebook_frame
from striate.report.table import Column, name_cell, table
from striate.text.figures import count

MOST_CARDS, MOST_LINES = 24, 200
"""So many findings of one code are shown with their images, and so many more by name."""

MOST_PRINTED = 10
"""So many findings of one code, and so many classes, are printed in a terminal."""

MOST_BESIDE = 3
"""So many other images stand beside the one that a finding is about."""

JPEG_QUALITY = 80

_TITLES = {"error": "Left out", "warning": "To be looked at", "note": "Noted"}

_LEDES = {
    "error": "These files cannot be used. Training goes on without them.",
    "warning": "These are used as they are, but somebody should look at them.",
    "note": "What was done with these needs nobody.",
}

_STYLE = """
.finds { display: grid; grid-template-columns: repeat(auto-fill, minmax(12.5rem, 1fr)); gap: 1.75rem 1.5rem; }
.finds figure { margin: 0; min-width: 0; }
.finds .row { display: flex; gap: 2px; }
.finds .frame { flex: 1 1 0; max-width: 8.25rem; min-width: 0; }
.finds figcaption { margin-top: 0.5rem; font-size: 0.8125rem; line-height: 1.45; overflow-wrap: anywhere; }
.finds .number, .lines .number { color: var(--soft); margin-right: 0.5rem; }
.finds b, .lines b { font-weight: 600; }
.finds figcaption span + b + span { display: block; }
.finds + .lines, .finds + details { margin-top: 1.25rem; }
.lines { margin: 0; padding: 0; list-style: none; font-size: 0.8125rem; line-height: 1.7; overflow-wrap: anywhere; }
h3 code { font-size: 0.9375rem; }
h3 .soft { font-weight: 400; }
.said { font-size: 0.875rem; margin-bottom: 1.25rem; }
"""


def check_page(checked: Checked) -> Html:
    """The whole page: errors, warnings and notes, code by code, then the classes."""
    return framed(f"{_name(checked)}, checked", _head(checked), list(_sections(checked)), _STYLE)


def _name(checked: Checked) -> str:
    return checked.source.rstrip("/").rsplit("/", 1)[-1] or checked.source


def _head(checked: Checked) -> Html:
    numbers = {each: checked.number(each) for each in _TITLES}
    if numbers["error"]:
        said = f"{counted(numbers['error'], 'file')} cannot be used."
    elif numbers["warning"]:
        said = "Every file can be used, and some should be looked at."
    else:
        said = "Nothing is wrong with it."
    figures = [
        _figure(count(checked.images), "images can be used", f"of {checked.files:,}", css="answer"),
        _figure(count(numbers["error"]), "errors", "left out"),
        _figure(count(numbers["warning"]), "warnings", "used, but look"),
        _figure(count(numbers["note"]), "notes", "nothing to do"),
    ]
    limits = [tag("p", f"{each[:1].upper()}{each[1:]}.", css="soft") for each in checked.limits]
    return tag(
        "header",
        tag("p", joined([tag("span", "striate check"), tag("span", checked.source)], " "), css="above"),
        tag("h1", _name(checked)),
        tag("p", said, css="lede"),
        tag("div", joined(figures), css="figures"),
        *limits,
    )


def _figure(value: str, said: str, below: str, css: str = "") -> Html:
    inside = (
        tag("span", value, css="value"),
        tag("span", said, css="said-below"),
        tag("span", below, css="soft"),
    )
    return tag("div", *inside, css=f"figure {css}".strip())


def _sections(checked: Checked) -> Iterator[tuple[str, str, Html]]:
    """Key, title and content of each section."""
    found = checked.by_code()
    for severity, title in _TITLES.items():
        codes = [each for each in found if CODES[each].severity == severity]
        if codes:
            inside = joined(_of_code(each, found[each], checked) for each in codes)
            yield severity, title, joined([tag("p", _LEDES[severity]), inside])
    yield "classes", "Classes", _classes(checked)


def _of_code(code: str, findings: Sequence[tuple[int, Finding]], checked: Checked) -> Html:
    cures = list(dict.fromkeys(each.cure for _, each in findings))
    cure = cures[0] if len(cures) == 1 else CODES[code].cure
    helps = f" What helps: {cure}." if cure else ""
    parts = [
        tag(
            "h3",
            tag("code", code),
            " ",
            tag("span", f"{len(findings):,}", css="soft"),
            attributes={"id": code},
        ),
        tag("p", f"{CODES[code].meaning[:1].upper()}{CODES[code].meaning[1:]}.{helps}", css="said"),
    ]
    shown = [(number, each, _images(each, checked)) for number, each in findings[:MOST_CARDS]]
    cards = [each for each in shown if each[2]]
    lines = [(number, each) for number, each, images in shown if not images] + list(findings[MOST_CARDS:])
    if cards:
        parts.append(tag("div", joined(_card(*each) for each in cards), css="finds"))
    if lines:
        listed = tag("ul", joined(_line(*each) for each in lines[:MOST_LINES]), css="lines")
        folded = cards and len(lines) > 3
        parts.append(tag("details", tag("summary", f"{len(lines):,} more"), listed) if folded else listed)
    if len(lines) > MOST_LINES:
        parts.append(tag("p", f"And {len(lines) - MOST_LINES:,} more: --json tells all.", css="soft"))
    return joined(parts)


def _images(finding: Finding, checked: Checked) -> list[Html]:
    """The image that it is about, and those beside it; none where it is about no image."""
    found = []
    for name in (finding.name, *finding.also[:MOST_BESIDE]):
        pixels = checked.small(name)
        if pixels is not None:
            file = io.BytesIO()
            Image.fromarray(pixels).save(file, "JPEG", quality=JPEG_QUALITY)
            source = f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"
            image = void("img", attributes={"src": source, "alt": name, "title": name, "loading": "lazy"})
            found.append(tag("div", image, css="frame"))
    return found


def _card(number: int, finding: Finding, images: Sequence[Html]) -> Html:
    return tag(
        "figure",
        tag("div", *images, css="row"),
        tag("figcaption", _told(number, finding)),
    )


def _line(number: int, finding: Finding) -> Html:
    return tag("li", _told(number, finding))


def _told(number: int, finding: Finding) -> Html:
    return joined(
        [
            tag("span", str(number), css="number"),
            tag("b", finding.name),
            " ",
            tag("span", spoken(finding.reason)),
        ]
    )


def _classes(checked: Checked) -> Html:
    columns = [Column("class"), *(Column(split, figures=True) for split in checked.counts)]
    rows = [
        [name_cell(name), *(count(each[label]) for each in checked.counts.values())]
        for label, name in enumerate(checked.classes)
    ]
    foot = ["all", *(count(sum(each)) for each in checked.counts.values())]
    return table(columns, rows, css="fit", foot=foot)


class Check(Checked):
    """What a check found, as it is shown from Python."""

    def page(self) -> str:
        """All of it as one self-contained page of HTML."""
        return str(check_page(self))

    def _repr_html_(self) -> str:
        """The page, in a notebook."""
        return notebook_frame(self.page())

    def __str__(self) -> str:
        """What `striate check` prints."""
        return "\n".join(check_lines(self))

    # At the prompt, too: not a line of all its fields.
    __repr__ = __str__


def shown(checked: Checked) -> Check:
    """The same with what Python and notebooks show."""
    return Check(**{each.name: getattr(checked, each.name) for each in fields(checked)})


def check_lines(checked: Checked, *, every: bool = False) -> Iterator[str]:
    """What `striate check` prints.  every: all findings, notes too."""
    splits = ", ".join(f"{sum(each):,} {split}" for split, each in checked.counts.items())
    more = f" ({splits})" if len(checked.counts) > 1 else ""
    yield (
        f"{checked.source}: {checked.images:,} of {counted(checked.files, 'image')} can be used{more}, "
        f"in {counted(len(checked.classes), 'class', 'classes')}"
    )
    yield f"classes   {_class_counts(checked, every=every)}"
    for code, found in checked.by_code().items():
        known = CODES[code]
        if known.severity == "note" and not every:
            continue
        yield ""
        yield f"{known.severity:8}{code}: {known.meaning}"
        for number, each in found if every else found[:MOST_PRINTED]:
            yield f"{number:6}  {each.name}: {each.reason}"
        if len(found) > MOST_PRINTED and not every:
            yield f"        and {len(found) - MOST_PRINTED:,} more (--all)"
        cures = list(dict.fromkeys(each.cure for _, each in found))
        cure = cures[0] if len(cures) == 1 else known.cure
        if cure:
            yield f"        try: {cure}"
    notes = [
        f"{len(found):,} {code}"
        for code, found in checked.by_code().items()
        if CODES[code].severity == "note"
    ]
    yield ""
    if notes and not every:
        yield f"notes     {', '.join(notes)} (--all lists them)"
    for limit in checked.limits:
        yield f"limits    {limit}"
    told = ", ".join(counted(checked.number(each), each) for each in ("error", "warning", "note"))
    yield f"found     {told}" if checked.findings else "found     nothing wrong"


def _class_counts(checked: Checked, *, every: bool) -> str:
    """The classes and how many images each has; of many the first ones."""
    told = [
        f"{name} {sum(each):,}" for name, *each in zip(checked.classes, *checked.counts.values(), strict=True)
    ]
    if every or len(told) <= MOST_PRINTED:
        return ", ".join(told)
    return ", ".join(told[:MOST_PRINTED]) + f" and {len(told) - MOST_PRINTED:,} more (--all)"
