"""`striate lr`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from striate.api.trainings import lr as range_test
from striate.cli.console import print_json, prose
from striate.cli.process import set_up_process
from striate.cli.screen import Screen
from striate.cli.values import OUT, asked_size, require_new
from striate.errors import require_train


def lr(
    data: str,
    /,
    *,
    net: str | None = None,
    steps: int = 150,
    size: str | None = None,
    recipe: str | None = None,
    set_: Annotated[list[str] | None, Parameter(name="--set")] = None,
    out: Annotated[Path, OUT] = Path("rates.png"),
    force: bool = False,
    device: str | None = None,
    json_: Annotated[bool, Parameter(name="--json")] = False,
) -> None:
    """Learning-rate range test: train while the learning rate rises, and draw the loss.

    Too low a learning rate barely changes the loss; too high a one makes it rise or NaN. The highest learning rate of a
    schedule belongs where the loss still falls, about a tenth of the rate at which it is lowest.

    For example:

      striate lr photos/
      striate lr digits --net lenet5 --size 28 --set optimizer=nesterov --out nesterov.png

    Parameters
    ----------
    data
        What to train on, as for `striate train`.
    net
        A text, a .net or .txt file or a name of the zoo; chosen by the images if left out.
    steps
        Steps of training, one rate each.
    size
        Side of the images in pixels, or HEIGHTxWIDTH as 60x180; chosen by the images if left out.
    recipe
        A name or a .toml file.
    set_
        A key of the recipe, as optimizer=sgd; may stand many times.
    out
        The image to write.
    force
        Write over an image that is there.
    device
        cpu, cuda, cuda:1 or mps; the best there is if left out.
    json_
        Print the rates, the losses and what is suggested as JSON.
    """
    require_train("striate lr")
    set_up_process()
    require_new(out, force)
    from striate.recipe.keys import read_settings
    from striate.report.curves import draw_rates

    given = read_settings(set_ or ()) | ({} if size is None else {"size": asked_size(size)})
    screen = Screen(quiet=json_)
    with screen.stoppable():
        found = range_test(data, net=net, steps=steps, recipe=recipe, device=device, watch=screen, **given)
    draw_rates(found.rates, found.losses, found.suggested, out)
    if json_:
        print_json({**asdict(found), "suggested": found.suggested, "image": str(out)}, indent=2)
        return
    prose().print(f"\n{found}")
    prose().print(f"image  {out}")
