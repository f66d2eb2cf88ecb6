"""striate from Python: what an import gives, and each of its functions."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import striate
from striate.errors import DataError, FitError, NotationError, RunError
from striate.predict.trained import GROUP, Trained
from training.drawn import draw, write_arrays, write_folder

NET = "conv 4 3x3 -> bn -> relu -> pool avg -> fc classes"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, fresh_cache: Callable[[Path], str]) -> Any:
    """A run of an instant."""
    place = tmp_path_factory.mktemp("api")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STRIATE_CACHE", fresh_cache(place / "cache"))
        return striate.train(
            write_arrays(place / "bars.npz"), net=NET, epochs=2, batch=16, out=place / "run", device="cpu"
        )


def test_what_an_import_gives() -> None:
    for name in striate.__all__:
        assert getattr(striate, name) is not None
    with pytest.raises(AttributeError, match="module 'striate' has no attribute 'trian'"):
        _ = striate.trian  # type: ignore[attr-defined]


def test_dir_shows_the_public_names_and_nothing_else() -> None:
    import striate.net.plan.table

    assert dir(striate) == sorted(striate.__all__)
    commands = [
        "cache",
        "check",
        "compare",
        "draw",
        "explain",
        "export",
        "features",
        "filter",
        "look",
        "lr",
        "plan",
        "show",
        "test",
        "train",
    ]
    assert set(commands) <= set(dir(striate))
    assert all(getattr(striate, name).__doc__ for name in dir(striate) if name != "__version__")


def test_what_notebooks_show(trained: Any, tmp_path: Path) -> None:
    plan = striate.plan("lenet5")
    assert str(plan).splitlines()[0].split() == [
        "part",
        "layer",
        "output",
        "weights",
        "multiply-adds",
        "sees",
        "step",
        "saved",
    ]
    assert plan._repr_html_().startswith('<pre style="line-height:1.35">part    layer')
    assert striate.read("lenet5")._repr_html_().startswith('<img alt="drawing of the network"')
    assert striate.read("conv 8 -> fc classes")._repr_html_() == "<pre>conv 8 1x1 -&gt; fc classes</pre>"
    built = striate.read("conv 8 -> fc classes").build((1, 8, 8), 3)
    assert built._repr_html_().startswith('<img alt="drawing of the network"')
    assert repr(plan) == str(plan)
    assert str(trained).startswith("test accuracy ")
    assert str(trained.doctor()).splitlines()[-1].startswith("found     ")
    assert f"run     {trained.run.path}" in str(trained)
    checked = striate.check(trained.record.source)
    assert str(checked).splitlines()[0].startswith(f"{checked.source}: ")
    assert str(checked).splitlines()[-1].startswith("found     ")
    for each in (trained, checked, trained.test(trained.record.source)):
        html = each._repr_html_()
        # In a frame of its own: nothing of it reaches the notebook.
        assert html.startswith('<iframe sandbox srcdoc="&lt;!doctype html&gt;')
        assert html.endswith('border:0"></iframe>')
        assert "<style" not in html


def test_the_learning_rate_range_test(tmp_path: Path) -> None:
    found = striate.lr(
        write_arrays(tmp_path / "a.npz"),
        net="conv 4 3x3 -> relu -> pool avg -> fc classes",
        steps=12,
        batch_size=8,
    )
    assert len(found.rates) <= 12
    assert str(found).endswith(f"suggested: --set learning_rate={found.suggested:.2g}")
    with pytest.raises(striate.StriateError, match="3 steps tell nothing"):
        striate.lr(tmp_path / "a.npz", steps=3)


def test_an_import_is_light() -> None:
    script = (
        "import sys, striate\n"
        "assert callable(striate.plan) and callable(striate.train)\n"
        "striate.read('resnet18').plan((3, 224, 224), 1000)\n"
        "heavy = {'torch', 'sklearn', 'scipy', 'matplotlib', 'rich', 'cyclopts'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_the_functions_keep_their_names() -> None:
    """Rooms of the same names are imported behind them."""
    import striate.net.plan.table
    import striate.recipe.keys

    assert callable(striate.plan)
    assert callable(striate.train)


# Reading and planning


def test_read(tmp_path: Path) -> None:
    text = striate.read("conv 8 3x3->relu  -> fc classes # mine")
    assert str(text) == "conv 8 3x3 -> relu -> fc classes"
    assert striate.read(text) is text
    assert str(striate.read(str(text))) == str(text)
    file = tmp_path / "mine.net"
    file.write_text("\ufefffc classes\n", encoding="utf-8")
    assert str(striate.read(file)) == str(striate.read(str(file))) == "fc classes"
    (tmp_path / "plain.txt").write_text("fc classes")
    assert str(striate.read(tmp_path / "plain.txt")) == "fc classes"
    assert striate.read("resnet18").zoo == "resnet18"


def test_what_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(NotationError) as caught:
        striate.read("resnet17")
    assert str(caught.value) == (
        "network: there is no network `resnet17`\n"
        "  expected: a text such as `conv 32 3x3 -> relu -> fc classes`, a .net or .txt file or a name of the zoo\n"
        f"  try: {caught.value.cure}"
    )
    assert striate.read(caught.value.cure).zoo == caught.value.cure
    (tmp_path / "mine.net").write_text("fc classes")
    with pytest.raises(NotationError) as caught:
        striate.read(tmp_path / "mime.net")
    assert str(caught.value) == f"{tmp_path}/mime.net: there is no such file\n  try: {tmp_path}/mine.net"
    (tmp_path / "binary.net").write_bytes(b"\xff\x00")
    with pytest.raises(NotationError, match=r"binary\.net: this is not UTF-8 text"):
        striate.read(tmp_path / "binary.net")
    (tmp_path / "folder.net").mkdir()
    with pytest.raises(NotationError, match=r"folder\.net: it cannot be read: it is a folder"):
        striate.read(tmp_path / "folder.net")


def test_plan() -> None:
    assert striate.plan("resnet18").weights == 11_689_512
    assert striate.plan("resnet18", classes=10).classes == 10
    assert striate.plan("resnet18", (1, 64, 64)).input == (1, 64, 64)
    assert striate.plan("fc classes", (1, 28, 28), 10, batch=8).batch == 8
    with pytest.raises(striate.StriateError) as caught:
        striate.plan("fc classes")
    assert str(caught.value) == (
        "plan: the size of the images is not known\n  expected: input=(channels, height, width)"
    )
    for wrong in ((28, 28), (1, 0, 28), (1, 28, 28.0), "1x28x28"):
        with pytest.raises(striate.StriateError, match="input cannot be"):
            striate.plan("fc classes", wrong)  # type: ignore[arg-type]
    with pytest.raises(FitError):
        striate.plan("conv 4 3x3 stride 2 valid -> fc classes", (1, 8, 8), 3, strict=True)


# Building


def test_an_ordinary_module_in_anybody_s_loop() -> None:
    torch.manual_seed(0)
    net = striate.read("[conv 8 3x3 -> bn -> relu] x2 -> pool avg -> fc classes -> softmax").build(
        (1, 12, 12), 3
    )
    assert isinstance(net, nn.Module)
    images, labels = draw(60, 0)
    x, y = torch.from_numpy(images)[:, None] / 255, torch.from_numpy(labels)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.02)
    for _ in range(40):
        loss = nn.functional.cross_entropy(net(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    # The closing softmax is left out: these are logits.
    assert not torch.allclose(net(x).sum(dim=1), torch.ones(60))
    assert loss.item() < 0.7


def test_a_network_of_the_zoo() -> None:
    net = striate.read("resnet18").build(input=(3, 224, 224), classes=1000)
    assert sum(p.numel() for p in net.parameters()) == 11_689_512
    assert net(torch.zeros(2, 3, 64, 64)).shape == (2, 1000)


def test_building_draws_from_torch_s_random_state() -> None:
    torch.manual_seed(3)
    first = striate.read(NET).build((1, 8, 8), 2).state_dict()
    torch.manual_seed(3)
    second = striate.read(NET).build((1, 8, 8), 2).state_dict()
    third = striate.read(NET).build((1, 8, 8), 2).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not all(torch.equal(first[name], third[name]) for name in first)


# Training and loading


def test_train_and_load(trained: Any) -> None:
    assert trained.classes == ("across", "blob", "down")
    again = striate.load(trained.run.path, device="cpu")
    images, _ = draw(5, 9)
    assert np.array_equal(again.predict_arrays(images[..., None]), trained.predict_arrays(images[..., None]))
    assert not again.net.training


def test_keys_of_the_recipe_that_are_not(tmp_path: Path) -> None:
    with pytest.raises(striate.StriateError, match="recipe: there is no key `epohcs`"):
        striate.train(write_arrays(tmp_path / "a.npz"), epohcs=3)


def test_there_is_no_such_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="there is no such run"):
        striate.load(tmp_path / "nowhere")


def test_predict_whatever_is_an_image(trained: Any, tmp_path: Path) -> None:
    pixels = draw(1, 9)[0][0]
    source = write_folder(tmp_path / "photos", 3)
    path = next(source.rglob("*.png"))
    image = Image.fromarray(pixels)
    image.save(tmp_path / "one.png")
    (wanted,) = trained.predict(pixels)
    assert wanted.answer == wanted.classes[0]
    assert wanted.probability == max(wanted.probabilities)
    assert sum(wanted.probabilities) == pytest.approx(1)
    assert set(wanted.classes) == set(trained.classes)
    for same in (
        pixels[..., None],
        pixels[None, ..., None],
        [pixels],
        [pixels[..., None]],
        image,
        [image],
        tmp_path / "one.png",
        str(tmp_path / "one.png"),
        np.repeat(pixels[..., None], 3, axis=2),
    ):
        (found,) = trained.predict(same)
        assert found.classes == wanted.classes
        assert found.probabilities == pytest.approx(wanted.probabilities, abs=1e-6)
    many = trained.predict([path, pixels, image])
    assert [each.name for each in many] == [str(path), "[1]", "[2]"]
    assert trained.predict([]) == []
    assert trained.predict(np.empty((0, 12, 12, 1), np.uint8)) == []


def test_predict_whatever_holds_an_image(trained: Any, tmp_path: Path) -> None:
    """Bytes, open files, tensors, folders, and whatever gives one image after the other."""
    image = draw(1, 9)[0][0]
    (wanted,) = trained.predict(image)
    (tmp_path / "some" / "below").mkdir(parents=True)
    path = tmp_path / "some" / "below" / "one.png"
    Image.fromarray(image).save(path)
    content, tensor = path.read_bytes(), torch.from_numpy(image)
    with open(path, "rb") as file:
        for same in (
            content, bytearray(content), memoryview(content), io.BytesIO(content), file, path.parent,
            str(path.parent.parent), [path.parent], (each for each in (content,)), map(Path, [path]), {content},
            tensor, tensor[None], tensor[..., None], tensor.expand(3, 12, 12), tensor.expand(1, 3, 12, 12),
            [tensor.expand(3, 12, 12)], np.array([str(path)]), np.array([path], dtype=object),
        ):  # fmt: skip
            (found,) = trained.predict(same)
            assert found.probabilities == pytest.approx(wanted.probabilities, abs=1e-6), same
        assert not file.closed
    assert trained.predict(path.parent)[0].name == str(path)
    with open(path, "rb") as file:
        assert trained.predict([content, file, tensor])[1].name == str(path)


def test_many_images_are_not_held_at_once(trained: Any) -> None:
    """A generator is read as far as its images go through the network together."""
    read: list[int] = []
    answered: list[int] = []

    class Counting(Trained):
        def predict_stored(self, images: Any) -> Any:
            answered.append(len(read))
            return super().predict_stored(images)

    def images() -> Iterator[Any]:
        for number in range(GROUP + 3):
            read.append(number)
            yield np.full((12, 12), number % 256, np.uint8)

    counting = Counting(**{each.name: getattr(trained, each.name) for each in fields(trained)})
    found = counting.predict(images())
    assert answered == [GROUP, GROUP + 3]
    assert [each.name for each in found] == [f"[{number}]" for number in range(GROUP + 3)]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (7, "[0]: int is no image"),
        (2.5, "[0]: float is no image"),
        (np.int64(3), "[0]: int64 is no image"),
        (None, "[0]: NoneType is no image"),
        (True, "[0]: bool is no image"),
        ({"a": b""}, "[0]: dict is no image"),
        ([0, 1, 2], "[0]: int is no image"),
        ([np.zeros((4, 4), np.uint8), None], "[1]: NoneType is no image"),
        (range(3), "[0]: int is no image"),
    ],
)
def test_numbers_are_no_images(trained: Any, given: Any, told: str) -> None:
    """Python opens a number as the file that has it."""
    with pytest.raises(DataError) as caught:
        trained.predict(given)
    assert str(caught.value) == (
        f"{told}\n"
        "  expected: a path, bytes, an open file, a PIL image, an array, a tensor, or an iterable of these"
    )


def test_bytes_are_never_file_descriptors(trained: Any, tmp_path: Path) -> None:
    (tmp_path / "mine").write_bytes(b"mine")
    mine = os.open(tmp_path / "mine", os.O_RDONLY)
    with pytest.raises(DataError) as caught:
        trained.predict(bytes([mine]))
    assert str(caught.value).startswith("[0]: it is ")
    assert str(caught.value).endswith("\n  try: leave it out")
    os.close(mine)  # it was still open
    with open(tmp_path / "mine", encoding="utf-8") as text, pytest.raises(DataError) as caught:
        trained.predict(text)
    assert str(caught.value) == (
        f'{tmp_path}/mine: this file is open for text\n  expected: bytes\n  try: open(path, "rb")'
    )
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError) as caught:
        trained.predict(tmp_path / "empty")
    assert str(caught.value) == f"{tmp_path}/empty: there is no image in this folder"


def test_an_answer_that_is_no_number(trained: Any) -> None:
    """The weights of a training that was lost are none to answer with."""
    lost = striate.load(trained.run.path, device="cpu")
    next(lost.net.parameters()).data[0] = torch.nan
    images, _ = draw(3, 9)
    for ask in (lost.predict, lost.predict_arrays):
        with pytest.raises(RunError) as caught:
            ask(images[..., None])
        assert str(caught.value) == (
            f"{lost.run.path}: the network answers NaN for 3 of 3 images, as its weights hold NaN or infinity\n"
            "  expected: probabilities\n  try: striate train, and then its run"
        )


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_worker_answers(tmp_path: Path) -> None:
    """OpenMP's threads do not come along with a fork; who waits for them waits for ever."""
    script = f"""
import multiprocessing, striate, numpy, torch
torch.set_num_threads(2)
net = "[conv 32 3x3 -> bn -> relu] x2 -> pool avg -> fc classes"
keys = {{"epochs": 1, "batch": 16, "precision": "fp32", "layout": "channels_last", "optimizer": "adamw"}}
run = striate.train({str(write_arrays(tmp_path / "bars.npz"))!r}, net=net, device="cpu", out="run", **keys)
images = numpy.zeros((64, 12, 12, 1), numpy.uint8)
wanted = run.predict(images)[0].answer
def ask(number):
    return run.predict(images)[0].answer, torch.get_num_threads()
with multiprocessing.get_context("fork").Pool(1) as pool:
    assert pool.map_async(ask, [0]).get(60) == [(wanted, 1)]
assert torch.get_num_threads() == 2
"""
    environment = {**os.environ, "OMP_NUM_THREADS": "2", "STRIATE_CACHE": str(tmp_path / "cache")}
    subprocess.run([sys.executable, "-c", script], check=True, cwd=tmp_path, env=environment, timeout=120)


def test_predict_images_of_any_size(trained: Any) -> None:
    for shape in ((1, 1), (500, 3), (37, 91, 3)):
        assert len(trained.predict(np.zeros(shape, np.uint8))) == 1


def test_what_is_no_image(trained: Any, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"no image")
    for bad in (
        tmp_path / "bad.png",
        tmp_path / "nowhere.png",
        np.zeros((3,)),
        np.zeros((2, 2, 7), np.uint8),
    ):
        with pytest.raises(DataError):
            trained.predict(bad)
    found, troubles = trained.predict_files([tmp_path / "bad.png"])
    assert found == []
    assert [trouble.place for trouble in troubles] == [str(tmp_path / "bad.png")]
