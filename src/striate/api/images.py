"""Images: looked at before training, as a sheet, as features."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from striate.data.decode.size import Fit, Size
from striate.errors import DataError, StriateError, require_train

if TYPE_CHECKING:
    from striate.checks.checked import Checked
    from striate.report.check import Check


def check(
    data: str | Path,
    *,
    labels: str | Path | None = None,
    max_pixels: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Check:
    """Look at every image before training: what cannot be used, what is odd, what is there twice.

    labels: a run of the same images; its network names likely wrong labels of those that it did not train on.
    max_pixels: images of more are refused on their header.  progress: called with (images looked at, all).

    Raises DataError where DATA cannot be told apart into classes, or the run was trained on others; see
    `striate.checks.check.check`.
    """
    from striate.checks.check import check as look
    from striate.data.decode.decode import MAX_PIXELS
    from striate.report.check import shown

    if max_pixels is not None and max_pixels < 1:
        raise StriateError(f"the limit is {max_pixels}", place="--max-pixels", expected="at least 1")
    checked = look(data, max_pixels=max_pixels or MAX_PIXELS, progress=progress)
    return shown(checked if labels is None else _with_labels(checked, data, labels))


def _with_labels(checked: Checked, data: str | Path, run: str | Path) -> Checked:
    """With the labels that a run's network contradicts."""
    require_train("striate check --labels")
    import numpy as np

    from striate.checks.checked import in_order_of_severity
    from striate.checks.labels import label_findings
    from striate.data.gather import gather
    from striate.exporting.runtime import answering
    from striate.predict.trained import load_trained
    from striate.recipe.keys import read_recipe

    trained = load_trained(run)
    recipe = read_recipe(str(trained.run.recipe))
    found = gather(
        data, size=recipe.size, fit=recipe.fit, val_share=recipe.val_share, seed=recipe.seed,
        max_pixels=recipe.max_pixels,
    )  # fmt: skip
    then = {name: each.model_dump() for name, each in trained.run.read_data().splits.items()}
    if trained.classes != found.classes or then != found.record["splits"]:
        raise DataError(
            f"the run {trained.run.path} was trained on other images or labels than these",
            place="--labels",
            expected="a run of the same data, so that its validation images are known",
            cure=f"striate train {checked.source}, and then its run",
        )
    splits = [each for each in (found.val, found.test) if each is not None]
    trained, _ = answering(trained, "auto", sum(len(each.labels) for each in splits))
    wrong = label_findings(
        [name for each in splits for name in each.names],
        np.concatenate([each.labels for each in splits]),
        np.concatenate([trained.predict_stored(each.images) for each in splits]),
        found.classes,
    )
    return replace(checked, findings=in_order_of_severity([*checked.findings, *wrong]))


def show(
    data: str | Path,
    *,
    augment: str = "auto",
    size: Size | None = None,
    fit: Fit = "crop",
    count: int = 24,
    epoch: int = 0,
    seed: int = 0,
) -> Image.Image:
    """A sheet of training images as the network sees them: one a row, as stored and in one epoch after the other.

    See the command of the same name; the sheet is a PIL image.
    """
    from striate.data.sheet import make_sheet

    return make_sheet(data, augment=augment, size=size, fit=fit, count=count, epoch=epoch, seed=seed).image
