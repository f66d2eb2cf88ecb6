"""What the doctor makes of small experiments: its rules on figures written by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from striate.doctor.finding import Finding, diagnosis_of
from striate.doctor.first_look import Doubt, FirstLook, judge
from striate.doctor.probed import Fit, Pair, Probed, rules_on

FITTED = Fit(32, 40, 32, 0.05, 0.3, True, False, "adamw", 0.001)
STUCK = Fit(32, 500, 4, 2.9, 0.6, True, True, "adamw", 1e-6)
GOOD = Pair(0.9, 0.1, 165, 5, 200)
EVEN = Pair(0.1, 0.1, 0, 0, 200)

HEALTHY = Probed(
    place="runs/a",
    source="photos dir/",
    fit=FITTED,
    usual=None,
    variation=0.7,
    simple=(("nearest neighbors", GOOD), ("the run", GOOD)),
    augment="flip",
    plain=Pair(0.88, 0.9, 3, 7, 200),
    linear=Pair(0.6, 0.9, 5, 65, 200),
)
AGAIN = "striate train 'photos dir/' --net runs/a/net.txt --recipe runs/a/recipe.toml"


def found(probed: Probed) -> list[tuple[str, str, str]]:
    """Code, evidence and cure of each finding."""
    return [(each.code, each.evidence, each.cure) for each in diagnosis_of(rules_on(probed)).findings]


def test_a_healthy_run_has_no_finding_and_every_check_was_made() -> None:
    assert list(rules_on(HEALTHY)) == []


def test_sign_test() -> None:
    # 3 heads of 3: 1/8; 5 or more of 6: 7/64.
    assert Pair(0.5, 0.4, 3, 0, 30).chance == 0.125
    assert Pair(0.5, 0.4, 5, 1, 30).chance == 7 / 64
    assert EVEN.chance == 1.0
    assert not EVEN.better
    assert GOOD.better


def test_a_recipe_that_cannot_fit_one_batch() -> None:
    assert found(replace(HEALTHY, fit=STUCK, usual=FITTED)) == [
        (
            "one-batch-not-fitted",
            "4 of 32 right, loss 2.9 after 500 steps of adamw at learning rate 1e-06; adamw at 0.001 fits it in 40 steps",
            f"`{AGAIN} --set optimizer=adamw --set learning_rate=0.001`",
        )
    ]


def test_a_network_that_cannot_fit_one_batch() -> None:
    other = replace(STUCK, learning_rate=0.001, right=6, loss=2.2)
    assert found(replace(HEALTHY, fit=STUCK, usual=other)) == [
        (
            "one-batch-not-fitted",
            "4 of 32 right, loss 2.9 after 500 steps of adamw at learning rate 1e-06; "
            "6 of 32 right, loss 2.2 after 500 steps of adamw at learning rate 0.001",
            "a network that learns: `striate train 'photos dir/'` chooses one",
        )
    ]


def test_a_loss_that_became_nan_counts_as_not_fitted() -> None:
    lost = replace(STUCK, finite=False, loss=float("nan"), steps=3, whole=False, right=1)
    assert found(replace(HEALTHY, fit=lost, usual=FITTED))[0][1].startswith(
        "1 of 32 right, the loss became NaN after 3 steps"
    )


def test_too_little_time_tells_nothing() -> None:
    slow = replace(STUCK, steps=12, whole=False)
    (skipped,) = rules_on(replace(HEALTHY, fit=slow))
    assert skipped.to_record() == {
        "code": "one-batch-not-fitted",
        "reason": "there was time for 12 steps only, and 500 tell",
    }


def test_answers_that_do_not_depend_on_the_image() -> None:
    assert found(replace(HEALTHY, variation=0.001)) == [
        (
            "input-ignored",
            "the probabilities of the answers move by 0.10% from image to image, and 1.0% is little; "
            "one batch can be fitted, so the network reads its input when it is trained",
            "`striate lr 'photos dir/' --net runs/a/net.txt`",
        )
    ]


def test_labels_that_nothing_can_predict() -> None:
    assert found(replace(HEALTHY, simple=(("nearest neighbors", EVEN), ("the run", EVEN)))) == [
        (
            "labels-unrelated",
            "always the most frequent class 10.0%, nearest neighbors 10.0%, the run 10.0%",
            "look at images beside their labels: `striate show 'photos dir/'`",
        )
    ]


def test_augmentation_that_destroys() -> None:
    assert found(replace(HEALTHY, augment="noise 1", plain=Pair(0.9, 0.2, 145, 5, 200))) == [
        (
            "augmentation-destroys",
            "validation accuracy 20.0% of the whole run with `noise 1`, and 90.0% of a short training without",
            f"`{AGAIN} --set augment=none`",
        )
    ]
    # A lead that may be chance, and one that is sure and small.
    assert found(replace(HEALTHY, plain=Pair(0.6, 0.5, 6, 3, 30))) == []
    assert found(replace(HEALTHY, plain=Pair(0.94, 0.9, 80, 0, 2000))) == []


def test_worse_than_linear() -> None:
    assert found(replace(HEALTHY, linear=Pair(0.95, 0.9, 12, 2, 200))) == [
        (
            "worse-than-linear",
            "validation accuracy 90.0% of the run, 95.0% of a linear model on the pixels, on the same 200 images",
            "`striate train 'photos dir/'`, which chooses a network and a recipe",
        )
    ]


DATA = FirstLook(
    source="photos/",
    counts={"train": 200, "val": 200},
    per_class={"a": 50, "b": 50, "c": 50, "d": 50},
    findings={},
    agreed=150,
    doubts=(),
    simple=(("nearest neighbors", GOOD),),
    network="small32",
    batch=FITTED,
    usual=None,
    ten=replace(FITTED, images=10, right=10),
    seconds=9.0,
)


def seen(look: FirstLook) -> list[Finding]:
    """All findings."""
    return list(judge(look).findings)


def test_sound_data_have_no_finding() -> None:
    assert seen(DATA) == []
    assert list(DATA.steps()) == [
        ("files", "nothing odd among those that were read"),
        ("labels", "0 of the 150 on which neighbors and a linear model agree are labelled otherwise"),
        ("most frequent class", "10.0% of 200 validation images"),
        ("nearest neighbors", "90.0%"),
        ("one batch", "fitted in 40 steps by small32"),
        ("ten images", "fitted in 40 steps by small32"),
    ]
    slow = replace(DATA, batch=replace(STUCK, steps=9, whole=False), ten="there is only one image")
    assert list(slow.steps())[-2:] == [
        ("one batch", "no answer: there was time for 9 steps of small32 only"),
        ("ten images", "not tried: there is only one image"),
    ]


@pytest.mark.parametrize(("far", "code"), [(True, ["label-noise"]), (False, [])])
def test_wrong_labels_are_anywhere_and_hard_images_near_the_top(far: bool, code: list[str]) -> None:
    doubts = tuple(Doubt(f"{i}.png", "a", "b", 0.9, far) for i in range(20))
    assert [each.code for each in seen(replace(DATA, doubts=doubts))] == code


def test_data_that_are_uneven_few_or_in_two_splits() -> None:
    uneven = replace(DATA, per_class={"a": 400, "b": 50, "c": 50, "d": 50})
    assert [(each.code, each.severity, each.layer, each.evidence) for each in seen(uneven)] == [
        ("imbalance-ignored", "note", "b", "`a` has 400 training images and `b` 50")
    ]
    few = replace(DATA, per_class={"a": 4, "b": 4, "c": 4, "d": 1})
    assert [each.code for each in seen(few)] == ["too-few-images"]
    leaked = replace(DATA, findings={"duplicate-across-splits": 30})
    assert [(each.code, each.cure) for each in seen(leaked)] == [
        ("leak", "`striate check photos/ --manifest fixed.csv`, and train on that")
    ]


def test_labels_of_other_images_are_one_finding_and_not_two() -> None:
    doubts = tuple(Doubt(f"{i}.png", "a", "b", 0.9, True) for i in range(20))
    look = replace(DATA, simple=(("nearest neighbors", EVEN),), doubts=doubts)
    assert [each.code for each in seen(look)] == ["labels-unrelated"]
