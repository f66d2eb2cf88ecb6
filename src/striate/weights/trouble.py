"""What is said of a weights file that cannot be used."""

from __future__ import annotations

from pathlib import Path

from striate.data.finding import shown
from striate.errors import StriateError


class WeightsError(StriateError):
    """Weights cannot be fetched, read, or put into the network that was asked for."""


class Hostile(WeightsError):
    """The file asks to run code.  Nothing of it was run."""


# What a file may be, as every error about its form says.
FORMS = "a .safetensors file, or what torch.save writes"


def damaged(path: Path, problem: str) -> WeightsError:
    """The error of a file that contradicts itself or ends too early."""
    return WeightsError(
        problem,
        place=shown(str(path)),
        expected=f"{FORMS}, whole",
        cure="fetch the file again, and compare its hash",
    )


def unreadable(path: Path, problem: OSError) -> WeightsError:
    """The error of a file that the system will not give."""
    return WeightsError(
        f"it cannot be read: {problem.strerror or problem}",
        place=shown(str(path)),
        expected="a file that is there and may be read",
        cure="check the path and who may read it",
    )


def clipped(name: str, most: int = 80) -> str:
    """A name out of a file in one printable line of at most `most` characters."""
    said = shown(name[: most + 1])
    return said if len(said) <= most else said[: most - 3] + "..."
