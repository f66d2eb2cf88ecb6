"""Every code: one figure of a healthy run is changed, and that code is found first; of the healthy one nothing is."""

from __future__ import annotations

import json
import random
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from doctor.sick import CLASSES, LAYERS, NET, WEIGHTS, make
from report.report_sample import damage
from striate.cli.plan import plan as plan_command
from striate.doctor.doctor import FAMILIES, diagnose_run, examine, known_codes
from striate.doctor.facts import read_facts
from striate.doctor.remedy import mended
from striate.errors import RunError
from striate.net.layout.layout import lay
from striate.net.notation.reader import read_text
from striate.net.plan.design import NOTES
from striate.net.plan.table import plan
from striate.net.shape import Map
from striate.net.zoo.list import zoo_names, zoo_net, zoo_text

BAD: dict[str, Any] = {"train": [0.2] * 8, "val": [0.2] * 8, "val_loss": [1.6] * 8, "losses": [1.6] * 100}
POOR: dict[str, Any] = {"train": [0.25, 0.3, 0.35] * 2, "val": [0.25, 0.3, 0.35] * 2, "val_loss": [1.5] * 6}
BNS = NET.replace("relu", "bn -> relu")
WIDE_IMBALANCE = {"per_class": [400, 300, 300, 20, 20], "recalls": [0.95, 0.9, 0.9, 0.2, 0.1]}


def rows(count: int, *changed: tuple[int, list[float]], usual: list[float]) -> list[list[float]]:
    return [dict(changed).get(i, usual) for i in range(count)]


def layers(*changed: tuple[int, list[float]]) -> list[list[float]]:
    return rows(len(LAYERS), *changed, usual=[0.1, 1.0, 0.5, 0.0, 0.05])


def weights(*changed: tuple[int, list[float]]) -> list[list[float]]:
    return rows(len(WEIGHTS), *changed, usual=[3.0, 0.5, 0.003, 0.003])


TANH = [(path, "tanh" if word == "relu" else word) for path, word in LAYERS]

