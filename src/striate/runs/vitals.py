"""What the layers of a network did while it trained: vitals.jsonl, one JSON object a line.

Numbers have four digits, in lists in the order of the line that begins a stage: a run of 100 layers stays below 2 MB.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from striate.runs.events import Drawn
from striate.runs.record import Count, Part, Share, Text

MOST_VITALS_BYTES = 2_000_000

Figures = Annotated[list[Drawn], Field(max_length=100_000)]
Row = Annotated[list[Drawn], Field(max_length=8)]


class Begin(Part):
    """The beginning of a stage.

    layers: path and word of each layer whose output is measured.  weights: paths of the layers whose weights are.
    probe: how many training images are looked at.  normed: whether batch norms train.
    input: mean and standard deviation of what the network reads, over the probe.
    """

    vital: Literal["begin"] = "begin"
    stage: Count
    layers: Annotated[list[Annotated[tuple[Text, Text], Field(strict=False)]], Field(max_length=1000)]
    weights: Annotated[list[Text], Field(max_length=1000)]
    probe: Count
    normed: bool
    input: Row


class Look(Part):
    """One look, at a step: outputs and weights as they were before it.

    losses: mean loss of a step, for each `span` steps since the look before.  lengths: the longest gradient of each
    of these spans, before it was clipped.  probe: loss and accuracy on the probe in evaluation mode; batch: the same
    with batch norms by the statistics of the probe, None without them.
    layers: mean, standard deviation, share of zeros, share saturated, share of units that are 0 (or saturated) for
    the whole probe.  weights: length of the weights, of their gradient before it was clipped, and of their
    change; and the largest share of their length that a step since the look before changed them by.
    exact: as probe, in fp32 where the training computes in bf16.  whole: whether images have their full size (see progressive resizing).
    """

    vital: Literal["look"] = "look"
    step: Count
    epoch: Count
    learning_rate: Drawn
    span: Annotated[int, Field(ge=1)]
    losses: Figures
    lengths: Figures
    probe: Row
    batch: Row | None
    layers: Annotated[list[Row], Field(max_length=1000)]
    weights: Annotated[list[Row], Field(max_length=1000)]
    whole: bool = True
    exact: Row | None = None


class Answers(Part):
    """The answers of a validation.

    answered, right: how often each class was answered, and rightly; empty for many classes.
    most: share of the class that was answered most.  sure_wrong: share of wrong ones among the surer half of the
    answers.  sure_far: of them, those whose label is among the less probable half of
    the classes.  confidence: mean probability of the answer.
    """

    vital: Literal["answers"] = "answers"
    epoch: Count
    answered: Figures
    right: Figures
    most: Share
    sure_wrong: Share
    sure_far: Share
    confidence: Share


VITAL: TypeAdapter[Begin | Look | Answers] = TypeAdapter(
    Annotated[Begin | Look | Answers, Field(discriminator="vital")]
)
