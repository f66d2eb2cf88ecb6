"""Searches: begun, joined, resumed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from striate.api.networks import NetText, read
from striate.errors import StriateError, require_train

if TYPE_CHECKING:
    from striate.progress import Watch
    from striate.runs.search import SearchRecord
    from striate.searching.search import Search


# What is searched where weights, multiply-adds or time are limited and no text is given: 4,000 to 240,000 weights.
WITHIN_LIMITS = (
    "conv ?(8, 16, 32) 3x3 -> bn -> relu -> maxpool 2 -> conv ?(16, 32, 64) 3x3 -> bn -> relu -> maxpool 2 "
    "-> [conv ?(16, 32, 64, 128) 3x3 -> bn -> relu] x?(1 .. 2) -> pool avg -> fc classes"
)


def search(
    data: str | Path | None = None,
    *,
    net: str | Path | NetText | None = None,
    space: str | Path | None = None,
    trials: int | None = None,
    budget_s: float | None = None,
    epochs: int | None = None,
    recipe: str | None = None,
    weights_at_most: int | None = None,
    mult_adds_at_most: int | None = None,
    memory_bytes: int | None = None,
    latency_s: float | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    resume: str | Path | None = None,
    storage: str | None = None,
    checkpoints: str | Path | None = None,
    join: str | None = None,
    name: str | None = None,
    device: str | None = None,
    strict: bool = False,
    watch: Watch | None = None,
    **keys: Any,
) -> SearchRecord:
    """Search hyperparameters from coarse to fine; see `striate search --help`.

    keys: of the recipe, a value perhaps a hole, as `learning_rate="?(0.001 .. 0.1)"`, or a list of options.
    The winner is the run `best` in the folder of the search, for `striate.load`.

    Raises StriateError; Stopped where `watch` asks to stop, and `resume` goes on then.
    """
    require_train("search")
    from striate.progress import Silence
    from striate.searching.worker import work

    settings = [
        f"{key}=?({', '.join(map(str, value))})" if isinstance(value, list | tuple) else f"{key}={value}"
        for key, value in keys.items()
    ]
    begun = begin_or_join(
        data, net=net, space=space, settings=settings, trials=trials, budget_s=budget_s, epochs=epochs,
        recipe=recipe, weights_at_most=weights_at_most, mult_adds_at_most=mult_adds_at_most,
        memory_bytes=memory_bytes, latency_s=latency_s, seed=seed, out=out, resume=resume, storage=storage,
        checkpoints=None if checkpoints is None else str(checkpoints), join=join, name=name, device=device,
        folds=None, strict=strict, watch=watch or Silence(),
    )  # fmt: skip
    return work(begun)


def begin_or_join(
    data: str | Path | None,
    *,
    net: str | Path | NetText | None,
    space: str | Path | None,
    settings: Sequence[str],
    trials: int | None,
    budget_s: float | None,
    epochs: int | None,
    recipe: str | None,
    weights_at_most: int | None,
    mult_adds_at_most: int | None,
    memory_bytes: int | None,
    latency_s: float | None,
    seed: int,
    out: str | Path | None,
    resume: str | Path | None,
    storage: str | None,
    checkpoints: str | None,
    join: str | None,
    name: str | None,
    folds: int | None,
    device: str | None,
    strict: bool,
    watch: Watch,
) -> Search:
    """A search that is ready to be worked on: a new one, the one of a folder, or one in a database.

    folds: in which the winner will be cross-validated; that they can be is checked before anything is trained.
    """
    from striate.searching.database import searches_in
    from striate.searching.search import begin_search, find_search, join_search, new_folder
    from striate.searching.space import read_space
    from striate.searching.trial import Limits

    source = None if data is None else str(data)
    if resume is not None or join is not None:
        flag = "--resume" if resume is not None else "--join"
        for other, value in (
            ("--net", net), ("--space", space), ("--set", settings or None), ("--recipe", recipe),
            ("--trials", trials), ("--budget", budget_s), ("--epochs", epochs), ("--seed", seed or None),
            ("--weights-at-most", weights_at_most), ("--mult-adds-at-most", mult_adds_at_most),
            ("--memory", memory_bytes), ("--latency", latency_s), ("--storage", storage),
            ("--checkpoints", checkpoints),
            ("--join", join if resume is not None else None), ("--out", out if resume is not None else None),
        ):  # fmt: skip
            if value is not None:
                raise StriateError(
                    f"{other} is given beside {flag}, and a search that was begun has its own",
                    place=other,
                    expected=f"{flag}, and where the data are on this machine if they are elsewhere",
                    cure=f"leave out {other}",
                )
    if resume is not None:
        url, named = find_search(Path(resume))
        # To open a database that is gone would make an empty one.
        searches_in(url)
        return join_search(
            url, named, new_folder(Path(resume)), source=source, folds=folds, device=device, watch=watch
        )
    if join is not None:
        there = searches_in(join)
        if not there:
            raise StriateError(
                "there is no search in this database",
                place="--join",
                expected="a database that `striate search` writes",
                cure="striate search DATA --storage with the same address, which begins one",
            )
        named = name or there[-1]
        folder = new_folder(Path(out) if out is not None else None)
        return join_search(join, named, folder, source=source, folds=folds, device=device, watch=watch)
    if source is None:
        raise StriateError(
            "no data were given",
            place="search",
            expected="striate search DATA",
            cure="striate search photos/",
        )
    for what, number in (("trials", trials), ("epochs", epochs)):
        if number is not None and number < 1:
            raise StriateError(
                f"--{what} cannot be {number}", place="search", expected="1 or more", cure=f"--{what} 16"
            )
    limits = Limits(weights_at_most, mult_adds_at_most, memory_bytes, latency_s)
    if net is None and any(
        each is not None for each in (limits.weights, limits.multiply_adds, limits.latency_s)
    ):
        # The zoo's networks are of one cost each: what is to be small is looked for.
        net = WITHIN_LIMITS
        watch.say(f"network   for the limits, a text with holes: {net}")
    text = None if net is None else read(net)
    return begin_search(
        source, network=None if text is None else text.network, recipe=recipe,
        space=read_space(None if space is None else str(space), settings, None if text is None else text.network),
        limits=limits, trials=trials,
        budget_s=budget_s, epochs=epochs, seed=seed, folder=new_folder(None if out is None else Path(out)),
        storage=storage, checkpoints=checkpoints, folds=folds, device=device, strict=strict, watch=watch,
    )  # fmt: skip
