"""The page of a test: a network on labelled images that it has not been trained on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from striate.report.classes import class_table
from striate.report.confusion import confusion
from striate.report.element import Html, joined, tag
from striate.report.figures import count, decimal, percent
from striate.report.head import figure
from striate.report.mistakes import mistakes
from striate.report.page import framed
from striate.report.result import Result, read_result


def measured_page(
    network: str, data: str, record: Mapping[str, object], worst: Sequence[object], notes: Sequence[str]
) -> Html:
    """The whole page.

    record: as the result of a run, with `split`.  worst: the worst mistakes with their images.
    notes: what has to be known to read the figures, a sentence each.
    """
    result = read_result(record, ())
    assert result is not None
    name = data.rstrip("/").rsplit("/", 1)[-1] or data
    top = tag(
        "header",
        tag("p", joined([tag("span", "striate test"), tag("span", network)], " "), css="above"),
        tag("h1", name),
        tag(
            "p",
            f"{network} on {data}, images of {'its test split' if result.split == 'test' else 'all splits'}.",
            css="lede",
        ),
        *(tag("p", f"{each[:1].upper()}{each[1:]}.", css="notice") for each in notes),
        tag("div", joined(_figures(result)), css="figures"),
    )
    parts = [
        ("confusion", "Confusion", confusion(result)),
        ("classes", "Classes", class_table(result, {})),
        ("mistakes", "Worst mistakes", mistakes(tuple(worst), result.wrong)),
    ]
    return framed(f"{name}, tested", top, parts)


def _figures(result: Result) -> Iterator[Html]:
    low, high = result.interval
    digits = 1 if result.pictures < 2000 else 2
    below = f"95% interval {percent(low, digits)} to {percent(high, digits)}"
    yield figure(percent(result.accuracy, digits), "accuracy", below, css="answer")
    wrong = f"{count(result.wrong)} answered wrongly" if result.wrong else "none answered wrongly"
    yield figure(count(result.pictures), "images", wrong)
    if result.top5 is not None and len(result.classes) > 10:
        yield figure(percent(result.top5, digits), "among the five surest", "")
    if result.loss is not None:
        yield figure(decimal(result.loss), "cross-entropy", "nats")
