"""The report of a run: one file that shows all of it, without a script, a font or a network."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from html import escape
from importlib import resources

from striate.disk.atomic import write_atomic
from striate.report.classes import class_table
from striate.report.confusion import confusion
from striate.report.curves import curves
from striate.report.data import origin
from striate.report.diagnosis import diagnosis
from striate.report.element import Html, joined, tag, void
from striate.report.facts import Facts, read_facts
from striate.report.head import data_name, head
from striate.report.mistakes import mistakes
from striate.report.network import network
from striate.report.recipe import recipe_table
from striate.report.table import pairs_table
from striate.runs.folder import RunFolder

# Nothing may be fetched or run, whatever a name in the page says.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def write_report(run: RunFolder) -> None:
    """Write report.html, from what the run folder holds and nothing else.

    The same folder gives the same bytes.  A run that was stopped or diverged, and one with files missing,
    has a page too.  Raises RunError where there is no run, ResourceError where the page cannot be written.
    """
    write_atomic(run.report, page(read_facts(run)).encode())


def page(facts: Facts) -> Html:
    """The whole page."""
    return framed(data_name(facts), head(facts), list(_parts(facts)))


def framed(title: str, top: Html, parts: Sequence[tuple[str, str, Html]], style: str = "") -> Html:
    """A page: its title, its header, the key, title and content of each section.  style: more than usual."""
    contents = tag(
        "nav", joined((tag("a", title, attributes={"href": f"#{key}"}) for key, title, _ in parts), " ")
    )
    sections = joined(
        tag("section", tag("h2", title), body, attributes={"id": key}) for key, title, body in parts
    )
    usual = resources.files("striate.report").joinpath("style.css").read_text(encoding="utf-8")
    above = tag(
        "head",
        void("meta", attributes={"charset": "utf-8"}),
        void("meta", attributes={"http-equiv": "Content-Security-Policy", "content": POLICY}),
        void("meta", attributes={"name": "viewport", "content": "width=device-width, initial-scale=1"}),
        void("meta", attributes={"name": "color-scheme", "content": "light dark"}),
        tag("title", f"{title} – striate"),
        tag("style", Html(usual + style)),
    )
    body = tag("body", tag("main", top, contents, sections))
    return joined(
        [Html("<!doctype html>\n"), tag("html", above, body, attributes={"lang": "en"}), Html("\n")]
    )


def notebook_frame(page: str, height: int = 640) -> str:
    """A page as a part of a notebook, in a frame of its own: its style does not reach the notebook, nor can it run or
    fetch anything.  height: in pixels."""
    inside = escape(page, quote=True)
    return f'<iframe sandbox srcdoc="{inside}" style="width:100%;height:{height}px;border:0"></iframe>'


def _parts(facts: Facts) -> Iterator[tuple[str, str, Html]]:
    """Key, title and content of each section, in order."""
    yield "training", "Training", curves(facts.history)
    if facts.diagnosis is not None:
        yield "doctor", "What the doctor says", diagnosis(facts.diagnosis)
    if (result := facts.record.result) is not None:
        yield "confusion", "Confusion", confusion(result)
        yield "classes", "Classes", class_table(result, result.split, facts.data)
        yield "mistakes", "Worst mistakes", mistakes(facts.mistakes, result.wrong)
    yield "data", "Data", origin(facts.record, facts.data)
    yield "network", "Network", network(facts.plan, facts.net, facts.record.memory)
    yield "recipe", "Recipe", recipe_table(facts.recipe)
    yield "machine", "Versions and machine", _machine(facts)
    yield "on", "How to go on", _on(facts)


def _machine(facts: Facts) -> Html:
    found = [
        (key.replace("_", " "), str(value))
        for part in (facts.record.versions, facts.record.machine)
        for key, value in part.items()
    ]
    return pairs_table(found) if found else tag("p", "Not noted.", css="soft")


def _on(facts: Facts) -> Html:
    """The commands that come next, ready to be pasted."""
    run = shlex.quote(str(facts.run.path))
    source = shlex.quote(facts.record.source or "DATA")
    learning_rate = next(
        (each.learning_rate for each in reversed(facts.history.steps) if each.learning_rate), None
    )
    lower = f" --set learning_rate={learning_rate / 10:.1g}" if learning_rate else ""
    commands = {
        "done": [("Ask the network about an image", f"striate predict {run} image.jpg")],
        "diverged": [("Train again, more slowly", f"striate train {source}{lower}")],
    }.get(facts.record.status, [("Go on where it stopped", f"striate resume {run}")])
    return joined(
        tag("div", tag("p", said, css="soft"), tag("pre", command), css="command")
        for said, command in commands
    )
