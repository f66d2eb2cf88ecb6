"""The end of a run: the test, once, with the best weights; the record and the report."""

from __future__ import annotations

import shutil

from striate.build.weights import load_weights, weights_figures
from striate.report.page import write_report
from striate.report.trace import read_trace
from striate.runs.atomic import write_atomic
from striate.runs.events import read_events
from striate.runs.folder import json_bytes
from striate.train.evaluate import probabilities
from striate.train.loop import Stopped, require_finite
from striate.train.mistakes import worst_mistakes
from striate.train.prepared import Job
from striate.train.score import METRICS, Score, score
from striate.train.stage import Stage, evaluation_batch
from striate.train.state import State
from striate.train.watch import Watch


def finish(job: Job, stage: Stage, state: State, watch: Watch) -> Score:
    """Score the test split, or the validation split where there is none, and write what came out.

    stage: the last one.  Its network reads what it was trained on, so what a frozen part gives is not
    computed again.

    Raises Stopped where `watch` asks to stop, a checkpoint was written before; Diverged where an answer is NaN.
    """
    data = job.data
    load_weights(job.net, job.run.weights)
    # What is said of them is what stands in their file.
    state.take_figures(weights_figures(job.run.weights))
    split, name = (data.test, "test") if data.test is not None else (data.val, "validation")

    def advance(done: int) -> None:
        watch.advance(done, "")
        if watch.stopping():
            raise Stopped("stopped in the test; everything is saved", cure=f"striate resume {job.run.quoted}")

    watch.begin(name, len(split.labels))
    found = probabilities(
        stage.part(job.net), stage.feeder, stage.scored.pictures, stage.size,
        batch=evaluation_batch(stage.recipe), precision=job.recipe.evaluation_precision, second_look=job.recipe.second_look,
        advance=advance,
    )  # fmt: skip
    watch.end()
    require_finite(found, state, job.recipe)
    result = score(found, split.labels, data.classes)
    mistakes = worst_mistakes(found, split, data.classes, data.size)
    write_atomic(job.run.path / "mistakes.json", json_bytes(mistakes))
    job.record["result"] = {
        "split": name,
        **result.to_record(),
        "best_epoch": state.best_epoch,
        "best_undone": read_trace(read_events(job.run.events.path), ()).undone,
        "metric": job.recipe.metric,
        "validation_metric": state.best_metric,
        "epochs": state.epoch,
        "steps": state.step,
    }
    target = job.recipe.target
    if target is not None and state.best_metric < target:
        watch.say(
            f"{target:.2%} was not reached: the best validation {METRICS[job.recipe.metric]} is {state.best_metric:.2%}"
        )
    job.record["status"] = "done"
    job.record["seconds"] = round(state.pace.elapsed_s(), 3)
    job.run.write_record(job.record)
    write_report(job.run)
    shutil.rmtree(job.run.state, ignore_errors=True)
    return result
