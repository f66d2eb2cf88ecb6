"""`striate search`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from striate.api.networks import read
from striate.api.searches import begin_or_join
from striate.cli.console import open_page, prose
from striate.cli.process import set_up_process
from striate.cli.screen import Screen
from striate.cli.values import OUT, large_count, short_seconds
from striate.errors import require_train
from striate.recipe.given import byte_count, seconds


def search(
    data: str | None = None,
    /,
    *,
    net: str | None = None,
    space: str | None = None,
    set_: Annotated[list[str] | None, Parameter(name="--set")] = None,
    trials: int | None = None,
    budget: str | None = None,
    epochs: int | None = None,
    recipe: str | None = None,
    weights_at_most: str | None = None,
    mult_adds_at_most: str | None = None,
    memory: str | None = None,
    latency: str | None = None,
    seed: int = 0,
    out: Annotated[Path | None, OUT] = None,
    resume: Path | None = None,
    storage: str | None = None,
    checkpoints: str | None = None,
    join: str | None = None,
    name: str | None = None,
    folds: int | None = None,
    device: str | None = None,
    strict: bool = False,
    quiet: bool = False,
    open_: Annotated[bool, Parameter(name="--open")] = False,
) -> None:
    """Search hyperparameters from coarse to fine: many short trials, the best third of each rung goes on.

    A trial that goes on continues from its checkpoint, to the bit as if it had never paused, so that 64 trials take
    the work of three to four trainings. What may be chosen stands in holes, in the text of the network and in keys of
    the recipe:

      ?(16, 32, 64)   one of these     ?(1 .. 4)   a number between     ?(maxpool 2, avgpool 2)   one of these steps

    For example:

      striate search photos/
      striate search photos/ --budget 1h
      striate search digits --net "conv ?(8, 16, 32) ?(3x3, 5x5) -> relu -> ?(maxpool 2, avgpool 2) -> fc classes"
      striate search digits --set "learning_rate=?(0.001 .. 0.3)" --set "optimizer=?(adamw, nesterov)" --trials 32
      striate search photos/ --weights-at-most 100k --mult-adds-at-most 20M
      striate search --resume searches/digits-1
      striate search photos/ --storage postgresql+psycopg://me@host/db     and on other machines: --join with the same

    Parameters
    ----------
    data
        What to train on, as for `striate train`.
    net
        A text, perhaps with holes, a .net or .txt file or a name of the zoo. If left out it is chosen by the images;
        with a limit on weights, multiply-adds or latency it is a small text with holes.
    space
        A .toml file of keys of the recipe, a value perhaps a hole, as learning_rate = "?(0.001 .. 0.1)", or a list.
        Where no key is searched, learning rate, weight decay, batch, schedule and label smoothing are.
    set_
        A key of the recipe, its value perhaps a hole; may stand many times, and goes before the file.
    trials
        At most so many; 64 if neither this nor a budget is said.
    budget
        Wall time of the whole search, as 90s, 10m or 1h30m.
    epochs
        Length of a whole training; chosen by the images if left out.
    recipe
        classic, quick, best or a .toml file, for what is not searched.
    weights_at_most
        Trained numbers that a network may have, as 100k; what has more is never built.
    mult_adds_at_most
        Multiply-adds for one image, as 20M.
    memory
        What the process may take in training, as 2G.
    latency
        Time of one image on this machine, as 5ms.
    seed
        Of everything that is drawn.
    out
        The folder of the search; a new one under searches/ if left out.
    resume
        Go on with the search in this folder.
    storage
        The database, as SQLAlchemy takes its address; study.db in the folder if left out. Optuna's dashboard opens it.
    checkpoints
        A folder that every worker sees, or a URL as fsspec takes it, as s3://bucket/folder: a trial that another worker
        began goes on from there. Without it, and with other folders for --out, such a trial starts over and says so.
    join
        Work on the search in this database, beside whoever else does.
    name
        Which search of the database to join; the newest if left out.
    folds
        Cross-validate the winner behind the search, in so many folds.
    device
        cpu, cuda, cuda:1 or mps; the best there is if left out.
    strict
        Refuse data with files that cannot be used or that look wrong.
    quiet
        Print only the result.
    open_
        Show the page in the browser when it is done.
    """
    require_train("striate search")
    set_up_process()
    screen = Screen(quiet=quiet)
    with screen.stoppable():
        begun = begin_or_join(
            data,
            net=net,
            space=space,
            settings=set_ or (),
            trials=trials,
            budget_s=None if budget is None else seconds(budget),
            epochs=epochs,
            recipe=recipe,
            weights_at_most=None
            if weights_at_most is None
            else large_count(weights_at_most, "--weights-at-most"),
            mult_adds_at_most=None
            if mult_adds_at_most is None
            else large_count(mult_adds_at_most, "--mult-adds-at-most"),
            memory_bytes=None if memory is None else byte_count(memory),
            latency_s=None if latency is None else short_seconds(latency),
            seed=seed,
            out=out,
            resume=resume,
            storage=storage,
            checkpoints=checkpoints,
            join=join,
            name=name,
            folds=folds,
            device=device,
            strict=strict,
            watch=screen,
        )
        from striate.searching.worker import work

        record = work(begun)
    console = prose()
    best = next(each for each in record.trials if each.trial == record.best)
    console.print(
        f"\nbest    trial {record.best}: "
        + ", ".join(f"{key} {value}" for key, value in best.written.items())
    )
    console.print(
        f"        validation {record.validation:.2%}, chosen by it among {len(record.trials)}: expect about "
        f"{100 * record.drop:.1f} points less"
    )
    if record.test is not None and record.test_interval is not None:
        low, high = record.test_interval
        console.print(
            f"        test {record.test:.2%} (95 % interval {low:.2%} to {high:.2%}), looked at once"
        )
    console.print(f"work    {record.whole:.2f} whole trainings, {record.seconds:.1f} s")
    console.print(f"run     {begun.folder.best}")
    console.print(f"recipe  {begun.folder.recipe}")
    console.print(f"report  {begun.folder.report}")
    if folds is not None:
        from striate.cli.train import cross_validated
        from striate.recipe.keys import read_recipe

        with screen.stoppable():
            cross_validated(
                record.source, read(begun.folder.best / "net.txt"), read_recipe(str(begun.folder.recipe)),
                folds=folds, repeats=1, out=begun.folder.path / "folds", device=device, strict=strict, watch=screen,
            )  # fmt: skip
    if open_:
        open_page(begun.folder.report)
