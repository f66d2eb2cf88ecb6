"""`striate features`."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Annotated

import numpy as np
from cyclopts import Parameter

from striate.cli.console import print_json, prose
from striate.cli.process import set_up_process
from striate.cli.screen import Screen
from striate.cli.values import OUT, require_new
from striate.disk.atomic import write_atomic
from striate.errors import require_train


def features(
    run: str,
    data: str,
    /,
    *,
    at: str,
    mean: bool = False,
    out: Annotated[Path, OUT] = Path("features.npz"),
    force: bool = False,
    device: str | None = None,
    json_: Annotated[bool, Parameter(name="--json")] = False,
) -> None:
    """What a trained network makes of images at one of its parts, as an .npz file.

    The file holds, for each split, `features_SPLIT`, `labels_SPLIT` and `names_SPLIT`, and `classes`.

    For example:

      striate features runs/latest photos/ --at stage3 --mean --out stage3.npz

    Parameters
    ----------
    run
        The run folder, its name under runs/, or runs/latest.
    data
        Images, as for `striate train`.
    at
        A label or path of the network, as stage3 or stage3.0.
    mean
        The mean over height and width, one number a channel.
    out
        The file to write.
    force
        Write over a file that is there.
    device
        cpu, cuda, cuda:1 or mps; the best there is if left out.
    json_
        Print the file and the shapes in it as JSON.
    """
    require_train("striate features")
    set_up_process()
    require_new(out, force)
    from striate.predict.features import features_of
    from striate.predict.trained import load_trained

    trained = load_trained(run, device=device)
    screen = Screen(quiet=json_)
    with screen.stoppable():
        arrays = features_of(trained, data, at, mean=mean, watch=screen)
    shapes = {
        name.removeprefix("features_"): list(each.shape)
        for name, each in arrays.items()
        if name.startswith("features_")
    }
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **arrays)
    write_atomic(out, content.getvalue())
    if json_:
        print_json({"file": str(out), "at": at, "shapes": shapes}, indent=2)
        return
    for name, shape in shapes.items():
        prose().print(f"{name:6} {' x '.join(str(side) for side in shape)}")
    prose().print(f"file   {out}")
