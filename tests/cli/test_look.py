"""`striate look`, `compare` and `filter`: what they print and write, and what is in the way."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from cli.conftest import Call
from training.drawn import write_arrays

NET = "conv 4 3x3 -> relu -> conv 4 3x3 -> relu -> pool avg -> fc classes"


def test_look(call: Call, here: Path) -> None:
    write_arrays(here / "bars.npz")
    words = (
        "look",
        NET,
        "bars.npz",
        "--initial",
        "small",
        "--initial",
        "he",
        "--images",
        "16",
        "--device",
        "cpu",
    )
    said = call(*words, "--out", "layers.html")
    assert (said.code, said.err) == (0, "")
    lines = said.out.splitlines()
    assert lines[0].startswith("small: shrinking: std 1 in the images, ")
    assert [line.split()[0] for line in lines[1:3]] == ["1", "3"]
    assert lines[4].startswith("he: keeps its scale: ")
    assert lines[-1] == "page  layers.html"
    assert (here / "layers.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    again = call(*words, "--out", "layers.html")
    assert (again.code, again.err) == (
        1, "striate: layers.html: there is a file already\n  try: --force, or another --out\n"
    )  # fmt: skip
    record = json.loads(call(*words, "--json").out)
    assert [each["name"] for each in record["variants"]] == ["small", "he"]
    assert record["variants"][0]["findings"][0]["code"] == "shrinking"


def test_compare(call: Call, here: Path) -> None:
    write_arrays(here / "bars.npz")
    for name, epochs in (("one", "1"), ("three", "3")):
        words = ("--epochs", epochs, "--seed", "1", "--device", "cpu", "--quiet")
        assert call("train", "bars.npz", "--net", NET, *words, "--out", name).code == 0
    said = call("compare", "one", "three", "--out", "both.html", "--device", "cpu")
    assert (said.code, said.err) == (0, "")
    assert said.out.splitlines()[0].endswith("bars.npz, their test split")
    assert "three against one: " in said.out
    assert "  epochs  1  |  3" in said.out
    assert said.out.splitlines()[-1] == "page  both.html"
    record = json.loads(call("compare", "one", "three", "--json", "--device", "cpu").out)
    assert record["recipe"]["epochs"] == [1, 3]
    assert record["images"] == 30


def test_filter(call: Call, here: Path) -> None:
    Image.fromarray(np.full((6, 9), 100, dtype=np.uint8)).save(here / "flat.png")
    said = call("filter", "filter blur", "flat.png", "--out", "blurred.png")
    assert (said.code, said.err) == (0, "")
    assert said.out == "image   blurred.png: 9x6\nvalues  values as they are, 0 to 255\n"
    assert Image.open(here / "blurred.png").size == (9, 6)
    wrong = call("filter", "blur", "flat.png", "--out", "blurred.jpg")
    assert (wrong.code, wrong.err) == (
        1,
        "striate: blurred.jpg: what comes out is a PNG file\n"
        "  expected: a name that ends in .png\n  try: --out blurred.png\n",
    )
