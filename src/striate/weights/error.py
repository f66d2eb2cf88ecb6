"""What is said of a weights file that cannot be used, and the one way such a file is opened."""

from __future__ import annotations

import io
from pathlib import Path

from striate.data.files.file import open_regular
from striate.data.files.finding import Unreadable
from striate.errors import StriateError
from striate.text.visible import visible


class WeightsError(StriateError):
    """Weights cannot be fetched, read, or put into the network that was asked for."""


class Hostile(WeightsError):
    """The file asks for code.  Nothing of it was run."""


# What a file may be, as every error about its form says.
FORMS = "a .safetensors file, or what torch.save writes"


def open_weights(path: Path) -> tuple[io.BufferedReader, int]:
    """The open file and its length; who asked closes it.

    Raises WeightsError where there is none, or where it is a folder, a pipe or a device, which may never end.
    """
    try:
        return open_regular(path)
    except Unreadable as problem:
        raise WeightsError(
            problem.problem,
            place=visible(str(path)),
            expected="a file that is there and may be read",
            cure="check the path and who may read it",
        ) from None


def damaged(path: Path, problem: str) -> WeightsError:
    """The error of a file that contradicts itself or ends too early."""
    return WeightsError(
        problem,
        place=visible(str(path)),
        expected=f"{FORMS}, whole",
        cure="fetch the file again, and compare its hash",
    )


def unreadable(path: Path, problem: OSError) -> WeightsError:
    """The error of a file that the system stops giving."""
    return WeightsError(
        f"it cannot be read: {problem.strerror or problem}",
        place=visible(str(path)),
        expected="a file that is there and may be read",
        cure="check the path and who may read it",
    )


def clipped(name: str, most: int = 80) -> str:
    """A name out of a file in one printable line of at most `most` characters."""
    said = visible(name[: most + 1])
    return said if len(said) <= most else said[: most - 3] + "..."
