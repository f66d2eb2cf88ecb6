"""`striate words`."""

from __future__ import annotations

import inspect

from rich.table import Table

from striate.cli.console import prose, tabular
from striate.errors import StriateError, nearest
from striate.net.layers.argument import arguments
from striate.net.layers.words import WORDS

# The words of the grammar that are no layers.
STRUCTURE = {
    "add": "The sum of branches: add { conv 64 3x3 -> bn | identity }.",
    "concat": "Branches one behind the other by channel: concat { conv 64 1x1 | conv 32 3x3 }.",
    "aux": "An auxiliary classifier: aux 0.3 { pool avg -> fc classes }; its loss counts 0.3 in training only.",
    "let": "A name for a block, with parameters: let unit(c) = conv c 3x3 -> bn -> relu; unit(32) -> unit(64).",
    "x": "Repeats a step: [conv 32 3x3 -> relu] x3.",
}


def words(word: str | None = None, /) -> None:
    """List the words of the notation, or explain one: formula, arguments, shapes, use, source.

    For example:

      striate words
      striate words conv

    Parameters
    ----------
    word
        A word to explain.
    """
    if word is None:
        _list()
        return
    word = word.lower()
    console = prose()
    if word in STRUCTURE:
        console.print(STRUCTURE[word])
        return
    if word not in WORDS:
        raise StriateError(
            f"`{word}` is not a word of the notation",
            place="words",
            expected="a word that `striate words` lists",
            cure=nearest(word, [*WORDS, *STRUCTURE]) or "striate words",
        )
    layer = WORDS[word]
    console.print(inspect.cleandoc(layer.__doc__ or ""))
    known = arguments(layer)
    if known:
        console.print("\nArguments:")
    for argument in known.values():
        default = ""
        if not argument.required and argument.kind != "flag" and argument.default is not None:
            default = f"; {argument.default} if left out"
        says = "a word that stands or not" if argument.kind == "flag" else argument.domain()
        console.print(f"  {argument.name}: {says}{default}")


def _list() -> None:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column()
    for word, layer in WORDS.items():
        table.add_row(word, inspect.cleandoc(layer.__doc__ or "").split("\n", 1)[0])
    table.add_section()
    for word, meaning in STRUCTURE.items():
        table.add_row(word, meaning.split(":", 1)[0] + ".")
    tabular().print(table)
