"""How a network is trained: every key, its meaning and its domain."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_core import PydanticCustomError

from striate.data.decode.size import Fit, read_size, write_size
from striate.disk.small import parse_toml, read_small_text
from striate.errors import DataError, RecipeError, RunError, nearest
from striate.optimizers import OPTIMIZERS, OptimizerWord
from striate.recipe.defaults import default_batch, default_epochs, default_recipe
from striate.recipe.given import canonical
from striate.runs.folder import RunFolder
from striate.runs.record import RunRecord
from striate.text.visible import repeated
from striate.version import __version__

ScheduleWord = Literal["constant", "step", "exponential", "inverse", "cosine", "one-cycle"]
Precision = Literal["auto", "fp32", "bf16"]
Metric = Literal["accuracy", "balanced_accuracy", "f1"]
MemoryLayout = Literal["auto", "channels_last", "channels_last_im2col", "contiguous"]

Share = Annotated[float, Field(ge=0, lt=1)]


# What other tools call keys that hold something else here: the cure of an error.
_OTHER_NAMES = dict.fromkeys(("class_weight", "class_weights", "sampler"), "balance")

# And what they call the words of fit.
_OTHER_WORDS = {
    **dict.fromkeys(("letterbox", "padding", "contain", "bars"), "pad"),
    **dict.fromkeys(("squash", "squish", "resize", "distort"), "stretch"),
    **dict.fromkeys(("cover", "center", "centre", "center_crop"), "crop"),
}

SMALLEST_SIZE, LARGEST_SIZE = 4, 2048

# The keys that say how long a training is, of which one is set.
LENGTHS = ("epochs", "budget_s")


class Recipe(BaseModel):
    """A recipe; a key that is left out or `auto` is chosen for the data and said in the summary."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, allow_inf_nan=False)

    epochs: Annotated[int, Field(ge=1, le=100_000)] | None = Field(
        None, description="passes over the training images; chosen by their number if left out"
    )
    budget_s: Annotated[float, Field(gt=0)] | None = Field(
        None, description="wall time of the whole job in seconds; the schedule is laid over it"
    )
    batch: Annotated[int, Field(ge=1, le=65_536)] | None = Field(
        None, description="images in one step; 32 to 256, by their number and the optimizer, if left out"
    )
    optimizer: OptimizerWord = Field("adamw", description="how a gradient becomes a step")
    learning_rate: Annotated[float, Field(gt=0, le=100)] | None = Field(
        None, description="the highest learning rate; chosen for the optimizer and network if left out"
    )
    norm_lr_multiplier: Annotated[float, Field(gt=0, le=1000)] = Field(
        1.0, description="what the learning rate of biases and norms is multiplied with"
    )
    momentum: Share = Field(
        0.9, description="of momentum, nesterov, rmsprop and muon; the first beta of adam"
    )
    weight_decay: Annotated[float, Field(ge=0, le=10)] | None = Field(
        None, description="pull of the weights towards 0; never on biases and norms"
    )
    clip: Annotated[float, Field(gt=0)] | None = Field(
        1.0,
        description="largest length of the gradient of a step; longer ones are scaled down to it; or none",
    )
    schedule: ScheduleWord = Field("one-cycle", description="how the learning rate changes over the training")
    warmup: Share = Field(
        0.1, description="share of the training in which the learning rate rises from near 0"
    )
    balance: Literal["none", "weights", "sampling"] = Field(
        "none",
        description="what makes rare classes count as much as frequent ones: weights of their loss, or drawing "
        "their images more often; or none",
    )
    metric: Metric = Field(
        "accuracy", description="what the best epoch is chosen by, on the validation images"
    )
    label_smoothing: Share = Field(0.0, description="share of each label spread over all classes")
    initial: str = Field(
        "auto", description="distribution of the first weights, as `he, head: small, zero-last`"
    )
    ema: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None, description="share of the old mean in each step's running mean of the weights, as 0.999"
    )
    target: Annotated[float, Field(gt=0, le=1)] | None = Field(
        None, description="what metric must reach on validation for the training to end, as 0.94"
    )
    patience: Annotated[int, Field(ge=1)] | None = Field(
        None, description="epochs without a better validation after which the training ends"
    )
    augment: str = Field("auto", description="changes drawn anew for every image, as `flip, crop 4`; or none")
    progressive_resizing: Annotated[float, Field(ge=0.25, lt=1)] | None = Field(
        None, description="share of the side of the images that the training begins with, as 0.75"
    )
    progressive_augment: Annotated[float, Field(ge=0, le=1)] = Field(
        1.0,
        description="share of the numbers of augment that the smallest images of progressive_resizing have, as 0.3",
    )
    tta: Annotated[float, Field(ge=0, le=1)] = Field(
        0.0,
        description="an image whose answer is less probable is tested again, mirrored and shifted by a pixel",
    )
    center: Literal["channel", "image", "none"] = Field(
        "channel", description="what is subtracted: the mean of each channel, the mean image, or nothing"
    )
    scale: Literal["unit", "none"] = Field(
        "unit",
        description="what is divided by: the standard deviation of each channel, for unit variance, or nothing",
    )
    size: int | str | None = Field(
        None,
        description="side of the images in pixels, or HEIGHTxWIDTH; chosen from the images if left out",
    )
    fit: Fit = Field(
        "crop",
        description="how an image of another shape becomes one of size: crop its edges, pad it with black, or "
        "stretch it",
    )
    nets: Literal["small", "swift"] = Field(
        "small", description="the networks of the zoo to choose from where none is given"
    )
    weights: str | None = Field(
        None,
        description="weights to begin with: a file, a URL, hf:OWNER/NAME, or builtin; the head may differ",
    )
    weights_sha256: str | None = Field(
        None,
        pattern=r"^[0-9a-fA-F]{8,64}$",
        description="the SHA-256 that the file of the weights must have, or how it begins",
    )
    published: str | None = Field(
        None,
        description="network of the zoo whose published weights these are: images are prepared as for it",
    )
    freeze: str | None = Field(
        None, description="the part up to this label is kept as it is; body for all before the head; or none"
    )
    thaw: Annotated[int, Field(ge=0, le=100_000)] = Field(
        0, description="epochs behind the head's in which the frozen part trains as well, at lower rates"
    )
    channels: Annotated[int, Field(ge=1, le=4096)] | None = Field(
        None,
        description="channels that the network reads; grey images can be read as 3; those of the images",
    )
    max_pixels: Annotated[int, Field(ge=1)] = Field(
        100_000_000, description="an image that declares more pixels is left out, before it is decoded"
    )
    val_share: Annotated[float, Field(gt=0, le=0.5)] = Field(
        0.1, description="share of the training images held out where the data have no validation split"
    )
    precision: Precision = Field("auto", description="arithmetic of convolutions and fc in a training step")
    evaluation_precision: Precision = Field(
        "auto", description="arithmetic of convolutions and fc in validation, test and a frozen part"
    )
    optimizer_precision: Precision = Field(
        "auto", description="arithmetic in which muon makes its steps orthogonal"
    )
    layout: MemoryLayout = Field(
        "auto",
        description="order of images and convolution weights in memory; with im2col, gradients of weights are matrix products",
    )
    memory_bytes: Annotated[int, Field(ge=100_000_000)] | None = Field(
        None, description="memory that the whole process may take in training; what is free if left out"
    )
    recompute: str = Field(
        "auto",
        description="what is recomputed in the backward pass instead of kept, as `pairs, stem.0 to stem.3`; none",
    )
    micro_batches: Annotated[int, Field(ge=1, le=65_536)] | None = Field(
        None,
        description="pieces of a batch whose gradients are added, bn statistics taken in each by itself; "
        "as few as the memory lets if left out",
    )
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = Field(0, description="of everything that is drawn")

    @field_validator(
        "clip", "progressive_resizing", "ema", "target", "patience", "freeze", "micro_batches", mode="before"
    )
    @classmethod
    def _none(cls, value: object) -> object:
        """`none`: TOML has no word for nothing, and leaving the key out means the default."""
        return None if value == "none" else value

    @field_validator("size", mode="before")
    @classmethod
    def _size(cls, value: object) -> object:
        """Height and width, as the side of a square or as HEIGHTxWIDTH."""
        if value is None:
            return None
        try:
            size = read_size(value)
        except DataError:
            size = 0, 0
        if min(size) < SMALLEST_SIZE or max(size) > LARGEST_SIZE:
            raise PydanticCustomError(
                "size", f"a side of {SMALLEST_SIZE} to {LARGEST_SIZE:,} pixels, or HEIGHTxWIDTH as 96x128"
            )
        return write_size(size)

    @property
    def stays_frozen(self) -> bool:
        """Whether a part never trains: what it gives for an image is computed once, and nothing can be drawn anew."""
        return self.freeze is not None and not self.thaw

    def batch_for(self, images: int) -> int:
        """Images in a step, of so many to train on: what the recipe says or what suits them; never more than there are."""
        return min(images, self.batch or default_batch(images, self.optimizer))

    def epochs_for(self, images: int) -> int:
        """Passes over so many images, where no budget ends the training."""
        return self.epochs or default_epochs(images)


