"""What is written of a run: run.json, data.json and mistakes.json, each one typed model, checked where it is read.

Training writes these models and everything else reads them, so that no reader has to doubt a value.  Keys that a
model does not know are kept: they are a later striate's.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from striate.disk.small import read_small
from striate.errors import RunError
from striate.text.visible import repeated

FORMAT = 1

# What a file may hold: its bytes, its values, and lists and objects in it.  A damaged or hostile one of that size
# takes less than a gigabyte to be read.
MOST_BYTES, MOST_VALUES, MOST_NESTED = 100_000_000, 10_000_000, 200_000
# Values of a stored image: 16,000 by 16,000 grey pixels.
MOST_IMAGE = 2**28
# The confusion of more classes is not kept.
MOST_CONFUSED = 2000

Split = Literal["train", "val", "test"]
Status = Literal["running", "stopped", "diverged", "failed", "done"]


def _text(value: object) -> str:
    """A text, with the bytes of a file's name in it that are no UTF-8, which pydantic's own would refuse."""
    if not isinstance(value, str) or len(value) > 10_000:
        raise ValueError("Input should be a text of at most 10,000 characters")
    return value


Text = Annotated[str, PlainValidator(_text)]
Count = Annotated[int, Field(ge=0, le=10**15)]
Side = Annotated[int, Field(ge=1, le=100_000)]
Share = Annotated[float, Field(ge=0, le=1)]
Number = Annotated[float, Field(ge=-1e30, le=1e30)]
Sides = Annotated[tuple[Side, Side], Field(strict=False)]
Facts = Annotated[Mapping[Text, Text | Number | int | None], Field(max_length=100)]


class Part(BaseModel):
    """A part of a record."""

    # Its checks are built when it is first read or written: most commands need few of all parts.
    model_config = ConfigDict(
        extra="allow", strict=True, allow_inf_nan=False, validate_assignment=True, defer_build=True
    )


class ClassScore(Part):
    """One class.  precision: share of the answers `name` that were right.  recall: share of it found."""

    name: Text
    count: Count
    precision: Share
    recall: Share
    f1: Share


class Score(Part):
    """The answers over one split.

    interval: 95 % interval of the accuracy by Wilson's formula, from the number of images alone.
    balanced_accuracy, f1: means over the classes; None in runs of before they were measured.
    confusion: row = true class, column = answer; empty for more classes than MOST_CONFUSED.
    """

    images: Annotated[int, Field(ge=1, le=10**12)]
    accuracy: Share
    interval: Annotated[tuple[Share, Share], Field(strict=False)]
    top5: Share
    loss: Number
    balanced_accuracy: Share | None = None
    f1: Share | None = None
    classes: list[ClassScore]
    confusion: list[list[Count]]

    @model_validator(mode="after")
    def _square(self) -> Self:
        kinds = len(self.classes)
        if self.confusion and [len(row) for row in self.confusion] != [kinds] * kinds:
            raise ValueError(f"confusion should have {kinds} rows of {kinds} numbers")
        return self

    @property
    def wrong(self) -> int:
        """Images that were answered wrongly."""
        return self.images - round(self.accuracy * self.images)


class Result(Score):
    """The score at the end of a run.

    split: what was scored.  best_epoch: from 0, whose weights were kept; best_undone: the run went back behind it.
    """

    split: Literal["test", "validation"]
    best_epoch: Annotated[int, Field(ge=-1, le=10**12)]
    best_undone: bool = False
    metric: Literal["accuracy", "balanced_accuracy", "f1"] = "accuracy"
    # -1 where no epoch ended; by its old name in runs of before there was a choice.
    validation_metric: Annotated[float, Field(ge=-1, le=1)]
    epochs: Count
    steps: Count

    @model_validator(mode="before")
    @classmethod
    def _old_name(cls, values: object) -> object:
        if isinstance(values, dict) and "validation_accuracy" in values:
            values = {"validation_metric": values["validation_accuracy"], **values}
        return values


class NetworkName(Part):
    """The network: its name in the zoo or of its file, empty for a text, and the reason for it."""

    name: Text = ""
    why: Text = ""


class Memory(Part):
    """The peak of a training step."""

    predicted_bytes: Count | None = None
    measured_bytes: Count | None = None


class SymptomRecord(Part):
    """What a training that came to nothing looks like.  code: short and stable.  said: a sentence.  cure: what to try."""

    code: Text
    said: Text
    cure: Text


class RunRecord(Part):
    """run.json.

    name: of the data.  created: as time.strftime writes it.  source: of the data, as it was said, or where it lies.
    from_run: the run that was gone on from.  error: why it diverged or failed.  texts: SHA-256 of net.txt and recipe.toml.  result: None until the run is done.
    """

    format: int = FORMAT
    name: Text = ""
    created: Text = ""
    status: Status
    error: Text | None = None
    source: Text = ""
    from_run: Text | None = None
    network: NetworkName = NetworkName()
    versions: Facts = {}
    machine: Facts = {}
    texts: Facts = {}
    memory: Memory | None = None
    result: Result | None = None
    seconds: Annotated[float, Field(ge=0, le=1e30)] | None = None
    # Of a step, in the median of the epochs.
    step_s: Annotated[float, Field(ge=0, le=1e30)] | None = None
    symptom: SymptomRecord | None = None


class SplitRecord(Part):
    """The images of one split: how many, how many of each class, and a hash of names, labels and contents."""

    count: Count
    per_class: dict[Text, Count]
    sha256: Text


class Validation(Part):
    """Where the validation images come from.  made: held out of the training images."""

    made: bool
    seed: int | None = None
    share: Share | None = None
    stratified: bool = False
    grouped: bool = False


class PreparationRecord(Part):
    """How an image becomes numbers; see `striate.predict.normalize.Normalization`."""

    size: Sides
    stored_size: Sides
    channels: Side
    mean: list[float]
    deviation: list[Annotated[float, Field(gt=0)]]
    dtype: Literal["uint8", "float32"]
    fit: Literal["crop", "pad", "stretch"] = "crop"
    values: Annotated[tuple[float, float], Field(strict=False)] | None = None
    mean_image: Annotated[str, Field(max_length=MOST_BYTES)] = ""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        height, width = self.size
        stored = self.stored_size[0] * self.stored_size[1] * self.channels
        if max(stored, height * width * self.channels) > MOST_IMAGE:
            raise ValueError(f"an image should have at most {MOST_IMAGE:,} values")
        if height > self.stored_size[0] or width > self.stored_size[1]:
            raise ValueError("size should be within stored_size")
        if len(self.mean) != self.channels or len(self.deviation) != self.channels:
            raise ValueError(f"mean and standard deviation should have {self.channels} numbers")
        whole = 4 * height * width * self.channels
        if self.mean_image and len(base64.b64decode(self.mean_image, validate=True)) != whole:
            raise ValueError(f"mean_image should have {whole:,} bytes")
        return self


class DataRecord(Part):
    """data.json: what the images were, and how they are prepared."""

    format: int = FORMAT
    source: Text
    kind: Text
    classes: Annotated[list[Text], Field(min_length=1)]
    splits: dict[Split, SplitRecord]
    validation: Validation
    findings: dict[Text, Count]
    preparation: PreparationRecord


class Mistake(Part):
    """A wrong answer.  png: the image in base64, or nothing."""

    name: Text
    label: Text
    answer: Text
    probability: Share
    png: Annotated[str, Field(max_length=10_000_000)] = ""


Record = TypeVar("Record", bound=Part)


def read_record(path: Path, model: type[Record]) -> Record:
    """A record of a run, whole and checked.

    Raises RunError where the file is missing, damaged, larger than any, or of another striate.
    """
    run, values = path.parent, read_values(path)
    if isinstance(values, dict) and isinstance(made := values.get("format", FORMAT), int) and made > FORMAT:
        raise RunError(
            f"the run is of format {made}, and this striate knows {FORMAT}",
            place=str(run),
            cure="pip install --upgrade striate",
        )
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise _damaged(path, explained(error)) from None


def read_mistakes(path: Path) -> list[Mistake]:
    """What mistakes.json holds.  Raises RunError as `read_record`."""
    try:
        return TypeAdapter(list[Mistake]).validate_python(read_values(path), strict=True)
    except ValidationError as error:
        raise _damaged(path, explained(error)) from None


def read_values(path: Path) -> object:
    """The JSON of a file of a run.  Raises RunError where there is none, or more than any run has."""
    try:
        content = read_small(path, MOST_BYTES)
        if content.count(b",") > MOST_VALUES or content.count(b"[") + content.count(b"{") > MOST_NESTED:
            raise _damaged(path, "it holds more values than any record")
        values: object = json.loads(content)
    except FileNotFoundError:
        raise RunError(f"the run has no {path.name}", place=str(path.parent), cure="striate runs") from None
    except OSError as error:
        raise _damaged(path, error.strerror or str(error)) from None
    except RecursionError:
        raise _damaged(path, "it is nested too deep") from None
    except ValueError as error:
        raise _damaged(path, f"it is not JSON: {error}") from None
    return values


def to_json(value: BaseModel | list[Mistake]) -> bytes:
    """JSON as people read it; a byte of a file's name that is not UTF-8 is escaped, and read back as it was."""
    plain = (
        value.model_dump(exclude_none=True)
        if isinstance(value, BaseModel)
        else [each.model_dump() for each in value]
    )
    return (json.dumps(plain, indent=2, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")


def explained(error: ValidationError) -> str:
    """The first thing that is wrong, with its place: `result.accuracy: Input should be ...`."""
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(map(str, first["loc"]))
    said = first["msg"].removeprefix("Value error, ")
    return f"{repeated(place)}: {said}" if place else said


def _damaged(path: Path, why: str) -> RunError:
    return RunError(
        f"{path.name} is damaged: {why}",
        place=str(path.parent),
        expected=f"{path.name} as `striate train` writes it",
        cure="a copy of it, or striate train, which starts over",
    )
