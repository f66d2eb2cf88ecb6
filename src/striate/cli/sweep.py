"""`striate sweep`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from striate.api.networks import read
from striate.cli.console import prose
from striate.cli.process import set_up_process
from striate.cli.screen import Screen
from striate.cli.values import OUT
from striate.errors import require_train


def sweep(
    grid: str,
    data: str,
    /,
    *,
    seeds: int = 3,
    net: str | None = None,
    epochs: int | None = None,
    recipe: str | None = None,
    set_: Annotated[list[str] | None, Parameter(name="--set")] = None,
    out: Annotated[Path, OUT] = Path("sweep"),
    device: str | None = None,
    quiet: bool = False,
) -> None:
    """Train a grid of values, each with several seeds, and draw the validation with its spread.

    For example:

      striate sweep "learning_rate=0.001,0.01,0.1" digits
      striate sweep "batch=16,64,256 optimizer=adamw,nesterov" photos/ --seeds 5 --epochs 10

    Parameters
    ----------
    grid
        KEY=VALUE,VALUE,... of the recipe; several keys, separated by a space, give every combination.
    data
        What to train on, as for `striate train`.
    seeds
        Trainings of each combination.
    net
        A text, a .net or .txt file or a name of the zoo; chosen by the images if left out.
    epochs
        Passes over the training images.
    recipe
        A name or a .toml file, for what is not swept.
    set_
        A key of the recipe, as optimizer=adamw; may stand many times.
    out
        The folder for sweep.png, sweep.csv and the runs; the same command goes on where it was stopped.
    device
        cpu, cuda, cuda:1 or mps; the best there is if left out.
    quiet
        Print only the result.
    """
    require_train("striate sweep")
    set_up_process()
    from striate.recipe.keys import read_settings
    from striate.searching.sweep import describe, read_grid, spread
    from striate.searching.sweep import sweep as run_sweep

    keys = read_settings(set_ or ()) | ({} if epochs is None else {"epochs": epochs})
    screen = Screen(quiet=quiet)
    with screen.stoppable():
        results = run_sweep(
            data,
            read_grid(grid),
            network=None if net is None else read(net).network,
            recipe=recipe,
            keys=keys,
            seeds=seeds,
            out=out,
            device=device,
            watch=screen,
        )
    console = prose()
    if quiet:
        for each in results:
            console.print(f"{describe(each.values)}: {spread(each)}")
    console.print(f"picture  {out / 'sweep.png'}")
    console.print(f"table    {out / 'sweep.csv'}")
