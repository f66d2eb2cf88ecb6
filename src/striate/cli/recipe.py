"""`striate recipe`."""

from __future__ import annotations

from typing import Annotated, Literal, get_args, get_origin

from cyclopts import Parameter
from pydantic.fields import FieldInfo
from rich.table import Table

from striate.cli.console import print_json, prose, tabular
from striate.recipe.keys import Recipe, read_recipe, recipe_names, write_recipe


def recipe(name: str | None = None, /, *, json_: Annotated[bool, Parameter(name="--json")] = False) -> None:
    """List the keys of a recipe with their defaults and meanings, or print one as TOML, to be changed.

    Each key is set by --set KEY=VALUE or by a flag of its name: --learning-rate 0.01.

    For example:

      striate recipe
      striate recipe quick > mine.toml
      striate train photos/ --recipe mine.toml

    Parameters
    ----------
    name
        classic, quick, best or a .toml file.
    json_
        Print JSON.
    """
    if name is not None:
        read = read_recipe(name)
        if json_:
            print_json(read.model_dump(), indent=2)
        else:
            prose().print(write_recipe(read).rstrip())
        return
    keys = Recipe.model_fields
    if json_:
        print_json(
            {
                "keys": [
                    {
                        "key": key,
                        "default": field.default,
                        "meaning": field.description,
                        "values": _words(field),
                    }
                    for key, field in keys.items()
                ],
                "recipes": recipe_names(),
            },
            indent=2,
        )
        return
    table = Table(box=None, pad_edge=False)
    for title in ("key", "default", "meaning"):
        table.add_column(title, no_wrap=title != "meaning")
    for key, field in keys.items():
        words = _words(field)
        meaning = f"{field.description}" + (f": {', '.join(words)}" if words else "")
        table.add_row(key, _default(field), meaning)
    tabular().print(table)
    prose().print(
        f"\nrecipes that come with striate: {', '.join(recipe_names())}; `striate recipe quick` prints one"
    )


def _default(field: FieldInfo) -> str:
    if field.default is not None:
        return str(field.default)
    said = str(field.description)
    return "chosen" if "left out" in said or "chosen" in said else "none"


def _words(field: FieldInfo) -> list[str]:
    """The words that a key may be; none where it is a number or a text."""
    kinds = [field.annotation, *get_args(field.annotation)]
    return [str(word) for kind in kinds if get_origin(kind) is Literal for word in get_args(kind)]
