"""A run as a bundle that proved itself, or nothing."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import time
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from striate.bundle import manifest as files
from striate.bundle.bench import model_timings
from striate.bundle.bundle import Bundle, is_bundle
from striate.bundle.calibration import auroc, calibrate
from striate.bundle.certificate import Certificate, Int8, OtherImages, Timing
from striate.bundle.manifest import Manifest
from striate.bundle.preprocess import Preprocessing
from striate.bundle.verify import (
    BATCHES,
    TOLERANCE,
    Agreement,
    agreement,
    drawn_images,
    holds,
    measured,
    raw_logits,
)
from striate.disk.atomic import cannot_write, sync_folder
from striate.errors import BundleError, counted
from striate.exporting.bench import torch_timing
from striate.exporting.certificate_page import certificate_page
from striate.exporting.int8 import to_int8
from striate.exporting.onnx_graph import CLASS_MAP, Head, head_of, onnx_bytes
from striate.exporting.validation import Validation, other_images, trained_logits, validation_of
from striate.machine.device import describe_machine, versions
from striate.modules.fold import folded
from striate.predict.normalize import Feeder
from striate.predict.trained import Trained
from striate.progress import Silence, Watch
from striate.runs.record import to_json

# Images of the validation that are asked about at batch 1 and 3, and that travel with --include-images.
FEW, TRAVEL = 48, 256

# Between a logit and the mean of its class map and its bias, as a share of the largest logit.
MAP_TOLERANCE = 1e-4


@dataclass(frozen=True)
class Exported:
    """What came out.  path: of the bundle.  certificate: its proof."""

    path: Path
    certificate: Certificate

    @property
    def bundle(self) -> Bundle:
        """The bundle, read."""
        return Bundle.read(self.path)


def export(
    trained: Trained,
    out: str | Path,
    *,
    data: str | Path | None = None,
    int8: bool = False,
    lose_at_most: float = 0.5,
    wrong_at_most: float | None = None,
    unlike: Sequence[str | Path] = (),
    include_images: bool = False,
    name: str | None = None,
    force: bool = False,
    speed: bool = True,
    watch: Watch | None = None,
) -> Exported:
    """Write a run as a bundle, once it has answered as the trained network does.

    out: a folder, or a .zip.  data: where the data of the run lie now, if not where they lay.
    int8: quantize; lose_at_most: percentage points of accuracy that it may cost.
    wrong_at_most: the share of answers that may be wrong; below the threshold for it the answer is "I don't know".
    unlike: other data sets, on whose images the score of unlike images is measured.
    include_images: some validation images travel with it, to prove it elsewhere.
    name: how it is called where it is served.  force: replace a bundle that stands there.  speed: measure runtimes.

    Raises BundleError where the proof fails, and nothing stands at `out` then; DataError where the validation images
    are not there any more; ResourceError.
    """
    watch = watch or Silence()
    path = Path(out)
    _require_free(path, force)
    validation = validation_of(trained, data)
    net, known = trained.net, trained.preparation
    feeder = Feeder(known, trained.device)
    head = head_of(folded(net))
    model = onnx_bytes(folded(net), with_map=True)
    record = known.to_record()
    drawn = drawn_images(record)
    watch.say(f"proof     on {validation.said}")
    wanted = trained_logits(net, feeder, validation.images, known.size, BATCHES[-1])
    reference = trained_logits(net, feeder, drawn, known.size, BATCHES[-1])
    before = measured(trained.predict_stored(validation.images).argmax(axis=1), validation.labels)
    content: dict[str, bytes] = {
        files.NET: trained.run.net.read_bytes(),
        files.WEIGHTS: trained.run.weights.read_bytes(),
        files.NETWORK: model,
    }
    made = Manifest(
        name=_name(name or trained.run.read_record().name or trained.run.path.name),
        created=time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        classes=list(trained.classes),
        preprocessing=record,
        class_map=head.places if head else None,
        tta=trained.tta,
        versions=_versions(),
        weights_sha256=_sha(content[files.WEIGHTS]),
        data=_data_facts(trained),
        files={},
    )
    work = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        bundle = _written(work, made, content)
        checks = _checks(bundle, validation, wanted, drawn, reference)
        _require_proven(trained, checks)
        off = _class_map_off(bundle, net, head, validation)
        quantized: Int8 | None = None
        if int8:
            exact = raw_logits(bundle, validation.images, BATCHES[-1])
            kept = _of_head(model, head)
            content[files.NETWORK], quantized = to_int8(
                model, kept, Preprocessing(record), validation, exact, allowed=lose_at_most, watch=watch
            )
            made = made.model_copy(update={"precision": "int8"})
            bundle = _written(work, made, content)
            reference = raw_logits(bundle, drawn, BATCHES[-1])
        answers = np.concatenate(
            [
                bundle.answer_input(bundle.preprocessing.normalize(validation.images[at : at + 64]))[0]
                for at in range(0, len(validation), 64)
            ]
        )
        sure = calibrate(answers, validation.labels, wrong_at_most=wrong_at_most)
        if wrong_at_most is not None and sure.wrong_at_most is None:
            raise _no_promise(wrong_at_most, [each.risk for each in sure.promises], len(validation))
        made = made.model_copy(update={"calibration": sure})
        after = measured(answers.argmax(axis=1), validation.labels)
        content[files.REFERENCE] = save({"answers": reference})
        if include_images:
            step = -(-len(validation) // TRAVEL)
            some = np.ascontiguousarray(validation.images[::step])
            content[f"{files.IMAGES}.safetensors"] = save(
                {
                    "images": some,
                    "labels": validation.labels[::step].copy(),
                    "answers": raw_logits(bundle, some, BATCHES[-1]),
                }
            )
        runner = record.dtype == "uint8"
        if runner:
            content[files.RUNNER] = resources.files("striate.bundle").joinpath(files.RUNNER).read_bytes()
        certificate = Certificate(
            name=made.name,
            created=made.created,
            precision=made.precision,
            tolerance=TOLERANCE["fp32"],
            run=trained.run.path.name,
            validation=validation.said,
            hashes={each: _sha(content[each]) for each in (files.NET, files.WEIGHTS, files.NETWORK)},
            data=made.data,
            checks=checks,
            before=before,
            after=after,
            class_map=off,
            calibration=sure,
            int8=quantized,
            others=_others(bundle, trained, made, answers, unlike, watch),
            timings=_timings(trained, model, content[files.NETWORK], made, watch) if speed else [],
            machine=describe_machine(trained.device),
            versions=made.versions,
        )
        content[files.CERTIFICATE] = to_json(certificate)
        content[files.PAGE] = certificate_page(certificate).encode()
        _written(work, made, content)
        _put(work, path)
    except OSError as error:
        raise cannot_write(path, error, sum(map(len, content.values()))) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return Exported(path, certificate)


def _checks(
    bundle: Bundle,
    validation: Validation,
    wanted: NDArray[np.float32],
    drawn: NDArray[Any],
    reference: NDArray[np.float32],
) -> list[Agreement]:
    """The answers in float32 beside the trained network's: real images and extreme ones, at batch 1, 3 and 16."""
    found = []
    step = -(-len(validation) // FEW)
    for batch in BATCHES:
        some = slice(None, None, 1 if batch == BATCHES[-1] else step)
        answers = raw_logits(bundle, validation.images[some], batch)
        found.append(agreement(f"validation images, batch {batch}", wanted[some], answers, TOLERANCE["fp32"]))
    for batch in BATCHES:
        answers = raw_logits(bundle, drawn, batch)
        found.append(
            agreement(f"extreme and drawn images, batch {batch}", reference, answers, TOLERANCE["fp32"])
        )
    return found


def _require_proven(trained: Trained, checks: Sequence[Agreement]) -> None:
    for check in checks:
        if not holds(check, "fp32"):
            raise BundleError(
                f"the exported network answers differently: by {check.share:.2g} of the largest logit on {check.what}, "
                f"{check.decided - check.decided_equal:,} of {counted(check.decided, 'label')} differ",
                place=str(trained.run.path),
                expected=f"a difference of at most {TOLERANCE['fp32']:g}, and the same labels",
                cure="weights without NaN, or infinity: striate test RUN DATA; if they are sound, report it as a bug",
            )


def _class_map_off(bundle: Bundle, net: Any, head: Head | None, validation: Validation) -> float | None:
    """How far the mean of the class map and the bias are from the logits, as a share of the largest one.

    Raises BundleError where that is more than rounding.
    """
    if head is None:
        return None
    x = bundle.preprocessing.normalize(validation.images[:16])
    logits, places = bundle.run_input(x)
    assert places is not None
    bias = 0.0
    if head.fc is not None and (given := getattr(folded(net).part(head.fc.path), "bias", None)) is not None:
        bias = given.detach().float().cpu().numpy()
    off = float(np.abs(places.mean(axis=(2, 3)) + bias - logits).max() / max(np.abs(logits).max(), 1e-3))
    if not off <= MAP_TOLERANCE:
        raise BundleError(
            f"the class map does not add up to the logits: it is off by {off:.2g} of the largest",
            expected=f"at most {MAP_TOLERANCE:g}",
            cure="report it as a bug",
        )
    return off


def _of_head(model: bytes, head: Head | None) -> list[str]:
    """The nodes whose result the class map must add up to: the mean, the fc, and the map itself stay in float."""
    import onnx

    if head is None:
        return []
    paths = {head.pool.path, CLASS_MAP, *([head.fc.path] if head.fc else [])}
    return [
        node.name
        for node in onnx.load_from_string(model).graph.node
        if node.name.split("/")[0] in paths or not node.name
    ]


def _others(
    bundle: Bundle,
    trained: Trained,
    made: Manifest,
    answers: NDArray[np.float32],
    sources: Sequence[str | Path],
    watch: Watch,
) -> list[OtherImages]:
    found = []
    judging = Bundle(bundle.path, made, bundle.run, bundle.file)
    usual = judging.judge(answers).energy
    for source in sources:
        stored = other_images(trained, source)
        judged = judging.answer_stored(stored)
        found.append(
            OtherImages(
                source=Path(source).name,
                images=len(judged),
                auroc=auroc(usual, judged.energy),
                refused=float(judged.reject.mean()),
            )
        )
        watch.say(f"unlike    {source}: {found[-1].refused:.1%} of {counted(len(judged), 'image')} refused")
    return found


def _timings(trained: Trained, exact: bytes, model: bytes, made: Manifest, watch: Watch) -> list[Timing]:
    watch.say("speed     each runtime, a few seconds")
    known = trained.preparation
    shape = (known.channels, *known.size)
    found = [
        torch_timing(trained.run, shape, len(trained.classes)),
        *model_timings(exact, shape, "fp32"),
    ]
    return found if made.precision == "fp32" else [*found, *model_timings(model, shape, "int8")]


def _written(folder: Path, made: Manifest, content: Mapping[str, bytes]) -> Bundle:
    """Write all files and the manifest, and read the bundle."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, each in content.items():
        (folder / name).write_bytes(each)
    whole = made.model_copy(update={"files": {name: _sha(each) for name, each in content.items()}})
    (folder / files.MANIFEST).write_bytes(to_json(whole))
    return Bundle.read(folder)


def _put(work: Path, path: Path) -> None:
    """Give a finished bundle its name; an older one goes in the same moment."""
    if path.suffix.lower() == ".zip":
        packed = work.with_name(work.name + ".zip")
        try:
            with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
                for file in sorted(work.iterdir(), key=lambda each: each.name):
                    archive.write(file, file.name)
            os.replace(packed, path)
        finally:
            packed.unlink(missing_ok=True)
    elif path.exists():
        old = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
        path.rename(old)
        work.rename(path)
        shutil.rmtree(old, ignore_errors=True)
    else:
        work.rename(path)
    sync_folder(path.parent)


def _require_free(path: Path, force: bool) -> None:
    """Raise BundleError where something stands at `path` that must not be replaced."""
    if not path.parent.is_dir():
        raise BundleError(
            "there is no such folder", place=str(path.parent), expected="a folder for the bundle"
        )
    if path.is_dir() and not any(path.iterdir()):
        return
    if not path.exists() and not path.is_symlink():
        return
    if force and is_bundle(path):
        return
    known = is_bundle(path)
    raise BundleError(
        "there is a bundle already" if known else "there is something already, and it is no bundle",
        place=str(path),
        expected="a new folder or .zip",
        cure="--force, or another --out" if known else "another --out",
    )


def _no_promise(asked: float, known: Sequence[float], images: int) -> BundleError:
    return BundleError(
        f"{100 * asked:.6g}% wrong at most cannot be promised with {counted(images, 'validation image')}",
        place="--wrong-at-most",
        expected="a share that its answers keep with 95 % confidence",
        cure=f"--wrong-at-most {100 * known[0]:.6g}%" if known else "more validation images, or leave it out",
    )


def _name(text: str) -> str:
    """A name that may stand in a URL and in a file's name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.")[:60] or "model"


def _sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _versions() -> dict[str, str]:
    found = versions()
    for each in ("onnx", "onnxruntime", "openvino"):
        try:
            found[each] = version(each)
        except PackageNotFoundError:
            continue
    return found


def _data_facts(trained: Trained) -> dict[str, str | int]:
    """The hashes of the splits, by which the data of the run are known again."""
    return {f"{split}_sha256": each.sha256 for split, each in trained.run.read_data().splits.items()} | {
        f"{split}_images": each.count for split, each in trained.run.read_data().splits.items()
    }
