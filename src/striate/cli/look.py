"""`striate look`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from striate.api.runs import look as look_at
from striate.cli.console import print_found
from striate.cli.process import set_up_process
from striate.cli.screen import Screen
from striate.cli.values import OUT, asked_page, asked_size
from striate.errors import require_train


def look(
    net: str,
    data: str | None = None,
    /,
    *,
    initial: list[str] | None = None,
    activation: list[str] | None = None,
    size: str | None = None,
    images: int = 64,
    seed: int = 0,
    out: Annotated[Path | None, OUT] = None,
    force: bool = False,
    device: str | None = None,
    json_: Annotated[bool, Parameter(name="--json")] = False,
    open_: Annotated[bool, Parameter(name="--open")] = False,
) -> None:
    """Layers at work: what each layer gives on real images, before any training or with the weights of a run.

    It names what is dead, saturated, shrinking or growing through the depth. A network is seen with each of several
    first weights and activations; a run with its first, its best and its last weights.

    For example:

      striate look "[conv 32 3x3 -> tanh] x6 -> pool avg -> fc classes" digits --initial small --initial xavier
      striate look resnet18 photos/ --initial he --activation relu --activation sigmoid --out layers.html
      striate look runs/latest --out layers.html

    Parameters
    ----------
    net
        A run folder, its name under runs/, or runs/latest; or a network: a text, a .net or .txt file, or a name of
        the zoo.
    data
        Images, as for `striate train`; those of the run if left out.
    initial
        First weights, as he, small, large, xavier, lecun, orthogonal or auto; may stand many times.
    activation
        relu, relu6, leaky, prelu, elu, sigmoid, tanh, gelu or silu in place of the network's activations; may stand
        many times.
    size
        Side of the images in pixels, or HEIGHTxWIDTH as 60x180; chosen by the images if left out.
    images
        How many training images go through the network.
    seed
        Of the first weights.
    out
        Write a page with the histograms of every layer.
    force
        Write over a page that is there.
    device
        cpu, cuda, cuda:1 or mps; the best there is if left out.
    json_
        Print one JSON object.
    open_
        Show the page in the browser; it is layers.html if --out is left out.
    """
    require_train("striate look")
    set_up_process()
    page = asked_page(out, open_, "layers.html", force=force, data=data)
    screen = Screen(quiet=json_)
    with screen.stoppable():
        found = look_at(
            net, data, initial=initial, activation=activation, size=asked_size(size), images=images, seed=seed,
            device=device, watch=screen,
        )  # fmt: skip
    print_found(found, json_=json_, page=page, open_=open_)
