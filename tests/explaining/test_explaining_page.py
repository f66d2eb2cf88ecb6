"""What becomes of an explanation: its conventions, its page, its files, and what is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import striate
from cli.conftest import NET, Call
from cli.conftest import call as call
from explaining.conftest import subject
from striate.data.gather import Split
from striate.errors import StriateError
from striate.explaining.colors import Scale, as_picture, color_bar, colored, framed_box, overlay, scale_of
from striate.explaining.explain import explain
from striate.explaining.filters import first_filters
from striate.explaining.layers import find_at
from striate.explaining.pictures import picture_files, stems
from striate.explaining.robustness import _turned, blurred, changes
from striate.explaining.subject import left_as_it_was
from striate.explaining.training_images import exciting_patches, look_through, neighbors
from training.drawn import write_arrays

TEXT = "conv 4 3x3 -> bn -> relu -> maxpool 2 -> last: [conv 5 3x3 -> relu] -> pool avg -> head: fc classes"


def drawn(channels: int, count: int = 1, side: int = 12) -> np.ndarray:
    """Images, N x side x side x channels."""
    return np.random.default_rng(0).integers(0, 255, (count, side, side, channels), dtype=np.uint8)


def test_colors_of_both_kinds_of_scale() -> None:
    signed = Scale(2.0, signed=True)
    assert colored(np.array([[-9, -2, 0, 2, 9]], dtype=np.float32), signed)[0].tolist() == [
        [0, 92, 160], [0, 92, 160], [255, 255, 255], [200, 80, 0], [200, 80, 0],
    ]  # fmt: skip
    # Viridis from its dark end to its light end.
    assert colored(np.array([[0, 2]], dtype=np.float32), Scale(2.0, signed=False))[0].tolist() == [
        [68, 1, 84], [253, 231, 37],
    ]  # fmt: skip
    assert color_bar(signed)[0, [0, -1]].tolist() == [[0, 92, 160], [200, 80, 0]]
    # A map of zeros has no largest value to be divided by.
    assert colored(np.zeros((1, 1), dtype=np.float32), Scale(0.0, signed=True)).tolist() == [
        [[255, 255, 255]]
    ]


def test_images_that_are_compared_share_a_scale_and_clipping_is_counted() -> None:
    one_map, other = np.array([[1.0, -3.0]]), np.array([[2.0, 0.0]])
    assert scale_of([one_map, other], signed=True) == Scale(3.0, True, 0.0)
    spread = np.ones(1000)
    spread[:5] = 50
    assert scale_of([spread], signed=False, most=0.99) == Scale(1.0, False, 0.005)


def test_an_overlay_is_half_of_each() -> None:
    white, colors = np.full((1, 1, 3), 255, dtype=np.uint8), np.array([[[100, 0, 50]]], dtype=np.uint8)
    assert overlay(colors, white)[0, 0].tolist() == [178, 128, 152]


def test_a_box_that_reaches_beyond_the_picture_is_open_there() -> None:
    picture = np.zeros((6, 6, 3), dtype=np.uint8)
    marked = framed_box(picture, (-2, 1, 5, 4))[..., 0] > 0
    assert marked.astype(int).tolist() == [
        [0, 1, 0, 0, 1, 0], [0, 1, 0, 0, 1, 0], [0, 1, 1, 1, 1, 0], [0] * 6, [0] * 6, [0] * 6,
    ]  # fmt: skip


@pytest.mark.parametrize(("channels", "said"), [(1, ""), (3, ""), (2, "shown is the mean of the 2 channels")])
def test_images_of_any_channels_can_be_shown(channels: int, said: str) -> None:
    colors, told = as_picture(drawn(channels)[0], None)
    assert (colors.shape, told) == ((12, 12, 3), said)


@pytest.mark.parametrize("channels", [1, 2, 3, 12])
def test_gray_color_2_and_12_channels(channels: int) -> None:
    found = explain(subject(TEXT, (channels, 12, 12)), drawn(channels, 2), check=channels == 2)
    assert [heat.key for heat in found.images[0].heats] == ["class-map", "integrated-gradients", "occlusion"]
    files = found.files()
    assert {"0.png", "1.png", "0-class-map.png", "0-class-map-grid.png", "filters-0.png"} <= set(files)
    page = files["explain.html"].decode()
    assert "Why this answer" in page
    assert ("How sure the picture is" in page) == (channels == 2)
    assert ("shown is the mean" in page.lower()) == (channels in (2, 12))


def test_real_numbers_are_shown_on_the_scale_of_the_training() -> None:
    image = np.array([[[-1.0], [3.0]]], dtype=np.float32)
    assert as_picture(image, (-1.0, 1.0))[0][..., 0].tolist() == [[0, 255]]
    assert as_picture(image, None)[0][..., 0].tolist() == [[0, 255]]


def test_the_page_fetches_nothing_and_keeps_hostile_names_names(tmp_path: Path) -> None:
    path = tmp_path / "a<script>alert(1)<b>.png"
    Image.fromarray(drawn(3)[0]).save(path)
    page = explain(subject(TEXT, (3, 12, 12)), path).page()
    assert "<script" not in page
    assert "</br>" not in page
    assert not re.search(r"""(?:src|href)=["'](?!data:|#)""", page)
    assert "a&lt;script&gt;alert(1)&lt;b&gt;.png" in page


