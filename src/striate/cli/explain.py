"""`striate explain`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from striate.api.runs import load_network
from striate.cli.console import open_page, print_json, prose
from striate.cli.process import set_up_process
from striate.cli.screen import Screen
from striate.cli.values import OUT, require_outside
from striate.errors import StriateError, counted, require_train
from striate.text.visible import visible


def explain(
    run: str,
    /,
    *images: str,
    at: str | None = None,
    class_: Annotated[str | None, Parameter(name="--class")] = None,
    against: str | None = None,
    check: bool = False,
    thorough: bool = False,
    out: Annotated[Path, OUT] = Path("explained"),
    force: bool = False,
    open_: Annotated[bool, Parameter(name="--open")] = False,
    net: str | None = None,
    weights: str | None = None,
    sha256: str | None = None,
    device: str | None = None,
    json_: Annotated[bool, Parameter(name="--json")] = False,
    quiet: bool = False,
) -> None:
    """What a trained network looks at in images: a page, and each of its pictures as a PNG file.

    Which places and pixels speak for the answer, and whether they add up to its logit; feature maps; what
    a unit sees; nearest training images; how the answer changes when the image is shifted, turned,
    dimmed or blurred; the first filters.

    For example:

      striate explain runs/latest cat.jpg
      striate explain runs/latest cat.jpg --class dog --against cat --at stage3
      striate explain runs/latest photos/ --check --out why/
      striate explain --net efficientnet_lite0 --weights builtin cat.jpg

    Parameters
    ----------
    run
        The run folder, its name under runs/, or runs/latest; an image where --net is given.
    images
        Images, or folders of images.  Maps of several share one scale.
    at
        A label or path of the network, as stage3 or stage3.0: the layer whose maps are looked at; chosen
        from the network's graph if left out.
    class_
        Explain what speaks for this class, a name or its number; the answer if left out.
    against
        Explain the difference to this class.
    check
        Measure how far each map can be trusted, beside maps of random numbers; takes some seconds.
    thorough
        Eight times the work for each map, and all training images.
    out
        The folder to write explain.html and the PNG files into.
    force
        Write over files that are there.
    open_
        Show the page in the browser.
    net
        A network of the zoo instead of a run, with its published weights.
    weights
        These weights: a file, a URL, hf:OWNER/NAME, or builtin for those that are installed.
    sha256
        The hash that the file of the weights must have, or its first digits, 8 at least.
    device
        cpu, cuda, cuda:1 or mps; the best there is if left out.
    json_
        Print the numbers as one JSON object.
    quiet
        Print nothing but the result.
    """
    require_train("striate explain")
    set_up_process()
    given = list(images) if net is None else [run, *images]
    if not given:
        raise StriateError("no image was given", place="explain", cure=f"striate explain {run} image.jpg")
    for each in given:
        require_outside("--out", out / "explain.html", each)
    from striate.explaining.explain import explain as explain_images
    from striate.explaining.subject import subject_of

    screen = Screen(quiet=quiet or json_)
    with screen.stoppable():
        loaded = load_network(
            run if net is None else net,
            net=net is not None,
            weights=weights,
            sha256=sha256,
            device=device,
            watch=screen,
        )
        found = explain_images(
            subject_of(loaded), given, at=at, class_name=class_, against=against, check=check, thorough=thorough,
            watch=screen,
        )  # fmt: skip
        page = found.save(out, force=force)
    if json_:
        print_json({"page": str(page), **found.to_record()}, indent=2)
    else:
        console = prose()
        console.print(str(found))
        count = len(list(out.glob("*.png")))
        console.print(f"page      {visible(str(page))}, and {counted(count, 'picture')} beside it")
    if open_:
        open_page(page)
