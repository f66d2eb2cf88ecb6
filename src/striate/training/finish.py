"""The end of a run: the test, once, with the best weights; the record and the report."""

from __future__ import annotations

import math
import shutil
from statistics import median
from typing import Literal

from striate.disk.atomic import write_atomic
from striate.doctor.doctor import examine
from striate.doctor.facts import read_facts
from striate.modules.weights import load_weights, weights_figures
from striate.optimizers import OPTIMIZERS
from striate.predict.evaluate import probabilities
from striate.predict.score import METRICS, score, worst_mistakes
from striate.progress import Watch
from striate.report.page import write_report
from striate.runs.events import TIME, read_events
from striate.runs.history import read_history
from striate.runs.record import Result, Score, SymptomRecord, to_json
from striate.training.budget import LEAST_EPOCHS, too_short, typed_seconds
from striate.training.loop.loop import Stopped, require_finite
from striate.training.loop.prepared import Job, Stage
from striate.training.loop.state import Best, State


def finish(job: Job, stage: Stage, state: State, watch: Watch) -> Score:
    """Score the test split, or the validation split where there is none, and write what came out.

    stage: the last one.  Its network reads what it was trained on, so what a frozen part gives is not
    computed again.

    Raises Stopped where `watch` asks to stop, a checkpoint was written before; Diverged where an answer is NaN.
    """
    data, settings, net = job.prepared.data, job.prepared.settings, job.prepared.net
    load_weights(net, job.run.weights)
    # What is said of them is what stands in their file.
    if figures := weights_figures(job.run.weights):
        state.best = Best.of_file(figures)
    name: Literal["test", "validation"] = "validation" if data.test is None else "test"
    split = data.val if data.test is None else data.test

    def advance(done: int) -> None:
        watch.advance(done, "")
        if watch.stopping():
            raise Stopped("stopped in the test; everything is saved", cure=f"striate resume {job.run.quoted}")

    watch.begin(name, len(split.labels))
    found = probabilities(
        stage.part(net), stage.feeder, stage.scored.images, stage.size,
        batch=stage.settings.evaluation_batch, precision=settings.evaluation_precision, tta=settings.tta,
        advance=advance,
    )  # fmt: skip
    watch.end()
    require_finite(found, state, settings)
    result = score(found, split.labels, data.classes)
    mistakes = worst_mistakes(
        found, split.labels, split.names, data.classes, data.size, lambda place: split.images[place]
    )
    write_atomic(job.run.mistakes, to_json(mistakes))
    job.record.result = Result(
        **dict(result),
        split=name,
        best_epoch=state.best.epoch,
        best_undone=read_history(job.run).undone,
        metric=settings.metric,
        validation_metric=state.best.metric,
        epochs=state.epoch,
        steps=state.step,
    )
    if state.best.metric < settings.target < math.inf:
        watch.say(
            f"{settings.target:.2%} was not reached: the best validation {METRICS[settings.metric]} is "
            f"{state.best.metric:.2%}"
        )
    # What a line search saw of one batch says nothing of the next training.
    if not OPTIMIZERS[settings.optimizer.word].line_search:
        write_atomic(job.run.optimizer, state.optimizer_file())
    job.record.status = "done"
    times = [each.step_s for each in read_events(job.run.times.path, TIME) if each.step_s]
    job.record.step_s = median(times) if times else None
    job.record.seconds = round(state.pace.elapsed_s(), 3)
    job.run.write_record(job.record)
    job.record.symptom = _symptom(job, state)
    job.run.write_record(job.record)
    write_report(job.run)
    shutil.rmtree(job.run.state, ignore_errors=True)
    return result


def _symptom(job: Job, state: State) -> SymptomRecord | None:
    """What went wrong in a training that came to its end, if anything is seen; its record is written."""
    settings, images = job.prepared.settings, len(job.prepared.data.train.labels)
    if settings.timed and not settings.frozen and state.best.metric < settings.target:
        epochs = state.step / max(1, images // settings.batch)
        taken_s = state.pace.trained_s / max(1, state.pace.steps) * state.step
        spent_s = state.pace.elapsed_s() - taken_s
        enough = typed_seconds(spent_s + (LEAST_EPOCHS + 0.5) / max(epochs, 1e-9) * taken_s)
        if (short := too_short(settings.budget_s, epochs, state.step, LEAST_EPOCHS, enough)) is not None:
            return short
    grave = [each for each in examine(read_facts(job.run)).findings if each.severity == "error"]
    # Told in one sentence, with a command to try where any has one: a training as it was, but for what was extreme in it.
    told = next((each for each in grave if each.cure.startswith("`striate ")), grave[0] if grave else None)
    return None if told is None else SymptomRecord(code=told.code, said=told.evidence, cure=told.cure)
