"""A training that goes on from a finished run: with its last weights and its optimizer's state, under a fresh
schedule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from striate.errors import RunError, counted
from striate.progress import Watch
from striate.recipe.keys import Recipe, read_recipe, read_run_recipe
from striate.runs.folder import RunFolder
from striate.training.loop.prepared import Job
from striate.training.loop.state import State

# Of the run's highest learning rate, where none is said.
SHARE = 0.3


def recipe_from(run: RunFolder, keys: Mapping[str, Any]) -> tuple[Recipe, str]:
    """The recipe that goes on from a finished run, and where its data were.

    That of the run, from its last weights on; the schedule begins at its highest rate at once, which is `SHARE`
    of the run's where none is said and the optimizer is the same; images are of their full size from the beginning.
    keys: set on top.

    Raises RunError where the run is not finished.
    """
    record = run.read_record()
    if record.status != "done" or not run.last_weights.exists():
        raise RunError(
            "this run is not finished",
            place=str(run.path),
            expected="a run with its last weights",
            cure=f"striate resume {run.quoted}",
        )
    known = read_run_recipe(run, record)
    own = {
        "weights": str(run.last_weights.resolve()),
        "weights_sha256": None,
        "warmup": 0.0,
        "progressive_resizing": None,
    }
    learning_rate = None
    # Another optimizer wants a rate of its own.
    if known.learning_rate is not None and keys.get("optimizer", known.optimizer) == known.optimizer:
        learning_rate = float(f"{known.learning_rate * SHARE:.2g}")
    return read_recipe(str(run.recipe), given={**own, "learning_rate": learning_rate, **keys}), record.source


def require_same_classes(before: RunFolder, classes: tuple[str, ...]) -> None:
    """Raise RunError where the data have other classes than the run that is gone on from."""
    then = tuple(before.read_data().classes)
    if then != classes:
        raise RunError(
            f"the classes were {', '.join(then[:8])} and are {', '.join(classes[:8])}",
            place=str(before.path),
            expected="data of the same classes",
            cure=f"striate train DATA --net {before.net} --weights {before.weights}, which trains the head anew",
        )


def optimizer_of_run(before: RunFolder, recipe: Recipe, watch: Watch) -> bytes | None:
    """What the optimizer of a finished run kept, for one that goes on from it; None where it is another, or nothing
    was kept.  Says what it goes on from.
    """
    record = before.read_record()
    then, kept = read_run_recipe(before, record), None
    if recipe.optimizer != then.optimizer:
        why = f"the optimizer was {then.optimizer}, and starts over as {recipe.optimizer}"
    elif not before.optimizer.is_file():
        why = "the optimizer's state was not kept, and starts over"
    else:
        kept = before.optimizer.read_bytes()
        why = "with the optimizer's state"
    watch.say(
        f"from      {before.path}"
        + (f", after {counted(record.result.epochs, 'epoch')}" if record.result else "")
        + f": {why}; the learning rate begins at {recipe.learning_rate:g}, and was {then.learning_rate:g} at most"
    )
    return kept


def take_optimizer(job: Job, state: State, watch: Watch) -> None:
    """Begin with the optimizer's state of another run.  Raises RunError where it is damaged."""
    try:
        taken = state.take_optimizer(job.run.start_optimizer.read_bytes())
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise RunError(
            f"{job.run.start_optimizer.name} is damaged: {error}",
            place=str(job.run.path),
            expected="a file that striate wrote",
            cure="the same command again, into another folder",
        ) from None
    if not taken:
        watch.say("          the optimizer's state is of other weights, and starts over")