SICK: list[tuple[str, dict[str, Any], str]] = [
    ("nan", {"status": "diverged", "error": "the loss became nan at step 7"}, "the loss became nan at step 7"),
    (
        "nan", {"rollback": "the loss became inf at step 12"},
        "the loss became inf at step 12; rolled back 1 time, the learning rate is 0.0003 since",
    ),
    (
        "rate-too-high", {**BAD, "recipe": {"learning_rate": 1.0}, "ratio": 0.5},
        "20.0% right on validation at best, 20.0% by the most common class; the learning rate is 1, and 0.001 suits adamw "
        "and this network; a step changes the weights by 0.5 of their length in the median, at its highest",
    ),
    (
        "rate-too-low", {**BAD, "recipe": {"learning_rate": 1e-6}, "ratio": 1e-5},
        "20.0% right on validation at best, 20.0% by the most common class; the learning rate is 1e-06, and 0.001 suits adamw "
        "and this network; a step changes the weights by 1e-05 of their length in the median, at its highest",
    ),
    (
        "loss-not-moving", {**BAD},
        "20.0% right on validation after 8 epochs, and always the most common class gives 20.0%; learning rate, gradients "
        "and layers look usual",
    ),
    (
        "unstable-loss", {"losses": [1.0, 1.0, 4.0] * 40},
        "40 of the last 120 losses are 1.5 times the median of those around them, up to 4",
    ),
    (
        "dead-relu", {**POOR, "last": {"layers": layers((3, [0.0, 0.0, 1.0, 0.0, 0.95]))}},
        "95.0% of the units of `relu` at 0.1.1 are 0 for each of 32 images at step 240",
    ),
    (
        "saturated", {**POOR, "net": NET.replace("relu", "tanh"), "layers": TANH, "last": {"layers": layers((1, [0.0, 1.0, 0.0, 0.9, 0.2]))}},
        "90.0% of what `tanh` at 0.0.1 gives is at the ends of its range, at step 240",
    ),
    (
        "init-shrinks", {**POOR, "first": {"layers": layers((4, [0.0, 0.001, 0.0, 0.0, 0.0]))}},
        "behind hidden the standard deviation is 0.001 with the first weights, and 1 in the input",
    ),
    (
        "init-grows", {**POOR, "first": {"layers": layers((4, [0.0, 500.0, 0.0, 0.0, 0.0]))}},
        "behind hidden the standard deviation is 5e+02 with the first weights, and 1 in the input",
    ),
    (
        "init-grows", {**POOR, "net": BNS, "normed": True, "first": {"weights": weights((0, [20.0, 1.0, 0.001, 0.001]), (1, [30.0, 1.0, 0.001, 0.001]), (2, [60.0, 1.0, 0.001, 0.001]))}},
        "the first weights are 6.2 times as long as those of He's rule, in the median of the layers",
    ),
    (
        "inputs-not-centred", {**POOR, "input": (120.0, 64.0)},
        "what the network reads has mean 120 and standard deviation 64",
    ),
    (
        "vanishing-gradients", {**POOR, "first": {"weights": weights((0, [3.0, 1e-6, 0.003, 0.003]))}},
        "for its length, 0.0.0 gets 2e-06 of the gradient that head gets",
    ),
    (
        "exploding-gradients", {**POOR, "last": {"lengths": [5000.0] * 300}},
        "the gradient of a step has the length 5e+03 in the median, before it is clipped, and 5e+03 at most",
    ),
    (
        "layer-not-moving", {"last": {"weights": weights((1, [3.0, 0.0, 0.0, 0.0]))}},
        "no step changes the weights of 0.1.0 by 1e-06 of their length; others change by 0.003",
    ),
    (
        "layer-not-moving", {**POOR, "recipe": {"freeze": "hidden"}},
        "`freeze = hidden` keeps layers as they were drawn: no trained weights were loaded into them",
    ),
    (
        "rate-too-low", {**BAD, "recipe": {"optimizer": "momentum", "learning_rate": 0.02, "clip": 0.0001}},
        "20.0% right on validation at best, 20.0% by the most common class; each gradient is clipped to the length 0.0001, "
        "and a step is the learning rate times that",
    ),
    (
        "augmentation-destroys", {**POOR, "recipe": {"augment": "flip, rotate 180, noise 1"}},
        "with `rotate 180, noise 1` training is 35.0% right, validation 35.0%",
    ),
    (
        "underfitting", {**POOR, "net": NET.replace("fc 32", "fc 1"), "steps": 60},
        "training is 35.0% right, validation 35.0%; the network has 803 weights, and 1 channel behind hidden for 5 classes",
    ),
    (
        "decay-overwhelms", {**POOR, "recipe": {"weight_decay": 5.0}, "last": {"weights": [[0.3, 0.5, 0.001, 0.003]] * 4}},
        "with weight_decay = 5 the weights end at 10.0% of the length that they were drawn with, in the median of the layers",
    ),
    (
        "tiny-batch-bn", {"net": BNS, "recipe": {"batch": 2}},
        "the bn at 2 takes mean and variance of 2 values a channel, from 2 images",
    ),
    (
        "bn-mismatch", {"net": BNS.replace("bn ", "bn momentum 0.001 "), "normed": True, "val": [0.3] * 8, "last": {"probe": [3.0, 0.2], "batch": [0.2, 0.95]}},
        "of the same 32 training images 95.0% are right with the statistics of the batch, and 20.0% with the running ones of "
        "the bn; validation has 30.0%; their momentum is 0.001, so 72.6% of them are still those of the first step",
    ),
    (
        "constant-answer", {**BAD, "most": 1.0},
        "100.0% of the validation images are answered with one class, which 20.0% at most are",
    ),
    (
        "overfitting",
        {"train": [0.5, 0.7, 0.9, 0.98, 1.0, 1.0], "val": [0.5, 0.6, 0.62, 0.6, 0.6, 0.6], "val_loss": [1.3, 1.1, 1.1, 1.5, 1.7, 2.0]},
        "training is 100.0% right and validation 60.0%; the validation loss was 1.1 after epoch 2, and is 2 after 6",
    ),
    (
        "underfitting", {"train": [0.33] * 8, "val": [0.33] * 8, "val_loss": [1.4] * 8, "losses": [1.4] * 100},
        "training is 33.0% right, validation 33.0%, and the loss went from 1.4 to 1.4 over the last two fifths of the "
        "steps; the network has 4,957 weights",
    ),
    (
        "too-few-epochs", {"train": [0.3], "val": [0.3], "val_loss": [1.5], "steps": 6},
        "6 steps in 1 epoch brought 30.0%",
    ),
    (
        "dropout-too-strong", {**POOR, "net": NET.replace("relu -> head", "relu -> dropout 0.95 -> head")},
        "`dropout 0.95` at 3 sets 95% to 0 in each step; training is 35.0% right, validation 35.0%",
    ),
    (
        "imbalance-ignored", WIDE_IMBALANCE,
        "the largest class has 400 training images, the smallest 20; of the rare classes 15.0% are found, of the frequent "
        "ones 91.7%; `class4` 10.0%",
    ),
    (
        "label-noise", {"sure_wrong": 0.3, "sure_far": 0.16},
        "30.0% of the 100 answers that the network is surest of contradict their label, 9.0% of all, and for 53.3% of these "
        "the label is among the least probable half of the classes",
    ),
    (
        "leak", {"findings": {"duplicate-across-splits": 12}},
        "12 duplicate-across-splits; the smallest split that is scored has 200 images",
    ),
    (
        "worse-than-baseline", {"recalls": [1.0, 0.0, 0.0, 0.0, 0.0]},
        "20.0% of 200 images are right, and 20.0% would be by always answering `class0`",
    ),
    (
        "class-never-answered", {"recalls": [1.0, 1.0, 1.0, 1.0, 0.0]},
        "`class4` is the label of 40 images, and the answer to none; it has 200 training images",
    ),
    ("too-few-images", {"per_class": [3] * CLASSES}, "a class has 3.0 training images in the mean, `class0` has 3"),
    ("data-bound", {"wait_s": 2.0}, "16.0 s of 32.0 s, 50.0%, were spent waiting for batches; augment is `shift 1`"),
    ("stalled", {"status": "running"}, "no process works on it; the last step that was noted is 320"),
    (
        "precision-loss", {"recipe": {"precision": "bf16"}, "last": {"exact": [0.3, 0.9]}},
        "on the same images the loss is 0.4 in bf16 and 0.3 in fp32",
    ),
]  # fmt: skip


