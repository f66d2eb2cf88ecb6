"""Several trained networks that answer together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from striate.data.files.finding import Unreadable
from striate.errors import RunError
from striate.predict.trained import Prediction, Trained, load_trained


@dataclass(frozen=True)
class Ensemble:
    """The mean of what its members say: p = (p1 + ... + pn) / n.

    The members may be any networks on images of any size, as long as they know the same classes.
    Source: Krizhevsky et al. 2012, table 1; Dietterich 2000.
    """

    members: tuple[Trained, ...]

    def predict_files(self, paths: Sequence[Path]) -> tuple[list[Prediction], list[Unreadable]]:
        """Predict image files, in order; those that a member cannot read come back as errors instead."""
        sums: dict[str, dict[str, float]] = {}
        readers: dict[str, int] = {}
        troubles: dict[str, Unreadable] = {}
        for member in self.members:
            # Each file once, however often it is named: the sums are kept by name.
            found, unread = member.predict_files(list(dict.fromkeys(paths)))
            troubles.update((trouble.place, trouble) for trouble in unread)
            for each in found:
                total = sums.setdefault(each.name, dict.fromkeys(each.classes, 0.0))
                readers[each.name] = readers.get(each.name, 0) + 1
                for name, share in zip(each.classes, each.probabilities, strict=True):
                    total[name] += share / len(self.members)
        whole = {name for name, count in readers.items() if count == len(self.members)}
        answers = [_prediction(name, sums[name]) for name in map(str, paths) if name in whole]
        return answers, list(troubles.values())


def load_ensemble(runs: Sequence[str | Path], *, device: str | None = None) -> Ensemble:
    """Load several runs.  Raises RunError where one is missing or they know different classes."""
    members = tuple(load_trained(run, device=device) for run in runs)
    first = set(members[0].classes)
    for member in members[1:]:
        other = set(member.classes) ^ first
        if other:
            raise RunError(
                f"it does not know the same classes as {members[0].run.path}: {', '.join(sorted(other)[:5])}",
                place=str(member.run.path),
                expected="runs on the same classes",
                cure="leave it out",
            )
    return Ensemble(members)


def _prediction(name: str, shares: dict[str, float]) -> Prediction:
    ordered = sorted(shares.items(), key=lambda each: -each[1])
    return Prediction(name, tuple(each for each, _ in ordered), tuple(share for _, share in ordered))