def test_a_map_of_zeros_says_no_evidence() -> None:
    made = subject("conv 2 1x1 nobias -> relu -> pool avg -> fc classes", (1, 4, 4))
    torch.nn.init.constant_(made.net.get_submodule("0").weight, -1)
    found = explain(made, np.full((1, 4, 4, 1), 9, dtype=np.uint8))
    assert [heat.key for heat in found.images[0].heats if heat.empty] == [
        "class-map", "integrated-gradients", "occlusion",
    ]  # fmt: skip
    assert found.page().count("no evidence: the map is zero everywhere") == 3
    assert "its gradient is zero: no evidence" in found.page()


def test_the_network_is_left_as_it_was() -> None:
    made = subject(TEXT, (1, 12, 12))
    net = made.net.train()
    net.get_submodule("1").eval()
    frozen = net.get_submodule("0").weight
    frozen.requires_grad_(False)
    bias = net.get_submodule("head").bias
    bias.grad = torch.ones_like(bias)
    modes = {name: module.training for name, module in net.named_modules()}
    values = {name: each.clone() for name, each in net.state_dict().items()}
    state = torch.get_rng_state()
    explain(made, drawn(1), check=True)
    assert {name: module.training for name, module in net.named_modules()} == modes
    assert all(torch.equal(each, values[name]) for name, each in net.state_dict().items())
    assert [each.requires_grad for each in net.parameters()].count(False) == 1
    assert not frozen.requires_grad
    assert torch.equal(bias.grad, torch.ones_like(bias))
    assert all(each.grad is None for name, each in net.named_parameters() if name != "head.bias")
    assert torch.equal(torch.get_rng_state(), state)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())
    with pytest.raises(ZeroDivisionError), left_as_it_was(net):
        raise ZeroDivisionError
    assert {name: module.training for name, module in net.named_modules()} == modes


def test_the_layer_and_the_classes_that_are_asked_for() -> None:
    made = subject(TEXT, (1, 12, 12))
    found = explain(made, drawn(1), at="last.0", class_name="b", against="2").images[0]
    assert (found.label, found.against) == (1, 2)
    assert [heat.key for heat in found.heats] == [
        "class-map",
        "grad-cam",
        "integrated-gradients",
        "occlusion",
    ]
    assert [heat.at.path for heat in found.heats if heat.at is not None] == ["last.1", "last.0"]
    assert [each.at.path for each in (*found.maps, *found.sights)] == ["last.0", "last.0"]
    assert "the difference of the two logits is" in found.heats[0].adds


