"""export, verify, bench, and predict about a bundle, as they are typed."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cli.conftest import Call
from striate.cli.values import share
from striate.errors import StriateError
from training.drawn import CLASSES, draw, write_arrays

NET = "conv 8 3x3 -> bn -> relu -> maxpool 2 -> conv 16 3x3 -> bn -> relu -> pool avg -> fc classes"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import striate

    root = tmp_path_factory.mktemp("shipped")
    data = write_arrays(root / "data.npz", train=240, test=60)
    striate.train(
        data, net=NET, out=root / "run", epochs=12, val_share=0.5, precision="fp32", layout="channels_last"
    )
    return root / "run"


@pytest.fixture
def images(here: Path) -> Path:
    (here / "images").mkdir()
    for number, (image, label) in enumerate(zip(*draw(3, 77), strict=True)):
        Image.fromarray(image).save(here / "images" / f"{number}-{CLASSES[label]}.png")
    return here / "images"


def test_from_a_run_to_answers(call: Call, run: Path, here: Path, images: Path) -> None:
    said = call("export", str(run), "--skip-speed", "--wrong-at-most", "50%", "--quiet")
    assert (said.code, said.err) == (0, "")
    lines = [line.split(" ", 1)[0] for line in said.out.splitlines()]
    assert lines == ["proof", "accuracy", "sure", "sure", "bundle"]
    assert said.out.endswith("bundle    bundle\n")
    said = call("verify", "bundle")
    assert (said.code, said.err) == (0, "")
    assert [line.split(" ", 1)[0] for line in said.out.splitlines()] == ["holds", "holds", "holds", "proven"]
    said = call("verify", "bundle", str(run.parent / "data.npz"), "--json")
    record = json.loads(said.out)
    assert (record["verdict"], record["measured"]["images"], len(record["checks"])) == ("proven", 60, 3)
    said = call("test", "bundle", str(run.parent / "data.npz"), "--quiet")
    assert said.code == 0
    assert said.out.startswith("accuracy ")
    said = call("predict", "bundle", "images", "--sets", "90%", "--json")
    records = [json.loads(line) for line in said.out.splitlines()]
    assert [Path(each["image"]).name for each in records] == sorted(each.name for each in images.iterdir())
    assert all(each["set"] and len(each["answers"]) == 3 for each in records)
    said = call("predict", "bundle", "images", "--csv", "answers.csv", "--top", "1")
    assert (said.code, said.err) == (0, "")
    rows = list(csv.reader((here / "answers.csv").open()))
    assert rows[0] == ["image", "error", "rejected", "class", "probability"]
    assert [row[2] for row in rows[1:]] == [each.get("rejected", "") for each in records]


def test_i_do_not_know(call: Call, run: Path, here: Path) -> None:
    """Noise is not like the training images; where every answer is wanted, it is named all the same."""
    assert call("export", str(run), "--skip-speed", "--quiet").code == 0
    manifest = json.loads((here / "bundle" / "bundle.json").read_bytes())
    manifest["calibration"]["outliers"]["threshold"] = -1e9
    (here / "bundle" / "bundle.json").write_text(json.dumps(manifest))
    Image.fromarray(np.zeros((12, 12), np.uint8)).save(here / "black.png")
    said = call("predict", "bundle", "black.png", "--top", "1")
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith("black.png: I don't know: unlike the training images; perhaps ")


def test_timed(call: Call, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("striate.bundle.bench.timing_of", made_up)
    monkeypatch.setattr("striate.exporting.bench.timing_of", made_up)
    said = call("bench", str(run))
    assert said.err == ""
    rows = [" ".join(line.split()) for line in said.out.splitlines()]
    assert rows[0] == "runtime precision an image quartiles a second by 16 peak memory file"
    assert rows[1].startswith("torch fp32 2 ms 1.5 to 2.5 1,000 90 MB ")
    assert rows[2].startswith("onnxruntime fp32 2 ms 1.5 to 2.5 1,000 90 MB ")
    assert [json.loads(call("bench", str(run), "--json").out)["timings"][0]["single_ms"]] == [2]


def made_up(runtime: str, precision: str, code: str, asked: object, network_bytes: int) -> object:
    from striate.bundle.certificate import Timing

    return Timing(
        runtime=runtime, precision=precision, network_bytes=network_bytes, single_ms=2.0,
        quartiles_ms=(1.5, 2.5), runs=5, images_per_s=1000.0, peak_bytes=90_000_000,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ["export", "RUN", "--wrong-at-most", "5"],
            "--wrong-at-most: `5` is not a share\n  expected: more than 0% and less than 100%\n  try: --wrong-at-most 1%\n",
        ),
        (
            ["export", "RUN", "--lose-at-most", "101"],
            "--lose-at-most: 101 percentage points cannot be lost\n  expected: 0 to 100\n  try: --lose-at-most 0.5\n",
        ),
        (
            ["export", "RUN", "-o", "no/bundle"],
            "no: there is no such folder\n  expected: a folder for the bundle\n",
        ),
        (
            ["verify", "RUN"],
            "RUN: this folder holds a run, not a bundle\n  expected: a folder with bundle.json in it, as `striate export` "
            "writes it\n  try: striate export RUN\n",
        ),
        (
            ["predict", "RUN", "images", "--wrong-at-most", "1%"],
            "--wrong-at-most: a run is not calibrated\n  expected: a bundle\n  try: striate export RUN -o bundle/, and striate "
            "predict bundle/ IMAGES --wrong-at-most 1%\n",
        ),
        (["bench", "RUN", "--threads", "0"], "0 threads cannot answer\n  try: --threads 1\n"),
    ],
)
def test_errors(call: Call, run: Path, images: Path, words: list[str], told: str) -> None:
    said = call(*(each.replace("RUN", str(run)) for each in words))
    assert (said.code, said.out) == (1, "")
    wanted = told if "a run is not" in told else told.replace("RUN", str(run))
    assert said.err.endswith(wanted), said.err


def test_a_bundle_answers_without_torch_and_says_so(call: Call, run: Path, images: Path) -> None:
    assert call("export", str(run), "--skip-speed", "--quiet").code == 0
    said = call("predict", "bundle", "images", "--runtime", "torch")
    assert said.err == (
        "striate: --runtime torch: a bundle answers on the processor, without torch\n"
        "  expected: --runtime onnxruntime or openvino\n"
        "  try: leave out --runtime torch, or name the run instead of the bundle\n"
    )
    again = call("export", str(run), "--skip-speed", "--quiet")
    assert again.err == (
        "striate: bundle: there is a bundle already\n  expected: a new folder or .zip\n  try: --force, or another --out\n"
    )
    assert call("export", str(run), "--skip-speed", "--quiet", "--force").code == 0


def test_shares() -> None:
    for text, wanted in (("1%", 0.01), ("0.5 %", 0.005), ("0.01", 0.01), (".2", 0.2)):
        assert share(text, "--wrong-at-most") == pytest.approx(wanted)
    for text in ("", "0", "0%", "100%", "1", "one", "-1%", "nan%"):
        with pytest.raises(StriateError, match="is not a share"):
            share(text, "--sets")


def test_the_device_sheet(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("striate.bundle.bench.timing_of", made_up)
    said = call(
        "plan", "conv 4 3x3 -> relu -> fc classes", "--input", "2x4x4", "--classes", "3", "--device-sheet"
    )
    assert said.err == ""
    assert [" ".join(line.split()) for line in said.out.splitlines()] == [
        "float32 int8",
        "weights on disk 1.08 kB 320 B",
        "feature maps at the peak 384 B 96 B",
        "memory at the peak 1.47 kB 416 B",
        "onnxruntime, an image 2 ms 2 ms",
        "onnxruntime, a second by 16 1,000 1,000",
        "onnxruntime, process 90 MB 90 MB",
        "1,344 multiply-adds an image; the peak is at `0`",
    ]
    record = json.loads(
        call("plan", "conv 4 3x3 -> relu -> fc classes", "--input", "2x4x4", "--device-sheet", "--json").out
    )
    assert record["version"] == 1
    assert record["memory_int8"] == record["weights_int8"] + record["activations_int8"]