def found(path: Path) -> list[tuple[str, str]]:
    facts = read_facts(make_folder(path))
    return [(each.code, each.evidence) for each in examine(facts).findings if each.severity != "note"]


def make_folder(path: Path) -> Any:
    from striate.runs.folder import RunFolder

    return RunFolder(path)


def test_a_healthy_run_has_no_finding(tmp_path: Path) -> None:
    still = [[3.0, 0.0, 0.0, 0.0]] * 3 + [[3.0, 0.5, 0.003, 0.003]]
    frozen = {
        **POOR,
        "recipe": {"freeze": "hidden", "weights": "photos.safetensors"},
        "first": {"weights": still},
        "last": {"weights": still},
    }
    for number, keys in enumerate([{}, {"net": BNS, "normed": True}, {"vitals": False}, frozen]):
        make(tmp_path / str(number), **keys)  # type: ignore[arg-type]
        assert found(tmp_path / str(number)) == []


@pytest.mark.parametrize(
    ("code", "keys", "evidence"), SICK, ids=[f"{code}{i}" for i, (code, *_) in enumerate(SICK)]
)
def test_a_sick_run_has_its_code_first(
    tmp_path: Path, code: str, keys: dict[str, Any], evidence: str
) -> None:
    make(tmp_path / "run", **keys)
    assert found(tmp_path / "run")[0] == (code, evidence)