REFUSED = [
    (
        {"at": "lats"},
        "--at: there is no layer `lats`\n  expected: one of 0, 1, 2, 3, last, 5, head\n  try: --at last",
    ),
    (
        {"at": "head"},
        "--at: `head` gives 3 plain numbers: there is nothing to see in it\n"
        "  expected: a layer that gives feature maps of several places\n  try: --at last.1",
    ),
    (
        {"at": "5"},
        "--at: `5` gives maps of a single place, 5x1x1: there is nothing to see in it\n"
        "  expected: a layer that gives feature maps of several places\n  try: --at last.1",
    ),
    (
        {"class_name": "x"},
        "--class: the network has no class `x`\n  expected: one of a, b, c\n  try: --class a",
    ),
    (
        {"class_name": "b", "against": "b"},
        "--against: `b` is set against itself\n  expected: another class than the one that is explained\n"
        "  try: --against a",
    ),
]


@pytest.mark.parametrize(("words", "text"), REFUSED)
def test_what_there_is_not(words: dict[str, str], text: str) -> None:
    made = subject(TEXT, (1, 12, 12))
    torch.nn.init.constant_(made.net.get_submodule("head").weight, 0)
    with torch.no_grad():
        made.net.get_submodule("head").bias.copy_(torch.tensor([3.0, 2.0, 1.0]))
    with pytest.raises(StriateError) as error:
        explain(made, drawn(1), **words)
    assert str(error.value) == text


def test_a_network_without_any_maps() -> None:
    made = subject("fc 8 -> relu -> fc classes", (1, 6, 6))
    found = explain(made, drawn(1, side=6))
    assert [heat.key for heat in found.images[0].heats] == ["integrated-gradients", "occlusion"]
    assert (found.images[0].maps, found.images[0].sights) == ((), ())
    assert "Feature maps" not in found.page()
    with pytest.raises(StriateError) as error:
        explain(made, drawn(1, side=6), at="1")
    assert str(error.value) == (
        "--at: `1` gives 8 plain numbers: there is nothing to see in it\n"
        "  expected: a network with feature maps\n  try: leave out --at"
    )


def test_images_of_another_size_are_fitted_and_of_other_channels_refused() -> None:
    made = subject(TEXT, (3, 12, 12))
    assert explain(made, drawn(3, side=30)).images[0].image.shape == (12, 12, 3)
    assert explain(made, drawn(1)).images[0].image.shape == (12, 12, 3)
    with pytest.raises(StriateError) as error:
        explain(made, drawn(5))
    assert str(error.value) == (
        "[0]: it has 5 channels, and 3 are wanted\n"
        "  expected: a JPEG, PNG, WebP, AVIF, TIFF, BMP, GIF or .npy image\n  try: leave it out"
    )


def test_weights_that_are_no_numbers() -> None:
    made = subject(TEXT, (1, 12, 12))
    torch.nn.init.constant_(made.net.get_submodule("head").weight, torch.nan)
    with pytest.raises(StriateError) as error:
        explain(made, drawn(1))
    assert str(error.value) == (
        "[0]: the network answers NaN: there is nothing to explain\n"
        "  expected: finite logits\n  try: the weights of another run"
    )


def test_first_filters_of_every_kind() -> None:
    made = subject(
        "concat { conv 2 1x1 | [bn -> conv 3 3x3] | maxpool 3 stride 1 pad 1 -> conv 70 5x5 } -> fc classes",
        (2, 9, 9),
    )
    found = first_filters(made.net, made.layout)
    assert [(each.path, each.count, each.weights.shape) for each in found] == [
        ("0.1.0.1", 3, (3, 2, 3, 3)), ("0.2.1", 70, (64, 2, 5, 5)),
    ]  # fmt: skip
    weakest = set(range(70)) - set(found[1].units)
    sizes = made.net.get_submodule("0.2.1").weight.detach().abs().flatten(1).amax(1)
    assert float(sizes[list(weakest)].max()) <= float(sizes[list(found[1].units)].min())
    pooled = subject("avgpool 3 -> fc classes", (2, 9, 9))
    assert [each.weights.shape for each in first_filters(pooled.net, pooled.layout)] == [(3, 2, 3, 3)]
    single = subject("conv 2 1x1 -> conv 2 3x3 -> fc classes", (2, 9, 9))
    assert first_filters(single.net, single.layout) == []


def split(images: np.ndarray, labels: list[int]) -> Split:
    """Training images with names."""
    names = tuple(f"{number}.png" for number in range(len(images)))
    return Split(images, np.array(labels), names, contents=names)


