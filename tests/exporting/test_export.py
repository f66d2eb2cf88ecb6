"""A run as a bundle: proven, or nothing; read back, verified, changed, and asked without torch."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import striate
from striate.bundle.bundle import Bundle, is_bundle
from striate.bundle.verify import verify
from striate.errors import BundleError, DataError
from striate.exporting.export import Exported
from striate.predict.trained import Trained
from training.drawn import CLASSES, draw, write_arrays

NET = "conv 8 3x3 -> bn -> relu -> maxpool 2 -> conv 16 3x3 -> bn -> relu -> pool avg -> fc classes"


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("export")


@pytest.fixture(scope="module")
def trained(here: Path) -> Trained:
    data = write_arrays(here / "data.npz", train=360, test=90)
    keys = {"precision": "fp32", "layout": "channels_last", "tta": 0.9}
    return striate.train(data, net=NET, out=here / "run", epochs=8, val_share=0.4, **keys)


@pytest.fixture(scope="module")
def exported(trained: Trained, here: Path) -> Exported:
    return trained.export(
        here / "bundle", wrong_at_most=0.2, include_images=True, speed=False, name="three bars!"
    )


@pytest.fixture(scope="module")
def images(here: Path) -> list[Path]:
    (here / "images").mkdir()
    paths = []
    for number, (image, label) in enumerate(zip(*draw(9, 77), strict=True)):
        paths.append(here / "images" / f"{number}-{CLASSES[label]}.png")
        Image.fromarray(image).save(paths[-1])
    return paths


def copied(exported: Exported, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported.path, tmp_path / "copy"))


def test_what_a_bundle_holds(exported: Exported, trained: Trained) -> None:
    assert sorted(each.name for each in exported.path.iterdir()) == [
        "bundle.json", "certificate.html", "certificate.json", "images.safetensors", "net.txt", "network.onnx",
        "reference.safetensors", "run.py", "weights.safetensors",
    ]  # fmt: skip
    assert is_bundle(exported.path)
    bundle = exported.bundle
    assert (bundle.name, bundle.classes, bundle.has_class_map) == ("three-bars", CLASSES, True)
    assert bundle.certificate()["verdict"] == "proven"
    assert bundle.file("weights.safetensors") == trained.run.weights.read_bytes()
    assert not list(exported.path.parent.glob(".*tmp*"))


def test_the_proof(exported: Exported) -> None:
    proof = exported.certificate
    assert [each.what for each in proof.checks] == [
        f"{what}, batch {batch}"
        for what in ("validation images", "extreme and drawn images")
        for batch in (1, 3, 16)
    ]
    assert all(each.share < 1e-5 and each.labels_equal == 1 for each in proof.checks)
    assert proof.before == proof.after
    assert proof.class_map is not None
    assert proof.class_map < 1e-5


def test_it_answers_as_the_run(exported: Exported, trained: Trained, images: list[Path]) -> None:
    """The temperature apart; images that are not sure are looked at again in both."""
    bundle = exported.bundle
    found = bundle.answer(images, wrong_at_most=0)
    known, _ = trained.predict_files(images)
    sharp = found.logits - found.logits.max(axis=1, keepdims=True)
    plain = np.exp(sharp) / np.exp(sharp).sum(axis=1, keepdims=True)
    for row, wanted in zip(plain, known, strict=True):
        for name, share in zip(wanted.classes, wanted.probabilities, strict=True):
            assert row[CLASSES.index(name)] == pytest.approx(share, abs=1e-5)
    assert not found.reject.any()
    assert found.class_map is not None
    assert found.class_map.shape == (9, 3, 6, 6)


def test_a_batch_does_not_show_in_the_answers(exported: Exported, images: list[Path]) -> None:
    bundle = exported.bundle
    together = bundle.answer(images, level=0.8)
    for number, path in enumerate(images):
        assert bundle.answer([path], level=0.8).record(0) == together.record(number)
    assert set(together.record(0)) - {"rejected"} == {"answers", "set"}
    assert bundle.answer([]).labels.shape == (0,)


def test_verified(exported: Exported) -> None:
    found = verify(exported.path)
    assert (found.verdict, len(found.checks), found.measured) == ("proven", 6, None)
    assert [each.what for each in found.checks][3:] == [f"your images, batch {batch}" for batch in (1, 3, 16)]


def test_verified_on_data(exported: Exported, here: Path) -> None:
    found = verify(exported.path, here / "data.npz")
    assert found.measured is not None
    assert found.measured.images == 90
    assert found.promised.startswith("20% wrong at most was promised: ")
    assert found.kept


def test_a_promise_that_is_not_kept(exported: Exported, tmp_path: Path) -> None:
    """Labels that are all wrong: verify says so."""
    x, y = draw(90, 5)
    np.savez(tmp_path / "wrong.npz", x_test=x, y_test=np.array(CLASSES)[(y + 1) % 3], x_train=x, y_train=np.array(CLASSES)[y])  # fmt: skip
    found = verify(exported.path, tmp_path / "wrong.npz")
    assert not found.failed
    assert (found.kept, found.verdict) == (False, "failed")


def test_a_zip_is_a_bundle(trained: Trained, exported: Exported, tmp_path: Path, images: list[Path]) -> None:
    made = striate.export(trained.run.path, tmp_path / "bundle.zip", speed=False)
    assert is_bundle(made.path)
    found = made.bundle.answer(images, wrong_at_most=0)
    assert np.array_equal(found.logits, exported.bundle.answer(images).logits)
    assert verify(made.path).verdict == "proven"
    with zipfile.ZipFile(made.path) as archive:
        assert "run.py" in archive.namelist()


@pytest.mark.parametrize("name", ["network.onnx", "net.txt"])
def test_a_changed_file_is_refused(exported: Exported, tmp_path: Path, name: str) -> None:
    path = copied(exported, tmp_path)
    (path / name).write_bytes((path / name).read_bytes() + b" ")
    with pytest.raises(BundleError) as caught:
        Bundle.read(path)
    assert str(caught.value) == (
        f"{path}: the bundle is damaged: {name} is not the one that was proven: its SHA-256 differs\n"
        "  expected: its files as `striate export` wrote them\n  try: a copy of it, or striate export RUN"
    )


def test_verify_looks_at_every_file(exported: Exported, tmp_path: Path) -> None:
    path = copied(exported, tmp_path)
    (path / "certificate.html").write_text("<p>all is well")
    with pytest.raises(BundleError, match=r"certificate\.html is not the one that was proven"):
        verify(path)
    (path / "certificate.html").unlink()
    with pytest.raises(BundleError, match=r"the bundle is damaged: certificate\.html is missing"):
        verify(path)


def changed(path: Path, **values: object) -> Path:
    manifest = json.loads((path / "bundle.json").read_bytes())
    (path / "bundle.json").write_text(json.dumps({**manifest, **values}))
    return path


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"format": 2}, "the bundle is of format 2, and this striate knows 1"),
        ({"classes": []}, "the bundle is damaged: bundle.json: classes: List should have at least 1 item after validation, not 0"),
        ({"classes": ["a", "b"]}, "the bundle is damaged: network.onnx answers (1, 3) and (1, 3, 6, 6), where bundle.json has (1, 2) and (1, 2, 6, 6)"),
        ({"class_map": None, "classes": ["a"] * 4}, "the bundle is damaged: network.onnx answers (1, 3), where bundle.json has (1, 4)"),
    ],
)  # fmt: skip
def test_a_manifest_that_does_not_fit(
    exported: Exported, tmp_path: Path, values: dict[str, object], problem: str
) -> None:
    with pytest.raises(BundleError) as caught:
        Bundle.read(changed(copied(exported, tmp_path), **values))
    assert caught.value.problem == problem


def test_what_is_no_bundle(trained: Trained, tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"PK")
    said = {
        trained.run.path: "this folder holds a run, not a bundle",
        tmp_path: "this folder holds no bundle",
        tmp_path / "none": "there is no such bundle",
        tmp_path / "a.zip": "this file is no bundle",
    }
    for path, problem in said.items():
        assert not is_bundle(path)
        with pytest.raises(BundleError) as caught:
            Bundle.read(path)
        assert caught.value.problem == problem
        assert caught.value.cure.startswith("striate export ")


def test_weights_in_another_file_are_refused(exported: Exported, tmp_path: Path) -> None:
    """What is read is the file that was proven, and nothing that it points to."""
    import hashlib

    import onnx

    path = copied(exported, tmp_path)
    model = onnx.load(path / "network.onnx")
    onnx.save(model, path / "network.onnx", save_as_external_data=True, size_threshold=0, location="x")
    digest = hashlib.sha256((path / "network.onnx").read_bytes()).hexdigest()
    files = json.loads((path / "bundle.json").read_bytes())["files"]
    with pytest.raises(BundleError, match=r"network\.onnx names weights in another file"):
        Bundle.read(changed(path, files={**files, "network.onnx": digest}))


def test_a_risk_that_was_not_proven(exported: Exported, images: list[Path]) -> None:
    known = ", ".join(f"{100 * each.risk:.6g}%" for each in exported.certificate.calibration.promises)
    with pytest.raises(BundleError) as caught:
        exported.bundle.answer(images, wrong_at_most=0.001)
    assert str(caught.value).startswith(
        f"--wrong-at-most: 0.1% cannot be promised from 144 validation images\n  expected: one of {known}\n  try: --wrong-at-most "
    )


def test_what_cannot_be_exported(trained: Trained, exported: Exported, tmp_path: Path) -> None:
    with pytest.raises(BundleError) as caught:
        trained.export(exported.path, speed=False)
    assert str(caught.value) == (
        f"{exported.path}: there is a bundle already\n  expected: a new folder or .zip\n  try: --force, or another --out"
    )
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter").touch()
    with pytest.raises(BundleError, match="there is something already, and it is no bundle"):
        trained.export(tmp_path / "mine", force=True, speed=False)
    with pytest.raises(BundleError) as caught:
        trained.export(tmp_path / "sure", wrong_at_most=0.001, speed=False)
    assert caught.value.problem == "0.1% wrong at most cannot be promised with 144 validation images"
    assert not (tmp_path / "sure").exists()
    other = write_arrays(tmp_path / "other.npz", train=60, test=0)
    with pytest.raises(DataError) as caught2:
        trained.export(tmp_path / "other", data=other, speed=False)
    assert (
        caught2.value.problem
        == f"these are not the images and labels that {trained.run.path} was trained with"
    )


def test_a_network_that_answers_differently_is_not_written(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a percent is enough, and nothing is left behind."""
    from striate.exporting import export as module

    def skewed(net: object, **named: bool) -> bytes:
        other = module.folded(trained.net)
        for weight in other.parameters():
            weight.data *= 1.005
        return real(other, **named)

    real = module.onnx_bytes
    monkeypatch.setattr(module, "onnx_bytes", skewed)
    with pytest.raises(BundleError) as caught:
        trained.export(tmp_path / "bundle", speed=False)
    assert caught.value.problem.startswith("the exported network answers differently: by 0.0")
    assert os.listdir(tmp_path) == []