TEXTS = {
    "no-nonlinearity": ("conv 8 3x3 -> maxpool 2 -> fc 20 -> fc classes", "3 layers with weights and no activation between any of them"),
    "activation-on-output": ("conv 8 3x3 -> relu -> fc classes -> relu", "the last layer is `relu` at 3, on the 10 logits"),
    "softmax-inside": ("conv 8 3x3 -> relu -> fc 20 -> softmax -> fc classes", "`softmax` at 3 stands before other layers"),
    "saturating-depth": ("[fc 32 -> sigmoid] x4 -> fc classes", "3 saturating activations follow each other up to `sigmoid` at 0.2.1, without a norm between"),
    "receptive-field-small": ("conv 8 3x3 -> relu -> pool avg -> fc classes", "`conv 8 3x3` at 0 is the last layer with a window, and sees 3x3 of the 28x28 image"),
    "dropout-before-bn": ("conv 8 3x3 -> dropout2d 0.2 -> bn -> relu -> fc classes", "`dropout2d 0.2` at 1 stands before the bn at 2"),
    "repeated-bn": ("conv 8 3x3 -> bn -> bn -> relu -> fc classes", "the bn at 2 reads what the bn at 1 gives"),
    "only-1x1": ("conv 8 1x1 -> relu -> conv 8 1x1 -> relu -> pool avg -> fc classes", "all 2 convolutions are 1x1: none sees two places at once"),
    "conv-without-size": ("conv 8 -> relu -> conv 8 3x3 -> relu -> fc classes", "`conv 8` at 0 has no size, which makes it 1x1: it sees one pixel at a time"),
    "heavy-fc": ("conv 8 3x3 -> relu -> fc 500 -> relu -> fc classes", "`fc 500` at 2 holds 3,136,500 of the 3,141,590 weights (100%); `pool avg` before it would save most of them"),
}  # fmt: skip


BETTER = {
    "no-nonlinearity": "conv 8 3x3 -> relu -> maxpool 2 -> fc 20 -> relu -> fc classes",
    "activation-on-output": "conv 8 3x3 -> relu -> fc classes",
    "softmax-inside": "conv 8 3x3 -> relu -> fc 20 -> relu -> fc classes",
    "saturating-depth": "[fc 32 -> bn -> relu] x4 -> fc classes",
    "receptive-field-small": "conv 8 3x3 -> relu -> maxpool 2 -> conv 8 3x3 -> relu -> pool avg -> fc classes",
    "dropout-before-bn": "conv 8 3x3 -> bn -> relu -> fc classes",
    "repeated-bn": "conv 8 3x3 -> bn -> relu -> fc classes",
    "only-1x1": "conv 8 3x3 -> relu -> conv 8 3x3 -> relu -> pool avg -> fc classes",
    "conv-without-size": "conv 8 3x3 -> relu -> conv 8 3x3 -> relu -> fc classes",
    "heavy-fc": None,
}


@pytest.mark.parametrize("code", TEXTS)
def test_what_the_text_should_have_been(code: str) -> None:
    """And that text has the note no more."""
    layout = lay(read_text(TEXTS[code][0]), Map(1, 28, 28), 10)
    (note,) = [each for each in plan(layout).notes if each.code == code]
    better = mended(layout, note)
    assert better == BETTER[code]
    if better is not None:
        assert code not in [each.code for each in plan(lay(read_text(better), Map(1, 28, 28), 10)).notes]


@pytest.mark.parametrize("code", TEXTS)
def test_what_the_text_says(code: str) -> None:
    text, said = TEXTS[code]
    notes = {each.code: each.text for each in plan(lay(read_text(text), Map(1, 28, 28), 10)).notes}
    assert notes[code] == said


