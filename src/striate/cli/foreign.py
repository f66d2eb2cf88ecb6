"""Flags as other tools call them, and keys of the recipe as flags: read as `striate` calls them."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable

from striate.disk.small import MOST_TEXT_BYTES
from striate.errors import StriateError
from striate.text.visible import repeated

# The commands that train, so that keys of the recipe may be flags.
_RECIPE_COMMANDS = ("train", "lr", "search")

# What other tools call the flags of these commands.
_FLAGS = {
    **dict.fromkeys(("model", "arch", "network", "backbone", "architecture", "cfg"), "--net"),
    **dict.fromkeys(("num-epochs", "n-epochs", "nb-epoch", "epoch", "max-epochs"), "--epochs"),
    **dict.fromkeys(("imgsz", "img-size", "image-size", "img", "input-size", "resolution"), "--size"),
    **dict.fromkeys(("time", "max-time", "time-limit"), "--budget"),
    **dict.fromkeys(("project", "output", "output-dir", "save-dir", "log-dir", "logdir"), "--out"),
    "accelerator": "--device",
    **dict.fromkeys(("random-seed", "random-state", "manual-seed"), "--seed"),
    **dict.fromkeys(("augmentation", "augmentations", "aug"), "--augment"),
    **dict.fromkeys(("dataset", "data-path", "data-dir", "data", "train-dir"), ""),
    **dict.fromkeys(("finetune", "fine-tune", "pretrained"), "--transfer"),
}

# What needs no flag here, and why.
_NEEDLESS = {
    **dict.fromkeys(
        ("workers", "num-workers", "threads", "jobs", "j"), "threads are chosen for the machine by themselves"
    ),
    "shuffle": "training images are shuffled anew in every epoch",
    "verbose": "every epoch prints a line; --quiet prints only the result",
    "loss": "the loss is cross-entropy; label_smoothing is a key of the recipe",
    "criterion": "the loss is cross-entropy; label_smoothing is a key of the recipe",
    "num-classes": "the classes are those of the images",
    "nc": "the classes are those of the images",
    "save": "the best and the last weights are always saved",
}

_TO_GPU = ("0", "1", "true", "yes", "auto", "all", "gpu", "cuda")


def translated(words: list[str]) -> list[str]:
    """The words of a command line with what other tools call something as it is called here.

    `-` in place of a network's text is what stands on standard input.  Raises StriateError for a flag of other
    tools that is not needed here, with the reason.
    """
    command = words[0] if words else ""
    if command in ("plan", "draw", "train", "lr", "look") and "-" in words:
        words = [_standard_input() if word == "-" else word for word in words]
    if command not in _RECIPE_COMMANDS or not any(word.startswith("--") for word in words):
        return words
    own = _own_flags(command)
    read: list[str] = []
    rest = iter(words)
    for word in rest:
        flag, equals, value = word.partition("=")
        name = flag[2:].lower().replace("_", "-")
        if not flag.startswith("--") or flag in own or not name:
            read.append(word)
            continue
        if name in _NEEDLESS:
            raise StriateError(
                f"there is no {flag}: {_NEEDLESS[name]}", place=command, cure=f"leave out {flag}"
            )
        if f"--{name}" in own:
            read += [f"--{name}{equals}{value}"]
            continue
        if name in ("gpu", "gpus"):
            following = value if equals else next(rest, None)
            read += ["--device", "cuda"]
            if following is not None and following.lower() not in _TO_GPU:
                read.append(following)
            continue
        if name in _FLAGS:
            ours = _FLAGS[name]
            read += [*([ours] if ours else []), *([value] if equals else [])]
            continue
        key = _recipe_key(name)
        if key is None:
            read.append(word)
            continue
        given = value if equals else next(rest, None)
        if given is None:
            raise StriateError(f"{flag} needs a value", place=command, cure=f"--set {key}=VALUE")
        read += ["--set", f"{key}={given}"]
    return read


def _own_flags(command: str) -> set[str]:
    """The flags of a command, with that for help."""
    call: Callable[..., None]
    if command == "train":
        from striate.cli.train import train as call
    elif command == "lr":
        from striate.cli.lr import lr as call
    else:
        from striate.cli.search import search as call
    names = {"--help", "--version"}
    for each in inspect.signature(call).parameters.values():
        if each.kind is each.POSITIONAL_ONLY:
            continue
        names.add("--" + each.name.rstrip("_").replace("_", "-"))
    return names


def _recipe_key(name: str) -> str | None:
    """The key of the recipe that a flag without its dashes means."""
    from striate.recipe.given import key_called
    from striate.recipe.keys import Recipe

    key = key_called(name.replace("-", "_"))
    return key if key in Recipe.model_fields else None


def _standard_input() -> str:
    text = sys.stdin.read(MOST_TEXT_BYTES + 1)
    if len(text) > MOST_TEXT_BYTES or not text.strip():
        raise StriateError(
            f"standard input begins with {repeated(text[:40])}"
            if text.strip()
            else "standard input is empty",
            place="-",
            expected=f"the text of a network, of at most {MOST_TEXT_BYTES:,} characters",
            cure='echo "conv 8 3x3 -> fc classes" | striate plan - --input 1x28x28',
        )
    return text
