"""Runs against each other on the same images."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.data.gather import gather
from striate.data.images import center
from striate.data.labelled import label_images
from striate.errors import DataError, RunError, StriateError, counted
from striate.predict.measure import answer, run_candidate
from striate.predict.score import holm, mcnemar, paired_bootstrap, png, score
from striate.predict.trained import Trained
from striate.progress import Silence, Watch
from striate.recipe.keys import read_run_recipe
from striate.report.compare import Answer, Compared, Comparison, Difference, Example
from striate.report.facts import read_facts
from striate.runs.record import Split

# Images shown of those that one has right and the other wrong.
MOST_EXAMPLES = 12

_SPLITS: dict[Split, str] = {"test": "their test split", "val": "their validation split"}


@dataclass(frozen=True)
class _Answered:
    """Of one run: the names of the images, their labels as places in `classes`, and N x classes."""

    names: Sequence[str]
    labels: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    stored: Callable[[int], NDArray[Any]]


def compare_runs(
    runs: Sequence[Trained], source: str | Path | None = None, watch: Watch | None = None
) -> Comparison:
    """Each run against the first, on images that all of them answer.

    source: labelled images, as for `measure`; where None, the test images of the runs, or their validation images where
    they have no others.

    Raises StriateError where there are fewer than two runs, RunError where their images or classes are not the same.
    """
    watch = watch or Silence()
    if len(runs) < 2:
        raise StriateError(
            f"{counted(len(runs), 'run')} cannot be compared",
            place="compare",
            expected="at least 2",
            cure="striate compare RUN RUN",
        )
    first = runs[0]
    for each in runs[1:]:
        if each.classes != first.classes:
            raise RunError(
                "it was trained on other classes",
                place=str(each.run.path),
                expected=f"those of {first.run.path}: {_few(first.classes)}",
                cure="runs of the same data",
            )
    notes: list[str] = []
    if source is None:
        split = _common_split(runs)
        found = [_answered_split(each, split, watch) for each in runs]
        said, where = _SPLITS[split], first.record.source
        if split == "val":
            notes.append("there are no test images: these also chose the best epoch of each run")
    else:
        where, data = str(source), label_images(source)
        said = "its test split" if data.split == "test" else "all of its images"
        answers = [answer(run_candidate(each), data, watch) for each in runs]
        common = sorted(set.intersection(*(set(given.used) for given in answers)))
        if not common:
            raise DataError(
                "no image can be used by all of the runs", place=where, cure=f"striate check {where}"
            )
        found = []
        for run, given in zip(runs, answers, strict=True):
            place_of = {number: place for place, number in enumerate(given.used)}
            kept = [place_of[number] for number in common]
            names = [given.names[place] for place in kept]
            found.append(
                _Answered(names, given.labels[kept], given.probabilities[kept], _of(given.stored, kept))
            )
            if given.seen:
                notes.append(
                    f"{given.seen:,} of the images were seen in the training of {run.run.path.name}: its score will "
                    "be too optimistic"
                )
    names = _short_names([each.run.path for each in runs])
    compared = tuple(
        Compared(name, read_facts(run.run), score(one.probabilities, one.labels, run.classes))
        for name, run, one in zip(names, runs, found, strict=True)
    )
    right = [one.probabilities.argmax(axis=1) == one.labels for one in found]
    values = [mcnemar(int((right[0] & ~other).sum()), int((other & ~right[0]).sum())) for other in right[1:]]
    adjusted = holm(values)
    differences = tuple(
        Difference(
            first=names[0],
            second=names[place],
            both=int((right[0] & right[place]).sum()),
            first_only=int((right[0] & ~right[place]).sum()),
            second_only=int((right[place] & ~right[0]).sum()),
            neither=int((~right[0] & ~right[place]).sum()),
            interval=paired_bootstrap(right[0], right[place]),
            p=values[place - 1],
            adjusted=adjusted[place - 1],
            examples=(
                _examples(runs[0], found[0], found[place], right[0] & ~right[place]),
                _examples(runs[0], found[0], found[place], right[place] & ~right[0]),
            ),
        )
        for place in range(1, len(runs))
    )
    return Comparison(str(where), said, compared, differences, tuple(notes))


def _of(stored: Callable[[int], NDArray[Any]], kept: list[int]) -> Callable[[int], NDArray[Any]]:
    return lambda place: stored(kept[place])


def _few(classes: Sequence[str]) -> str:
    return ", ".join(classes[:6]) + (", ..." if len(classes) > 6 else "")


def _short_names(paths: Sequence[Path]) -> list[str]:
    """The names of the folders, with as much of the path as tells them apart."""
    resolved = [path.resolve() for path in paths]
    for parts in range(1, max(len(each.parts) for each in resolved) + 1):
        names = ["/".join(each.parts[-parts:]) for each in resolved]
        if len(set(names)) == len(names):
            return names
    # The same run twice.
    return [f"{path.name} ({number})" for number, path in enumerate(resolved, 1)]


def _common_split(runs: Sequence[Trained]) -> Split:
    """The split whose images are the same in all runs, by the hash that each noted.  Raises RunError."""
    records = [each.run.read_data().splits for each in runs]
    split: Split = "test" if all("test" in each for each in records) else "val"
    for run, record in zip(runs[1:], records[1:], strict=True):
        if split not in record or split not in records[0] or record[split].sha256 != records[0][split].sha256:
            raise RunError(
                f"its {'test' if split == 'test' else 'validation'} images are not those of {runs[0].run.path}",
                place=str(run.run.path),
                expected="runs that were tested on the same images",
                cure="striate compare RUN RUN --data DATA, with images that none of them has seen",
            )
    return split


def _answered_split(run: Trained, split: Split, watch: Watch) -> _Answered:
    source = run.record.source
    if not source or not (Path(source).exists() or source == "digits"):
        raise RunError(
            f"the data are not at {source or 'a known place'} any more",
            place=str(run.run.path),
            expected="the images of the run, or others",
            cure="striate compare RUN RUN --data DATA",
        )
    recipe = read_run_recipe(run.run, run.record)
    data = gather(
        source, size=recipe.size, fit=recipe.fit, val_share=recipe.val_share, seed=recipe.seed, max_pixels=recipe.max_pixels
    )  # fmt: skip
    then = run.run.read_data().splits[split].model_dump()
    if data.record["splits"][split] != then:  # type: ignore[index, call-overload]
        raise RunError(
            f"the data at {source} are not what they were",
            place=str(run.run.path),
            expected="the images and labels that the run was trained on",
            cure="striate compare RUN RUN --data DATA",
        )
    chosen = data.test if split == "test" else data.val
    assert chosen is not None
    watch.begin(f"testing {run.run.path.name}", len(chosen.labels))
    probabilities = run.predict_stored(chosen.images)
    watch.end()
    size = run.preparation.size
    return _Answered(
        chosen.names,
        chosen.labels,
        probabilities,
        lambda place: center(chosen.images[place][None], size)[0],
    )


def _examples(
    run: Trained, first: _Answered, second: _Answered, chosen: NDArray[np.bool_]
) -> tuple[Example, ...]:
    """Images on which the two differ, those first on which the probability of the label differs most."""
    places = np.flatnonzero(chosen)
    labels = first.labels[places]
    apart = np.abs(first.probabilities[places, labels] - second.probabilities[places, labels])
    clearest = places[np.argsort(-apart, kind="stable")[:MOST_EXAMPLES]]

    def said(found: _Answered, place: int) -> Answer:
        row = found.probabilities[place]
        return Answer(run.classes[int(row.argmax())], min(1.0, float(row.max())))

    return tuple(
        Example(
            name=first.names[place],
            label=run.classes[first.labels[place]],
            png=base64.b64encode(png(first.stored(place))).decode(),
            answers=(said(first, place), said(second, place)),
        )
        for place in clearest.tolist()
    )