@pytest.mark.parametrize(
    "text",
    [
        "conv 8 3x3 -> relu -> fc classes -> softmax",
        "conv 8 3x3 groups 1 -> conv 8 3x3 groups 8 -> conv 16 1x1 -> relu -> fc classes",
        "conv 8 3x3 -> bn -> relu -> dropout 0.5 -> fc classes",
        "conv 8 1x1 -> relu -> fc classes",
        "[fc 32 -> tanh] x6 -> fc classes",
        "[fc 32 -> bn -> sigmoid] x6 -> fc classes",
    ],
)
def test_what_is_meant_has_no_warning(text: str) -> None:
    notes = plan(lay(read_text(text), Map(1, 28, 28), 10)).notes
    assert [each for each in notes if each.severity == "warning"] == []


@pytest.mark.parametrize("name", zoo_names())
def test_the_zoo_has_no_warning(name: str) -> None:
    net = zoo_net(name)
    notes = plan(lay(read_text(zoo_text(name), f"{name}.net"), Map(*net.input), net.classes)).notes
    assert [each for each in notes if each.severity == "warning" or each.code == "conv-without-size"] == []


def test_every_code_is_tested() -> None:
    codes = [rule.code for _, _, rules in FAMILIES for rule in rules]
    assert {code for code, *_ in SICK} | set(NOTES) == set(codes)
    assert set(codes) < known_codes()
    assert len(codes) == len(set(codes))


def test_what_to_try_can_be_pasted(tmp_path: Path) -> None:
    """Commands are whole: their flags are known, their networks are read and their recipes stand."""
    from striate.recipe.keys import read_recipe, read_settings

    assert plan_command
    tried = 0
    for number, (_, keys, _) in enumerate(SICK):
        run = make(tmp_path / f"it's {number}", **keys)
        for each in diagnose_run(run.path)[1].findings:
            for command in re.findall(r"`(striate [^`]*)`", each.cure):
                words = shlex.split(command)
                assert words[1] in ("train", "doctor", "check", "resume", "plan")
                if "--recipe" in words:
                    settings = [words[i + 1] for i, word in enumerate(words) if word == "--set"]
                    read_recipe(words[words.index("--recipe") + 1], given=read_settings(settings))
                    net = words[words.index("--net") + 1]
                    text = Path(net).read_text() if net.endswith("net.txt") else net
                    lay(read_text(text), Map(1, 16, 16), CLASSES)
                    tried += 1
    assert tried > 20


def test_a_run_without_events_or_recipe_has_no_finding_of_them(tmp_path: Path) -> None:
    """And a command does not name a file that is not there."""
    run = make(tmp_path / "run", **{**POOR, "recipe": {"initial": "large"}})
    run.events.path.unlink()
    assert "too-few-epochs" not in {each.code for each in diagnose_run(run.path)[1].findings}
    run = make(tmp_path / "other", **{**POOR, "net": NET + " -> tanh"})
    run.recipe.unlink()
    found = diagnose_run(run.path)[1].findings[0]
    assert found.cure == f"`striate train photos --net '{NET}'`"


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("name", ["run.json", "data.json", "vitals.jsonl", "events.jsonl", "times.jsonl"])
def test_damaged_figures_break_nothing(tmp_path: Path, name: str, seed: int) -> None:
    """Other values at one place in twelve: it is refused with a reason, or what is left is examined."""
    draw = random.Random(seed)
    run = make(tmp_path / "run", normed=seed % 2 == 0)
    lines = (
        (run.path / name).read_text().splitlines() if name.endswith("l") else [(run.path / name).read_text()]
    )
    values = [json.loads(line) for line in lines]
    for value in values:
        damage(value, draw)
    (run.path / name).write_text("\n".join(map(json.dumps, values)))
    said = ""
    try:
        diagnose_run(run.path)
    except RunError as error:
        said = error.problem
    assert said == "" or "is damaged" in said
