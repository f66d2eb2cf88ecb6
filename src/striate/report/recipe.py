"""The recipe: every key, its value and what it means, as the comments of recipe.toml say it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from striate.disk.small import parse_toml
from striate.report.element import Html, spoken, tag
from striate.report.table import Column, table

_UNSET = re.compile(r"#\s*([a-z_]+)\s*=\s*$")
_KEY = re.compile(r"([A-Za-z0-9_-]+)\s*=")


@dataclass(frozen=True, slots=True)
class RecipeKey:
    """A key.  value: None where the recipe leaves it out.  meaning: the comment above it."""

    key: str
    value: object
    meaning: str


def read_keys(text: str) -> tuple[RecipeKey, ...]:
    """The keys of a recipe in their order.

    recipe = { "# " MEANING  ( KEY "=" VALUE | "# " KEY "=" ) }

    Where the text is no TOML, its lines stand for the values.
    """
    try:
        values = parse_toml(text)
    except ValueError:
        values = {}
    keys: list[RecipeKey] = []
    meaning = ""
    for line in text.splitlines():
        if unset := _UNSET.match(line):
            keys.append(RecipeKey(unset[1], None, meaning))
            meaning = ""
        elif line.startswith("#"):
            meaning = line.lstrip("# ")
        elif key := _KEY.match(line):
            keys.append(RecipeKey(key[1], values.get(key[1], line[key.end() :].strip()), meaning))
            meaning = ""
    return tuple(keys)


def recipe_table(keys: tuple[RecipeKey, ...]) -> Html:
    """The recipe as a table."""
    if not keys:
        return tag("p", "The recipe is not in the run folder.", css="soft")
    rows = [
        [tag("code", each.key), _value(each.value), tag("span", spoken(each.meaning), css="soft")]
        for each in keys
    ]
    return table([Column("key"), Column("value", css="value"), Column("what it is")], rows, css="recipe")


def _value(value: object) -> str:
    if value is None:
        return tag("span", "not set", css="soft")
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:,}" if isinstance(value, int) and value >= 10_000 else str(value)