def test_the_nearest_image_is_itself_and_one_is_answered_differently() -> None:
    made = subject(TEXT, (1, 12, 12), 2)
    images = drawn(1, 40)
    answers = made.logits(made.read(images)).argmax(dim=1)
    # Half of the answers each way, whatever the first weights.
    logits = made.logits(made.read(images))
    middle = (logits[:, 0] - logits[:, 1]).median()
    with torch.no_grad():
        made.net.get_submodule("head").bias[1] += middle
    again = subject(TEXT, (1, 12, 12), 2)
    again.net.load_state_dict(made.net.state_dict())
    answers = again.logits(again.read(images)).argmax(dim=1).tolist()
    known = look_through(again, split(images, [0, 1] * 20), [], most=100)
    found = neighbors(again, again.read(images[7:8]), known)
    assert (found.nearest[0].name, found.nearest[0].label, found.searched, found.of) == ("7.png", "b", 40, 40)
    assert found.nearest[0].likeness == pytest.approx(1)
    assert [each.likeness for each in found.nearest] == sorted(
        (e.likeness for e in found.nearest), reverse=True
    )
    assert np.array_equal(found.nearest[0].image, images[7])
    other = found.otherwise
    assert other is not None
    assert other.answer != found.nearest[0].answer
    differ = [number for number in range(40) if answers[number] != answers[7]]
    nearest = max(differ, key=lambda number: float(known.features[number] @ known.features[7]))
    assert other.name == f"{nearest}.png"
    some = look_through(again, split(images, [0, 1] * 20), [], most=5)
    assert some.chosen.tolist() == [0, 10, 20, 29, 39]


def test_the_patch_that_excites_a_unit_most_is_found_where_it_is() -> None:
    made = subject("conv 1 3x3 nobias -> relu -> fc classes", (1, 9, 9))
    torch.nn.init.constant_(made.net.get_submodule("0").weight, 1)
    images = np.zeros((3, 9, 9, 1), dtype=np.uint8)
    images[1, 4:7, 2:5] = 200
    images[2, 0, 0] = 90
    known = look_through(made, split(images, [0, 1, 2]), [find_at(made.layout, "1")], most=9)
    (unit,) = exciting_patches(made, made.read(images[1:2]), known)
    assert unit.values == (1800.0, 90.0, 0.0)
    assert (unit.here, unit.channel) == (1800.0, 0)
    assert unit.patches[0].tolist() == images[1, 4:7, 2:5].tolist()
    # At the corner the padding is no part of the image.
    assert unit.patches[1].shape == (2, 2, 1)


def test_what_was_looked_through_is_kept_and_made_anew_where_it_is_damaged(tmp_path: Path) -> None:
    made = subject(TEXT, (1, 12, 12))
    images, asked = split(drawn(1, 12), [0, 1, 2] * 4), [find_at(made.layout, "last.1")]
    looked: list[int] = []

    def again() -> dict[str, list[float]]:
        found = look_through(
            made, images, asked, most=9, kept=tmp_path / "kept", progress=lambda done, _: looked.append(done)
        )
        return {"features": found.features.tolist(), "values": found.excitement[0].values.tolist()}

    first = again()
    assert (again(), looked) == (first, [9])
    (file,) = (tmp_path / "kept").iterdir()
    file.write_bytes(file.read_bytes()[:-8])
    assert (again(), looked) == (first, [9, 9])
    torch.nn.init.zeros_(made.net.get_submodule("last.0").bias)
    torch.nn.init.constant_(made.net.get_submodule("last.0").weight, 0.1)
    assert again() != first
    assert looked == [9, 9, 9]