def test_int8(trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few images, so that one of another label would be too many: agreement is not asked for here."""
    monkeypatch.setattr("striate.exporting.int8.AGREEMENT", 0.97)
    made = trained.export(tmp_path / "small", int8=True, lose_at_most=3, speed=False)
    proof = made.certificate
    assert proof.precision == "int8"
    assert proof.int8 is not None
    assert proof.int8.safe_without_vnni
    assert proof.int8.agreement >= 0.97
    assert {each.layer for each in proof.int8.layers} | set(proof.int8.in_float) >= {"0", "4"}
    assert proof.int8.calibrated_on + proof.int8.measured_on == 144
    # The class map still adds up: mean and fc stay in float.
    assert verify(made.path).verdict == "proven"


def test_int8_that_loses_too_much_is_refused(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ranges that are far too small: no way is good enough, and the reason is said with its figures."""
    from striate.exporting import int8 as module
    from striate.exporting.quantize import Ranges

    def tiny(model: bytes, batches: object) -> dict[str, Ranges]:
        found = real(model, batches)  # type: ignore[arg-type]
        return {"tiny": Ranges(dict.fromkeys(found["minmax"].by_name, (0.0, 0.0001)))}

    real = module.activation_ranges
    monkeypatch.setattr(module, "activation_ranges", tiny)
    with pytest.raises(BundleError) as caught:
        trained.export(tmp_path / "small", int8=True, speed=False)
    assert str(caught.value).startswith("--int8: int8 loses ")
    assert caught.value.expected == "at most 0.5 percentage points, and 99.5% of the labels equal"
    assert caught.value.cure == "leave out --int8"
    assert not (tmp_path / "small").exists()


def test_images_of_another_kind(trained: Trained, tmp_path: Path, images: list[Path]) -> None:
    made = trained.export(tmp_path / "bundle", unlike=[images[0].parent], speed=False)
    (found,) = made.certificate.others
    assert (found.source, found.images) == ("images", 9)
    assert 0 <= found.auroc <= 1


BLOCKED = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {blocked}:
            raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, Block())
