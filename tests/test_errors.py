"""One voice for errors: how they read, and the two helpers beside them."""

from __future__ import annotations

import pickle

import pytest

from striate import errors
from striate.errors import StriateError, counted, nearest

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, StriateError)]


def test_all_parts_of_an_error() -> None:
    error = StriateError(
        "the window does not fit",
        place="a.net:2:6",
        excerpt="    2 | conv 3 11x11\n      | ^^^^^^^^^^^^",
        expected="at most 8x8",
        cure="conv 3 8x8",
    )
    assert str(error) == (
        "a.net:2:6: the window does not fit\n"
        "    2 | conv 3 11x11\n"
        "      | ^^^^^^^^^^^^\n"
        "  expected: at most 8x8\n"
        "  try: conv 3 8x8"
    )


def test_parts_that_are_left_out() -> None:
    assert str(StriateError("it is broken")) == "it is broken"
    assert str(StriateError("it is broken", place="x")) == "x: it is broken"
    assert str(StriateError("it is broken", cure="mend it")) == "it is broken\n  try: mend it"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_kind_leaves_with_1_and_has_a_meaning(kind: type[StriateError]) -> None:
    assert kind.exit_code == 1
    assert kind.__doc__
    with pytest.raises(StriateError, match=r"^p: q$"):
        raise kind("q", place="p")


def test_an_error_comes_back_from_another_process() -> None:
    """Workers hand errors on by pickle."""
    error = StriateError("q", place="p", excerpt="e", expected="x", cure="c")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is StriateError
    assert str(again) == str(error)


@pytest.mark.parametrize(
    ("word", "near"),
    [
        ("epohcs", "epochs"),
        ("EPOCHS", "epochs"),
        ("opt", "optimizer"),
        ("", None),
        ("Learning_Rate", "learning_rate"),
        ("zzz", None),
    ],
)
def test_nearest(word: str, near: str | None) -> None:
    assert nearest(word, ["epochs", "optimizer", "learning_rate"]) == near


def test_nearest_of_nothing() -> None:
    assert nearest("epochs", []) is None
    assert nearest("photos", iter(["Photos", "notes"])) == "Photos"


@pytest.mark.parametrize(
    ("number", "said"),
    [(0, "0 images"), (1, "1 image"), (2, "2 images"), (1234567, "1,234,567 images")],
)
def test_counted(number: int, said: str) -> None:
    assert counted(number, "image") == said


def test_counted_with_a_plural_of_its_own() -> None:
    assert counted(1, "class", "classes") == "1 class"
    assert counted(3, "class", "classes") == "3 classes"