def test_changed_images_by_hand() -> None:
    image = torch.arange(16.0).reshape(1, 1, 4, 4)
    torch.testing.assert_close(_turned(image, 90), torch.rot90(image, 1, (2, 3)), atol=1e-4, rtol=0)
    torch.testing.assert_close(blurred(torch.full((2, 3, 6, 7), 5.0), 2), torch.full((2, 3, 6, 7), 5.0))
    # The network answers the brightness of the last column: shifted to the right, it is that of the one before.
    made = subject("conv 1 1x1 nobias -> flatten -> fc classes", (1, 1, 20), 2)
    with torch.no_grad():
        made.net.get_submodule("0").weight.fill_(1)
        made.net.get_submodule("2").weight.copy_(torch.eye(20)[[19, 0]])
        made.net.get_submodule("2").bias.zero_()
    stored = np.arange(20, dtype=np.uint8).reshape(1, 20, 1)
    found = changes(made, stored, torch.tensor([19.0, 0.0]), 0)
    told = {(each.kind, each.by): (each.logit, each.margin, each.answer) for each in found}
    assert told[("unchanged", "")] == (19, 19, "a")
    assert [told[("shifted", f"{by} px")][0] for by in (1, 2, 4, 8)] == [18, 17, 15, 11]
    assert told[("dimmed", "x 0.5")] == (9.5, 9.5, "a")


def test_files_of_images_with_one_name_are_told_apart() -> None:
    found = explain(subject(TEXT, (1, 12, 12)), [drawn(1)[0], drawn(1)[0]])
    assert stems(found) == ["0", "1"]
    assert all(content.startswith(b"\x89PNG") for content in picture_files(found).values())


@pytest.fixture
def run(
    tmp_path: Path, call: Call, monkeypatch: pytest.MonkeyPatch, fresh_cache: Callable[[Path], str]
) -> Path:
    """A finished run on arrays of three classes, in the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STRIATE_CACHE", fresh_cache(tmp_path / "cache"))
    write_arrays(tmp_path / "bars.npz", train=60, test=0)
    words = ("--net", NET, "--epochs", "1", "--device", "cpu", "--quiet")
    assert call("train", "bars.npz", *words, "--out", "run").code == 0
    Image.fromarray(np.load(tmp_path / "bars.npz")["x_train"][3]).save(tmp_path / "bar.png")
    return tmp_path / "run"


def test_from_a_run_to_files(run: Path, call: Call) -> None:
    said = call("explain", "run", "bar.png")
    assert (said.code, said.err) == (0, "")
    assert "it adds up." in said.out
    assert said.out.splitlines()[-1].startswith("page      explained/explain.html, and ")
    page = Path("explained/explain.html").read_text()
    for part in ("Nearest training images", "What excites its units", "First filters", "What a unit sees"):
        assert part in page
    again = call("explain", "run", "bar.png")
    assert (again.code, again.err) == (
        1, "striate: explained/explain.html: there is a file already\n  try: --force, or another --out\n",
    )  # fmt: skip
    told = json.loads(call("explain", "run", "bar.png", "--force", "--json").out)
    assert told["version"] == 1
    assert told["images"][0]["nearest"][0]["likeness"] == pytest.approx(1)
    assert told["images"][0]["maps"][0]["method"] == "class-map"
    loaded = striate.load("run")
    assert loaded.explain("bar.png").to_record()["images"] == told["images"]
    assert striate.explain(loaded, "bar.png")._repr_html_().count("<figure") == 3


def test_a_run_without_its_data_shows_what_is_left(run: Path, call: Call) -> None:
    (run.parent / "bars.npz").unlink()
    said = call("explain", "run", "bar.png", "--out", "why")
    assert said.code == 0
    assert said.out.splitlines()[-2] == (
        "note      The training images are not shown, as they cannot be read: "
        f"{run.parent / 'bars.npz'}: there is no such file or folder, and no built-in data of this name."
    )
    assert "Nearest training images</h2>" not in Path("why/explain.html").read_text()


def test_calls_that_cannot_be_read(run: Path, call: Call) -> None:
    assert call("explain", "run").err == (
        "striate: explain: no image was given\n  try: striate explain run image.jpg\n"
    )
    assert call("explain", "run", "bar.png", "--weights", "x.pth").err == (
        "striate: weights: weights are given without their network\n"
        "  expected: both, or a run\n  try: --net resnet20\n"
    )
    assert call("explain", "--net", "resnet20", "bar.png").err == (
        "striate: weights: a network is given without its weights\n"
        "  expected: both\n  try: --weights FILE, or a run instead\n"
    )
    Path("file").write_text("")
    assert call("explain", "run", "bar.png", "--out", "file").err == (
        "striate: file: this is no folder\n  try: another --out\n"
    )
