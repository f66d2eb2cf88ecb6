"""The text that is given where a note is about the text of a network."""

from __future__ import annotations

from pathlib import Path

import pytest

from doctor.sick import RECIPE, make
from striate.doctor.doctor import examine
from striate.doctor.facts import read_facts
from striate.doctor.remedy import mended
from striate.doctor.text import diagnose

MENDED = {
    "activation-on-output": ("conv 8 3x3 -> relu -> fc classes -> relu", "conv 8 3x3 -> relu -> fc classes"),
    "softmax-inside": ("conv 8 3x3 -> softmax -> fc classes", "conv 8 3x3 -> relu -> fc classes"),
    "saturating-depth": (
        "[conv 8 3x3 -> sigmoid] x4 -> fc classes",
        "[conv 8 3x3 -> bn -> relu] x4 -> fc classes",
    ),
    "dropout-before-bn": (
        "conv 8 3x3 -> dropout 0.5 -> bn -> relu -> fc classes",
        "conv 8 3x3 -> bn -> relu -> fc classes",
    ),
    "repeated-bn": (
        "[conv 8 3x3 -> bn -> bn -> relu] x2 -> fc classes",
        "[conv 8 3x3 -> bn -> relu] x2 -> fc classes",
    ),
    "only-1x1": (
        "conv 8 1x1 -> relu -> conv 8 1x1 -> relu -> pool avg -> fc classes",
        "conv 8 3x3 -> relu -> conv 8 3x3 -> relu -> maxpool 2 -> fc classes",
    ),
    "no-nonlinearity": (
        "[conv 8 3x3 -> bn] x2 -> maxpool 2 -> conv 8 3x3 -> fc 32 -> fc classes",
        "[conv 8 3x3 -> bn -> relu] x2 -> maxpool 2 -> conv 8 3x3 -> relu -> fc 32 -> relu -> fc classes",
    ),
}


@pytest.mark.parametrize("code", MENDED)
def test_the_command_has_a_text_without_what_the_note_is_about(code: str, tmp_path: Path) -> None:
    text, better = MENDED[code]
    facts = read_facts(make(tmp_path / "run", net=text, vitals=False))
    found = {each.code: each for each in diagnose(facts)}
    assert found[code].cure == (
        f"`striate train photos --net '{better}' --recipe {tmp_path}/run/recipe.toml`"
    )
    facts = read_facts(make(tmp_path / "mended", net=better, vitals=False))
    assert code not in {each.code for each in diagnose(facts)}


def test_no_text_is_given_where_none_is_simple(tmp_path: Path) -> None:
    facts = read_facts(make(tmp_path / "run", net="conv 8 3x3 -> relu -> fc 900 -> relu -> fc classes"))
    assert facts.plan is not None
    assert facts.layout is not None
    assert [(each.code, mended(facts.layout, each)) for each in facts.plan.notes] == [("heavy-fc", None)]


@pytest.mark.parametrize(("best", "severity"), [(0.3, "error"), (0.9, "warning"), (0.99, "note")])
def test_a_cause_is_as_grave_as_what_came_of_it(best: float, severity: str, tmp_path: Path) -> None:
    run = make(tmp_path / "run", net="conv 8 3x3 -> relu -> fc classes -> tanh", val=[best] * 8)
    (found,) = [each for each in examine(read_facts(run)).findings if each.code == "activation-on-output"]
    assert found.severity == severity


def test_a_symptom_is_cured_by_setting_back_what_is_extreme(tmp_path: Path) -> None:
    """And comes behind it."""
    keys = {**RECIPE, "augment": "rotate 180", "weight_decay": 5.0, "initial": "large"}
    net = "conv 8 3x3 -> relu -> dropout 0.9 -> fc 1 -> relu -> fc classes"
    run = make(tmp_path / "run", net=net, recipe=keys, train=[0.2] * 8, val=[0.2] * 8, most=1.0)
    found = {each.code: each for each in examine(read_facts(run)).findings if each.severity == "error"}
    assert list(found)[-1] == "constant-answer"
    assert found["constant-answer"].cure == (
        "`striate train photos --net 'conv 8 3x3 -> relu -> dropout 0.2 -> fc 64 -> relu -> fc classes' "
        f"--recipe {tmp_path}/run/recipe.toml --set weight_decay=0.05 --set initial=auto --set augment=none`"
    )


def test_sgd_at_a_rate_of_adam_is_given_adam(tmp_path: Path) -> None:
    keys = {**RECIPE, "optimizer": "sgd", "learning_rate": 0.0003}
    run = make(tmp_path / "run", recipe=keys, ratio=1e-6, train=[0.25] * 8, val=[0.25] * 8)
    found = examine(read_facts(run)).findings[0]
    assert found.code == "rate-too-low"
    assert found.cure.endswith("--set optimizer=adamw --set learning_rate=0.001 --set weight_decay=0.05`")


def test_the_cure_of_a_learning_rate_takes_what_belongs_to_it_along(tmp_path: Path) -> None:
    keys = {**RECIPE, "learning_rate": 1e-6, "warmup": 0.95, "momentum": 0.99, "clip": 0.0001}
    run = make(tmp_path / "run", recipe=keys, ratio=1e-6, train=[0.25] * 8, val=[0.25] * 8)
    (found,) = [each for each in examine(read_facts(run)).findings if each.code == "rate-too-low"]
    assert found.cure == (
        f"`striate train photos --net {tmp_path}/run/net.txt --recipe {tmp_path}/run/recipe.toml "
        "--set learning_rate=0.001 --set warmup=0.1 --set momentum=0.9 --set clip=1`"
    )
