"""A trained run as it is held in Python: what it answers, and what the rooms above make of it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from striate.explaining.explain import Explanation, explain
from striate.explaining.subject import subject_of
from striate.predict.summary import summary_lines
from striate.predict.trained import Trained, load_trained
from striate.report.facts import read_facts
from striate.report.page import notebook_frame, page


@dataclass(frozen=True, repr=False)
class Run(Trained):
    """A run, loaded: it predicts, is tested, and explains itself."""

    def explain(
        self,
        images: Any,
        *,
        at: str | None = None,
        class_name: str | None = None,
        against: str | None = None,
        check: bool = False,
        thorough: bool = False,
    ) -> Explanation:
        """What it looks at in images, as pictures; see `striate.explain`."""
        return explain(
            subject_of(self), images, at=at, class_name=class_name, against=against, check=check,
            thorough=thorough,
        )  # fmt: skip

    def __str__(self) -> str:
        """What `striate train` printed at its end."""
        return "\n".join(summary_lines(self.run, self.record))

    # At the prompt, too: not a line of all its fields.
    __repr__ = __str__

    def _repr_html_(self) -> str:
        """Its report in a notebook: curves, score, mistakes, network and recipe."""
        return notebook_frame(page(read_facts(self.run)))


def load_run(run: str | Path, *, device: str | None = None) -> Run:
    """Load the best weights of a run.  Raises RunError where there is none, ResourceError for the device."""
    trained = load_trained(run, device=device)
    return Run(**{each.name: getattr(trained, each.name) for each in fields(trained)})
