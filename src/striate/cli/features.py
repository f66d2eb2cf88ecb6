"""`striate features`."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from striate.api import require_train
from striate.cli.console import prose
from striate.cli.process import set_up_process
from striate.cli.screen import Screen
from striate.cli.values import require_new
from striate.errors import StriateError
from striate.runs.atomic import write_atomic


def features(
    run: str,
    data: str,
    /,
    *,
    at: str,
    mean: bool = False,
    out: Path = Path("features.npz"),
    force: bool = False,
    device: str | None = None,
) -> None:
    """What a trained network makes of pictures at one of its parts, as an .npz file.

    The file holds, for each split, `features_SPLIT`, `labels_SPLIT` and `names_SPLIT`, and `classes`.

    For example:

      striate features runs/latest photos/ --at stage3 --mean --out stage3.npz

    Parameters
    ----------
    run
        The run folder, its name under runs/, or runs/latest.
    data
        Pictures, as for `striate train`.
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
    """
    require_train("striate features")
    set_up_process()
    require_new(out, force)
    from striate.data.gather import gather
    from striate.data.picture import on_scale
    from striate.train.features import features_at
    from striate.train.preparation import Feeder
    from striate.train.recipe import read_recipe
    from striate.train.trained import load_trained

    trained = load_trained(run, device=device)
    known = trained.preparation
    screen = Screen()
    recipe = read_recipe(str(trained.run.recipe))
    found = gather(
        data, size=known.size, fit=known.fit, val_share=recipe.val_share, seed=recipe.seed,
        max_pixels=recipe.max_pixels,
    )  # fmt: skip
    if found.channels not in (known.channels, 1) or found.stored_size != known.stored_size:
        raise StriateError(
            f"the pictures are stored as {found.channels}x{found.stored_size[0]}x{found.stored_size[1]}",
            place=data,
            expected=f"{known.channels}x{known.stored_size[0]}x{known.stored_size[1]}, as the network reads them",
        )
    kind = found.train.pictures.dtype.name
    if kind != known.dtype:
        raise StriateError(
            f"the pictures hold values of kind {kind}",
            place=data,
            expected=f"{known.dtype}, as those that the network was trained on",
            cure="the same scaling in both",
        )
    if known.values is not None:
        on_scale(found.train.pictures, known.values, in_bytes=False)
    feeder = Feeder(known, trained.device)
    arrays: dict[str, Any] = {"classes": np.array(found.classes)}
    for name, split in (("train", found.train), ("val", found.val), ("test", found.test)):
        if split is None:
            continue
        with screen.stoppable():
            screen.begin(name, len(split.labels))
            made = features_at(trained.net, at, split, feeder, known.size, mean=mean, watch=screen)
        arrays |= {
            f"features_{name}": made,
            f"labels_{name}": split.labels,
            f"names_{name}": np.array(split.names),
        }
        prose().print(f"{name:6} {' x '.join(str(side) for side in made.shape)}")
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **arrays)
    write_atomic(out, content.getvalue())
    prose().print(f"file   {out}")
