"""The scikit-learn estimator: in pipelines and cross-validation, and on everything that people pass."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone, is_classifier
from sklearn.datasets import load_digits
from sklearn.exceptions import DataConversionWarning, NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import get_tags

import striate
from striate.errors import DataError, FitError, RecipeError
from training.drawn import CLASSES, draw
from training.quickly import one_thread as one_thread

NET = "conv 8 3x3 -> bn -> relu -> pool avg -> fc classes"
X, LABELS = draw(90, 4)
Y = np.array(CLASSES)[LABELS]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh_cache: Callable[[Path], str]) -> None:
    """A cache, a place for temporary files, and a working directory of its own."""
    (tmp_path / "here").mkdir()
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("STRIATE_CACHE", fresh_cache(tmp_path / "cache"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    monkeypatch.chdir(tmp_path / "here")


def small(**keys: Any) -> striate.Classifier:
    """A classifier of an instant."""
    keys = {"epochs": 1, "batch": 16, "device": "cpu", **keys}
    return striate.Classifier(keys.pop("net", NET), **keys)


@pytest.fixture(scope="module")
def fitted(one_thread: None) -> striate.Classifier:
    """A classifier that knows bars from blobs."""
    return small(epochs=24, learning_rate=0.02).fit(X, Y)


def test_digits() -> None:
    digits = load_digits()
    net = (
        "[conv 16 3x3 -> bn -> relu] x2 -> maxpool 2 -> conv 32 3x3 -> bn -> relu -> maxpool 2 -> fc classes"
    )
    classifier = small(net=net, epochs=6, learning_rate=0.01, batch=32).fit(
        digits.images[:1400], digits.target[:1400]
    )
    assert classifier.score(digits.images[1400:], digits.target[1400:]) > 0.95


def test_what_is_predicted(fitted: striate.Classifier) -> None:
    other, labels = draw(30, 5)
    assert fitted.score(other, np.array(CLASSES)[labels]) > 0.9
    assert list(fitted.classes_) == list(CLASSES)
    shares = fitted.predict_proba(other)
    assert shares.shape == (30, 3)
    assert shares.sum(axis=1) == pytest.approx(np.ones(30), abs=1e-5)
    answers = fitted.predict(other)
    assert answers.dtype == Y.dtype
    assert list(answers) == [CLASSES[row.argmax()] for row in shares]
    assert fitted.n_features_in_ == 144


def test_nothing_is_left_on_the_disk(tmp_path: Path) -> None:
    small().fit(X, Y)
    assert not list((tmp_path / "temporary").iterdir())
    assert not list((tmp_path / "here").iterdir())


def test_arrays_are_trained_on_as_a_file_of_them_is(tmp_path: Path) -> None:
    """The same images, labels and split, and no file of them."""
    weights = np.linspace(0.5, 1.5, len(X))
    ours = small(seed=3).fit(X, Y, sample_weight=weights)
    np.savez(tmp_path / "same.npz", x_train=X, y_train=np.unique(Y, return_inverse=True)[1], w_train=weights)
    run = striate.train(
        tmp_path / "same.npz", net=NET, out=tmp_path / "run", device="cpu", quiet=True,
        epochs=1, batch=16, seed=3, precision="fp32", layout="channels_last",
    )  # fmt: skip
    theirs = run.net.state_dict()
    assert all(torch.equal(each, theirs[name]) for name, each in ours.trained_.net.state_dict().items())


# As scikit-learn uses it


def test_cross_validation() -> None:
    scores = cross_val_score(small(epochs=8, learning_rate=0.02), X, Y, cv=3, error_score="raise")
    assert scores.shape == (3,)
    assert scores.mean() > 0.5
    answers = cross_val_predict(small(), X, Y, cv=2)
    assert set(answers) <= set(CLASSES)


def test_pipeline() -> None:
    line = Pipeline(
        [("scale", FunctionTransformer(lambda x: x / 255)), ("net", small(epochs=24, learning_rate=0.02))]
    )
    line.fit(X, Y)
    assert line.score(X, Y) > 0.9
    assert line.predict_proba(X).shape == (90, 3)
    assert list(line.classes_) == list(CLASSES)
    assert clone(line.set_params(net__epochs=2)).get_params()["net__epochs"] == 2
    assert cross_val_score(make_pipeline(small()), X, Y, cv=2, error_score="raise").shape == (2,)


def test_grid_search() -> None:
    found = GridSearchCV(small(learning_rate=0.02), {"epochs": [1, 6]}, cv=2, error_score="raise").fit(X, Y)
    assert set(found.best_params_) == {"epochs"}
    assert found.predict(X[:2]).shape == (2,)


def test_tags() -> None:
    tags = get_tags(small())
    assert is_classifier(small())
    assert tags.input_tags.three_d_array
    assert not tags.input_tags.two_d_array


def test_parameters() -> None:
    net = striate.read(NET)
    classifier = striate.Classifier(net, epochs=3, keys={"optimizer": "sgd"}, seed=7)
    params = classifier.get_params()
    assert params == {
        "net": net, "recipe": None, "epochs": 3, "batch": None, "learning_rate": None, "keys": {"optimizer": "sgd"},
        "channels_first": None, "device": None, "seed": 7,
    }  # fmt: skip
    assert classifier.set_params(epochs=5, seed=8) is classifier
    assert (classifier.epochs, classifier.seed) == (5, 8)
    with pytest.raises(ValueError, match="epohcs"):
        classifier.set_params(epohcs=1)
    copy = clone(classifier)
    assert copy is not classifier
    assert copy.get_params()["epochs"] == 5
    assert str(copy.net) == str(net)
    assert "epochs=5" in repr(copy)


def test_parameters_are_as_they_were_after_fit() -> None:
    classifier = small(keys={"optimizer": "sgd"})
    before = pickle.dumps(classifier.get_params())
    classifier.fit(X, Y)
    assert pickle.dumps(classifier.get_params()) == before
    assert clone(classifier).get_params() == classifier.get_params()
    with pytest.raises(NotFittedError):
        clone(classifier).predict(X)


def test_pickled(fitted: striate.Classifier) -> None:
    again = pickle.loads(pickle.dumps(fitted))
    assert np.array_equal(again.predict_proba(X), fitted.predict_proba(X))


def test_the_same_seed_gives_the_same_network() -> None:
    torch.manual_seed(1)
    first = small(seed=3).fit(X, Y).predict_proba(X)
    torch.manual_seed(2)
    assert np.array_equal(small(seed=3).fit(X, Y).predict_proba(X), first)
    assert not np.array_equal(small(seed=4).fit(X, Y).predict_proba(X), first)


def test_what_is_given_is_not_written_to() -> None:
    images, labels = X.copy(), Y.copy()
    images.setflags(write=False)
    labels.setflags(write=False)
    state = torch.get_rng_state()
    small().fit(images, labels).predict(images)
    assert np.array_equal(images, X)
    assert torch.equal(torch.get_rng_state(), state)


# Whatever people pass


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (Y, list(CLASSES)),
        (Y.astype(object), list(CLASSES)),
        (list(Y), list(CLASSES)),
        (LABELS, [0, 1, 2]),
        (LABELS * 50 - 7, [-7, 43, 93]),
        (LABELS.astype(float), [0.0, 1.0, 2.0]),
        (LABELS == 1, [False, True]),
        (LABELS.astype(np.uint8), [0, 1, 2]),
    ],
    ids=["str", "object", "list", "int", "negative", "float", "bool", "uint8"],
)
def test_labels_of_any_kind(labels: Any, classes: list[object]) -> None:
    classifier = small().fit(X, labels)
    assert list(classifier.classes_) == classes
    assert set(classifier.predict(X)) <= set(classes)
    assert 0 <= classifier.score(X, labels) <= 1


def test_columns_are_in_the_order_of_the_classes() -> None:
    """Not in that of their names: 10 comes behind 9."""
    labels = np.arange(240) % 12
    images = np.zeros((240, 8, 8), np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[2 * (label // 4) : 2 * (label // 4) + 2, 2 * (label % 4) : 2 * (label % 4) + 2] = 200
    classifier = small(net="fc classes", epochs=20, learning_rate=0.05).fit(images, labels)
    assert list(classifier.classes_) == list(range(12))
    assert classifier.score(images, labels) == 1


def test_labels_in_a_column() -> None:
    with pytest.warns(DataConversionWarning, match="A column-vector y was passed"):
        small().fit(X, LABELS[:, None])


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x[..., None],
        lambda x: x[:, None],
        lambda x: np.repeat(x[..., None], 3, axis=3),
        lambda x: np.repeat(x[:, None], 3, axis=1),
        lambda x: x.astype(np.int64),
        lambda x: x / 255,
        lambda x: (x / 255).astype(np.float32),
        lambda x: x > 80,
        lambda x: x.tolist(),
        lambda x: x[:, :, :10],
        lambda x: np.asfortranarray(x),
        lambda x: x[:, ::-1],
    ],
    ids=["NHWC1", "NCHW1", "NHWC", "NCHW", "int64", "float64", "float32", "bool", "list", "wide", "F", "flipped"],
)  # fmt: skip
def test_images_of_any_kind(change: Any) -> None:
    images = change(X)
    classifier = small(epochs=15, learning_rate=0.02).fit(images, Y)
    assert classifier.predict_proba(images).shape == (90, 3)
    assert classifier.score(images, Y) > 0.5


def test_channels_first_and_last_are_the_same_images() -> None:
    colors = np.random.default_rng(0).integers(0, 256, (90, 12, 12, 3), dtype=np.uint8)
    last = small().fit(colors, Y)
    first = small().fit(colors.transpose(0, 3, 1, 2), Y)
    assert np.array_equal(last.predict_proba(colors), first.predict_proba(colors.transpose(0, 3, 1, 2)))


def test_channels_that_cannot_be_told_apart() -> None:
    images = np.random.default_rng(0).integers(0, 256, (90, 3, 8, 3), dtype=np.uint8)
    assert small(net="fc classes").fit(images, Y).trained_.preparation.size == (3, 8)
    first = small(net="fc classes", channels_first=True).fit(images, Y)
    assert first.trained_.preparation.size == (8, 3)


def test_numbers_of_another_type_than_in_fit(fitted: striate.Classifier) -> None:
    wanted = fitted.predict_proba(X)
    for kind in (np.int64, np.float64, np.float32):
        assert np.array_equal(fitted.predict_proba(X.astype(kind)), wanted)
    for other in (X / 255, X.astype(int) - 1, X.astype(int) + 200):
        with pytest.raises(DataError) as caught:
            fitted.predict(other)
        assert str(caught.value) == (
            f"predict: the images hold other values than whole numbers of 0 to 255, as {other.dtype}\n"
            "  expected: 8-bit values, as in fit\n"
            "  try: the same scaling in both"
        )


def test_bytes_where_shares_were_fitted() -> None:
    classifier = small().fit(X / 255, Y)
    wanted = classifier.predict_proba(X / 255)
    for kind in (np.uint8, np.int64):
        assert classifier.predict_proba(X.astype(kind)) == pytest.approx(wanted, abs=1e-4)
    with pytest.raises(DataError) as caught:
        classifier.predict(X.astype(float))
    assert str(caught.value).endswith("  try: divide it by 255")


def test_no_images_to_predict(fitted: striate.Classifier) -> None:
    assert fitted.predict(X[:0]).shape == (0,)
    assert fitted.predict_proba(X[:0]).shape == (0, 3)


def test_odd_data_are_taken_as_they_are() -> None:
    """Images that are there twice, classes of one or two images: a check tells of them, not an estimator."""
    small().fit(np.concatenate([X, X]), np.concatenate([Y, Y]))
    classifier = small().fit(X[:5], ["a", "a", "b", "b", "c"])
    assert list(classifier.classes_) == ["a", "b", "c"]
    assert classifier.predict_proba(X).shape == (90, 3)


# Refused


@pytest.mark.parametrize("method", ["predict", "predict_proba"])
def test_not_fitted(method: str) -> None:
    with pytest.raises(NotFittedError, match="This Classifier instance is not fitted yet"):
        getattr(striate.Classifier(), method)(X)


def told(classifier: striate.Classifier, images: Any, labels: Any) -> str:
    """The error of a fit."""
    with pytest.raises(DataError) as caught:
        classifier.fit(images, labels)
    return str(caught.value)


def test_wrong_shapes(fitted: striate.Classifier) -> None:
    shapes = "numbers, N x H x W, N x H x W x C or N x C x H x W"
    assert told(small(), X.reshape(90, -1), Y) == (
        f"Classifier: X is of shape (90, 144) and type uint8\n  expected: {shapes}\n"
        "  try: X.reshape(len(X), height, width)"
    )
    for wrong in (X[0, 0], X[None, None], X.astype(str), X.astype(object), X.astype(complex)):
        assert told(small(), wrong, Y) == (
            f"Classifier: X is of shape {wrong.shape} and type {wrong.dtype}\n  expected: {shapes}"
        )
    with pytest.raises(DataError) as caught:
        fitted.predict(X[:, :6])
    assert str(caught.value) == "predict: the images are (6, 12, 1)\n  expected: (12, 12, 1), as in fit"


def test_wrong_labels() -> None:
    assert told(small(), X, Y[:-1]) == (
        "Classifier: there are 89 labels for 90 images\n  expected: one label for each image"
    )
    assert told(small(), X, ["a"] * 90) == (
        "Classifier: there is one class only, a\n  expected: at least two classes to tell apart"
    )
    assert told(small(), X[:0], Y[:0]).startswith("Classifier: there are no images\n")
    assert told(small(), X[:2], ["a", "b"]).startswith("Classifier: no class has two images")
    for wrong in (LABELS + 0.5, [None] * 90, np.stack([LABELS, LABELS], axis=1)):
        with pytest.raises(ValueError):  # noqa: PT011  scikit-learn's own
            small().fit(X, wrong)


def test_numbers_that_are_none() -> None:
    images = X.astype(float)
    images[3, 3, 3] = np.nan
    assert told(small(), images, Y) == (
        "Classifier: X holds NaN or infinity\n  expected: finite numbers of float32"
    )


def test_wrong_parameters_are_told_by_fit() -> None:
    with pytest.raises(FitError, match="the network answers 7 numbers but there are 3 classes"):
        striate.Classifier("fc 7").fit(X, Y)
    with pytest.raises(RecipeError, match="there is no key `epohcs`"):
        striate.Classifier(NET, keys={"epohcs": 1}).fit(X, Y)
    with pytest.raises(RecipeError, match="rate cannot be -1"):
        striate.Classifier(NET, learning_rate=-1).fit(X, Y)
    with pytest.raises(striate.StriateError, match="this machine has no device `tpu`"):
        striate.Classifier(NET, device="tpu").fit(X, Y)


def test_a_second_fit_forgets_the_first() -> None:
    classifier = small().fit(X, Y)
    assert classifier.fit(X[:60, :8], LABELS[:60] + 5) is classifier
    assert list(classifier.classes_) == [5, 6, 7]
    assert classifier.predict(X[:3, :8]).shape == (3,)
    with pytest.raises(DataError):
        classifier.predict(X)


def test_a_fit_that_fails_leaves_the_one_before(fitted: striate.Classifier) -> None:
    wanted = fitted.predict_proba(X)
    bad = X.astype(float)
    bad[0] = np.inf
    with pytest.raises(DataError):
        fitted.fit(bad[:, :8], LABELS)
    assert list(fitted.classes_) == list(CLASSES)
    assert np.array_equal(fitted.predict_proba(X), wanted)


def test_what_weighs_nothing_is_not_learnt() -> None:
    """Half of the labels are wrong, and count nothing."""
    chance = np.random.default_rng(3)
    wrong = chance.random(len(Y)) < 0.5
    labels = np.where(wrong, np.array(CLASSES)[(LABELS + 1) % 3], Y)
    learnt = small(epochs=24, learning_rate=0.02).fit(X, labels, sample_weight=np.where(wrong, 0.0, 2.5))
    assert learnt.score(X, Y) > 0.8
    assert small(epochs=24, learning_rate=0.02).fit(X, labels).score(X, Y) < 0.75


@pytest.mark.parametrize(
    ("weights", "told"),
    [
        (np.ones(3), "its shape is (3,) and its values are float64"),
        (np.full(len(Y), -1.0), "it holds a weight that is negative or no number, or none above 0"),
        (np.zeros(len(Y)), "it holds a weight that is negative or no number, or none above 0"),
    ],
)
def test_weights_that_are_none(weights: np.ndarray, told: str) -> None:
    with pytest.raises(DataError) as caught:
        small().fit(X, Y, sample_weight=weights)
    assert str(caught.value).splitlines()[0] == f"Classifier: {told}"
