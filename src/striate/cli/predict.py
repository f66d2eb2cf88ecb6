"""`striate predict`."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from striate.api import require_train
from striate.cli.console import print_json, prose
from striate.cli.process import set_up_process
from striate.cli.values import require_new
from striate.disk.atomic import write_atomic
from striate.errors import DataError, StriateError, counted
from striate.text.visible import visible

# Images that go through the network together.
GROUP = 64


def predict(
    run: str,
    /,
    *images: str,
    top: int = 3,
    json_: Annotated[bool, Parameter(name="--json")] = False,
    runtime: Literal["auto", "torch", "onnxruntime", "openvino"] = "auto",
    device: str | None = None,
    csv_: Annotated[Path | None, Parameter(name="--csv")] = None,
    force: bool = False,
) -> None:
    """What a trained network says of images.

    An image that cannot be read is named, the others are answered, and the exit code is 1.

    Batch norms are folded into the layers before them.  Of 256 images and more, the runtimes that are
    installed are compared on this network first, once on a machine, and the fastest answers.

    For example:

      striate predict runs/latest cat.jpg
      striate predict runs/latest holiday/ --json
      striate predict runs/latest holiday/ --csv answers.csv
      striate predict runs/first runs/second cat.jpg      the mean of both

    Parameters
    ----------
    run
        The run folder, its name under runs/, or runs/latest.
    images
        Images, or folders of images; further runs before them answer together with the first.
    top
        How many classes to name for each.
    json_
        Print one JSON object a line.
    runtime
        What answers; all in float32.
    device
        cpu, cuda, cuda:1 or mps; the best there is if left out.
    csv_
        Write the answers to this file instead, one image a line.
    force
        Write over a file that is there.
    """
    require_train("striate predict")
    set_up_process()
    if csv_ is not None:
        if json_:
            raise StriateError("answers go to one place", place="--csv", cure="leave out --json")
        require_new(csv_, force, "--csv")
    runs = [run]
    while images and _is_run(images[0]):
        runs.append(images[0])
        images = images[1:]
    if not images:
        raise DataError("no image was given", place="predict", cure=f"striate predict {run} image.jpg")
    from striate.export.runtime import answering
    from striate.predict.ensemble import Ensemble, load_ensemble

    answers, complaints = prose(), prose(stderr=True)
    failed = 0
    paths = _paths(images)
    loaded = load_ensemble(runs, device=device).members
    members = []
    for member in loaded:
        ready, compared = answering(member, runtime, len(paths))
        members.append(ready)
        if compared and not json_:
            told = ", ".join(str(each) for each in compared)
            complaints.print(f"runtime   {compared[0].name}, an image in: {told}")
    trained = Ensemble(tuple(members))
    best = max(1, top)
    rows: list[list[object]] = [_head(min(best, len(loaded[0].classes)))]
    for start in range(0, len(paths), GROUP):
        found, troubles = trained.predict_files(paths[start : start + GROUP])
        for prediction in found:
            answer = list(zip(prediction.classes, prediction.probabilities, strict=True))[:best]
            if csv_ is not None:
                rows.append([prediction.name, "", *(f"{each}" for pair in answer for each in pair)])
            elif json_:
                said = [{"class": name, "probability": share} for name, share in answer]
                print_json({"image": prediction.name, "answers": said})
            else:
                told = ", ".join(f"{name} {share:.1%}" for name, share in answer)
                answers.print(f"{visible(prediction.name)}: {told}")
        for trouble in troubles:
            failed += 1
            if csv_ is not None:
                rows.append([trouble.place, trouble.problem])
            if json_:
                print_json({"image": trouble.place, "error": trouble.problem, "cure": trouble.cure})
            else:
                complaints.print(f"{trouble.place}: {trouble.problem} (try: {trouble.cure})")
    if csv_ is not None:
        lines = io.StringIO(newline="")
        csv.writer(lines).writerows(rows)
        # Names of files are bytes, and come out as they were.
        write_atomic(csv_, lines.getvalue().encode("utf-8", "surrogateescape"))
        answers.print(f"csv       {csv_}: {counted(len(rows) - 1, 'image')}")
    if failed:
        raise DataError(f"{failed:,} of {counted(len(paths), 'image')} could not be read", place="predict")


def _head(count: int) -> list[object]:
    """`image`, `error`, then a class and its probability for each of so many, the most probable first."""
    ranks = ["" if rank == 1 else f"_{rank}" for rank in range(1, count + 1)]
    return ["image", "error", *(f"{title}{rank}" for rank in ranks for title in ("class", "probability"))]


def _is_run(said: str) -> bool:
    """Whether a word means a run: its folder, or a name that is no image's and no other folder's."""
    from striate.errors import RunError
    from striate.runs.folder import find_run

    if (Path(said) / "run.json").is_file():
        return True
    if Path(said).exists():
        return False
    try:
        find_run(said)
    except RunError:
        return False
    return True


def _paths(said: tuple[str, ...]) -> list[Path]:
    """The images that were named, and the files in the folders that were."""
    from striate.data.files.walk import files_below

    paths = []
    for each in said:
        path = Path(each)
        if not path.is_dir():
            paths.append(path)
            continue
        found = [file for _, file in files_below(path, each, ())[0]]
        if not found:
            raise DataError("there is no image in this folder", place=visible(each))
        paths.extend(found)
    return paths
