"""What is written of a search: search.json, one typed model, from which its page is made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from striate.errors import RunError
from striate.runs.record import Count, Facts, Number, Part, Share, Text, read_record

Texts = Annotated[list[Text], Field(max_length=1000)]


class ParameterRecord(Part):
    """Something that was chosen.  domain: as it was at the beginning.  importance: share of the ranks' variance."""

    name: Text
    domain: Text
    log: bool
    low: Number | None = None
    high: Number | None = None
    options: Texts
    importance: Number


class TrialRecord(Part):
    """A trial.  steps, metrics: of the rungs that it ended on.  cost: what the plan says.  note: why it ended."""

    trial: Count
    round: Count
    values: Facts
    written: Facts
    steps: list[Count]
    metrics: list[Number]
    seconds: Number
    diverged: bool
    note: Text | None = None
    cost: dict[Text, Number]


class StageRecord(Part):
    """A rung that ended.  on: who went on.  hopeless: who would have but for their curve.  wrong: the chance that
    one of those would have won.  said: what was found out.  space: what was left of the space."""

    round: Count
    rung: Count
    steps: Count
    trials: Count
    on: list[Count]
    hopeless: list[Count]
    wrong: Number
    said: Texts
    space: Texts


class SearchRecord(Part):
    """A search.

    best: the trial that won.  test: its accuracy on the test images, or None where there are none.
    drop: how much too good its validation is expected to be.  whole: what all of it took, in whole trainings.
    """

    format: Count = 1
    name: Text
    source: Text
    net: Text | None = None
    metric: Text
    images: Count
    rungs: list[Count]
    epoch: Count
    parameters: list[ParameterRecord]
    trials: list[TrialRecord]
    stages: list[StageRecord]
    best: Count | None = None
    validation: Share | None = None
    test: Share | None = None
    test_interval: Annotated[tuple[Share, Share], Field(strict=False)] | None = None
    drop: Number
    whole: Number
    seconds: Number
    refused: dict[Text, Count]
    machine: dict[str, Any]


@dataclass(frozen=True, slots=True)
class SearchFolder:
    """The files of a search.

    study.db: its database, where it has one of its own.  trials/: a run folder for each.  best/: the run of the
    winner, tested once.  best.toml: its recipe.  search.json: what came out.  report.html: all of it to look at.
    """

    path: Path

    @property
    def database(self) -> Path:
        """The database, where none is named."""
        return self.path / "study.db"

    @property
    def trials(self) -> Path:
        """The runs of the trials."""
        return self.path / "trials"

    @property
    def best(self) -> Path:
        """The run of the winner."""
        return self.path / "best"

    @property
    def recipe(self) -> Path:
        """The recipe of the winner."""
        return self.path / "best.toml"

    @property
    def record(self) -> Path:
        """The record."""
        return self.path / "search.json"

    @property
    def report(self) -> Path:
        """The page."""
        return self.path / "report.html"

    def read_record(self) -> SearchRecord:
        """What came out.  Raises RunError where there is none yet."""
        if not self.record.exists():
            raise RunError(
                "this is no search that has ended",
                place=str(self.path),
                expected="a folder with search.json",
                cure=f"striate search --resume {self.path}",
            )
        return read_record(self.record, SearchRecord)
