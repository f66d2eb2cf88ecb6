"""The page of a test: a network on labelled images that it has not been trained on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from striate.report.classes import class_table
from striate.report.confusion import confusion
from striate.report.element import Html, joined, tag
from striate.report.head import figure
from striate.report.mistakes import mistakes
from striate.report.page import framed
from striate.runs.record import Mistake, Score
from striate.text.figures import count, decimal, percent


def measured_page(
    network: str, data: str, split: str, score: Score, worst: list[Mistake], notes: Sequence[str]
) -> Html:
    """The whole page.

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