def recipe_names() -> list[str]:
    """The recipes that come with striate."""
    folder = resources.files("striate.recipe")
    return sorted(each.name.removesuffix(".toml") for each in folder.iterdir() if each.name.endswith(".toml"))


def read_recipe(
    name: str | None,
    *,
    given: Mapping[str, Any] | None = None,
    net: bool = True,
) -> Recipe:
    """A recipe by name or file, with single keys set on top.

    name: the name of one that comes with striate, or a `.toml` file; None for what suits: the defaults where
    a network is given, else see `default_recipe`.
    given: keys with values, as from flags or `read_settings`.  A length that is set takes the place of the
    recipe's own, be it in epochs or in time.

    Raises RecipeError for an unknown name or key, nearest one suggested, or a value out of its domain.
    """
    written: dict[str, Any] = {}
    place = ""
    values = canonical(given or {})
    name = default_recipe(name, values, net=net)
    if name is not None:
        place, text = _recipe_text(name)
        try:
            written = canonical(parse_toml(text), place)
        except ValueError as error:
            raise RecipeError(
                f"this is not TOML: {error}", place=place, expected="key = value lines"
            ) from None
        check_recipe(written, place)
    check_recipe(values, "recipe")
    if any(values.get(key) is not None for key in LENGTHS):
        written = {key: value for key, value in written.items() if key not in LENGTHS}
    return check_recipe({**written, **values}, place or "recipe")


