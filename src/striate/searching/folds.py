"""Cross-validation: every image is tested once by a network that has not seen it."""

from __future__ import annotations

import csv
import io
import json
import math
import shutil
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from striate.data.gather import Data, Split, without_copies
from striate.data.split import joined, make_validation
from striate.disk.atomic import write_atomic
from striate.errors import DataError, RunError, StriateError, counted
from striate.net.network import Network
from striate.net.notation.writer import write_text
from striate.predict.trained import load_trained
from striate.progress import Watch
from striate.recipe.keys import Recipe, write_recipe
from striate.runs.folder import RunFolder
from striate.training.job import gather_for, new_job, run_job


@dataclass(frozen=True, slots=True)
class Folds:
    """What a cross-validation gives.

    accuracies: of each fold on the images it has not seen, repeat by repeat.  mean, interval: of them, 95 %.
    predictions: the file with the answers.  runs: the run of each fold.
    """

    accuracies: tuple[float, ...]
    mean: float
    interval: tuple[float, float]
    predictions: Path
    runs: tuple[Path, ...]


def interval_of_folds(accuracies: Sequence[float], folds: int) -> tuple[float, float]:
    """The 95 % interval of the mean accuracy of k folds, n in all with their repeats.

    mean +- t(n - 1) sqrt((1 / n + 1 / (k - 1)) s^2): the folds share most of their training images, so that the plain
    standard error is too small.  Source: Nadeau and Bengio 2003, "Inference for the generalization error", (7).
    """
    from scipy.special import stdtrit

    n = len(accuracies)
    values = np.array(accuracies)
    mean = float(values.mean())
    wide = float(stdtrit(n - 1, 0.975)) * math.sqrt((1 / n + 1 / (folds - 1)) * float(values.var(ddof=1)))
    return max(0.0, mean - wide), min(1.0, mean + wide)


def cross_validate(
    source: str,
    *,
    network: Network | None,
    recipe: Recipe,
    folds: int,
    repeats: int,
    out: Path,
    device: str | None,
    strict: bool,
    watch: Watch,
) -> Folds:
    """Train `folds` networks, `repeats` times, and test each on the images that it has not seen.

    All images but those of a test split are used; stratified by class, groups and copies of an image on one side.  In
    each fold a part of the training images is set aside to choose the best epoch by, as in a plain training.
    out: a folder for the runs and for predictions.csv.  One that was begun with the same goes on at its first fold
    that is not done.

    Raises StriateError where there are fewer images of a class than folds, or what `new_job` raises.
    """
    if repeats < 1:
        raise StriateError(
            f"{repeats} repeats are none", place="--repeats", expected="1 or more", cure="--repeats 3"
        )
    asked = {
        "folds": folds, "repeats": repeats, "recipe": write_recipe(recipe),
        "net": None if network is None else write_text(network), "source": source,
    }  # fmt: skip
    _require_same(out, asked)
    _require_two(folds)
    data = gather_for(source, recipe, strict, watch)
    whole = joined_split(data.train, data.val)
    sides = fold_sides(whole, folds, repeats, recipe.seed)
    out.mkdir(parents=True, exist_ok=True)
    write_atomic(out / "folds.json", json.dumps(asked, indent=1).encode())
    accuracies, runs, rows = [], [], []
    for number, (rest, held) in enumerate(sides):
        repeat, fold = divmod(number, folds)
        run = RunFolder(out / f"fold-{repeat + 1}-{fold + 1}")
        ready = run.record.exists() and run.read_record().status == "done"
        if not ready:
            shutil.rmtree(run.path, ignore_errors=True)
            watch.say(f"fold      {fold + 1} of {folds}, repeat {repeat + 1} of {repeats}")
            job = new_job(
                source, network=network, recipe=recipe, out=run.path, device=device, strict=False,
                started=time.monotonic(), watch=watch, gathered=fold_data(data, whole, rest, held, recipe),
            )  # fmt: skip
            run_job(job, watch, resume=False)
        found = load_trained(run.path, device=device).predict_stored(whole.images[held])
        answers = found.argmax(axis=1)
        accuracy = float((answers == whole.labels[held]).mean())
        watch.say(f"          {accuracy:.2%} of {counted(len(held), 'image')}")
        accuracies.append(accuracy)
        runs.append(run.path)
        for place, answer, shares in zip(held.tolist(), answers.tolist(), found, strict=True):
            rows.append(
                [
                    whole.names[place], data.classes[whole.labels[place]], data.classes[answer], repeat + 1, fold + 1,
                    *(f"{share:.6f}" for share in shares),
                ]
            )  # fmt: skip
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["name", "label", "answer", "repeat", "fold", *(f"p:{each}" for each in data.classes)])
    writer.writerows(rows)
    write_atomic(out / "predictions.csv", file.getvalue().encode("utf-8", "backslashreplace"))
    return Folds(
        tuple(accuracies), float(np.mean(accuracies)), interval_of_folds(accuracies, folds),
        out / "predictions.csv", tuple(runs),
    )  # fmt: skip


