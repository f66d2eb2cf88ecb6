"""A training as a whole: from DATA and choices to a finished run folder."""

from __future__ import annotations

import hashlib
import math
import shlex
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from striate.data.files.entry import Listing
from striate.data.gather import Data, gather
from striate.data.store.files import Suit
from striate.disk.atomic import sweep, write_atomic
from striate.disk.small import MOST_TEXT_BYTES, read_small, read_small_text
from striate.errors import RecipeError, ResourceError, RunError, StriateError, counted
from striate.machine.device import choose_device, describe_machine, versions
from striate.modules.initial import fit_whitening, initialize, whitening
from striate.modules.module import Net, build
from striate.modules.weights import load_weights, weights_bytes, weights_figures
from striate.net.layout.layout import Layout, lay
from striate.net.network import Network
from striate.net.notation.reader import read_text
from striate.net.notation.writer import write_text
from striate.net.shape import Map
from striate.net.zoo.list import zoo_text
from striate.predict.normalize import Normalization, default_normalization, first_images
from striate.progress import Clock, Silence, Watch, counting
from striate.recipe.defaults import default_network
from striate.recipe.keys import Recipe, read_run_recipe, write_recipe
from striate.runs.events import ResumeEvent
from striate.runs.folder import RunFolder, create_run, point_latest, require_free
from striate.runs.lock import held
from striate.runs.record import DataRecord, Memory, NetworkName, RunRecord, Score, Status, to_json
from striate.training.budget import CLOSING_S, Chooser, describe_outlook, outlook
from striate.training.continuation import optimizer_of_run, require_same_classes, take_optimizer
from striate.training.finish import finish
from striate.training.layout import apply_layout
from striate.training.loop.checkpoint import Checkpoint, load_checkpoint
from striate.training.loop.loop import CHECKPOINT_S, Diverged, Paused, Stopped, lower_rate, run_loop
from striate.training.loop.memory import meter
from striate.training.loop.prepared import Job, Prepared
from striate.training.loop.rollback import LOWEST_SHARE, run_rescued
from striate.training.loop.stages import begin_stage, stages
from striate.training.loop.state import Best, State
from striate.training.pretrained import find_weights, load_pretrained, pretrained_normalization
from striate.training.resolve import (
    Facts,
    check_words,
    complete_recipe,
    require_resolvable,
    resolve,
    summarize_data,
    summarize_network,
    summarize_settings,
)


def prepare(
    source: str | Path,
    *,
    network: Network | None,
    recipe: Recipe,
    device: str | None,
    strict: bool,
    watch: Watch,
    started: float | None = None,
    clock: Clock = time,
    gathered: Data | None = None,
) -> Prepared:
    """Read the data, choose what was left open, and check that all fits; writes nothing but the store.

    network: the network, or None to choose one of the zoo.  strict: refuse data with unusable files.
    gathered: the data, where they were read for such a recipe before.
    started: when the job began, by the clock; now if left out.

    Raises DataError, FitError, RecipeError, ResourceError.
    """
    where = choose_device(device)
    check_words(recipe)
    began = clock.monotonic() if started is None else started

    def left_s() -> float:
        return (recipe.budget_s or math.inf) - (clock.monotonic() - began)

    hurried = network is None and recipe.budget_s is not None
    chooser = Chooser(recipe, where, left_s=left_s, clock=clock) if hurried else None
    side = None if chooser is None else chooser.side
    data = gathered or gather_for(source, recipe, strict, watch, side)
    summarize_data(data, watch)
    why = "it was given"
    counts = _counts(data)
    if network is None:
        channels = _channels(recipe, data)
        if chooser is None:
            choice = default_network(data.size, channels, counts["train"], recipe.nets)
        else:
            choice = chooser.network(data.size, channels, len(data.classes), counts)
            if data.stored_size != data.size:
                # A run that is resumed has to read its images at this size again.
                recipe = recipe.model_copy(update={"size": data.size[0]})
        network, why = read_text(zoo_text(choice.value), f"{choice.value}.net"), choice.why
        watch.say(f"network   {choice.value}: {why}")
    layout = lay(network, Map(_channels(recipe, data), *data.size), len(data.classes))
    layout.require_classes(len(data.classes))
    require_resolvable(recipe, data, layout, where)
    net = _first_net(layout, recipe)
    summarize_network(layout, watch)
    preparation = None
    if recipe.weights is not None:
        path = find_weights(recipe.weights, recipe.weights_sha256, watch)
        load_pretrained(net, path, data, recipe, watch)
        preparation = pretrained_normalization(path, data, recipe)
    if preparation is None:
        preparation = default_normalization(data, recipe)
    if recipe.weights is None and whitening(net):
        fit_whitening(net, first_images(data.train.images, preparation))
    settings = resolve(recipe, Facts(data, net, where, began, clock), watch)
    # Behind the first weights: they are drawn in the order of memory.
    apply_layout(net, settings.layout)
    summarize_settings(settings, recipe, watch)
    if settings.timed and not settings.frozen:
        smallest, spent_s = settings.progressive_resizing, clock.monotonic() - began
        found = outlook(settings.batch, smallest, settings.step_time, counts, left_s() - CLOSING_S)
        line = describe_outlook(found, settings.budget_s, spent_s=spent_s, given=chooser is None)
        watch.say(f"budget    {line}")
    name = Path(network.source.name).stem if network.source and network.source.name.endswith(".net") else ""
    return Prepared(
        data, net.to(where), complete_recipe(recipe, settings, layout), settings, preparation, where,
        NetworkName(name=name, why=why),
    )  # fmt: skip


