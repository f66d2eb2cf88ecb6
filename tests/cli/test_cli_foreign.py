"""What other tools call flags and keys is read as meant, or has the one right cure."""

from __future__ import annotations

import io
import json
import sys

import pytest

from cli.conftest import Call
from striate.cli.foreign import translated
from striate.errors import StriateError


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("--lr 0.01", "--set learning_rate=0.01"),
        ("--lr=1e-3", "--set learning_rate=1e-3"),
        ("--learning-rate 0.01", "--set learning_rate=0.01"),
        ("--learning_rate 0.01", "--set learning_rate=0.01"),
        ("--batch 64", "--set batch=64"),
        ("--batch-size 64", "--set batch=64"),
        ("--bs 64", "--set batch=64"),
        ("--optimizer sgd", "--set optimizer=sgd"),
        ("--opt sgd", "--set optimizer=sgd"),
        ("--wd 1e-4", "--set weight_decay=1e-4"),
        ("--weight-decay 1e-4", "--set weight_decay=1e-4"),
        ("--momentum 0.8", "--set momentum=0.8"),
        ("--scheduler cosine", "--set schedule=cosine"),
        ("--label-smoothing 0.1", "--set label_smoothing=0.1"),
        ("--smoothing 0.1", "--set label_smoothing=0.1"),
        ("--patience 5", "--set patience=5"),
        ("--early-stopping 5", "--set patience=5"),
        ("--clip-grad 1", "--set clip=1"),
        ("--validation-split 0.2", "--set val_share=0.2"),
        ("--precision bf16", "--set precision=bf16"),
        ("--imgsz 64", "--size 64"),
        ("--image-size 64", "--size 64"),
        ("--model resnet18", "--net resnet18"),
        ("--arch=resnet18", "--net resnet18"),
        ("--num-epochs 3", "--epochs 3"),
        ("--n_epochs 3", "--epochs 3"),
        ("--gpu", "--device cuda"),
        ("--gpus 0", "--device cuda"),
        ("--output-dir here", "--out here"),
        ("--random-state 1", "--seed 1"),
        ("--pretrained", "--transfer"),
        ("--data photos", "photos"),
        ("--dataset=photos", "photos"),
        ("--epochs 3 --net lenet5", "--epochs 3 --net lenet5"),
        ("--nonsense 3", "--nonsense 3"),
    ],
)
def test_flags_of_other_tools(typed: str, meant: str) -> None:
    assert translated(["train", "digits", *typed.split()]) == ["train", "digits", *meant.split()]


@pytest.mark.parametrize(
    ("flag", "why"),
    [
        ("--workers", "threads are chosen for the machine by themselves"),
        ("--num_workers", "threads are chosen for the machine by themselves"),
        ("--shuffle", "training images are shuffled anew in every epoch"),
        ("--loss", "the loss is cross-entropy; label_smoothing is a key of the recipe"),
        ("--num-classes", "the classes are those of the images"),
    ],
)
def test_flags_that_are_not_needed(flag: str, why: str) -> None:
    with pytest.raises(StriateError) as caught:
        translated(["train", "digits", flag, "4"])
    assert str(caught.value) == f"train: there is no {flag}: {why}\n  try: leave out {flag}"


def test_a_flag_without_its_value() -> None:
    with pytest.raises(StriateError) as caught:
        translated(["train", "digits", "--lr"])
    assert str(caught.value) == "train: --lr needs a value\n  try: --set learning_rate=VALUE"


def test_other_commands_are_left_alone() -> None:
    assert translated(["predict", "run", "--lr", "3"]) == ["predict", "run", "--lr", "3"]
    assert translated([]) == []


def test_a_network_on_standard_input(monkeypatch: pytest.MonkeyPatch, call: Call) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("conv 3 3x3 -> fc classes\n"))
    said = call("plan", "-", "--input", "1x28x28")
    assert said.code == 0
    assert "conv 3 3x3" in said.out
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    with pytest.raises(StriateError, match="standard input is empty"):
        translated(["plan", "-"])


def test_input_without_channels(call: Call) -> None:
    assert call("plan", "lenet5", "--input", "28x28").err == (
        "striate: --input: `28x28` is not the shape of an image\n"
        "  expected: CHANNELSxHEIGHTxWIDTH\n"
        "  try: --input 3x28x28, or 1x28x28 for grey images\n"
    )


def test_recipe_lists_every_key(call: Call) -> None:
    said = call("recipe")
    assert "learning_rate         chosen     the highest learning rate" in said.out
    assert "recipes that come with striate: best, classic, quick" in said.out
    listed = json.loads(call("recipe", "--json").out)
    assert listed["version"] == 1
    keys = {each["key"]: each for each in listed["keys"]}
    assert keys["schedule"]["values"] == ["constant", "step", "exponential", "inverse", "cosine", "one-cycle"]
    assert 'optimizer = "muon"' in call("recipe", "quick").out
    assert json.loads(call("recipe", "quick", "--json").out)["optimizer"] == "muon"


@pytest.mark.parametrize(
    ("word", "begins"),
    [
        ("Conv2d", "conv"), ("stride", "`stride`, an argument of conv"), ("strides", "`stride`, an argument of conv"),
        ("he", "he, a distribution of the first weights: normal, std sqrt(2 / fan_in)"),
    ],
)  # fmt: skip
def test_words_of_other_tools_are_explained(word: str, begins: str, call: Call) -> None:
    said = call("words", word)
    assert said.code == 0
    assert begins in said.out


def test_json_of_words_and_zoo(call: Call) -> None:
    found = json.loads(call("words", "conv", "--json").out)
    assert found["version"] == 1
    assert [each["word"] for each in found["words"]] == ["conv"]
    net = json.loads(call("zoo", "lenet5", "--json").out)["networks"][0]
    assert (net["name"], net["input"], net["classes"]) == ("lenet5", [1, 28, 28], 10)
