"""What is taken where the user says nothing, and why."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from striate.errors import counted
from striate.optimizers import OPTIMIZERS

# Largest side in pixels for each of the zoo's small networks.
_NETS = ((28, "small28"), (48, "small32"), (96, "small64"), (2048, "small128"))

# The recipe that is taken where nothing is said of how and what to train.
RECIPE = "quick"

# Who says one of these knows how the network is to be trained.
_OWN = ("optimizer", "weights", "freeze")

# swift32 whitens windows of three channels, and halves images four times.
SWIFT_CHANNELS, SWIFT_SIDE = 3, 16


@dataclass(frozen=True, slots=True)
class Choice:
    """A value and the reason for it, as a clause that ends a sentence."""

    value: str
    why: str


def default_recipe(name: str | None, said: Collection[str], *, net: bool) -> str | None:
    """The name of the recipe to take: the one that was said, or the one that learns most in a given time.

    said: the keys that were set.  net: whether a network was given; the recipe was made for those of the zoo that
    striate chooses, and with another one, or another optimizer, the plain defaults are taken.
    """
    if name is not None or net or any(key in said for key in _OWN):
        return name
    return RECIPE


def default_network(size: tuple[int, int], channels: int, images: int, family: str = "small") -> Choice:
    """The name of a network of the zoo for images of `size`, height and width in pixels.

    family: small, or swift for those that are learnt in few passes.
    """
    side = max(size)
    name = next(name for most, name in _NETS if side <= most)
    if family == "swift" and channels >= SWIFT_CHANNELS and min(size) >= SWIFT_SIDE and side <= 48:
        name = "swift32"
    elif family == "swift" and channels < SWIFT_CHANNELS and side <= 28:
        name = "swift28"
    return Choice(name, f"it suits {size[0]}x{size[1]} pixels and {counted(images, 'training image')}")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A network of the zoo for images of a size, height and width in pixels."""

    net: str
    size: tuple[int, int]


# Sides that photographs can be learnt at in less time, and the network for each.
_SIDES = ((96, "small128"), (64, "small128"), (32, "small64"))

# From the one that learns most, and takes longest, to the quickest; each with the sides that it is for.
_LADDER = (
    ("swift32", 16, 48), ("small32", 16, 48), ("small28", 8, 48), ("small64", 32, 96), ("small128", 64, 2048),
    ("swift28", 8, 64),
)  # fmt: skip


def candidates(
    size: tuple[int, int], channels: int, family: str = "small", *, sides: bool
) -> tuple[Candidate, ...]:
    """What can be chosen from where the time is short, the one that learns most in the end first.

    family: as for `default_network`.  sides: whether smaller images can be taken; else smaller networks only.
    """
    first = default_network(size, channels, 0, family).value
    if sides:
        smaller = [Candidate(net, (side, side)) for side, net in _SIDES if side < max(size)]
        return (Candidate(first, size), *smaller)
    names = [name for name, least, most in _LADDER if least <= min(size) and max(size) <= most]
    if channels < SWIFT_CHANNELS or family != "swift":
        names = [name for name in names if name != "swift32"]
    # swift28 is what a few passes are enough for; where there is time for more, small28 learns more.
    first_or_more = "small28" if first == "swift28" else first
    if first_or_more in names:
        names = names[names.index(first_or_more) :]
    return tuple(Candidate(name, size) for name in dict.fromkeys(names or [first]))


def default_epochs(images: int) -> int:
    """Passes over the training images: 300,000 images in all, but 5 passes at least and 40 at most."""
    return max(5, min(40, round(300_000 / images)))


def default_batch(images: int, optimizer: str = "adamw") -> int:
    """Images in a step: many steps for small data, fewer and larger ones for large data."""
    batch = 128 if images >= 20_000 else 64 if images >= 2_000 else 32
    return OPTIMIZERS[optimizer].batch * batch
