"""Keys of a recipe as users give them: under the names of other tools, times and sizes with their units."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from striate.disk.cached import bytes_said
from striate.errors import RecipeError

# What is meant by names that other tools, or the command line, have for a key.
_MEANT = {
    **dict.fromkeys(("lr", "rate", "lr0", "initial_lr", "base_lr", "max_lr"), "learning_rate"),
    **dict.fromkeys(("wd", "l2", "decay", "l2_regularization"), "weight_decay"),
    **dict.fromkeys(("batch_size", "bs", "minibatch", "train_batch_size"), "batch"),
    **dict.fromkeys(("opt", "optimiser", "optim"), "optimizer"),
    **dict.fromkeys(("lr_schedule", "lr_scheduler", "scheduler", "sched"), "schedule"),
    **dict.fromkeys(("smoothing", "label_smooth"), "label_smoothing"),
    **dict.fromkeys(("grad_clip", "clip_grad", "gradient_clip", "gradclip"), "clip"),
    **dict.fromkeys(("init", "initialization", "initializer"), "initial"),
    **dict.fromkeys(("ema_decay", "model_ema"), "ema"),
    **dict.fromkeys(("early_stopping", "early_stop"), "patience"),
    **dict.fromkeys(("validation_split", "val_split", "valid_pct"), "val_share"),
    **dict.fromkeys(("centre", "zero_center"), "center"),
    "budget": "budget_s",
    "memory": "memory_bytes",
}


def canonical(given: Mapping[str, Any], place: str = "recipe") -> dict[str, Any]:
    """The same values under the names of the recipe: `lr`, `batch_size`, `budget="60s"` and `memory="2G"` are understood.

    Raises RecipeError where a key is given under both names, and where a time or a size is none.
    """
    found: dict[str, Any] = {}
    for name, value in given.items():
        key = key_called(name)
        if key in found or (key != name and key in given):
            raise RecipeError(
                f"it says both {key} and {name if key != name else _other(key, given)}",
                place=place,
                expected="one of them",
                cure=f"leave out {name if key != name else _other(key, given)}",
            )
        if isinstance(value, str):
            if key == "budget_s":
                value = seconds(value, name)
            elif key == "memory_bytes":
                value = byte_count(value, name)
        found[key] = value
    return found


def key_called(name: str) -> str:
    """The key that `name` is another tool's word for, as `lr` for `learning_rate`; `name` itself where it is none."""
    return _MEANT.get(name.lower(), name)


def _other(key: str, given: Mapping[str, Any]) -> str:
    return next(name for name in given if name != key and key_called(name) == key)


def seconds(text: str, place: str = "--budget") -> float:
    """`90s`, `90`, `10m`, `1h30m` or `1.5h` in seconds.  Raises RecipeError."""
    said, number = text.strip(), r"(\d+(?:\.\d+)?)"
    match = re.fullmatch(
        f"(?:{number}h)?(?:{number}m)?(?:{number}s)?", said + "s" * bool(re.fullmatch(number, said))
    )
    hours, minutes, rest = (float(part or 0) for part in match.groups()) if match else (0.0, 0.0, 0.0)
    total = 3600 * hours + 60 * minutes + rest
    if not total > 0:
        raise RecipeError(
            f"`{text}` is not a time",
            place=place,
            expected="a time as 90s, 10m or 1h30m",
            cure=_cure(place, "10m"),
        )
    return total


def byte_count(text: str, place: str = "--memory") -> int:
    """`2G`, `1.5G`, `512M` or `512MB` in bytes, in powers of 1000.  Raises RecipeError."""
    found = bytes_said(text)
    if not found:
        raise RecipeError(
            f"`{text}` is not a size of memory",
            place=place,
            expected="a size as 2G or 800M",
            cure=_cure(place, "2G"),
        )
    return found


def _cure(place: str, value: str) -> str:
    return f"{place} {value}" if place.startswith("--") else f'{place}="{value}"'