"""


def run_without(code: str, *words: str, blocked: set[str]) -> subprocess.CompletedProcess[str]:
    """A process of its own in which some packages are not there."""
    source = BLOCKED.format(blocked=blocked) + code
    path = os.pathsep.join(sys.path)
    return subprocess.run(
        [sys.executable, "-c", source, *words], capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip


NO_TRAINING = {"torch", "sklearn", "matplotlib", "onnx", "tifffile"}


def test_without_torch(exported: Exported, images: list[Path], here: Path) -> None:
    """predict, test and verify of a bundle need none of it; and predict says what it says with it."""
    code = "from striate.cli.main import main; main()"
    said = run_without(code, "predict", str(exported.path), *map(str, images), "--json", blocked=NO_TRAINING)
    assert (said.returncode, said.stderr) == (0, "")
    records = [json.loads(line) for line in said.stdout.splitlines()]
    found = exported.bundle.answer(images)
    assert records == [
        {"version": 1, "image": str(path), **found.record(number)} for number, path in enumerate(images)
    ]
    for words in (["verify", str(exported.path)], ["test", str(exported.path), str(here / "data.npz")]):
        said = run_without(code, *words, blocked=NO_TRAINING)
        assert (said.returncode, said.stderr) == (0, ""), words
    assert "accuracy" in said.stdout


def test_the_runner_needs_three_packages(exported: Exported, images: list[Path]) -> None:
    """And answers as the bundle does."""
    code = "import runpy; runpy.run_path(sys.argv.pop(1), run_name='__main__')"
    blocked = NO_TRAINING | {"striate", "pydantic", "safetensors"}
    said = run_without(code, str(exported.path / "run.py"), *map(str, images), blocked=blocked)
    assert (said.returncode, said.stderr) == (0, "")
    found = exported.bundle.answer(images)
    wanted = [
        f"{path}: {'unsure, ' * bool(found.reject[number])}{CLASSES[found.labels[number]]} "
        f"{found.probabilities[number].max():.1%}"
        for number, path in enumerate(images)
    ]
    assert said.stdout.splitlines() == wanted


def test_the_page(exported: Exported) -> None:
    page = exported.bundle.file("certificate.html").decode()
    assert page.startswith("<!doctype html>")
    assert "http" not in page.replace("http-equiv", "")
    for said in ("Proof", "Sure of itself", "What can be promised", "SHA-256", "class map plus the bias"):
        assert said in page
