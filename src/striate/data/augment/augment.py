"""Changes drawn anew for every image in training: the words, their order, and what they do to a batch.

    augmentation = "none" | word { "," word }
    word         = "flip" | "vflip" | "crop" [ NUMBER ]
                 | ( "zoom" | "rotate" | "jitter" | "grey" | "noise" | "cutout" | "mixup" ) NUMBER

The order in the text means nothing.  Applied are, of those that were said, in this order:

    rotate                     on the stored image
    crop or zoom               cut the network's window out of it; without them its middle is cut out
    flip, vflip                mirror the window
    jitter, grey, noise        change its values
    cutout                     removes a part of it
    mixup                      mixes the windows of a batch, and their labels
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from striate.data.augment.argument import written
from striate.data.augment.chance import Chance
from striate.data.augment.crop import Crop
from striate.data.augment.cutout import Cutout
from striate.data.augment.flip import Flip, VFlip
from striate.data.augment.grey import Grey
from striate.data.augment.jitter import Jitter
from striate.data.augment.mixup import Mix, Mixup
from striate.data.augment.noise import Noise
from striate.data.augment.rotate import Rotate
from striate.data.augment.zoom import Zoom
from striate.data.images import ImageArray, Images, middle
from striate.errors import RecipeError, nearest

Word: TypeAlias = Rotate | Crop | Zoom | Flip | VFlip | Jitter | Grey | Noise | Cutout | Mixup

WORDS: tuple[type[Word], ...] = (Rotate, Crop, Zoom, Flip, VFlip, Jitter, Grey, Noise, Cutout, Mixup)
"""In the order in which they are applied."""

_NUMBER = r"[0-9]{0,9}\.?[0-9]{1,20}(?:e[+-]?[0-9]{1,3})?"

# What others call them.
_FOREIGN = {
    "mirror": "flip",
    "horizontal": "flip",
    "vertical": "vflip",
    "shift": "crop",
    "translate": "crop",
    "pad": "crop",
    "scale": "zoom",
    "resize": "zoom",
    "randomresizedcrop": "zoom",
    "rotation": "rotate",
    "color": "jitter",
    "colour": "jitter",
    "brightness": "jitter",
    "contrast": "jitter",
    "saturation": "jitter",
    "gray": "grey",
    "grayscale": "grey",
    "gaussian": "noise",
    "erase": "cutout",
    "erasing": "cutout",
    "cutmix": "mixup",
}

# Values that are changed together: enough to outweigh the cost of a call, few enough to stay in the cache.
_AT_ONCE = 2**18


@dataclass(frozen=True, slots=True)
class Augment:
    """What is drawn for each image: words, at most one of a kind, in the order in which they are applied.

    Raises RecipeError where a word stands twice, or crop beside zoom.
    """

    words: tuple[Word, ...] = ()

    def __post_init__(self) -> None:
        kinds = [type(word) for word in self.words]
        for kind in kinds:
            if kinds.count(kind) > 1:
                raise _refused(f"`{kind.word}` stands twice", "each word once", _mended(self.words))
        if Crop in kinds and Zoom in kinds:
            raise _refused("`crop` and `zoom` both choose the window", "one of them", _mended(self.words))
        object.__setattr__(self, "words", tuple(sorted(self.words, key=lambda word: WORDS.index(type(word)))))

    def __str__(self) -> str:
        return ", ".join(str(word) for word in self.words) or "none"

    def require_fits(self, size: tuple[int, int]) -> None:
        """Raises RecipeError where a number is too large for images that the network sees in `size`."""
        side = min(size)
        for word in self.words:
            number = word.pad if isinstance(word, Crop) else word.side if isinstance(word, Cutout) else 0
            if isinstance(word, Crop | Cutout) and number >= side:
                better = [type(word)(side // 4)] if side >= 4 else []
                others = [each for each in self.words if each is not word]
                raise _refused(
                    f"`{word}` is too large for images of {size[0]}x{size[1]}",
                    f"a number below {side}",
                    Augment((*others, *better)),
                )

    def milder(self, share: float) -> Augment:
        """The same words, their numbers nearer to what changes nothing; a word that takes no such number is left out.

        share: 0 to 1, of the way from there to the numbers as they are.
        Source: Tan and Le 2021, section 4.2 (less regularization while images are small).
        """
        return self if share == 1 else Augment(tuple(_milder(self.words, share)))

    def mix(self, chance: Chance) -> Mix | None:
        """How the images of a batch are mixed, or None where they are not."""
        return next((word.mix(chance) for word in self.words if isinstance(word, Mixup)), None)


def _milder(words: tuple[Word, ...], share: float) -> Iterator[Word]:
    for word in words:
        argument = type(word).argument
        if argument is None:
            yield word
            continue
        (number,) = astuple(word)
        found = argument.milder(number, share)
        if argument.has(found):
            yield type(word)(found)  # type: ignore[call-arg, arg-type]


def _mended(words: tuple[Word, ...]) -> Augment:
    """The first word of each kind, and no crop beside zoom."""
    first = {type(word): word for word in reversed(words)}
    if Zoom in first:
        first.pop(Crop, None)
    return Augment(tuple(first.values()))


def _refused(problem: str, expected: str, cure: object = "") -> RecipeError:
    return RecipeError(problem, place="augment", expected=expected, cure=str(cure))


def read_augment(text: str) -> Augment:
    """Read words separated by commas, or `none`; the grammar stands at the top of this file.

    Raises RecipeError, with a text that can be read as its cure.
    """
    said = [piece.strip() for piece in text.split(",")]
    if said in ([""], ["none"]):
        return Augment()
    words = []
    for place, piece in enumerate(said):
        try:
            words.append(_read_word(piece))
        except RecipeError as problem:
            cured = [*said[:place], *([problem.cure] if problem.cure else []), *said[place + 1 :]]
            problem.cure = ", ".join(cured) or "none"
            raise
    return Augment(tuple(words))


def _read_word(piece: str) -> Word:
    """word = WORD [ NUMBER ].  The cure of an error is another word, or "" for none at all."""
    name, _, rest = piece.partition(" ")
    rest = rest.strip()
    kind = next((kind for kind in WORDS if kind.word == name), None)
    if kind is None:
        raise _unknown(piece)
    if kind is Flip or kind is VFlip:
        if rest:
            raise _refused(f"`{name}` takes no number, and `{rest}` stands there", name, name)
        return kind()
    if kind is Crop and not rest:
        return Crop(0)
    argument = kind.argument
    assert argument is not None
    if not re.fullmatch(_NUMBER, rest):
        problem = f"`{name}` cannot take `{rest}`" if rest else f"`{name}` lacks its number"
        expected = f"{name} {argument.name} with {argument.name} {argument}"
        raise _refused(problem, expected, f"{name} {written(argument.often)}")
    number = float(rest)
    argument.require(name, number)
    return kind(int(number) if argument.whole else number)  # type: ignore[call-arg, arg-type]


def _unknown(piece: str) -> RecipeError:
    expected = "none, or words separated by commas out of: " + ", ".join(
        f"{kind.word} {kind.argument.name}" if kind.argument else kind.word for kind in WORDS
    )
    if not piece:
        return _refused("nothing stands between two commas", expected)
    if piece == "none":
        return _refused("`none` stands beside other words", expected)
    found = re.match(r"([A-Za-z]*)[^\w.]*(" + _NUMBER + r")?", piece)
    bare, number = (found[1].lower(), float(found[2] or "nan")) if found else ("", math.nan)
    near = _FOREIGN.get(bare) or nearest(bare, [kind.word for kind in WORDS])
    argument = next((kind.argument for kind in WORDS if kind.word == near), None)
    cure = near or ""
    if argument is not None:
        cure += " " + written(number if argument.has(number) else argument.often)
    return _refused(f"`{piece}` is not an augmentation", expected, cure)


def default_augment(size: tuple[int, int], channels: int, *, margin: bool) -> Augment:
    """What is taken where nothing is said.

    Color images are flipped and cropped, images of other kinds only cropped: a mirrored digit or
    letter is another one.  The crop moves by an eighth of the side (color) or a fourteenth.

    margin: the stored images are larger than what the network sees, so there is room to crop already.
    """
    side = min(size)
    if channels == 3:
        return Augment((Flip(), Crop(0 if margin else min(256, round(side / 8)))))
    return Augment((Crop(0 if margin else max(1, round(side / 14))),))


def augmented(
    stored: Images,
    index: NDArray[np.int64],
    size: tuple[int, int],
    augment: Augment,
    *,
    seed: int,
    epoch: int,
) -> Images:
    """What the network sees of some images in an epoch, all but their mixture.

    Each depends on the stored image, its place, seed and epoch, and on nothing else: not on what else
    is asked for, nor on the order.  Each is read once.

    stored: M x H x W x C, a whole split, maybe mapped from a file.  index: N places in it, as `Chance` has them.
    Returns N x height x width x C of the same kind of numbers, a new array.
    """
    windows: Images = np.empty((len(index), *size, stored.shape[3]), dtype=stored.dtype)
    at_once = max(1, _AT_ONCE // max(1, windows[:1].size))
    for part, chance in Chance(seed, epoch, index).parts(at_once):
        _fill(windows[part], stored, augment, chance)
    return windows


def _fill(windows: Images, stored: Images, augment: Augment, chance: Chance) -> None:
    images: list[ImageArray] = [stored[place] for place in (chance.images % len(stored)).tolist()]
    window: Crop | Zoom | None = None
    for word in augment.words:
        if isinstance(word, Rotate):
            images = word.turn(images, chance)
        elif isinstance(word, Crop | Zoom):
            window = word
    if window is not None:
        window.cut(images, windows, chance)
    else:
        top, left = middle(stored.shape[1:3], windows.shape[1:3])
        height, width = windows.shape[1:3]
        for place, image in enumerate(images):
            windows[place] = image[top : top + height, left : left + width]
    for word in augment.words:
        if not isinstance(word, Rotate | Crop | Zoom | Mixup):
            word.change(windows, chance)
