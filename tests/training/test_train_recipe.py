"""Recipes: read, written, refused."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from striate.errors import RecipeError
from striate.recipe.keys import Recipe, check_recipe, read_recipe, read_settings, recipe_names, write_recipe

KEYS = ", ".join(Recipe.model_fields)


def told(name: str | None, settings: list[str], **keys: Any) -> str:
    """The error of a recipe that cannot be read."""
    with pytest.raises(RecipeError) as caught:
        read_recipe(name, given={**read_settings(settings), **keys})
    return str(caught.value)


RECIPES = st.builds(
    Recipe,
    epochs=st.none() | st.integers(1, 100_000),
    batch=st.none() | st.integers(1, 65_536),
    optimizer=st.sampled_from(["sgd", "nesterov", "adam", "adamw"]),
    learning_rate=st.none() | st.floats(0, 100, exclude_min=True),
    momentum=st.floats(0, 1, exclude_max=True),
    clip=st.none() | st.floats(0, exclude_min=True, allow_infinity=False),
    augment=st.text(st.characters(codec="utf-8")),
    seed=st.integers(0, 2**32 - 1),
).filter(lambda recipe: recipe.optimizer != "nesterov" or recipe.momentum > 0)


@given(RECIPES)
def test_what_is_written_is_read_again(recipe: Recipe) -> None:
    values = tomllib.loads(write_recipe(recipe))
    read = check_recipe(values, "recipe")
    # No clip at all is written as a comment, and read as the default.
    assert read.model_copy(update={"clip": recipe.clip}) == recipe


def test_every_key_is_written_with_its_meaning(tmp_path: Path) -> None:
    text = write_recipe(Recipe())
    for key, field in Recipe.model_fields.items():
        assert field.description
        assert f"# {field.description}\n" in text
        assert f"\n{key} = " in text or f"\n# {key} =\n" in text
    file = tmp_path / "mine.toml"
    file.write_text("\ufeff" + text, encoding="utf-8")
    assert read_recipe(str(file)) == Recipe()


@pytest.mark.parametrize(
    ("said", "size"),
    [("size=64", 64), ("size=64x64", 64), ("size=60x180", "60x180"), ("size=[60, 180]", "60x180")],
)
def test_sizes(said: str, size: int | str) -> None:
    recipe = read_recipe("classic", given=read_settings([said]))
    assert recipe.size == size
    assert check_recipe(tomllib.loads(write_recipe(recipe)), "recipe").size == size


@pytest.mark.parametrize("said", ["3", "2049", "60x2049", "wide", "[1, 2, 3]"])
def test_what_is_no_size(said: str) -> None:
    value = tomllib.loads(f"x = {said}")["x"] if said[0] == "[" or said.isdigit() else said
    assert told(None, [f"size={said}"]) == (
        f"--set: size cannot be {value!r}\n"
        "  expected: a side of 4 to 2,048 pixels, or HEIGHTxWIDTH as 96x128 (side of the images in pixels, or "
        "HEIGHTxWIDTH)\n"
        "  try: leave out size"
    )


@pytest.mark.parametrize(
    ("said", "fit"), [("letterbox", "pad"), ("squash", "stretch"), ("strech", "stretch"), ("centre", "crop")]
)
def test_what_others_call_fit(said: str, fit: str) -> None:
    assert told(None, [f"fit={said}"]) == (
        f"--set: fit cannot be '{said}'\n"
        "  expected: 'crop', 'pad' or 'stretch' (how an image of another shape becomes one of size: crop its edges, "
        f"pad it with black, or stretch it)\n  try: fit={fit}"
    )


def test_recipes_that_come_with_striate() -> None:
    assert "classic" in recipe_names()
    for name in recipe_names():
        read_recipe(name)
    assert read_recipe("classic").optimizer == "nesterov"
    assert read_recipe("classic", given=read_settings(["optimizer=sgd"])).optimizer == "sgd"


@pytest.mark.parametrize(
    ("setting", "key", "value"),
    [
        ("learning_rate=0.1", "learning_rate", 0.1),
        (" lr = 1e-3 ", "learning_rate", 1e-3),
        ("learning_rate=1", "learning_rate", 1.0),
        ("batch_size=7", "batch", 7),
        ("budget=1h30m", "budget_s", 5400.0),
        ("budget_s=60", "budget_s", 60.0),
        ("memory=1.5G", "memory_bytes", 1_500_000_000),
        ("epochs=3", "epochs", 3),
        ("augment=flip, shift 4", "augment", "flip, shift 4"),
        ('augment="flip"', "augment", "flip"),
        ("augment=a=b", "augment", "a=b"),
        ("augment=a\nrate = 3", "augment", "a\nrate = 3"),
        ("optimizer=sgd", "optimizer", "sgd"),
        ("initial=he", "initial", "he"),
    ],
)
def test_values_that_are_set(setting: str, key: str, value: object) -> None:
    assert getattr(read_recipe(None, given=read_settings([setting])), key) == value


def test_the_last_setting_wins() -> None:
    assert read_recipe(None, given=read_settings(["learning_rate=1", "learning_rate=2"])).learning_rate == 2
    assert read_recipe(None, given={**read_settings(["seed=1"]), "seed": 2}).seed == 2


def test_names_of_other_tools_in_every_place(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('lr = 0.5\nbudget = "2m"\n')
    assert (read_recipe(str(file)).learning_rate, read_recipe(str(file)).budget_s) == (0.5, 120)
    assert read_recipe(str(file), given={"lr": 0.25, "epochs": 3}).learning_rate == 0.25
    assert told(None, ["lr=1", "learning_rate=2"]) == (
        "--set: it says both learning_rate and lr\n  expected: one of them\n  try: leave out lr"
    )
    assert told(None, [], budget="soon") == (
        'budget: `soon` is not a time\n  expected: a time as 90s, 10m or 1h30m\n  try: budget="10m"'
    )
    assert told(None, ["memory=much"]) == (
        'memory: `much` is not a size of memory\n  expected: a size as 2G or 800M\n  try: memory="2G"'
    )


def test_an_unknown_key(tmp_path: Path) -> None:
    assert told(None, ["class_weights=1"]) == (
        f"--set: there is no key `class_weights`\n  expected: one of {KEYS}\n  try: balance"
    )
    assert told(None, [], epohcs=1) == (
        f"recipe: there is no key `epohcs`\n  expected: one of {KEYS}\n  try: epochs"
    )
    assert told(None, ["qqq=1"]) == f"--set: there is no key `qqq`\n  expected: one of {KEYS}"
    file = tmp_path / "mine.toml"
    file.write_text("[train]\nrate = 1\n")
    assert told(str(file), ["learning_rate=2"]).startswith(f"{file}: there is no key `train`\n")


@pytest.mark.parametrize(
    ("setting", "rest"),
    [
        ("learning_rate=0", "learning_rate cannot be 0\n  expected: greater than 0 (the highest learning rate)\n  try: leave out learning_rate"),
        (
            "learning_rate=-0.5",
            "learning_rate cannot be -0.5\n  expected: greater than 0 (the highest learning rate)\n  try: leave out learning_rate",
        ),
        (
            "learning_rate=nan",
            "learning_rate cannot be nan\n  expected: a finite number (the highest learning rate)\n  try: leave out learning_rate",
        ),
        (
            "learning_rate=fast",
            "learning_rate cannot be 'fast'\n  expected: a valid number, unable to parse string as a number "
            "(the highest learning rate)\n  try: leave out learning_rate",
        ),
        (
            "budget_s=inf",
            "budget_s cannot be inf\n  expected: a finite number (wall time of the whole job in seconds)\n"
            "  try: leave out budget_s",
        ),
        (
            "epochs=0",
            "epochs cannot be 0\n  expected: greater than or equal to 1 (passes over the training images)\n"
            "  try: leave out epochs",
        ),
        (
            "epochs=2.5",
            "epochs cannot be 2.5\n  expected: a valid integer, got a number with a fractional part "
            "(passes over the training images)\n  try: leave out epochs",
        ),
        (
            "momentum=1",
            "momentum cannot be 1\n  expected: less than 1 (of momentum, nesterov, rmsprop and muon)\n"
            "  try: leave out momentum",
        ),
        (
            "schedule=cosin",
            "schedule cannot be 'cosin'\n  expected: 'constant', 'step', 'exponential', 'inverse', 'cosine' or "
            "'one-cycle' (how the learning rate changes over the training)\n  try: schedule=cosine",
        ),
        (
            "seed=-1",
            "seed cannot be -1\n  expected: greater than or equal to 0 (of everything that is drawn)\n"
            "  try: leave out seed",
        ),
    ],
)  # fmt: skip
def test_values_out_of_their_domain(setting: str, rest: str) -> None:
    assert told(None, [setting]) == f"--set: {rest}"


def test_the_cures_work() -> None:
    assert read_recipe(None, given=read_settings(["schedule=cosine"])).schedule == "cosine"
    assert read_recipe(None).learning_rate is None


@pytest.mark.parametrize("setting", ["learning_rate", "=1", " = 1", ""])
def test_a_setting_that_sets_nothing(setting: str) -> None:
    assert told(None, [setting]) == (
        f"--set: `{setting}` sets nothing\n  expected: key=value\n  try: --set learning_rate=0.1"
    )


def test_a_recipe_that_is_not_there(tmp_path: Path) -> None:
    names = ", ".join(recipe_names())
    assert told("clasic", []) == (
        f"--recipe: there is no recipe `clasic`\n  expected: a .toml file, or one of {names}\n  try: classic"
    )
    missing = str(tmp_path / "mine.toml")
    assert told(missing, []) == f"{missing}: there is no such file"
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe")
    assert told(str(binary), []) == f"{binary}: this is not UTF-8 text\n  expected: a recipe, as TOML"
    broken = tmp_path / "broken.toml"
    broken.write_text("rate = \n")
    assert told(str(broken), []).startswith(f"{broken}: this is not TOML: ")
    assert told(str(broken), []).endswith("\n  expected: key = value lines")


def test_one_length_is_set(tmp_path: Path) -> None:
    """A length that is set takes the place of the other one of the recipe."""
    file = tmp_path / "mine.toml"
    file.write_text("epochs = 20\nlearning_rate = 0.5\n")
    recipe = read_recipe(str(file), given={"budget_s": 60.0})
    assert (recipe.epochs, recipe.budget_s, recipe.learning_rate) == (None, 60.0, 0.5)
    file.write_text("budget_s = 60\n")
    recipe = read_recipe(str(file), given=read_settings(["epochs=3"]))
    assert (recipe.epochs, recipe.budget_s) == (3, None)
    assert told(None, ["epochs=3"], budget_s=60.0) == (
        "recipe: it says both epochs and budget_s\n"
        "  expected: how long the training is, in epochs or in time\n"
        "  try: leave out epochs"
    )
    file.write_text("epochs = 3\nbudget_s = 60\n")
    assert told(str(file), []).startswith(f"{file}: it says both epochs and budget_s\n")


def test_lbfgs_is_refused_the_layout_it_fails_in() -> None:
    assert told(None, ["optimizer=lbfgs", "layout=channels_last"]) == (
        "--set: lbfgs cannot train in the layout channels_last\n"
        "  expected: contiguous: it strings all gradients together as they lie in memory\n"
        "  try: leave out layout"
    )
    assert read_recipe(None, given=read_settings(["optimizer=lbfgs"])).layout == "auto"
