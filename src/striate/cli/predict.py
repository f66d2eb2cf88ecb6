"""`striate predict`."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from cyclopts import Parameter

from striate.bundle.bundle import is_bundle
from striate.cli.console import print_json, prose
from striate.cli.process import set_up_process
from striate.cli.values import require_new
from striate.cli.values import share as share_of
from striate.disk.atomic import write_atomic
from striate.errors import DataError, StriateError, counted, require_train
from striate.text.visible import visible

if TYPE_CHECKING:
    from rich.console import Console

    from striate.data.files.finding import Unreadable

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
    wrong_at_most: str | None = None,
    sets: str | None = None,
) -> None:
    """What a trained network, or a bundle of one, says of images.

    An image that cannot be read is named, the others are answered, and the exit code is 1.

    Batch norms are folded into the layers before them.  Of 256 images and more, the runtimes that are
    installed are compared on this network first, once on a machine, and the fastest answers.

    A bundle answers without torch, and says "I don't know" where it cannot keep what it promised.

    For example:

      striate predict runs/latest cat.jpg
      striate predict runs/latest holiday/ --json
      striate predict runs/latest holiday/ --csv answers.csv
      striate predict runs/first runs/second cat.jpg      the mean of both
      striate predict bundle/ cat.jpg --wrong-at-most 1%
      striate predict bundle.zip holiday/ --sets 95%

    Parameters
    ----------
    run
        The run folder, its name under runs/, or runs/latest; or a bundle, a folder or .zip.
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
    wrong_at_most
        Of a bundle: the share of answers that may be wrong, as 1%; the others are "I don't know".
    sets
        Of a bundle: name so many classes that the true one is among them in this share of all cases, as 95%.
    """
    if csv_ is not None:
        if json_:
            raise StriateError("answers go to one place", place="--csv", cure="leave out --json")
        require_new(csv_, force, "--csv")
    bundled = is_bundle(run)
    if not bundled:
        _require_run(wrong_at_most, sets)
        require_train("striate predict")
        set_up_process()
    runs = [run]
    while images and not bundled and _is_run(images[0]):
        runs.append(images[0])
        images = images[1:]
    if not images:
        raise DataError("no image was given", place="predict", cure=f"striate predict {run} image.jpg")
    answers, complaints = prose(), prose(stderr=True)
    failed = 0
    paths = _paths(images)
    best = max(1, top)
    if bundled:
        answering_, kinds = _bundle_answers(run, runtime, device, wrong_at_most, sets, best)
    else:
        answering_, kinds = _run_answers(
            runs, runtime, device, len(paths), best, complaints if not json_ else None
        )
    rows: list[list[object]] = [_head(min(best, kinds), bundled)]
    for start in range(0, len(paths), GROUP):
        found, troubles = answering_(paths[start : start + GROUP])
        for name, record in found:
            if csv_ is not None:
                pairs = [f"{each}" for pair in record["answers"] for each in pair.values()]
                rows.append([name, "", *([record.get("rejected", "")] if bundled else []), *pairs])
            elif json_:
                print_json({"image": name, **record})
            else:
                answers.print(f"{visible(name)}: {_spoken(record)}")
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


# Names and records of the images that could be read, and what is wrong with the others.
Group = tuple[list[tuple[str, dict[str, Any]]], list["Unreadable"]]


def _run_answers(
    runs: list[str], runtime: str, device: str | None, count: int, best: int, complaints: Console | None
) -> tuple[Callable[[list[Path]], Group], int]:
    """What answers for runs, and how many classes there are."""
    from striate.exporting.runtime import answering
    from striate.predict.ensemble import Ensemble, load_ensemble

    loaded = load_ensemble(runs, device=device).members
    members = []
    for member in loaded:
        ready, compared = answering(member, runtime, count)
        members.append(ready)
        if compared and complaints is not None:
            told = ", ".join(str(each) for each in compared)
            complaints.print(f"runtime   {compared[0].name}, an image in: {told}")
    trained = Ensemble(tuple(members))

    def answer(paths: list[Path]) -> Group:
        found, troubles = trained.predict_files(paths)
        records = []
        for each in found:
            pairs = list(zip(each.classes, each.probabilities, strict=True))[:best]
            said = [{"class": name, "probability": share} for name, share in pairs]
            records.append((each.name, {"answers": said}))
        return records, troubles

    return answer, len(loaded[0].classes)


def _bundle_answers(
    path: str, runtime: str, device: str | None, wrong_at_most: str | None, sets: str | None, best: int
) -> tuple[Callable[[list[Path]], Group], int]:
    """What answers for a bundle, and how many classes there are."""
    from striate.bundle.bundle import Bundle
    from striate.data.files.finding import Unreadable

    if runtime == "torch" or device not in (None, "auto", "cpu"):
        flag = "--runtime torch" if runtime == "torch" else f"--device {device}"
        raise StriateError(
            "a bundle answers on the processor, without torch",
            place=flag,
            expected="--runtime onnxruntime or openvino",
            cure=f"leave out {flag}, or name the run instead of the bundle",
        )
    risk = None if wrong_at_most is None else share_of(wrong_at_most, "--wrong-at-most")
    level = None if sets is None else share_of(sets, "--sets")
    bundle = Bundle.read(path, runtime=runtime)

    def answer(paths: list[Path]) -> Group:
        names, stored, troubles = [], [], []
        for each in paths:
            try:
                stored.append(bundle.store(each))
                names.append(str(each))
            except Unreadable as trouble:
                troubles.append(trouble)
        if not stored:
            return [], troubles
        found = bundle.answer_stored(np.stack(stored), wrong_at_most=risk, level=level)
        return [(name, found.record(number, best)) for number, name in enumerate(names)], troubles

    return answer, len(bundle.classes)


def _spoken(record: dict[str, Any]) -> str:
    """An answer as it is printed."""
    told = ", ".join(f"{each['class']} {each['probability']:.1%}" for each in record["answers"])
    if "set" in record:
        told = f"one of {', '.join(record['set'])} ({told})"
    if "rejected" in record:
        why = "unlike the training images" if record["rejected"] == "outlier" else "not sure enough"
        told = f"I don't know: {why}; perhaps {told}"
    return told


def _require_run(wrong_at_most: str | None, sets: str | None) -> None:
    """Raise StriateError where a run is asked for what only a bundle knows."""
    for flag, value in (("--wrong-at-most", wrong_at_most), ("--sets", sets)):
        if value is not None:
            raise StriateError(
                "a run is not calibrated",
                place=flag,
                expected="a bundle",
                cure=f"striate export RUN -o bundle/, and striate predict bundle/ IMAGES {flag} {value}",
            )


def _head(count: int, bundled: bool) -> list[object]:
    """`image`, `error`, `rejected` of a bundle, then a class and its probability for each of so many, the most
    probable first."""
    ranks = ["" if rank == 1 else f"_{rank}" for rank in range(1, count + 1)]
    said = [f"{title}{rank}" for rank in ranks for title in ("class", "probability")]
    return ["image", "error", *(["rejected"] if bundled else []), *said]


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