def _first_net(layout: Layout, recipe: Recipe) -> Net:
    """A network with the first weights that a recipe draws; the random state stays as it is."""
    with torch.random.fork_rng(devices=[]):
        net = build(layout)
    initialize(net, initial=recipe.initial, generator=torch.Generator().manual_seed(recipe.seed))
    return net


def new_job(
    source: str | Path,
    *,
    network: Network | None,
    recipe: Recipe,
    out: Path | None,
    device: str | None,
    strict: bool,
    started: float,
    watch: Watch,
    before: RunFolder | None = None,
    clock: Clock = time,
    gathered: Data | None = None,
) -> Job:
    """Prepare, and make the run folder.

    out: the run folder, or None for a new one under `runs`.  started: when the job began, by the clock, for
    budgets.  before: the run that this one goes on from (see `recipe_from`).  The rest is as for `prepare`.

    Raises what `prepare` raises, and RunError; nothing is left behind then.
    """
    if out is not None:
        require_free(out)
    made = prepare(
        source, network=network, recipe=recipe, device=device, strict=strict, watch=watch,
        started=started, clock=clock, gathered=gathered,
    )  # fmt: skip
    if before is not None:
        require_same_classes(before, made.data.classes)
    network = made.layout.network
    text = network.source.text if network.source else write_text(network)
    files = {"net.txt": text.encode(), "recipe.toml": write_recipe(made.recipe).encode()}
    record = RunRecord(
        name=made.data.name,
        created=time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        status="stopped",
        source=_place(source),
        network=made.name,
        versions=versions(),
        machine=describe_machine(made.device),
        texts={name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
        from_run=None if before is None else str(before.path.resolve()),
    )
    if made.recipe.weights is not None or whitening(made.net):
        # They cannot be drawn from the seed alone.
        files["start.safetensors"] = weights_bytes(made.net)
    if before is not None and (kept := optimizer_of_run(before, made.recipe, watch)) is not None:
        files["start-optimizer.safetensors"] = kept
    seen = {bytes.fromhex(each[:16]) for split in (made.data.train, made.data.val) for each in split.contents}
    files["seen.bin"] = b"".join(sorted(seen))
    data = DataRecord.model_validate({**made.data.record, "preparation": made.preparation.to_record()})
    files |= {"data.json": to_json(data), "run.json": to_json(record)}
    run = create_run(made.data.name, out, files)
    return Job(run, made, record, started, clock)


def _place(source: str | Path) -> str:
    """Where the data lie, wherever the run is resumed; or their name."""
    return str(Path(source).resolve()) if Path(source).exists() else str(source)


def reopen_job(
    run: RunFolder,
    *,
    device: str | None,
    started: float,
    watch: Watch,
    source: str | Path | None = None,
    clock: Clock = time,
    gathered: Data | None = None,
) -> Job:
    """The job of a run that was stopped.  gathered: as for `prepare`.

    source: where the data are now, if they were moved.

    Raises RunError where the run is finished or its data are not what they were, naming what changed.
    """
    with held(run):
        record = run.read_record()
        require_open(run, record)
    if source is not None:
        record.source = _place(source)
    return restore_job(
        run, record, device=device, started=started, watch=watch, clock=clock, gathered=gathered
    )


def require_open(run: RunFolder, record: RunRecord) -> None:
    """Raise RunError where a run, which the caller holds, has ended: there is nothing to go on with."""
    # A run whose report could not be written has its result, and its checkpoint still.
    unreported = not run.report.exists() and any(run.state.glob("*.safetensors"))
    if record.status == "done" and not unreported:
        # There where it was killed while it tidied up.
        shutil.rmtree(run.state, ignore_errors=True)
        raise RunError(
            "this run is finished",
            place=str(run.path),
            cure=f"striate predict {run.quoted} IMAGE",
        )
    if record.status == "diverged":
        learning_rate = read_run_recipe(run, record).learning_rate or 0.0
        raise RunError(
            "this run diverged, and would do so again",
            place=str(run.path),
            expected="a run that was stopped",
            cure=f"striate train {shlex.quote(record.source or 'DATA')} "
            f"{lower_rate(learning_rate, LOWEST_SHARE / 10)}",
        )


def restore_job(
    run: RunFolder,
    record: RunRecord,
    *,
    device: str | None,
    started: float,
    watch: Watch,
    clock: Clock = time,
    gathered: Data | None = None,
) -> Job:
    """A job as it was before its first step, from the text, recipe, data and first weights of its folder.

    record: the run's, or another one that the job is to write.
    Raises RunError where the network, the recipe or the data are not what they were, naming what changed, or
    a file is damaged.
    """
    _require_same_texts(run, record)
    then, recipe = run.read_data(), read_run_recipe(run, record)
    preparation = Normalization.from_record(then.preparation)
    network = read_text(read_small_text(run.net, RunError, "the text of a network"), str(run.net))
    if not _is_there(record.source):
        raise RunError(
            f"the data are not at {record.source} any more",
            place=str(run.path),
            expected="the images and labels that the run began with",
            cure="put them back there"
            if record.status == "done"
            else f"striate resume {run.quoted} --data WHERE THEY ARE NOW",
        )
    data = gathered or gather_for(record.source, recipe, False, watch)
    _require_same_data(run, data.record, then)
    layout = lay(network, Map(_channels(recipe, data), *data.size), len(data.classes))
    where = choose_device(device or str(record.machine.get("device") or "") or None)
    require_resolvable(recipe, data, layout, where)
    net = _first_net(layout, recipe)
    if run.start_weights.exists():
        load_weights(net, run.start_weights)
    settings = resolve(recipe, Facts(data, net, where, started, clock), Silence())
    apply_layout(net, settings.layout)
    made = Prepared(data, net.to(where), recipe, settings, preparation, where, record.network)
    return Job(run, made, record, started, clock)


def run_job(
    job: Job,
    watch: Watch,
    *,
    resume: bool,
    checkpoint_s: float = CHECKPOINT_S,
    pause_at: int | None = None,
) -> Score:
    """Train, test once with the best weights, and write the report.

    resume: go on from the newest sound checkpoint, or from the first step where there is none yet.
    checkpoint_s: seconds between two checkpoints; more where writing them takes long.
    pause_at: the step behind which to validate, save and raise Paused, so that a later call goes on to the bit;
    at the last step, too, and then nothing is tested.  A run that pauses does not go back where it diverges.
    The global random state of torch is left as it was.

    Raises Stopped where `watch` asks to stop, Paused, Diverged, ResourceError where the disk or the memory is full,
    RunError where another process trains the run; it can be resumed after each but Diverged.
    """
    with held(job.run):
        if resume:
            # While the data were read another process may have gone on with it, to its end.
            now = job.run.read_record()
            require_open(job.run, now)
            job.record = now.model_copy(update={"source": job.record.source})
        try:
            return _run(job, watch, resume, checkpoint_s, pause_at)
        finally:
            if pause_at is None:
                point_latest(job.run)


def _run(job: Job, watch: Watch, resume: bool, checkpoint_s: float, pause_at: int | None) -> Score:
    made, settings = job.prepared, job.prepared.settings
    with _status_kept(job), torch.random.fork_rng(enabled=True):
        torch.manual_seed(settings.seed)
        job.run.make_state()
        job.record.error = None
        _set_status(job, "running")
        checkpoint = _checkpoint(job, watch) if resume else None
        state = None
        first = 0 if checkpoint is None else checkpoint.numbers["stage"]
        for stage in stages(made, watch, first=first):
            state, loop = begin_stage(stage, job, state, checkpoint_s)
            if checkpoint is not None:
                _restore(job, state, checkpoint)
                # All of it is copied.
                checkpoint = None
                job.run.events.cut(state.events_bytes)
                job.run.vitals.cut(state.vitals.bytes)
                _take_best(job, state)
                watch.say(f"goes on at step {state.step}")
            elif stage.number == 0 and job.run.start_optimizer.exists():
                take_optimizer(job, state, watch)
            if not stage.skipped:
                loop = replace(loop, meter=meter(settings, made.layout, made.device, state.optimizer_bytes()))
            if pause_at is None:
                run_rescued(loop, state, watch)
            else:
                run_loop(replace(loop, pause_at=pause_at), state, watch)
            if loop.meter is not None and loop.meter.steps and not settings.frozen:
                # While parts are frozen still a step is no whole one.
                job.record.memory = Memory(**loop.meter.to_record())
            if state.best.metric >= settings.target:
                break
            if stage.skipped and settings.thaw:
                # What the next stage begins with; one that was resumed may have found nothing better since.
                load_weights(made.net, job.run.weights)
        assert state is not None
        write_atomic(job.run.last_weights, weights_bytes(stage.whole(state.averaged())))
        return finish(job, stage, state, watch)


def _checkpoint(job: Job, watch: Watch) -> Checkpoint | None:
    """The newest sound checkpoint, or None where none was written yet."""
    for folder in (job.run.path, job.run.state):
        sweep(folder)
    if not any(job.run.state.glob("*.safetensors")):
        watch.say("no checkpoint was written yet: begins at the first step")
        job.run.events.cut(0)
        job.run.vitals.cut(0)
        return None
    checkpoint = load_checkpoint(job.run.state)
    for name in checkpoint.damaged:
        watch.say(f"checkpoint {name} is damaged and was passed over")
    return checkpoint


def _restore(job: Job, state: State, checkpoint: Checkpoint) -> None:
    try:
        state.restore(checkpoint.tensors, checkpoint.numbers)
    except (LookupError, TypeError, ValueError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and _is_out_of_memory(error):
            raise
        raise RunError(
            "the checkpoint is not of this network and recipe",
            place=str(job.run.path),
            expected="net.txt and recipe.toml as they were when it was written, and the same striate",
            cure="put them back, or striate train, which starts over",
        ) from error


def _take_best(job: Job, state: State) -> None:
    """Under a budget, weights that were kept behind the checkpoint stand: their epoch does not come again."""
    figures = weights_figures(job.run.weights)
    if job.prepared.settings.timed and figures and figures["epoch"] != state.best.epoch:
        state.best = Best.of_file(figures)
        job.run.events.append(ResumeEvent(step=state.step, best_epoch=state.best.epoch))


@contextmanager
def _status_kept(job: Job) -> Iterator[None]:
    """Note in the record how a training ended before its end; say in words that the memory was full."""
    try:
        yield
    except BaseException as error:
        ends: dict[type[BaseException], Status] = {
            Stopped: "stopped", Paused: "stopped", KeyboardInterrupt: "stopped", Diverged: "diverged"
        }  # fmt: skip
        # The disk may be full; then the record stays as it is.
        job.record.error = (
            error.problem if isinstance(error, StriateError) and not isinstance(error, Stopped) else None
        )
        with suppress(ResourceError):
            try:
                _set_status(job, ends.get(type(error), "failed"))
            except KeyboardInterrupt:
                # Once more Ctrl-C, which came before the record was written.
                _set_status(job, "stopped")
                raise
        if isinstance(error, KeyboardInterrupt):
            error.add_note(f"striate resume {job.run.quoted}")
        if isinstance(error, RuntimeError) and _is_out_of_memory(error):
            batch = job.prepared.settings.batch
            raise ResourceError(
                f"the memory of `{job.prepared.device}` is full",
                place=str(job.run.path),
                expected=f"room for a training step on {counted(batch, 'image')}",
                cure=f"striate train with --set batch={max(1, batch // 2)}",
            ) from None
        raise


def _is_out_of_memory(error: RuntimeError) -> bool:
    # On a GPU torch has a class for it, on a CPU it only says so.
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def _set_status(job: Job, status: Status) -> None:
    job.record.status = status
    job.run.write_record(job.record)


def _channels(recipe: Recipe, data: Data) -> int:
    """The channels that the network reads: those of the images, or those of the recipe for grey ones."""
    wanted = recipe.channels or data.channels
    if wanted != data.channels and (data.channels, wanted) != (1, 3):
        raise RecipeError(
            f"the images have {counted(data.channels, 'channel')}",
            place="channels",
            expected=f"{data.channels}; only grey images can be read as others, which is 3",
            cure="leave out channels",
        )
    return wanted


def _counts(data: Data) -> dict[str, int]:
    """Images of train, val and test."""
    splits = {"train": data.train, "val": data.val, "test": data.test}
    return {name: len(split.labels) for name, split in splits.items() if split is not None}


def gather_for(
    source: str | Path | Listing, recipe: Recipe, strict: bool, watch: Watch, suit: Suit | None = None
) -> Data:
    """The data as a recipe asks for them; see `gather`."""
    with counting(watch, "reading images") as progress:
        return gather(
            source,
            size=recipe.size,
            fit=recipe.fit,
            val_share=recipe.val_share,
            seed=recipe.seed,
            strict=strict,
            progress=progress,
            max_pixels=recipe.max_pixels,
            suit=suit,
        )


def _require_same_texts(run: RunFolder, record: RunRecord) -> None:
    for path in (run.net, run.recipe):
        try:
            content = read_small(path, MOST_TEXT_BYTES)
            same = hashlib.sha256(content).hexdigest() == record.texts.get(path.name)
        except OSError:
            # Said by what reads it.
            continue
        # An earlier striate noted no sums.
        if not same and path.name in record.texts:
            raise RunError(
                f"{path.name} was edited since the run began",
                place=str(run.path),
                expected="the network and the recipe that the run began with",
                cure=f"put them back, or striate train {shlex.quote(record.source or 'DATA')} "
                f"--net {shlex.quote(str(run.net))} --recipe {shlex.quote(str(run.recipe))}, which starts over",
            )


def _is_there(source: str) -> bool:
    """Whether data are where they were; data without a file, as `digits`, always are."""
    return not Path(source).is_absolute() or Path(source).exists()


def _require_same_data(run: RunFolder, now: Mapping[str, Any], then: DataRecord) -> None:
    if now["classes"] != then.classes:
        change = f"the classes were {', '.join(then.classes[:8])} and are {', '.join(now['classes'][:8])}"
    else:
        changed = [
            f"{name} had {counted(old.count, 'image')} and has {new['count']:,}"
            if old.count != new["count"]
            else f"images or labels of {name} changed"
            for name, old in then.splits.items()
            if (new := now["splits"].get(name, {"count": 0, "sha256": ""})) and old.sha256 != new["sha256"]
        ]
        if not changed and now["splits"].keys() == then.splits.keys():
            return
        change = "; ".join(changed) or "the splits are others"
    raise RunError(
        f"the data are not what they were: {change}",
        place=str(run.path),
        expected="the images and labels that the run began with",
        cure="put them back, or striate train, which starts over",
    )