def read_run_recipe(run: RunFolder, record: RunRecord) -> Recipe:
    """The recipe of a run.  Raises RunError where this striate cannot read it, with the version that can."""
    try:
        return read_recipe(str(run.recipe))
    except RecipeError as error:
        then = record.versions.get("striate")
        if then in (None, __version__):
            raise
        raise RunError(
            f"the recipe was written by striate {then}, and this is {__version__}: {error.problem}",
            place=str(run.recipe),
            cure=f"pip install striate=={then}, or striate train, which starts over",
        ) from None


def read_settings(settings: Sequence[str]) -> dict[str, Any]:
    """Keys and values of `key=value` texts, the value as TOML or a bare word.  Raises RecipeError as `read_recipe`."""
    values: dict[str, Any] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not key.strip():
            raise RecipeError(
                f"`{repeated(setting)}` sets nothing",
                place="--set",
                expected="key=value",
                cure="--set learning_rate=0.1",
            )
        values[key.strip()] = _value(value.strip())
    values = canonical(values, "--set")
    check_recipe(values, "--set")
    return values


def check_recipe(values: Mapping[str, Any], place: str) -> Recipe:
    """The recipe of plain values.  Raises RecipeError as `read_recipe`."""
    for key in values:
        if key not in Recipe.model_fields:
            near = _OTHER_NAMES.get(key.lower()) or nearest(key, Recipe.model_fields)
            raise RecipeError(
                f"there is no key `{repeated(key)}`",
                place=place,
                expected="one of " + ", ".join(Recipe.model_fields),
                cure=near or "",
            )
    try:
        recipe = Recipe(**values)
    except ValidationError as error:
        first = error.errors()[0]
        key = str(first["loc"][0])
        words = get_args(Recipe.model_fields[key].annotation)
        value = first["input"]
        said = repeated(repr(value) if isinstance(value, str) else value)
        bare = said.strip("'\"")
        near = _OTHER_WORDS.get(bare.lower()) if key == "fit" else None
        near = near or nearest(bare, [word for word in words if isinstance(word, str)])
        meaning = str(Recipe.model_fields[key].description).split(";", 1)[0]
        raise RecipeError(
            f"{key} cannot be {said}",
            place=place,
            expected=f"{first['msg'].replace('Input should be', '').strip()} ({meaning})",
            cure=f"{key}={near}" if near else f"leave out {key}",
        ) from None
    if all(getattr(recipe, key) is not None for key in LENGTHS):
        raise RecipeError(
            f"it says both {' and '.join(LENGTHS)}",
            place=place,
            expected="how long the training is, in epochs or in time",
            cure=f"leave out {LENGTHS[0]}",
        )
    if OPTIMIZERS[recipe.optimizer].options.get("nesterov") and recipe.momentum == 0:
        raise RecipeError(
            f"{recipe.optimizer} without momentum is sgd",
            place=place,
            expected="momentum above 0",
            cure="optimizer=sgd",
        )
    if OPTIMIZERS[recipe.optimizer].line_search and recipe.layout.startswith("channels_last"):
        raise RecipeError(
            f"{recipe.optimizer} cannot train in the layout {recipe.layout}",
            place=place,
            expected="contiguous: it strings all gradients together as they lie in memory",
            cure="leave out layout",
        )
    return recipe


def write_recipe(recipe: Recipe) -> str:
    """The recipe as TOML, every key said with its meaning; keys that are chosen later are comments."""
    lines = []
    for key, field in Recipe.model_fields.items():
        value = getattr(recipe, key)
        lines.append(f"# {field.description}")
        if value is None and field.default is None:
            lines.append(f"# {key} =")
        else:
            lines.append(f"{key} = {_toml('none' if value is None else value)}")
    return "\n".join(lines) + "\n"


def _recipe_text(name: str) -> tuple[str, str]:
    path = Path(name)
    if path.suffix == ".toml" or path.is_file():
        return str(path), read_small_text(path, RecipeError, "a recipe, as TOML")
    if name in recipe_names():
        text = resources.files("striate.recipe").joinpath(f"{name}.toml").read_text(encoding="utf-8")
        return f"recipe {name}", text
    raise RecipeError(
        f"there is no recipe `{name}`",
        place="--recipe",
        expected="a .toml file, or one of " + ", ".join(recipe_names()),
        cure=nearest(name, recipe_names()) or "",
    )


def _value(text: str) -> Any:
    try:
        read = parse_toml(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    except ValueError as error:
        raise RecipeError(
            f"`{repeated(text)}` cannot be a value: {error}",
            place="--set",
            expected="key=value",
            cure="--set learning_rate=0.1",
        ) from None
    return read["value"] if len(read) == 1 else text


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    # JSON escapes as TOML does, all but one character.
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
