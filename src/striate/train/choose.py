"""What is taken where the user says nothing, and why."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from striate.errors import counted

# Largest side in pixels for each of the zoo's small networks.
_NETS = ((28, "small28"), (48, "small32"), (96, "small64"), (2048, "small128"))

# The recipe that is taken where nothing is said of how and what to train.
RECIPE = "quick"

# Who says one of these knows how the network is to be trained.
_OWN = ("optimiser", "weights", "freeze")

# swift32 whitens windows of three channels, and halves pictures four times.
SWIFT_CHANNELS, SWIFT_SIDE = 3, 16


@dataclass(frozen=True, slots=True)
class Choice:
    """A value and the reason for it, as a clause that ends a sentence."""

    value: str
    why: str


def suited_recipe(name: str | None, said: Collection[str], *, net: bool) -> str | None:
    """The name of the recipe to take: the one that was said, or the one that learns most in a given time.

    said: the keys that were set.  net: whether a network was given; the recipe was made for those of the zoo that
    striate chooses, and with another one, or another optimiser, the plain defaults are taken.
    """
    if name is not None or net or any(key in said for key in _OWN):
        return name
    return RECIPE


def suited_net(size: tuple[int, int], channels: int, pictures: int, family: str = "small") -> Choice:
    """The name of a network of the zoo for pictures of `size`, height and width in pixels.

    family: small, or swift for those that are learnt in few passes.
    """
    side = max(size)
    name = next(name for most, name in _NETS if side <= most)
    if family == "swift" and channels >= SWIFT_CHANNELS and min(size) >= SWIFT_SIDE and side <= 48:
        name = "swift32"
    elif family == "swift" and channels < SWIFT_CHANNELS and side <= 28:
        name = "swift28"
    return Choice(name, f"it suits {size[0]}x{size[1]} pixels and {counted(pictures, 'training picture')}")


def suited_epochs(pictures: int) -> int:
    """Passes over the training pictures: 300,000 pictures in all, but 5 passes at least and 40 at most."""
    return max(5, min(40, round(300_000 / pictures)))


def suited_batch(pictures: int, optimiser: str = "adamw") -> int:
    """Pictures in a step: many steps for small data, fewer and larger ones for large data.

    For muon twice as many: a step of it costs more, and goes further.
    """
    batch = 128 if pictures >= 20_000 else 64 if pictures >= 2_000 else 32
    return 2 * batch if optimiser == "muon" else batch
