"""A trained network on labelled images it has not seen: by hand, by name, and with every bad input."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import striate
from striate.errors import StriateError
from striate.predict.trained import Trained
from striate.report.element import Html
from training.drawn import CLASSES, SIDE, draw, write_arrays, write_folder

QUICK = {"epochs": 3, "precision": "fp32", "layout": "contiguous", "batch": 16, "seed": 1}
NET = "conv 8 3x3 -> bn -> relu -> maxpool 2 -> pool avg -> fc classes"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("run")
    return striate.train(write_arrays(folder / "bars.npz"), net=NET, out=folder / "run", **QUICK)


def test_the_figures_are_those_that_answers_by_hand_give(run: Trained, tmp_path: Path) -> None:
    found = run.test(write_folder(tmp_path / "photos"))
    files = sorted((tmp_path / "photos").glob("*/*.png"))
    answers = [each.answer for each in run.predict(tmp_path / "photos")]
    right = [answer == file.parent.name for answer, file in zip(answers, files, strict=True)]
    assert found.score.images == len(files) == 36
    assert found.score.accuracy == pytest.approx(sum(right) / 36)
    assert (found.split, found.seen, found.by_name, found.left_out) == ("all", 0, True, ())
    assert [each.name for each in found.score.classes] == sorted(CLASSES)
    for each in found.score.classes:
        assert each.count == sum(file.parent.name == each.name for file in files)
    assert len(found.mistakes) == 36 - sum(right)
    record = json.loads(json.dumps(found.to_record()))
    assert record["version"] == 1
    assert record["accuracy"] == found.score.accuracy
    assert all(set(each) == {"name", "label", "answer", "probability"} for each in record["mistakes"])
    page = found.page()
    assert page.startswith("<!doctype html>")
    assert Html(f"{found.score.accuracy:.1%}") in page.replace("\u2009", "")


def test_only_the_test_split_is_asked_where_there_is_one(run: Trained) -> None:
    source = run.record.source
    found = striate.test(run.run.path, source)
    assert (found.split, found.score.images, found.seen) == ("test", 30, 0)
    assert found.score.accuracy == pytest.approx(run.record.result.accuracy)
    assert found.notes() == []


def test_images_of_the_training_are_counted(run: Trained, tmp_path: Path) -> None:
    seen, labels = draw(120, 1)
    new, more = draw(10, 7)
    names = np.array(CLASSES)
    images = np.concatenate([seen[:5], new])
    np.savez(tmp_path / "some.npz", x_train=images, y_train=names[np.concatenate([labels[:5], more])])
    found = run.test(tmp_path / "some.npz")
    assert found.seen == 5
    assert found.notes() == [
        "5 of 15 images were seen in training: the score will be too optimistic",
    ]
    content = (run.run.path / "seen.bin").read_bytes()
    assert len(content) == 8 * 120
    assert hashlib.sha256(seen[0].tobytes()).digest()[:8] in {content[at : at + 8] for at in range(0, 960, 8)}
    (run.run.path / "seen.bin").rename(tmp_path / "seen.bin")
    try:
        assert run.test(tmp_path / "some.npz").seen is None
    finally:
        (tmp_path / "seen.bin").rename(run.run.path / "seen.bin")


def test_classes_are_matched_by_name(run: Trained, tmp_path: Path) -> None:
    photos = write_folder(tmp_path / "photos")
    whole = run.test(photos)
    shutil.rmtree(photos / CLASSES[0])
    some = run.test(photos)
    assert [each.count for each in some.score.classes] == [
        0 if each.name == CLASSES[0] else each.count for each in whole.score.classes
    ]
    (photos / CLASSES[1]).rename(photos / "blobs")
    with pytest.raises(StriateError) as caught:
        run.test(photos)
    assert str(caught.value) == (
        f"{photos}: the network has no class `blobs`\n"
        f"  expected: classes of {run.run.path}: across, blob, down\n"
        "  try: name it `blob` if it is the same, or leave it out"
    )


def test_what_cannot_be_read_is_left_out_and_said(run: Trained, tmp_path: Path) -> None:
    photos = write_folder(tmp_path / "photos")
    (photos / CLASSES[0] / "bad.png").write_bytes(b"no image")
    found = run.test(photos)
    assert [each.name for each in found.left_out] == [f"{CLASSES[0]}/bad.png"]
    assert found.score.images == 36
    assert found.notes() == ["1 file left out, which could not be used"]
    for file in photos.glob("*/*.png"):
        file.write_bytes(b"no image")
    with pytest.raises(StriateError, match="not one of its images can be used"):
        run.test(photos)


def test_published_weights_are_asked_as_they_want_it(tmp_path: Path) -> None:
    net = striate.read("resnet20").build((3, 32, 32), 10)
    import torch

    torch.save(net.state_dict(), tmp_path / "w.pth")
    chance = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(3):
            pixels = chance.integers(0, 256, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{number}.png")
    found = striate.test("resnet20", tmp_path / "photos", weights=tmp_path / "w.pth")
    assert [each.count for each in found.score.classes] == [0, 0, 0, 3, 0, 3, 0, 0, 0, 0]
    assert (found.by_name, found.seen) == (True, None)
    net.eval()
    with torch.inference_mode():
        pixels = np.asarray(Image.open(tmp_path / "photos" / "cat" / "0.png"))
        mean, std = torch.tensor([123.675, 116.28, 103.53]), torch.tensor([58.395, 57.12, 57.375])
        x = ((torch.from_numpy(pixels.copy()).float() - mean) / std).permute(2, 0, 1)[None]
        answer = int(net(x).argmax())
    assert found.score.confusion[3][answer] >= 1


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (
            {"run": "resnet20"},
            "resnet20: there is no such run\n"
            "  expected: a folder with run.json in it, as `striate train` leaves it\n"
            "  try: striate runs, which lists them",
        ),
        (
            {"run": "resnet200", "weights": "w.pth"},
            "net: there is no network `resnet200` in the zoo\n"
            "  expected: a network whose published weights are known\n  try: resnet20",
        ),
        (
            {"run": "lenet5", "weights": "w.pth"},
            "net: how published weights of lenet5 want their images is not known\n"
            "  expected: a network of the zoo for color images\n"
            "  try: striate train DATA, and then striate test RUN DATA",
        ),
    ],
)
def test_what_is_missing_is_said(given: dict[str, str], told: str, tmp_path: Path) -> None:
    with pytest.raises(StriateError) as caught:
        striate.test(data=tmp_path, **given)
    assert str(caught.value) == told


def test_of_a_thousand_classes_the_number_must_agree(tmp_path: Path) -> None:
    import torch

    net = striate.read("squeezenet1_0").build((3, 224, 224), 1000)
    torch.save(net.state_dict(), tmp_path / "w.pth")
    photos = write_folder(tmp_path / "photos", side=SIDE)
    with pytest.raises(StriateError) as caught:
        striate.test("squeezenet1_0", photos, weights=tmp_path / "w.pth")
    assert str(caught.value) == (
        f"{photos}: the data have 3 classes, the network 1,000\n"
        "  expected: the same classes in the same order, as names are not known\n"
        "  try: images of all 1,000 classes, in folders that sort as the network's classes do"
    )


SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.mark.parametrize(
    ("net", "file", "accuracy"),
    [
        ("resnet20", "resnet20-12fca82f.th", 0.9173),
        pytest.param("resnet32", "resnet32-d509ac18.th", 0.9263, marks=pytest.mark.slow),
        pytest.param("resnet44", "resnet44-014dd654.th", 0.9310, marks=pytest.mark.slow),
        pytest.param("resnet56", "resnet56-4bfd9763.th", 0.9339, marks=pytest.mark.slow),
    ],
)
def test_published_figures_come_out(net: str, file: str, accuracy: float, tmp_path: Path) -> None:
    if not SHARED.is_dir():
        pytest.skip(f"no real data: {SHARED} is missing")
    mosaic = np.asarray(Image.open(SHARED / "cifar10" / "test.webp"))
    images = mosaic.reshape(100, 32, 100, 32, 3).transpose(0, 2, 1, 3, 4).reshape(10_000, 32, 32, 3)
    labels = np.fromfile(SHARED / "cifar10" / "test.labels", np.uint8).astype(np.int64)
    np.savez(tmp_path / "cifar.npz", x_train=images[:10], y_train=labels[:10], x_test=images, y_test=labels)
    found = striate.test(net, tmp_path / "cifar.npz", weights=SHARED / "weights" / "cifar10-resnet" / file)
    assert found.score.accuracy == accuracy
