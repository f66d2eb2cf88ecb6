"""What a search may choose: keys of the recipe and holes of a text, each with its range or its options."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from striate.disk.small import parse_toml, read_small_text
from striate.errors import NotationError, RecipeError, counted
from striate.net.layers.value import Choice, Range, write_value
from striate.net.network import Network
from striate.net.notation.cursor import Cursor
from striate.net.notation.holes import find_holes
from striate.net.source import Source
from striate.recipe.given import canonical
from striate.recipe.keys import LENGTHS, Recipe, check_recipe, read_settings

Value = bool | int | float | str

# Keys that every trial has alike: what the trials are compared by, and how long they are.
COMMON = (*LENGTHS, "seed", "val_share", "metric", "target", "patience", "memory_bytes", "max_pixels")

# Keys whose sizes are compared by their ratio.
LOGARITHMIC = ("learning_rate", "norm_lr_multiplier", "weight_decay", "clip")

# How much a range grows at an edge where the best lies.
WIDER = 3.0

# A value within this share of a range lies at its edge.
EDGE = 0.1


@dataclass(frozen=True, slots=True)
class Parameter:
    """One thing that is chosen.

    name: the key of the recipe, or of a hole.  low, high: the ends of its range; options: or its values, in order.
    kind: real or whole number in a range, or one of the options.  log: whether sizes are compared by their ratio.
    net: whether it is a hole of the text.  shown: how the options are written, where that is another text.
    """

    name: str
    kind: Literal["real", "whole", "option"]
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    options: tuple[Value, ...] = ()
    net: bool = False
    shown: tuple[str, ...] = ()

    def position(self, value: Value) -> float:
        """Where a value lies in a range, 0 to 1; the place of an option."""
        if self.kind == "option":
            return float(self.options.index(value))
        assert not isinstance(value, str)
        if self.low == self.high:
            return 0.5
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def written(self, value: Value) -> str:
        """A value as it is read."""
        if self.kind == "option":
            return self.shown[self.options.index(value)] if self.shown else str(value)
        return f"{value:.3g}" if isinstance(value, float) else str(value)

    def domain(self) -> str:
        """The range or the options, as they are read."""
        if self.kind == "option":
            return ", ".join(self.written(each) for each in self.options)
        ends = f"{self.low:.3g} to {self.high:.3g}"
        return f"{ends}, by ratio" if self.log else ends

    def holds(self, value: Value) -> bool:
        """Whether a value lies in the range or among the options."""
        if self.kind == "option":
            return value in self.options
        return not isinstance(value, str) and self.low <= value <= self.high

    def edge(self, value: Value) -> Literal["low", "high"] | None:
        """The end of the range that a value lies at, if it does."""
        if self.kind == "option" or self.low == self.high:
            return None
        place = self.position(value)
        return "low" if place <= EDGE else "high" if place >= 1 - EDGE else None

    def widened(self, edge: Literal["low", "high"]) -> Parameter | None:
        """The range that goes on behind an edge; None where the key may have no such values, or it is a hole."""
        if self.net:
            return None
        if self.log:
            low = self.low / WIDER if edge == "low" else self.low
            high = self.high * WIDER if edge == "high" else self.high
        else:
            more = (self.high - self.low) / 2
            low = self.low - more if edge == "low" else self.low
            high = self.high + more if edge == "high" else self.high
        if self.kind == "whole":
            low, high = math.ceil(low), math.floor(high)
        wider = replace(self, low=low, high=high)
        try:
            for each in (low, high):
                check_recipe({self.name: int(each) if self.kind == "whole" else each}, self.name)
        except RecipeError:
            return None
        return wider


@dataclass(frozen=True, slots=True)
class Space:
    """Everything that is chosen, and the keys that are fixed."""

    parameters: tuple[Parameter, ...]
    fixed: Mapping[str, Any]

    def replaced(self, parameters: Sequence[Parameter]) -> Space:
        """The same with other ranges or options under their names."""
        by_name = {each.name: each for each in parameters}
        return replace(self, parameters=tuple(by_name.get(each.name, each) for each in self.parameters))

    def split(self, values: Mapping[str, Value]) -> tuple[dict[str, Any], dict[str, Value]]:
        """Keys of the recipe, and what fills the holes of the text."""
        nets = {each.name for each in self.parameters if each.net}
        keys = {name: value for name, value in values.items() if name not in nets}
        return {**self.fixed, **keys}, {
            name.removeprefix("net."): value for name, value in values.items() if name in nets
        }


def read_space(file: str | None, settings: Sequence[str], network: Network | None) -> Space:
    """The space of a file and of `--set`, and the holes of a text.

    file: a recipe as TOML in which a value may be a hole, as `rate = "?(0.001 .. 0.1)"`, or a list of options.
    settings: `key=value`, the value perhaps a hole; they go before.

    Raises RecipeError for an unknown key, a key that all trials have alike, an empty range, or a value out of the
    domain of its key.
    """
    values: dict[str, Any] = {}
    if file is not None:
        try:
            values = parse_toml(read_small_text_of(file))
        except ValueError as error:
            raise RecipeError(
                f"this is not TOML: {error}", place=file, expected="key = value lines"
            ) from None
    plain: list[str] = []
    holes: dict[str, str] = {}
    for setting in settings:
        key, _, value = setting.partition("=")
        if value.strip().startswith("?("):
            holes[key.strip()] = value.strip()
        else:
            plain.append(setting)
    fixed = read_settings(plain)
    parameters: dict[str, Parameter] = {}
    values, holes = canonical(values, file or "space"), canonical(holes, "--set")
    for key, value in {**values, **holes}.items():
        if key in fixed:
            continue
        place = "--set" if key in holes else file or "space"
        if key not in Recipe.model_fields:
            check_recipe({key: value}, place)
        found = _parameter(key, value, place)
        if found is None:
            check_recipe({key: value}, place)
            fixed[key] = value
        else:
            parameters[key] = found
    if network is not None:
        for each in find_holes(network):
            name = f"net.{each.key}"
            if isinstance(each.hole, Range):
                whole = isinstance(each.hole.low, int) and isinstance(each.hole.high, int)
                parameters[name] = Parameter(
                    name, "whole" if whole else "real", float(each.hole.low), float(each.hole.high), net=True
                )
            else:
                shown = each.written() if each.written() != each.options() else ()
                parameters[name] = Parameter(name, "option", options=each.options(), net=True, shown=shown)
    return Space(tuple(parameters.values()), fixed)


def read_small_text_of(file: str) -> str:
    """The text of a space.  Raises RecipeError where there is no such file."""
    from pathlib import Path

    return read_small_text(Path(file), RecipeError, "a space, as TOML")


def default_space(space: Space, recipe: Recipe, images: int) -> Space:
    """The space with what is searched where no key of the recipe is said to be.

    recipe: with nothing left open.  images: for training.
    """
    if any(not each.net for each in space.parameters):
        return space
    assert recipe.learning_rate is not None
    assert recipe.weight_decay is not None
    assert recipe.batch is not None
    decay = recipe.weight_decay or 1e-3
    batches = tuple(
        each
        for each in (recipe.batch // 2, recipe.batch, recipe.batch * 2)
        if 8 <= each <= max(8, images // 4)
    )
    usual = [
        Parameter(
            "learning_rate",
            "real",
            _two(recipe.learning_rate / 30),
            _two(min(100.0, recipe.learning_rate * 30)),
            log=True,
        ),
        Parameter("weight_decay", "real", _two(decay / 100), _two(min(10.0, decay * 10)), log=True),
        Parameter("batch", "option", options=batches or (recipe.batch,)),
        Parameter("schedule", "option", options=("one-cycle", "cosine", "step")),
        Parameter("label_smoothing", "option", options=(0.0, 0.1)),
    ]
    return replace(
        space,
        parameters=(*space.parameters, *(each for each in usual if each.name not in space.fixed)),
    )


def _two(value: float) -> float:
    return float(f"{value:.2g}")


def _parameter(key: str, value: Any, place: str) -> Parameter | None:
    """What a value says about its key: a range, options, or None where it is one plain value."""
    if isinstance(value, list):
        options: tuple[Any, ...] = tuple(value)
    elif isinstance(value, str) and value.strip().startswith("?("):
        hole = _read_hole(key, value.strip(), place)
        if isinstance(hole, Range):
            return _range(key, hole, place)
        options = tuple(each if isinstance(each, int | float) else write_value(each) for each in hole.values)
    else:
        return None
    if key in COMMON:
        raise RecipeError(
            f"{key} cannot be searched",
            place=place,
            expected="a key that trials may differ in; they are compared by this one",
            cure=f"{key}={options[0]}" if options else f"leave out {key}",
        )
    if not options or len(set(map(str, options))) < len(options):
        said = "has no options" if not options else "has an option twice"
        raise RecipeError(f"{key} {said}", place=place, expected="options that differ", cure="?(1, 2)")
    for each in options:
        check_recipe({key: each}, place)
    return Parameter(key, "option", options=options)


def _range(key: str, hole: Range, place: str) -> Parameter:
    if key in COMMON:
        raise RecipeError(
            f"{key} cannot be searched",
            place=place,
            expected="a key that trials may differ in; they are compared by this one",
            cure=f"{key}={write_value(hole.low)}",
        )
    for each in (hole.low, hole.high):
        check_recipe({key: each}, place)
    whole = isinstance(hole.low, int) and isinstance(hole.high, int) and _is_whole(key)
    log = key in LOGARITHMIC and hole.low > 0
    return Parameter(key, "whole" if whole else "real", float(hole.low), float(hole.high), log=log)


def _is_whole(key: str) -> bool:
    try:
        check_recipe({key: 1.5}, key)
    except RecipeError:
        return True
    return False


def _read_hole(key: str, text: str, place: str) -> Choice | Range:
    source = Source(f"{place}, {key}", text)
    try:
        cursor = Cursor(source)
        cursor.parameters = tuple(each.text for each in cursor.tokens if each.kind == "name")
        cursor.take()
        found = cursor.hole(())
        if cursor.here.kind != "end":
            cursor.fail(cursor.here, expected="nothing behind the hole", cure="leave it out")
    except NotationError as error:
        raise RecipeError(
            error.problem, place=error.place, excerpt=error.excerpt, expected=error.expected, cure=error.cure
        ) from None
    return found


def describe_space(space: Space) -> list[str]:
    """A line for each thing that is searched."""
    width = max((len(each.name) for each in space.parameters), default=0)
    return [f"{each.name.ljust(width)}  {each.domain()}" for each in space.parameters] or [
        counted(0, "parameter")
    ]
