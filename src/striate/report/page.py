"""The report of a run, and the page of a test: one file that shows all of it, without a script, a font or a network."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from html import escape
from importlib import resources

from striate.disk.atomic import write_atomic
from striate.doctor.finding import Diagnosis, Finding
from striate.errors import counted
from striate.report.confusion import class_table, confusion
from striate.report.curves import curves
from striate.report.data import origin
from striate.report.element import Html, joined, spoken, tag, void
from striate.report.facts import Facts, read_facts
from striate.report.head import data_name, figure, head
from striate.report.mistakes import mistakes
from striate.report.network import network
from striate.report.recipe import recipe_table
from striate.report.table import pairs_table
from striate.runs.folder import RunFolder
from striate.runs.record import Mistake, Score
from striate.text.figures import count, decimal, percent

# Nothing may be fetched or run, whatever a name in the page says.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"

_TITLES = {"error": "Error", "warning": "Warning", "note": "Note"}


def write_report(run: RunFolder) -> None:
    """Write report.html, from what the run folder holds and nothing else.

    The same folder gives the same bytes.  A run that was stopped or diverged, and one with files missing,
    has a page too.  Raises RunError where there is no run, ResourceError where the page cannot be written.
    """
    write_atomic(run.report, page(read_facts(run)).encode())


def page(facts: Facts) -> Html:
    """The whole page."""
    return framed(data_name(facts), head(facts), list(_parts(facts)))


def measured_page(
    network: str, data: str, split: str, score: Score, worst: list[Mistake], notes: Sequence[str]
) -> Html:
    """The page of a test: a network on labelled images that it has not been trained on.

    split: `test`, or `all` of the images.  worst: the worst mistakes with their images.
    notes: what has to be known to read the figures, a sentence each.
    """
    name = data.rstrip("/").rsplit("/", 1)[-1] or data
    top = tag(
        "header",
        tag("p", joined([tag("span", "striate test"), tag("span", network)], " "), css="above"),
        tag("h1", name),
        tag(
            "p",
            f"{network} on {data}, images of {'its test split' if split == 'test' else 'all splits'}.",
            css="lede",
        ),
        *(tag("p", f"{each[:1].upper()}{each[1:]}.", css="notice") for each in notes),
        tag("div", joined(_figures(score)), css="figures"),
    )
    parts = [
        ("confusion", "Confusion", confusion(score)),
        ("classes", "Classes", class_table(score, split, None)),
        ("mistakes", "Worst mistakes", mistakes(worst, score.wrong)),
    ]
    return framed(f"{name}, tested", top, parts)


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
        yield "doctor", "What the doctor says", _diagnosis(facts.diagnosis)
    if (result := facts.record.result) is not None:
        yield "confusion", "Confusion", confusion(result)
        yield "classes", "Classes", class_table(result, result.split, facts.data)
        yield "mistakes", "Worst mistakes", mistakes(facts.mistakes, result.wrong)
    yield "data", "Data", origin(facts.record, facts.data)
    yield "network", "Network", network(facts.plan, facts.net, facts.record.memory)
    yield "recipe", "Recipe", recipe_table(facts.recipe)
    yield "machine", "Versions and machine", _machine(facts)
    yield "on", "How to go on", _on(facts)


def _diagnosis(found: Diagnosis) -> Html:
    """Findings, the gravest first; what could not be checked is folded away."""
    parts = [_finding(each) for each in found.findings]
    if not parts:
        parts.append(tag("p", "Nothing wrong was found."))
    if found.not_applicable:
        number = counted(len(found.not_applicable), "check")
        parts.append(
            tag(
                "details",
                tag("summary", f"{number} could not be made"),
                tag(
                    "ul",
                    joined(
                        tag("li", tag("code", each.code), f", because {each.reason}") for each in found.not_applicable
                    ),
                    css="soft",
                ),
            )
        )  # fmt: skip
    return joined(parts)


def _finding(each: Finding) -> Html:
    where = f" at {each.layer}" if each.layer else ""
    cure = (
        joined([tag("p", "Try", css="soft"), tag("pre", each.cure[1:-1])])
        if each.cure.startswith("`") and each.cure.count("`") == 2 and each.cure.endswith("`")
        else tag("p", spoken(f"Try: {each.cure}"))
    )
    return tag(
        "div",
        tag("h3", f"{_TITLES[each.severity]}: ", tag("code", each.code), where),
        tag("p", spoken(f"{each.evidence[:1].upper()}{each.evidence[1:]}.")),
        tag("p", spoken(each.why), css="soft"),
        cure,
        css="command",
    )


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


def _figures(score: Score) -> Iterator[Html]:
    low, high = score.interval
    digits = 1 if score.images < 2000 else 2
    below = f"95% interval {percent(low, digits)} to {percent(high, digits)}"
    yield figure(percent(score.accuracy, digits), "accuracy", below, css="answer")
    wrong = f"{count(score.wrong)} answered wrongly" if score.wrong else "none answered wrongly"
    yield figure(count(score.images), "images", wrong)
    if len(score.classes) > 10:
        yield figure(percent(score.top5, digits), "among the five surest", "")
    yield figure(decimal(score.loss), "cross-entropy", "nats")
