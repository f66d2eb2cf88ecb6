"""What is taken where the user says nothing, and why."""

from __future__ import annotations

from dataclasses import dataclass

from striate.errors import counted

# Largest side in pixels for each of the zoo's small networks.
_NETS = {
    "small": ((28, "small28"), (48, "small32"), (96, "small64"), (2048, "small128")),
    "swift": ((28, "swift28"), (48, "swift32"), (96, "small64"), (2048, "small128")),
}


@dataclass(frozen=True, slots=True)
class Choice:
    """A value and the reason for it, as a clause that ends a sentence."""

    value: str
    why: str


def suited_net(size: tuple[int, int], pictures: int, family: str = "small") -> Choice:
    """The name of a network of the zoo for pictures of `size`, height and width in pixels.

    family: small, or swift for those that are learnt in few passes.
    """
    name = next(name for side, name in _NETS[family] if max(size) <= side)
    return Choice(name, f"it suits {size[0]}x{size[1]} pixels and {counted(pictures, 'training picture')}")


def suited_epochs(pictures: int) -> int:
    """Passes over the training pictures: 300,000 pictures in all, but 5 passes at least and 40 at most."""
    return max(5, min(40, round(300_000 / pictures)))


def suited_batch(pictures: int) -> int:
    """Pictures in a step: many steps for small data, fewer and larger ones for large data."""
    if pictures >= 20_000:
        return 128
    return 64 if pictures >= 2_000 else 32
