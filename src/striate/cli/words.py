"""`striate words`."""

from __future__ import annotations

import inspect
from typing import Annotated

from cyclopts import Parameter
from rich.table import Table

from striate.cli.console import print_json, prose, tabular
from striate.errors import StriateError, nearest
from striate.net.layers.argument import arguments
from striate.net.layers.words import WORDS
from striate.net.notation.foreign import ARGUMENTS_CALLED, called, plain_word
from striate.text.visible import repeated

# The words of the grammar that are no layers.
STRUCTURE = {
    "add": "The sum of branches: add { conv 64 3x3 -> bn | identity }.",
    "concat": "Branches one behind the other by channel: concat { conv 64 1x1 | conv 32 3x3 }.",
    "aux": "An auxiliary classifier: aux 0.3 { pool avg -> fc classes }; its loss counts 0.3 in training only.",
    "let": "A name for a block, with parameters: let unit(c) = conv c 3x3 -> bn -> relu; unit(32) -> unit(64).",
    "?(": "A hole that a search fills: conv ?(16, 32) 3x3, x?(1 .. 4), ?(maxpool 2, avgpool 2).",
    "x": "Repeats a step: [conv 32 3x3 -> relu] x3.",
}


# The words of `--set initial=...`, which are no words of the notation.
INITIAL = {
    "he": "normal, std sqrt(2 / fan_in): keeps the variance under relu. Source: He et al. 2015.",
    "xavier": "normal, std sqrt(2 / (fan_in + fan_out)): under tanh and sigmoid. Source: Glorot and Bengio 2010.",
    "lecun": "normal, std sqrt(1 / fan_in). Source: LeCun et al. 1998.",
    "orthogonal": "rows of length 1, at right angles to one another. Source: Saxe et al. 2014.",
    "dirac": "a convolution hands its input on, one channel each, and is random in what is left.",
    "small": "normal, std 0.01: a deep network dies out of it. Source: Krizhevsky et al. 2012.",
    "large": "normal, std 1: tanh and sigmoid saturate at once.",
}

# What the arguments that layers share mean.  F: kernel, S: stride, P: pad, D: dilate, N: side of the map.
MEANINGS = {
    "kernel": "How many rows and columns a window has.",
    "stride": "The window moves S rows or columns at a time: out = floor((N + 2P - D (F - 1) - 1) / S) + 1.",
    "pad": "P rows and columns of zeros around the map; conv has D (F - 1) / 2 if left out, so that stride 1 keeps the size.",
    "dilate": "The weights of a window stand D places apart: it sees D (F - 1) + 1 rows with the weights of F.",
    "groups": "Channels in G groups, each seen by its own filters: weights and multiply-adds / G; as many groups as channels is depthwise.",
    "valid": "No padding: N - F + 1 places at stride 1.",
    "nobias": "No number is added to each channel; bn behind would take it out again.",
    "ceil": "A last window that is partly outside of the map is kept: the size is rounded up.",
}


def words(word: str | None = None, /, *, json_: Annotated[bool, Parameter(name="--json")] = False) -> None:
    """List the words of the notation, or explain one: formula, arguments, shapes, use, source.

    For example:

      striate words
      striate words conv

    Parameters
    ----------
    word
        A word to explain; what other tools call it, as Conv2d or strides, does as well.
    json_
        Print JSON.
    """
    if json_:
        chosen = WORDS if word is None else {_known(word): WORDS[_known(word)]}
        print_json({"words": [_described(name, layer) for name, layer in chosen.items()]}, indent=2)
        return
    if word is None:
        _list()
        return
    word = word.lower()
    console = prose()
    if word in INITIAL and word not in WORDS:
        console.print(f"{word}, a distribution of the first weights: {INITIAL[word]}")
        console.print(f"It is set by --set initial={word}; `auto` takes what suits each layer.")
        return
    if having := _having(word):
        name = _argument(word)
        first = arguments(WORDS[having[0]])[name]
        says = "a word that stands or not" if first.kind == "flag" else first.domain()
        console.print(f"`{name}`, an argument of {', '.join(having)}: {says}")
        if name in MEANINGS:
            console.print(MEANINGS[name])
        console.print(f"`striate words {having[0]}` says what it does there.")
        return
    if word in STRUCTURE:
        console.print(STRUCTURE[word])
        return
    word = _known(word)
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


def _known(word: str) -> str:
    """The word of the notation that `word` is, or is another tool's name for.  Raises StriateError."""
    if word.lower() in WORDS:
        return word.lower()
    found = (called(word, tuple(WORDS)) or "").split(" ")[0]
    if found in WORDS:
        return found
    raise StriateError(
        f"`{repeated(word)}` is not a word of the notation",
        place="words",
        expected="a word that `striate words` lists",
        cure=nearest(word, [*WORDS, *STRUCTURE]) or "striate words",
    )


def _argument(word: str) -> str:
    return ARGUMENTS_CALLED.get(plain_word(word), word)


def _having(word: str) -> list[str]:
    """The layers that have an argument of this name, where it is no layer's own."""
    name = _argument(word)
    return (
        []
        if word in WORDS or called(word, tuple(WORDS))
        else [each for each in WORDS if name in arguments(WORDS[each])]
    )


def _described(name: str, layer: type) -> dict[str, object]:
    return {
        "word": name,
        "says": inspect.cleandoc(layer.__doc__ or ""),
        "arguments": [
            {"name": each.name, "domain": each.domain(), "required": each.required, "keyed": each.keyed}
            for each in arguments(layer).values()
        ],
    }


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
