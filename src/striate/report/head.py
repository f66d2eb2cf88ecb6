"""The head of the page: what was trained, and how good it is, in large figures."""

from __future__ import annotations

from collections.abc import Iterator

from striate.report.element import Html, joined, spoken, tag
from striate.report.facts import Facts
from striate.runs.record import Result
from striate.text.figures import NONE, count, decimal, duration, percent, wilson


def head(facts: Facts) -> Html:
    """Name, sentence and figures."""
    created = facts.record.created.replace("T", " ")[:16]
    above = joined(
        [tag("span", "striate"), tag("span", facts.run.path.resolve().name), tag("span", created)], " "
    )
    figures = joined(_figures(facts))
    return tag(
        "header",
        tag("p", above, css="above"),
        tag("h1", data_name(facts)),
        tag("p", _sentence(facts), css="lede"),
        *_notices(facts),
        tag("div", figures, css="figures") if figures else "",
        _reading(facts),
    )


def data_name(facts: Facts) -> str:
    """What the data are called."""
    return facts.record.name or facts.run.path.resolve().name


def _sentence(facts: Facts) -> str:
    name, why = facts.record.network.name, facts.record.network.why
    plan = facts.plan
    if plan is None:
        what = name or "A network"
    else:
        weights = f"network of {count(plan.weights)} weights"
        what = f"{name}, a {weights}" if name else f"A {weights}"
    classes = f" that tells {len(facts.data.classes):,} classes apart" if facts.data else ""
    return f"{what}{classes}; {why}." if why else f"{what}{classes}."


def _notices(facts: Facts) -> Iterator[Html]:
    step = count(facts.history.last_step)
    said = {
        "done": "",
        "stopped": f"This run was stopped after step {step} or a little later. What follows is as far as it came.",
        "running": f"This run was still going on, at step {step} or a little later, when the page was made.",
        "diverged": f"This run diverged: at some step after {step} the loss became NaN. The learning "
        "learning rate is nearly always too high then.",
        "failed": f"This run ended with an error after step {step} or a little later; it can be resumed.",
    }[facts.record.status]
    if said:
        yield tag("p", said, css="notice")
    if (seen := facts.record.symptom) is not None:
        yield tag(
            "p", spoken(f"{seen.said[:1].upper()}{seen.said[1:]}. What may help: {seen.cure}."), css="notice"
        )
    if facts.troubles:
        lines = joined(tag("li", each) for each in facts.troubles)
        yield tag("div", "Not all of the run could be read:", tag("ul", lines), css="notice")


def _figures(facts: Facts) -> Iterator[Html]:
    result = facts.record.result
    if result is not None:
        digits = 1 if result.images < 2000 else 2
        yield _accuracy(result.accuracy, result.interval, f"accuracy on {result.split}", digits)
        yield figure(
            count(result.images),
            f"{result.split} image{'s' * (result.images != 1)}",
            f"{count(result.wrong)} answered wrongly" if result.wrong else "none answered wrongly",
        )
    else:
        yield from _so_far(facts)
    yield from _time(facts)
    best = result.best_epoch + 1 if result else facts.history.best.epoch if facts.history.best else 0
    epochs = result.epochs if result else len(facts.history.epochs)
    if best:
        undone = ", before the run went back" if facts.history.undone else ""
        yield figure(f"{best}", "best epoch", f"of {epochs:,}, by validation{undone}")


def _so_far(facts: Facts) -> Iterator[Html]:
    best, images = facts.history.best, facts.split_count("val")
    if best is None:
        return
    interval = wilson(best.val_accuracy, images) if images else None
    yield _accuracy(best.val_accuracy, interval, "accuracy on validation, so far", 1)
    if images:
        wrong = images - round(best.val_accuracy * images)
        yield figure(count(images), "validation images", f"{count(wrong)} answered wrongly")


def _accuracy(share: float, interval: tuple[float, float] | None, said: str, digits: int) -> Html:
    below = ""
    if interval is not None:
        below = f"95% interval {percent(interval[0], digits)} to {percent(interval[1], digits)}"
    return figure(percent(share, digits), said, below, css="answer")


def _time(facts: Facts) -> Iterator[Html]:
    seconds = facts.history.elapsed_s if facts.record.seconds is None else facts.record.seconds
    if seconds is not None:
        epochs = len(facts.history.epochs)
        each = f"{duration(seconds / epochs)} an epoch, all in" if epochs else ""
        until = "from data to weights" if facts.record.result else "until the last epoch ended"
        yield figure(duration(seconds), until, each)


def figure(value: str, said: str, below: str, css: str = "") -> Html:
    """A large figure, what it is, and a line below."""
    return tag(
        "div",
        tag("span", value, css="value"),
        tag("span", said, css="said"),
        tag("span", below or NONE, css="soft"),
        css=f"figure {css}".strip(),
    )


def _reading(facts: Facts) -> Html:
    """How far the answer can be trusted, and what it is to be compared with."""
    result = facts.record.result
    if result is None:
        return Html("")
    if result.split == "test":
        kept = "The test images were used once, after all choices were made"
        said = [f"{kept}; on validation the same weights reached {percent(result.validation_metric)}."]
    else:
        said = [
            "There are no test images. The best epoch was chosen on these same validation images, so the "
            "figure flatters a little."
        ]
    said.extend(_comparisons(result))
    return tag("p", " ".join(said), css="reading")


def _comparisons(result: Result) -> Iterator[str]:
    if result.classes:
        common = max(result.classes, key=lambda each: each.count)
        yield f"Always answering “{common.name}” would give {percent(common.count / result.images)}."
    if len(result.classes) > 10:
        yield f"The true class is among the five surest for {percent(result.top5)}."
    yield f"The cross-entropy is {decimal(result.loss)} nats."
