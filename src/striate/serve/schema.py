"""What the service's own routes take and give, as OpenAPI describes it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

JSON_VERSION = 1
"""Of an answer, as `striate predict --json` has it."""


class Error(BaseModel):
    """Why a request was refused, and what helps: one sentence."""

    error: str


class ClassProbability(BaseModel):
    """A class and its calibrated probability."""

    class_: Annotated[str, Field(alias="class")]
    probability: Annotated[float, Field(ge=0, le=1)]


class View(BaseModel):
    """What part of an image the network sees.

    An image is brought to `stored` (height, width) as `fit` says, and the middle of that, `size`, is read.
    """

    fit: Literal["crop", "pad", "stretch"]
    stored: tuple[int, int]
    size: tuple[int, int]


class Where(BaseModel):
    """Where the network looked: how much each place of what it sees speaks for the first answer.

    values: rows from the top, from left to right; their mean and a constant are the logit.
    """

    values: list[list[float]]
    view: View


class Prediction(BaseModel):
    """The answer about one image, as `striate predict --json` gives it.

    rejected: where it is there, the answer is "I don't know": `unsure`, or an `outlier`, unlike all training images.
    """

    version: int
    image: str
    answers: list[ClassProbability]
    rejected: Literal["unsure", "outlier"] | None = None
    where: Where | None = None


class Predictions(BaseModel):
    """The answers about the images of a form, in its order."""

    version: int
    images: list[Prediction]


class Health(BaseModel):
    """Whether it runs, or answers."""

    status: Literal["ok", "ready"]


REFUSALS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": Error, "description": "The request is refused; the sentence says why, and what helps."},
    429: {
        "model": Error,
        "description": "Too many images wait.",
        "headers": {"Retry-After": {"description": "Seconds", "schema": {"type": "integer"}}},
    },
    503: {
        "model": Error,
        "description": "The server is ending or out of memory.",
        "headers": {"Retry-After": {"description": "Seconds", "schema": {"type": "integer"}}},
    },
}
"""How any route may refuse."""
