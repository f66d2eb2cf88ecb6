"""docs/doctor.md: every code with what it means, why it matters, and the thresholds that it stands on."""

from __future__ import annotations

from collections.abc import Iterator

from striate.doctor.doctor import EXPERIMENTS, FAMILIES
from striate.doctor.finding import Rule
from striate.net.plan.design import NOTES

_HEAD = """# What the doctor finds

`striate doctor RUN` reads a run folder and says what is wrong with it, in words, each finding with its evidence, why it
matters and one command to try; `--json` prints the same for programs, `--mute CODE` leaves a code out, `--all` says which
checks could not be made and why. From Python it is `run.doctor()`. The report of a run has it as a section, and a training
prints one line as soon as a finding is certain. It steers nothing. A run that is still training, was killed, diverged, or
is of an older striate can be asked, too: what is not there leaves a gap, which is named.

While it trains, a run records its **vitals** in `vitals.jsonl`: on 32 training images that stay the same, mean, standard
deviation, zeros, saturated and dead units of each layer, and the answers in training and in evaluation mode; of each
weight its length, its gradient and how far a step moves it; the loss of each step; the answers of each validation by class.
At the first step, every two hundred steps or more, and at the last one; how far a step moves a weight every forty. By steps and never by the clock, so a resumed run
writes the same bytes; at most 2 MB.

An **error** means that the run came to nothing or that its score is not to be believed, a **warning** that it costs
accuracy or time, a **note** is a hint on the design. Thresholds are constants in `src/striate/doctor/`, each with its
reason and source as below.

`striate doctor RUN --probe` makes experiments with the run's own network, recipe and images, in 10 to 60 seconds: it fits one
batch, compares the answers from image to image, asks nearest neighbors and linear models the same validation images, and
trains shortly without the augmentation.

`striate doctor DATA`, where there is no run yet, goes through the beginning of Karpathy's recipe (2019) in a minute: do the
labels look right, what does always the most frequent class answer, what nearest neighbors and linear models, does the
network fit one batch, does it fit ten images. A folder with a `run.json` is a run. From Python both are
`striate.diagnose(RUN_OR_DATA)`.

How often all of this is right is measured in [benchmarks/doctor](../benchmarks/doctor/README.md).

What striate makes impossible needs no check: a loss that is taken behind a softmax (a closing `softmax` is left out in
training), a missing flatten (`fc` flattens by itself), a gradient that is not cleared, a network left in training mode for
the test, layers whose shapes do not fit, labels that do not match their images (the two are one record), test images that
choose the epoch, and images prepared otherwise in prediction than in training.
"""


def reference() -> str:
    """The page."""
    return "\n".join([_HEAD, *_families()])


def _families() -> Iterator[str]:
    families = [*((title, rules) for title, _, rules in FAMILIES), *EXPERIMENTS]
    for title, rules in families:
        yield f"## {title}\n"
        for rule in rules:
            yield from _rule(rule)


def _rule(rule: Rule) -> Iterator[str]:
    source = f" Source: {NOTES[rule.code].source}." if rule.code in NOTES else ""
    yield f"### {rule.code}\n"
    yield f"**{rule.severity}.** {rule.meaning} {rule.why}{source}\n"
    if rule.thresholds:
        yield "| threshold | value | reason | source |"
        yield "|---|---|---|---|"
        for name, value in rule.thresholds:
            yield f"| `{name}` | {value:g} | {value.reason} | {value.source} |"
        yield ""
