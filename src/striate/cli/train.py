"""`striate train`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Group, Parameter

from striate.api.networks import read
from striate.api.trainings import begin_from, begin_with, one_start
from striate.cli.console import open_page, prose
from striate.cli.process import began, set_up_process
from striate.cli.screen import Screen
from striate.cli.values import OUT, asked_size
from striate.errors import StriateError, require_train

if TYPE_CHECKING:
    from striate.api.networks import NetText
    from striate.recipe.keys import Recipe

# What most trainings do without stands below, by what it is for.
_START = Parameter(group=Group("Weights to begin with", sort_key=2))
_MORE = Parameter(group=Group("More", sort_key=3))


def train(
    data: str | None = None,
    /,
    *,
    net: str | None = None,
    epochs: int | None = None,
    budget: str | None = None,
    size: str | None = None,
    transfer: bool = False,
    recipe: str | None = None,
    set_: Annotated[list[str] | None, Parameter(name="--set")] = None,
    out: Annotated[Path | None, OUT] = None,
    device: str | None = None,
    quiet: bool = False,
    open_: Annotated[bool, Parameter(name="--open")] = False,
    from_: Annotated[str | None, Parameter(name="--from"), _START] = None,
    weights: Annotated[str | None, _START] = None,
    sha256: Annotated[str | None, _START] = None,
    freeze: Annotated[str | None, _START] = None,
    thaw: Annotated[int | None, _START] = None,
    augment: Annotated[str | None, _MORE] = None,
    target: Annotated[float | None, _MORE] = None,
    seed: Annotated[int | None, _MORE] = None,
    memory: Annotated[str | None, _MORE] = None,
    folds: Annotated[int | None, _MORE] = None,
    repeats: Annotated[int, _MORE] = 1,
    strict: Annotated[bool, _MORE] = False,
) -> None:
    """Train a network on images.

    DATA is one of

      a folder of class folders, or with train/ and val/ or test/ of such folders
      MNIST's idx files, or CIFAR's binary batches
      a .zip, .tar, .tar.gz, .tar.bz2 or .tar.xz of one of these, unpacked once into the cache
      an .npz with x_train, y_train and perhaps x_val, y_val, x_test, y_test, and w_train, how much each counts
      a .csv, .tsv or .jsonl with path, label and perhaps split and group
      digits, which needs no files

    For example:

      striate train photos/
      striate train photos/ --net "[conv 32 3x3 -> bn -> relu] x3 -> fc classes"
      striate train photos/ --net resnet18 --size 128 --budget 30m
      striate train --from runs/latest --epochs 10
      striate train digits --epochs 5 --set optimizer=nesterov --set learning_rate=0.05

    Parameters
    ----------
    data
        What to train on.
    net
        A text, a .net or .txt file or a name of the zoo; chosen by the images if left out.
    epochs
        Passes over the training images.
    budget
        Wall time of the whole command, as 90s, 10m or 1h30m; the schedule is laid over it.
    target
        Validation accuracy, as 0.94, at which the training ends; it says how long that took.
    seed
        Of everything that is drawn.
    size
        Side of the images in pixels, or HEIGHTxWIDTH as 60x180; chosen by the images if left out.
    recipe
        classic, quick, best or a .toml file; where neither it nor a network, optimizer or frozen part is given,
        quick.
    set_
        A key of the recipe, as learning_rate=0.01; may stand many times. Or by its name: --learning-rate 0.01,
        --batch 64. `striate recipe` lists them.
    out
        The run folder; a new one under runs/ if left out.
    from_
        Go on from this finished run: its network, data and recipe, its last weights and its optimizer's state, under
        a fresh schedule that begins at the learning rate that is set, or at 0.3 of the run's.
    transfer
        Keep the body of a network that knows photographs (EfficientNet-Lite0, or --net with --weights) and
        train its head: little more work than one pass over the images.
    weights
        Begin with these: a file, a URL, or hf:OWNER/NAME; the head may be of other classes.
    sha256
        The hash that the file of the weights must have, or its first digits, 8 at least.
    freeze
        Keep the network as it is up to this label; `body` for all before the head.
    thaw
        Epochs behind the head's in which the frozen part trains as well, at lower rates.
    augment
        Changes drawn anew for each image, as "flip, crop 4".
    memory
        What the whole process may take, as 2G or 800M: parts of the network are run twice, and batches cut
        in pieces, as far as it needs.
    folds
        Cross-validate: train so many networks, each tested on a part of the images that it has not seen; stratified,
        groups and copies of an image on one side. The answers lie in predictions.csv in the folder of --out.
    repeats
        How often the folds are drawn anew.
    device
        cpu, cuda, cuda:1 or mps; the best there is if left out.
    strict
        Refuse data with files that cannot be used or that look wrong.
    quiet
        Print only the result.
    open_
        Show the report in the browser when it is done.
    """
    started = began()
    require_train("striate train")
    set_up_process()
    from striate.predict.summary import summary_lines
    from striate.recipe.given import byte_count, seconds
    from striate.recipe.keys import read_settings
    from striate.training.job import new_job, run_job

    given: dict[str, Any] = {
        "epochs": epochs, "target": target, "seed": seed,
        "size": asked_size(size),
        "weights": weights,
        "weights_sha256": sha256, "freeze": freeze, "thaw": thaw, "augment": augment,
    }  # fmt: skip
    if budget is not None:
        given["budget_s"] = seconds(budget)
    if memory is not None:
        given["memory_bytes"] = byte_count(memory)
    given = {key: value for key, value in given.items() if value is not None}
    # What a flag says of its own goes before.
    given = read_settings(set_ or ()) | given
    if from_ is None:
        before = None
        text, chosen = begin_with(None if net is None else read(net), recipe, given, transfer=transfer)
    else:
        one_start(net=net, recipe=recipe, weights=weights, transfer=transfer)
        before, text, chosen, source = begin_from(from_, data, given)
        data = str(source)
    if data is None:
        raise StriateError(
            "no data were given", place="train", expected="striate train DATA", cure="striate train photos/"
        )
    screen = Screen(quiet=quiet)
    if folds is not None:
        with screen.stoppable():
            cross_validated(
                data, text, chosen, folds=folds, repeats=repeats, out=out, device=device, strict=strict,
                watch=screen,
            )  # fmt: skip
        return
    with screen.stoppable():
        job = new_job(
            data,
            network=None if text is None else text.network,
            recipe=chosen,
            out=out,
            device=device,
            strict=strict,
            started=started,
            watch=screen,
            before=before,
        )
        run_job(job, screen, resume=False)
    prose().print()
    for line in summary_lines(job.run, job.record):
        prose().print(line)
    if open_:
        open_page(job.run.report)


def cross_validated(
    data: str, text: NetText | None, recipe: Recipe, *, folds: int, repeats: int, out: Path | None,
    device: str | None, strict: bool, watch: Screen,
) -> None:  # fmt: skip
    """Cross-validate, and print what came out."""
    from striate.searching.folds import cross_validate

    where = out or Path("folds") / time.strftime("%Y%m%d-%H%M%S")
    found = cross_validate(
        data, network=None if text is None else text.network, recipe=recipe, folds=folds, repeats=repeats,
        out=where, device=device, strict=strict, watch=watch,
    )  # fmt: skip
    low, high = found.interval
    console = prose()
    console.print(
        f"\ncross-validated accuracy {found.mean:.2%} (95 % interval {low:.2%} to {high:.2%}) over "
        f"{len(found.accuracies)} trainings: " + ", ".join(f"{each:.2%}" for each in found.accuracies)
    )
    console.print(f"answers  {found.predictions}")
