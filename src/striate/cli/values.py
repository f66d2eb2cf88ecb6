"""Values on the command line that have a form of their own."""

from __future__ import annotations

import os
import re
from pathlib import Path

from cyclopts import Parameter

from striate.errors import StriateError
from striate.text.visible import visible

# Where something is written: every command that writes has it under both names.
OUT = Parameter(name=("--out", "-o"))


def input_shape(text: str) -> tuple[int, int, int]:
    """`3x224x224` as channels, height and width.  Raises StriateError."""
    match = re.fullmatch(r"(\d{1,6})[x×](\d{1,6})[x×](\d{1,6})", text.strip())
    sides = tuple(int(side) for side in match.groups()) if match else ()
    if len(sides) != 3 or 0 in sides:
        two = re.fullmatch(r"(\d{1,6})[x×](\d{1,6})", text.strip())
        raise StriateError(
            f"`{text}` is not the shape of an image",
            place="--input",
            expected="CHANNELSxHEIGHTxWIDTH",
            cure=f"--input 3x{two[1]}x{two[2]}, or 1x{two[1]}x{two[2]} for grey images"
            if two
            else "--input 3x224x224",
        )
    return sides[0], sides[1], sides[2]


def asked_size(text: str | None) -> int | str | None:
    """A size as a number where it is one: errors then show it as it was typed."""
    return int(text) if text is not None and text.isdecimal() and len(text) < 9 else text


def with_whole_sizes(words: list[str]) -> list[str]:
    """The words of a command line, `--size 60 180` made `--size 60x180`: no data are called 180."""
    for place, (flag, *sides) in enumerate(zip(words, words[1:], words[2:], strict=False)):
        if flag == "--size" and all(each.isdigit() for each in sides) and not os.path.exists(sides[1]):
            return [*words[: place + 1], "x".join(sides), *words[place + 3 :]]
    return words


def require_new(path: Path, force: bool, option: str = "--out") -> None:
    """Raise StriateError where a file is in the way and may not be written over, or its folder is missing."""
    if os.path.exists(path) and (not force or not os.path.isfile(path)):
        raise StriateError(
            "there is a file already", place=visible(str(path)), cure=f"--force, or another {option}"
        )
    if not os.path.isdir(path.parent):
        raise StriateError(
            "there is no such folder", place=visible(str(path.parent)), expected="a folder for the file"
        )


def asked_page(out: Path | None, open_: bool, name: str, *, force: bool, data: str | None) -> Path | None:
    """Where a page will be written: `out`, or `name` where --open alone asks for one; None where nothing does.

    Raises StriateError as `require_new` and `require_outside`.
    """
    if open_ and out is None:
        out = Path(name)
    if out is not None:
        require_new(out, force)
        if data is not None:
            require_outside("--out", out, data)
    return out


def require_outside(option: str, path: Path, data: str) -> None:
    """Raise StriateError where a file would lie within the user's data."""
    folder, source = os.path.realpath(path.parent), os.path.realpath(os.path.expanduser(data))
    if os.path.isdir(source) and (folder + os.sep).startswith(source.rstrip(os.sep) + os.sep):
        raise StriateError(
            f"{visible(str(path))} would lie among the images, and nothing is written there",
            place=option,
            expected="a path outside of the data",
            cure=f"{option} {visible(path.name)}",
        )
    if os.path.realpath(path) == source:
        raise StriateError("this is what is to be read", place=option, expected="another file")


def large_count(text: str, option: str) -> int:
    """`100k`, `20M`, `1.5G` or plain digits.  Raises StriateError."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([kKmMgG]?)", text.strip().replace(",", ""))
    found = round(float(match[1]) * {"": 1, "k": 1e3, "m": 1e6, "g": 1e9}[match[2].lower()]) if match else 0
    if found < 1:
        raise StriateError(
            f"`{text}` is not a number",
            place=option,
            expected="a number as 100k or 20M",
            cure=f"{option} 100k",
        )
    return found


def short_seconds(text: str) -> float:
    """`5ms`, `0.5s` or `200us` in seconds.  Raises StriateError."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(us|ms|s)", text.strip())
    found = float(match[1]) * {"us": 1e-6, "ms": 1e-3, "s": 1.0}[match[2]] if match else 0.0
    if not found > 0:
        raise StriateError(
            f"`{text}` is not a time", place="--latency", expected="a time as 5ms", cure="--latency 5ms"
        )
    return found


def share(text: str, flag: str) -> float:
    """`1%`, `0.5 %` or `0.01` as a share between 0 and 1.  Raises StriateError."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?|\.\d+)\s*(%?)", text.strip())
    found = (float(match[1]) / 100 if match[2] else float(match[1])) if match else 0.0
    if not 0 < found < 1:
        raise StriateError(
            f"`{visible(text)}` is not a share",
            place=flag,
            expected="more than 0% and less than 100%",
            cure=f"{flag} {'95%' if flag == '--sets' else '1%'}",
        )
    return found