def require_folds(data: Data, folds: int, seed: int) -> None:
    """Raise StriateError or DataError where data cannot be cut in so many folds."""
    _require_two(folds)
    fold_sides(joined_split(data.train, data.val), folds, 1, seed)


def _require_two(folds: int) -> None:
    if folds < 2:
        raise StriateError(f"{folds} folds are none", place="--folds", expected="2 or more", cure="--folds 5")


def _require_same(out: Path, asked: dict[str, object]) -> None:
    there = out / "folds.json"
    if there.exists():
        if json.loads(there.read_bytes()) == asked:
            return
        problem = "another cross-validation lies in this folder"
    elif out.exists() and any(out.iterdir()):
        problem = "there is something in this folder already"
    else:
        return
    raise RunError(
        problem, place=str(out), expected="a new folder, or the same command", cure="another --out"
    )


def joined_split(first: Split, second: Split) -> Split:
    """The images of two splits as one, in memory."""
    weights = None
    if first.weights is not None or second.weights is not None:
        ones = [
            np.ones(len(each.labels), dtype=np.float32) if each.weights is None else each.weights
            for each in (first, second)
        ]
        weights = np.concatenate(ones)
    return Split(
        np.concatenate([first.images, second.images]),
        np.concatenate([first.labels, second.labels]),
        (*first.names, *second.names),
        (*first.contents, *second.contents),
        weights,
        (*first.groups, *second.groups),
    )


def picked(split: Split, positions: npt.NDArray[np.int64]) -> Split:
    """The images of a split at some positions, in their order."""
    return Split(
        split.images[positions],
        split.labels[positions],
        tuple(split.names[each] for each in positions),
        tuple(split.contents[each] for each in positions) if split.contents else (),
        None if split.weights is None else split.weights[positions],
        tuple(split.groups[each] for each in positions) if split.groups else (),
    )


def groups_of(split: Split) -> list[str | None] | None:
    """What has to stay on one side: groups, and images that are there more than once; None where there is nothing."""
    grouped = any(each is not None for each in split.groups)
    copied = len(set(split.contents)) < len(split.contents)
    if not grouped and not copied:
        return None
    groups = split.groups or (None,) * len(split.labels)
    return joined(groups, split.contents) if split.contents else list(groups)


def fold_sides(
    whole: Split, folds: int, repeats: int, seed: int
) -> list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Positions for training and for testing, of each fold of each repeat.

    scikit-learn's StratifiedKFold, or StratifiedGroupKFold where there are groups, shuffled by seed + repeat.
    Raises DataError where a class, or the groups, are fewer than the folds.
    """
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    counts = np.bincount(whole.labels)
    fewest = int(counts[counts > 0].min())
    groups = groups_of(whole)
    codes = None
    if groups is not None:
        numbers: dict[object, int] = {}
        codes = np.array(
            [numbers.setdefault(at if each is None else each, len(numbers)) for at, each in enumerate(groups)]
        )
        fewest = min(fewest, len(numbers))
    if fewest < folds:
        raise DataError(
            f"there are {folds} folds, and the rarest class has {counted(fewest, 'image')}",
            place="--folds",
            expected="an image of each class in each fold",
            cure=f"--folds {fewest}" if fewest > 1 else "more images of that class",
        )
    found = []
    for repeat in range(repeats):
        kind = StratifiedKFold if codes is None else StratifiedGroupKFold
        drawer = kind(n_splits=folds, shuffle=True, random_state=seed + repeat)
        with warnings.catch_warnings():
            # A class with fewer groups than folds is in some folds only.
            warnings.simplefilter("ignore", UserWarning)
            sides = list(drawer.split(np.zeros(len(whole.labels)), whole.labels, codes))
        found += [(rest.astype(np.int64), held.astype(np.int64)) for rest, held in sides]
    return found


def fold_data(
    data: Data, whole: Split, rest: npt.NDArray[np.int64], held: npt.NDArray[np.int64], recipe: Recipe
) -> Data:
    """The data of one fold: what is trained on, what the best epoch is chosen by, and what it is tested on."""
    train = picked(whole, rest)
    grouped = any(each is not None for each in train.groups)
    groups = joined(train.groups, train.contents) if grouped else None
    aside = make_validation(train.labels, groups, recipe.val_share, recipe.seed)
    if not grouped and train.contents:
        aside = without_copies(aside, train.contents)
    kept = np.setdiff1d(np.arange(len(train.labels)), aside)
    return replace(data, train=picked(train, kept), val=picked(train, aside), test=picked(whole, held))
