"""Trainings: what they begin with, one of them, several for a cross-validation, the range of learning rates."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from striate.api.networks import NetText, read
from striate.api.runs import load
from striate.errors import StriateError, require_train
from striate.net.zoo.list import zoo_net

if TYPE_CHECKING:
    from striate.predict.trained import Trained
    from striate.progress import Watch
    from striate.recipe.keys import Recipe
    from striate.run import Run
    from striate.runs.folder import RunFolder
    from striate.searching.folds import Folds
    from striate.training.lr_range import RangeTest

# What `transfer` begins with: small, quick on a CPU, and its weights install by name.
TRANSFER_NET = "efficientnet_lite0"


def train(
    data: str | Path | None = None,
    *,
    from_run: str | Path | Trained | None = None,
    net: str | Path | NetText | None = None,
    recipe: str | None = None,
    out: str | Path | None = None,
    device: str | None = None,
    strict: bool = False,
    transfer: bool = False,
    quiet: bool = False,
    **keys: Any,
) -> Run:
    """Train on DATA and load what came out.

    data: a folder of class folders, or whatever `striate train --help` lists.  from_run: a finished run to go on
    from, with its optimizer's state and a fresh schedule (see `begin_from`); its data where none are given.
    net: as `read`, or None to
    choose.  recipe: a name or file.  out: the run folder.  strict: refuse data with unreadable files.
    transfer: keep the body of a network that knows photographs, and train its head (see `begin_with`).
    quiet: show no bar, which else is there on a terminal and in a notebook.
    keys: keys of the recipe, as `epochs=5`, `learning_rate=0.01` (or `lr=0.01`), `budget="60s"`, `memory="2G"`.

    Raises StriateError; see the command of the same name.
    """
    require_train("train")
    from striate.recipe.given import canonical

    keys = canonical(keys, "train")
    from striate.progress import python_progress
    from striate.training.job import new_job, run_job

    started, watch = time.monotonic(), python_progress(quiet)
    if from_run is None:
        before = None
        text, chosen = begin_with(None if net is None else read(net), recipe, keys, transfer=transfer)
    else:
        one_start(net=net, recipe=recipe, weights=keys.get("weights"), transfer=transfer)
        folder = from_run if isinstance(from_run, str | Path) else from_run.run.path
        before, text, chosen, data = begin_from(folder, data, keys)
    if data is None:
        raise StriateError("no data were given", place="train", expected="striate.train(DATA)")
    job = new_job(
        data,
        network=None if text is None else text.network,
        recipe=chosen,
        out=None if out is None else Path(out),
        device=device,
        strict=strict,
        started=started,
        watch=watch,
        before=before,
    )
    run_job(job, watch, resume=False)
    return load(job.run.path, device=device)


def cross_validate(
    data: str | Path,
    *,
    folds: int = 5,
    repeats: int = 1,
    net: str | Path | NetText | None = None,
    recipe: str | None = None,
    out: str | Path,
    device: str | None = None,
    strict: bool = False,
    **keys: Any,
) -> Folds:
    """Train `folds` networks, each tested on a part of the images that it has not seen; see `striate train --folds`.

    out: the folder of the runs and of predictions.csv.  keys: of the recipe.
    """
    require_train("cross_validate")
    from striate.progress import Silence
    from striate.searching.folds import cross_validate as validate

    text, chosen = begin_with(None if net is None else read(net), recipe, keys)
    return validate(
        str(data), network=None if text is None else text.network, recipe=chosen, folds=folds, repeats=repeats,
        out=Path(out), device=device, strict=strict, watch=Silence(),
    )  # fmt: skip


def begin_with(
    text: NetText | None, recipe: str | None, keys: Mapping[str, Any], *, transfer: bool = False
) -> tuple[NetText | None, Recipe]:
    """The network and the recipe that a training begins with.

    text: the network, or None to choose one.  recipe: a name or file.  keys: set on top of it.
    transfer: EfficientNet-Lite0 with its published weights where no network is said, everything before the
    head frozen.  Where weights are given for a network of the zoo, images have the channels and the size
    that it was published for unless the recipe or the keys say otherwise.

    Raises StriateError where weights are given without a network, or a key stands without that which it is
    about; and what `read_recipe` raises.
    """
    from striate.recipe.keys import read_recipe

    if transfer and text is None:
        # Weights that a recipe names are of another network.
        text, keys = read(TRANSFER_NET), {"weights": "builtin", "weights_sha256": None, **keys}
    chosen = read_recipe(recipe, given=keys, net=text is not None)
    if transfer:
        chosen = _with(chosen, {"freeze": "body"}, chosen.model_fields_set)
    _require_whole(chosen)
    if chosen.weights is None:
        if transfer:
            raise StriateError(
                "nothing is known yet that could be transferred",
                place="transfer",
                expected="weights for the network that was given",
                cure="--weights FILE, or leave out --net",
            )
        return text, chosen
    if text is None:
        near = chosen.published or (TRANSFER_NET if chosen.weights == "builtin" else "resnet18")
        raise StriateError(
            "weights are given without their network", place="weights", expected="both", cure=f"--net {near}"
        )
    if text.zoo is not None:
        channels, height, _ = zoo_net(text.zoo).input
        suited = {"channels": channels, "size": height, "published": text.zoo}
        # The recipe of a run says what suited the network of that run.
        other = chosen.published not in (None, text.zoo)
        chosen = _with(chosen, suited, keys if other else chosen.model_fields_set)
    return text, chosen


def begin_from(
    run: str | Path, data: str | Path | None, keys: Mapping[str, Any]
) -> tuple[RunFolder, NetText, Recipe, str | Path]:
    """The run, network, recipe and data of a training that goes on from a finished run (see `recipe_from`).

    data: None for those of the run.  Raises RunError where the run is not finished.
    """
    from striate.runs.folder import find_run, is_done
    from striate.training.continuation import recipe_from

    folder = find_run(run, is_done)
    chosen, source = recipe_from(folder, keys)
    return folder, read(folder.net), chosen, source if data is None else data


def one_start(
    *, net: object = None, recipe: object = None, weights: object = None, transfer: bool = False
) -> None:
    """Raise StriateError where a training that goes on from a run is given what the run has."""
    given = [("--net", net), ("--recipe", recipe), ("--weights", weights), ("--transfer", transfer or None)]
    for flag, value in given:
        if value is not None:
            raise StriateError(
                f"{flag} is given beside a run to go on from, which has its own",
                place=flag,
                expected="one of them",
                cure=f"leave out {flag}; or striate train DATA --net RUN/net.txt --weights RUN/weights.safetensors",
            )


def _with(recipe: Recipe, keys: Mapping[str, Any], said: Collection[str]) -> Recipe:
    """The recipe with those of the keys that were not said."""
    return recipe.model_copy(update={key: value for key, value in keys.items() if key not in said})


def _require_whole(recipe: Recipe) -> None:
    if recipe.weights_sha256 is not None and recipe.weights is None:
        raise StriateError(
            "a hash is given without the weights that it is of",
            place="weights_sha256",
            expected="both",
            cure="--weights FILE, or leave out --sha256",
        )
    if recipe.thaw and recipe.freeze is None:
        raise StriateError(
            "nothing is frozen that could thaw",
            place="thaw",
            expected="a part that is kept as it is until then",
            cure="--freeze body, or leave out --thaw",
        )


def lr(
    data: str | Path,
    *,
    net: str | Path | NetText | None = None,
    steps: int = 150,
    recipe: str | None = None,
    device: str | None = None,
    quiet: bool = False,
    watch: Watch | None = None,
    **keys: Any,
) -> RangeTest:
    """The learning-rate range test: the loss while the learning rate rises, and the highest that is suggested.

    data, net, recipe, keys: as `train`.  steps: of training, one learning rate each, at least 10.

    Raises StriateError; see the command of the same name.
    """
    require_train("lr")
    from striate.progress import python_progress
    from striate.training.job import prepare
    from striate.training.lr_range import range_test

    if steps < 10:
        raise StriateError(f"{steps} steps tell nothing", place="--steps", expected="at least 10")
    text, chosen = begin_with(None if net is None else read(net), recipe, keys)
    watch = watch or python_progress(quiet)
    made = prepare(
        data,
        network=None if text is None else text.network,
        recipe=chosen,
        device=device,
        strict=False,
        watch=watch,
    )
    return range_test(made, steps=steps, watch=watch)
