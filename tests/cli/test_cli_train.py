"""`striate train`, `resume` and `predict` in this process: what they print, and every bad input."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import striate
from cli.conftest import NET, Call
from striate.data.store import store
from striate.errors import StriateError
from striate.recipe.keys import Recipe
from striate.training import job
from striate.training.loop import memory as fit
from striate.version import __version__
from training.drawn import draw, write_folder

FAST = ("--net", NET, "--epochs", "1", "--set", "batch=8", "--device", "cpu")


# What is printed


def test_train_from_a_folder(call: Call, photos: Path, here: Path) -> None:
    said = call("train", str(photos), *FAST, "--seed", "3")
    assert (said.code, said.err) == (0, "")
    (out,) = (each for each in (here / "runs").iterdir() if not each.is_symlink())
    assert (here / "runs" / "latest").resolve() == out
    lines = said.out.splitlines()
    assert lines[0] == (
        "data      3 classes, 33 training, 3 validation images of 1x12x12 "
        "(validation held out of the training images)"
    )
    assert any(
        line.startswith("recipe    1 epoch of batches of 8, adamw at learning rate 0.003, ") for line in lines
    )
    assert any(line.startswith("epoch 1/1: loss ") and line.endswith("  (best)") for line in lines)
    assert any(line.startswith("validation accuracy ") for line in lines)
    assert "there is no test split: these images also chose the best epoch (1)" in lines
    assert any(line.split() == ["class", "images", "precision", "recall"] for line in lines)
    assert any(line.split() == ["across", "blob", "down"] for line in lines)
    assert f"report  runs/{out.name}/report.html" in lines
    assert "\x1b" not in said.out, "plain lines where there is no terminal"
    assert not any(line != line.rstrip() for line in lines if "epoch" in line)


def test_search_with_folds(call: Call, bars: Path, here: Path) -> None:
    """Folds that cannot be are refused before the search; the winner is cross-validated behind it."""
    words = ("search", str(bars), *FAST, "--set", "precision=fp32", "--trials", "2", "--out", "s")
    said = call(*words, "--folds", "99")
    assert said.code == 1
    assert "--folds: there are 99 folds, and the rarest class has " in said.err
    assert not (here / "s").exists()
    said = call(*words, "--folds", "2")
    assert (said.code, said.err) == (0, "")
    assert any(
        re.fullmatch(r"cross-validated accuracy .+ over 2 trainings: .+", line)
        for line in said.out.splitlines()
    )
    assert (here / "s" / "folds" / "predictions.csv").exists()


def test_train_with_a_test_split(call: Call, bars: Path) -> None:
    said = call("train", str(bars), *FAST, "--out", "mine", "--quiet")
    assert (said.code, said.err) == (0, "")
    lines = said.out.strip().splitlines()
    assert lines[0].startswith("test accuracy ")
    assert "of 30 images (95 % interval " in lines[0]
    assert lines[1].startswith("chosen on validation: ")
    assert lines[1].endswith(" after epoch 1; tested once")
    assert "report  mine/report.html" in lines


def test_a_network_is_chosen_and_the_reason_told(call: Call, photos: Path) -> None:
    said = call("train", str(photos), "--epochs", "1", "--device", "cpu")
    assert said.code == 0
    assert "network   swift28: it suits 12x12 pixels and 33 training images\n" in said.out
    assert ", muon at learning rate 0.003, one-cycle, " in said.out


def test_net_by_text_file_and_zoo(call: Call, bars: Path, here: Path) -> None:
    (here / "mine.net").write_text("# mine\nfc classes\n")
    for number, net in enumerate(("fc classes", "mine.net", "lenet5")):
        said = call(
            "train", str(bars), "--net", net, "--epochs", "1", "--out", f"r{number}", "--device", "cpu"
        )
        assert said.code == 0
    assert (here / "r1" / "net.txt").read_text() == "# mine\nfc classes\n"


def test_recipes_and_settings(call: Call, bars: Path, here: Path) -> None:
    (here / "mine.toml").write_text('optimizer = "sgd"\nepochs = 7\nrate = 0.5\n')
    said = call(
        "train", str(bars), "--recipe", "mine.toml", "--net", NET, "--epochs", "1", "--set", "learning_rate=0.25",
        "--set", "clip=none", "--out", "a", "--device", "cpu",
    )  # fmt: skip
    assert said.code == 0
    assert "1 epoch of batches of 32, sgd at learning rate 0.25" in said.out
    again = call("train", str(bars), "--recipe", "a/recipe.toml", "--net", "a/net.txt", "--out", "b")
    assert again.code == 0
    assert (here / "a" / "recipe.toml").read_bytes() == (here / "b" / "recipe.toml").read_bytes()
    assert (here / "a" / "last.safetensors").read_bytes() == (here / "b" / "last.safetensors").read_bytes()


def test_many_and_long_classes(call: Call, tmp_path: Path) -> None:
    """Long names do not blow up the confusion matrix, and 40 classes are not printed one by one."""
    folder = tmp_path / "long"
    images, _ = draw(80, 0)
    for number, image in enumerate(images):
        name = folder / f"category number {number % 2}"
        name.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(name / f"{number}.png")
        many = tmp_path / "many" / f"{number % 40:02d}"
        many.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(many / f"{number}.png")
    said = call("train", str(folder), *FAST)
    rows = [line.split() for line in said.out.splitlines()]
    at = rows.index(["1", "2"])
    assert rows[at + 1][:4] == ["1", "category", "number", "0"]
    assert rows[at + 2][:4] == ["2", "category", "number", "1"]
    said = call("train", str(tmp_path / "many"), *FAST)
    assert said.code == 0
    assert "precision" not in said.out


# Predict


def test_predict(call: Call, run: Path, photos: Path) -> None:
    said = call("predict", str(run), str(photos / "blob" / "001.png"), str(photos / "down" / "002.png"))
    assert (said.code, said.err) == (0, "")
    first, second = said.out.splitlines()
    assert first.startswith(f"{photos}/blob/001.png: ")
    assert first.count("%") == 3
    assert second.startswith(f"{photos}/down/002.png: ")
    assert call("predict", str(run), str(photos / "blob" / "001.png"), "--top", "1").out.count("%") == 1


def test_predict_one_image_twice(call: Call, run: Path, photos: Path) -> None:
    image = str(photos / "blob" / "001.png")
    once = call("predict", str(run), image).out
    assert call("predict", str(run), image, image, str(photos / "blob" / ".." / "blob" / "001.png")).out.startswith(2 * once)  # fmt: skip
    # Two runs answer together; the same one twice says what it says alone.
    assert call("predict", str(run), str(run), image, image).out == 2 * once


def test_predict_a_folder_as_json(call: Call, run: Path, photos: Path) -> None:
    said = call("predict", str(run), str(photos), "--json", "--top", "9")
    assert (said.code, said.err) == (0, "")
    answers = [json.loads(line) for line in said.out.splitlines()]
    assert len(answers) == 36
    for each in answers:
        shares = [answer["probability"] for answer in each["answers"]]
        assert shares == sorted(shares, reverse=True)
        assert sum(shares) == pytest.approx(1)
    trained = striate.load(run, device="cpu")
    for each, other in zip(answers, trained.predict([a["image"] for a in answers]), strict=True):
        assert each["answers"][0]["class"] == other.answer
        assert each["answers"][0]["probability"] == pytest.approx(other.probability)


def test_predict_bad_images_among_good_ones(call: Call, run: Path, photos: Path, here: Path) -> None:
    shutil.copytree(photos, here / "some")
    (here / "some" / "across" / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\nnot really")
    (here / "some" / "across" / "empty.png").write_bytes(b"")
    said = call("predict", str(run), "some", "nowhere.jpg")
    assert said.code == 1
    assert len(said.out.splitlines()) == 36
    *troubles, last = said.err.splitlines()
    assert [trouble.split(":")[0] for trouble in troubles] == [
        "some/across/bad.png", "some/across/empty.png", "nowhere.jpg",
    ]  # fmt: skip
    assert last == "striate: predict: 3 of 39 images could not be read"
    said = call("predict", str(run), "some", "nowhere.jpg", "--json")
    assert said.code == 1
    answers = [json.loads(line) for line in said.out.splitlines()]
    assert sum("error" in each for each in answers) == 3
    assert sum("answers" in each for each in answers) == 36


def test_predict_s_errors(call: Call, run: Path, here: Path) -> None:
    said = call("predict", str(run))
    assert said == (
        1, "", f"striate: predict: no image was given\n  try: striate predict {run} image.jpg\n"
    )  # fmt: skip
    (here / "empty").mkdir()
    assert call("predict", str(run), "empty") == (
        1, "", "striate: empty: there is no image in this folder\n"
    )  # fmt: skip
    said = call("predict", "nowhere", "cat.jpg")
    assert said == (
        1,
        "",
        "striate: nowhere: there is no such run\n"
        "  expected: a folder with run.json in it, as `striate train` leaves it\n"
        "  try: striate runs, which lists them\n",
    )
    assert call("predict", "latest", "cat.jpg").err == (
        "striate: runs: there is no run here yet\n  try: striate train DATA\n"
    )


def test_runs_that_answer_together_have_names(call: Call, run: Path, here: Path, photos: Path) -> None:
    for name in ("one", "two"):
        shutil.copytree(run, here / "runs" / name)
    alone = call("predict", "one", str(photos))
    assert alone.code == 0
    for others in (["two"], ["runs/two"], ["two", "latest"], ["runs/latest"]):
        assert call("predict", "one", *others, str(photos)) == alone


def test_predict_with_a_run_without_weights(call: Call, run: Path, here: Path, photos: Path) -> None:
    shutil.copytree(run, here / "mine")
    for content in (b"", b"\x00" * 100, (run / "weights.safetensors").read_bytes()[:-1]):
        (here / "mine" / "weights.safetensors").write_bytes(content)
        said = call("predict", "mine", str(photos))
        assert (said.code, said.out) == (1, "")
        assert said.err.startswith("striate: mine/weights.safetensors: the weights cannot be read: ")
    (here / "mine" / "weights.safetensors").unlink()
    said = call("predict", "mine", str(photos))
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith("striate: mine/weights.safetensors: the weights are missing\n")


# Hostile runs

TAMPERED = [
    ("run.json", "[" * 200_000, "run.json is damaged: it is nested too deep"),
    ("run.json", {"result": [1]}, "run.json is damaged: result: Input should be a valid dictionary or instance of Result"),
    ("run.json", {"versions": [1]}, "run.json is damaged: versions: Input should be a valid dictionary"),
    ("data.json", {"classes": None}, "data.json is damaged: classes: Input should be a valid list"),
    ("data.json", {"preparation": None}, "data.json is damaged: preparation: Input should be a valid dictionary or "
     "instance of PreparationRecord"),
    ("data.json", {"preparation": {"dtype": "object"}}, "data.json is damaged: preparation.dtype: Input should be "
     "'uint8' or 'float32'"),
    ("data.json", {"preparation": {"channels": 10**9}}, "data.json is damaged: preparation.channels: Input should be "
     "less than or equal to 100000"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content", "told"), TAMPERED, ids=[f"{each[0]} {str(each[1])[:20]}" for each in TAMPERED]
)
def test_a_run_that_was_tampered_with(
    call: Call, run: Path, here: Path, photos: Path, name: str, content: Any, told: str
) -> None:
    """One clear error, and the runs beside it are as they were."""
    for other in ("good", "bad"):
        shutil.copytree(run, here / "runs" / other)
    path = here / "runs" / "bad" / name
    if isinstance(content, dict):
        known = json.loads(path.read_text())
        for key, value in content.items():
            known[key] = {**known[key], **value} if isinstance(value, dict) else value
        content = json.dumps(known)
    path.write_text(content)
    for words in (
        ["predict", "bad", str(photos)],
        ["check", str(photos), "--labels", "bad"],
        ["replay", "bad"],
    ):
        said = call(*words)
        assert (said.code, said.out) == (1, ""), words
        assert said.err.startswith(
            f"striate: runs/bad: {told}\n  expected: {name} as `striate train` writes it\n"
        )
    assert call("runs").out.count("done") == (1 if name == "run.json" else 2)
    assert call("runs").out.count("damaged") == 2 * (name == "run.json")
    if name == "run.json":
        assert call("predict", "runs/latest", str(photos)) == call("predict", "good", str(photos))
        assert call("predict", "god", str(photos)).err.endswith("  try: runs/good\n")


def test_texts_of_a_run_that_are_no_files(call: Call, run: Path, here: Path, photos: Path) -> None:
    for name in ("net.txt", "recipe.toml"):
        shutil.rmtree(here / "bad", ignore_errors=True)
        shutil.copytree(run, here / "bad")
        (here / "bad" / name).unlink()
        os.mkfifo(here / "bad" / name)
        said = call("predict", "bad", str(photos))
        assert (said.code, said.out) == (1, "")
        assert said.err.startswith(f"striate: bad/{name}: it cannot be read: it is a pipe or a device\n")


def test_a_network_that_would_fill_the_memory(call: Call, run: Path, here: Path, photos: Path) -> None:
    shutil.copytree(run, here / "bad")
    (here / "bad" / "net.txt").write_text("fc 1000000 -> fc classes")
    size = (run / "weights.safetensors").stat().st_size
    said = call("predict", "bad", str(photos))
    assert (said.code, said.out) == (1, "")
    assert re.fullmatch(
        rf"striate: bad: net.txt and data.json give [\d,]+ bytes of weights, and weights.safetensors has {size:,}\n"
        "  expected: these files as `striate train` writes them\n"
        "  try: copies of them, or striate train, which starts over\n", said.err,
    )  # fmt: skip


def test_a_run_of_another_striate(call: Call, run: Path, here: Path, photos: Path) -> None:
    shutil.copytree(run, here / "old")
    record = json.loads((run / "run.json").read_text())
    record["versions"]["striate"] = "0.0.9"
    (here / "old" / "run.json").write_text(json.dumps(record))
    assert call("predict", "old", str(photos)).code == 0
    with (here / "old" / "recipe.toml").open("a") as file:
        file.write("\nlearning = 1\n")
    assert call("predict", "old", str(photos)).err == (
        f"striate: old/recipe.toml: the recipe was written by striate 0.0.9, and this is {__version__}: "
        "there is no key `learning`\n  try: pip install striate==0.0.9, or striate train, which starts over\n"
    )


# Bad input, each a clear error and a non-zero exit


def refused(call: Call, here: Path, *words: str) -> str:
    """The error of a training that cannot begin; it leaves no run behind."""
    said = call("train", *words)
    assert said.code == 1
    assert "Traceback" not in said.err
    assert not (here / "runs").exists()
    return said.err


def test_a_missing_folder(call: Call, here: Path) -> None:
    (here / "photos").mkdir()
    error = refused(call, here, "fotos")
    assert error.startswith(
        "striate: fotos: there is no such file or folder, and no built-in data of this name\n"
    )
    assert error.endswith("\n  try: photos\n")


def test_an_empty_folder(call: Call, here: Path) -> None:
    (here / "photos").mkdir()
    assert refused(call, here, "photos") == (
        "striate: photos: the folder is empty\n"
        "  expected: a folder with one folder of images a class, or train/, val/ and test/ folders of such folders\n"
    )


def test_one_class_only(call: Call, here: Path, photos: Path) -> None:
    shutil.copytree(photos / "blob", here / "photos" / "blob")
    assert refused(call, here, "photos") == (
        "striate: photos: there is only one class, blob\n"
        "  expected: at least two classes to tell apart\n"
        "  try: add a second class of images; one of `other` things will do\n"
    )


def test_an_unreadable_image(call: Call, here: Path, photos: Path) -> None:
    """It is left out and told; with --strict it is an error."""
    shutil.copytree(photos, here / "photos")
    (here / "photos" / "blob" / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\nnot really")
    error = refused(call, here, "photos", *FAST, "--strict")
    assert error.startswith("striate: photos: 1 file cannot be used, and the check is strict\n")
    assert "    blob/bad.png: " in error
    said = call("train", "photos", *FAST)
    assert said.code == 0
    assert "          blob/bad.png: " in said.out


def test_a_full_disk_while_the_store_is_written(
    call: Call, here: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*said: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(store, "write_values", full)
    error = refused(call, here, str(photos), *FAST)
    assert error.startswith(f"striate: {tmp_path / 'cache'}: the disk is full: the prepared images take ")
    left = [path for path in (tmp_path / "cache").rglob("*") if path.name in ("images", "index.json")]
    assert left == []
    monkeypatch.undo()
    monkeypatch.chdir(here)
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))
    assert call("train", str(photos), *FAST).code == 0


@pytest.mark.parametrize("nth", [1, 3, 5, 6, 7, 9])
def test_a_full_disk_while_the_run_is_written(
    call: Call,
    here: Path,
    bars: Path,
    monkeypatch: pytest.MonkeyPatch,
    full_disk: Callable[[int], None],
    nth: int,
) -> None:
    full_disk(nth)
    said = call("train", str(bars), *FAST, "--out", "mine")
    assert said.code == 1
    assert "the disk is full: " in said.err
    assert "Traceback" not in said.err
    monkeypatch.undo()
    monkeypatch.chdir(here)
    # The first is of the cache, where a write that fails costs a measurement next time.
    if nth > 6:
        assert call("resume", "mine").code == 0
    else:
        assert not (here / "mine").exists()


def test_a_run_folder_that_exists(call: Call, here: Path, run: Path, bars: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    assert refused(call, here, str(bars), *FAST, "--out", str(run)) == (
        f"striate: {run}: there is a run in this folder already\n"
        "  expected: a new or empty folder\n"
        f"  try: another --out, or striate resume {run}\n"
    )
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written(call: Call, here: Path, bars: Path) -> None:
    (here / "locked").mkdir(mode=0o500)
    assert refused(call, here, str(bars), *FAST, "--out", "locked/run").startswith(
        "striate: locked/run: cannot be written: Permission denied\n"
    )


def test_out_below_a_file(call: Call, here: Path, bars: Path) -> None:
    (here / "file").touch()
    assert refused(call, here, str(bars), *FAST, "--out", "file/run") == (
        "striate: file/run: cannot be written: Not a directory\n"
        "  expected: a folder that may be written to\n"
        "  try: another place, or the permission to write there\n"
    )


def test_a_recipe_with_an_unknown_key(call: Call, here: Path, bars: Path) -> None:
    (here / "mine.toml").write_text("epohcs = 3\n")
    error = refused(call, here, str(bars), "--recipe", "mine.toml")
    assert error.startswith(
        "striate: mine.toml: there is no key `epohcs`\n  expected: one of epochs, budget_s,"
    )
    assert error.endswith("\n  try: epochs\n")
    assert refused(call, here, str(bars), "--set", "class_weight=1").endswith("\n  try: balance\n")


def test_a_network_whose_output_does_not_fit(call: Call, here: Path, bars: Path) -> None:
    assert refused(call, here, str(bars), "--net", "conv 4 3x3 -> fc 10") == (
        "striate: network:1:15: the network answers 10 numbers but there are 3 classes\n"
        "    1 | conv 4 3x3 -> fc 10\n"
        "      |               ^^^^^\n"
        "  expected: 3 numbers, one logit for each class\n"
        "  try: `fc classes` as the last layer\n"
    )


def test_a_network_too_large_for_memory(
    call: Call, here: Path, bars: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit, "free_memory_bytes", lambda device: 8_000_000_000)
    error = refused(call, here, str(bars), "--net", "fc 90000 -> relu -> fc 90000 -> relu -> fc classes")
    assert error.startswith("striate: batch 32 of 1x12x12: a training step needs ")
    assert " GB and 8 GB are free\n" in error


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--net", "conv 4 3x3 ->"], "striate: network:1:"),
        (["--net", "nowhere.net"], "striate: nowhere.net: there is no such file\n"),
        (["--net", "small29"], "striate: network: there is no network `small29`\n"),
        (["--budget", "soon"], "striate: --budget: `soon` is not a time\n"),
        (["--budget", "10s", "--epochs", "3"], "striate: recipe: it says both epochs and budget_s\n"),
        (["--epochs", "0"], "striate: recipe: epochs cannot be 0\n"),
        (["--seed", "-1"], "striate: recipe: seed cannot be -1\n"),
        (["--size", "3"], "striate: recipe: size cannot be 3\n"),
        (["--device", "tpu"], "striate: --device: this machine has no device `tpu`\n"),
        (["--recipe", "nowhere"], "striate: --recipe: there is no recipe `nowhere`\n"),
        (["--set", "augment=flop"], "striate: "),
        (["--set", "initial=hee"], "striate: "),
    ],
)
def test_other_things_that_cannot_be(call: Call, here: Path, bars: Path, words: list[str], told: str) -> None:
    error = refused(call, here, str(bars), *words)
    assert error.startswith(told)
    assert error.count("\n") >= 1


def test_a_training_that_diverges(call: Call, here: Path, bars: Path) -> None:
    said = call(
        "train", str(bars), "--net", "[conv 8 3x3 -> relu] x6 -> fc 64 -> relu -> fc classes", "--epochs", "20",
        "--set", "learning_rate=100", "--set", "clip=none", "--set", "initial=large", "--set", "optimizer=sgd",
        "--out", "mine", "--device", "cpu",
    )  # fmt: skip
    assert said.code == 1
    assert "rolled back 3 times, rates tried: 100, 30, 9, 2.7" in said.err
    assert "  try: --set learning_rate=0.3" in said.err
    said = call("resume", "mine")
    assert said.code == 1
    assert said.err.startswith("striate: mine: this run diverged, and would do so again\n")


# Names that are not UTF-8


def test_names_that_are_not_utf8(call: Call, here: Path) -> None:
    source = Path(os.fsdecode(b"caf\xe9 photos"))
    write_folder(source)
    odd = Path(os.fsdecode(b"sm\xf8rrebr\xf8d"))
    (source / "blob").rename(source / odd)
    assert call("train", str(source), *FAST, "--out", "r\xfcn").code == 0
    record = json.loads((here / "r\xfcn" / "run.json").read_bytes())
    assert Path(record["source"]) == here / source
    said = call("predict", "r\xfcn", str(source))
    assert said.code == 0
    assert len(said.out.splitlines()) == 36
    said = call("predict", "r\xfcn", str(source), "--json")
    assert all(json.loads(line) for line in said.out.splitlines())
    assert call("train", str(source), *FAST).code == 0
    assert call("runs").code == 0
    assert call("resume", "r\xfcn").code == 1


# From Python


def test_the_same_from_python(call: Call, bars: Path, here: Path) -> None:
    trained = striate.train(
        bars, net=NET, epochs=1, out="python", device="cpu", precision="fp32", layout="contiguous"
    )
    assert call(
        "train", str(bars), "--net", NET, "--epochs", "1", "--out", "shell", "--device", "cpu",
        "--set", "precision=fp32", "--set", "layout=contiguous",
    ).code == 0  # fmt: skip
    assert (here / "python" / "last.safetensors").read_bytes() == (here / "shell" / "last.safetensors").read_bytes()  # fmt: skip
    image = draw(1, 5)[0][0]
    assert np.allclose(
        trained.predict(image)[0].probabilities,
        striate.load("shell", device="cpu").predict(image)[0].probabilities,
    )


def test_what_is_set_goes_before_what_transfer_takes(
    call: Call, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def caught(*_: Any, recipe: Recipe, **__: Any) -> None:
        raise StriateError(f"{recipe.size} {recipe.freeze} {recipe.channels} {recipe.seed}")

    monkeypatch.setattr(job, "new_job", caught)
    words = ("--transfer", "--set", "size=96", "--set", "freeze=stage1", "--set", "seed=1", "--seed", "2")
    assert "96 stage1 3 2" in call("train", str(photos), *words).err


# Test


def test_test_prints_figures_and_writes_a_page(call: Call, run: Path, photos: Path, here: Path) -> None:
    said = call("test", str(run), str(photos), "--report", "page.html")
    assert (said.code, said.err) == (0, "")
    lines = said.out.splitlines()
    assert any(
        line.startswith("accuracy ") and "% of 36 images (all images; 95 % interval " in line
        for line in lines
    )
    assert any(line.split() == ["class", "images", "precision", "recall"] for line in lines)
    assert lines[-1] == "report  page.html"
    assert "Worst mistakes" in (here / "page.html").read_text()
    again = call("test", str(run), str(photos), "--report", "page.html")
    assert (again.code, again.err) == (
        1, "striate: page.html: there is a file already\n  try: --force, or another --report\n",
    )  # fmt: skip
    found = json.loads(call("test", str(run), str(photos), "--json").out)
    assert (found["version"], found["images"], found["split"]) == (1, 36, "all")


def test_test_wants_one_network_and_data(call: Call, run: Path, photos: Path) -> None:
    said = call("test", str(photos))
    assert said.err == (
        "striate: test: there is a run without data, or data without a network\n"
        "  expected: striate test RUN DATA\n"
        f"  try: striate test runs/latest {photos}, or striate test --net NAME --weights FILE {photos}\n"
    )
    said = call("test", "--net", "resnet20", str(run), str(photos))
    assert said.err.startswith("striate: test: a run and --net are two networks\n")
    said = call("test", "--net", "resnet20", str(photos))
    assert said.err == (
        "striate: weights: a network is given without its weights\n  expected: both\n"
        "  try: --weights FILE, or a run instead\n"
    )


def test_train_without_data_or_from_a_run(call: Call, run: Path, here: Path) -> None:
    assert call("train").err == (
        "striate: train: no data were given\n  expected: striate train DATA\n  try: striate train photos/\n"
    )
    said = call("train", "--from", str(run), "--epochs", "1", "--out", "more")
    assert (said.code, said.err) == (0, "")
    (line,) = (each for each in said.out.splitlines() if each.startswith("from "))
    assert line.startswith(f"from      {run}, after ")
    assert ": with the optimizer's state; the learning rate begins at 0.0009, and was 0.003 at most" in line
    said = call("train", "--from", str(run), "--net", "lenet5")
    assert said.err.startswith(
        "striate: --net: --net is given beside a run to go on from, which has its own\n"
    )
