"""Claims about shared weights: over places, over colors, over what is combined."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from striate.lab.bench import Bench, answers
from striate.lab.claim import (
    Arm,
    Chart,
    Claim,
    Comparison,
    Finding,
    Picture,
    Row,
    Verdict,
    bars,
    differs,
    interval,
    series,
)
from striate.lab.images import ImageSet, placed, turned_hue

# ---- sharing-beats-local ------------------------------------------------------------------------------


def _local_net(word: str) -> str:
    return f"{word} 16 3x3 -> relu -> maxpool 2 -> {word} 32 3x3 -> relu -> head: fc classes"


def _local_arm(word: str, *, moves: bool = False) -> Arm:
    keys: tuple[tuple[str, object], ...] = (("batch", 64),)
    if moves:
        keys = (*keys, ("augment", "crop 1"))
    return Arm(f"{word}{', trained with shifts' if moves else ''}", _local_net(word), keys=keys, epochs=15)


_LOCAL_ARMS = [_local_arm(word, moves=moves) for moves in (False, True) for word in ("conv", "local")]


def _sharing_beats_local(bench: Bench) -> Finding:
    accuracy = [[100 * each.test_accuracy for each in bench.outcomes(arm)] for arm in _LOCAL_ARMS]
    conv, local, conv_moved, local_moved = accuracy
    rows = [
        Row(arm.name, "test accuracy", "%", tuple(values), bench.chosen(arm))
        for arm, values in zip(_LOCAL_ARMS, accuracy, strict=True)
    ]
    return Finding(
        (
            differs(
                "test accuracy, conv minus local, without shifts",
                [a - b for a, b in zip(conv, local, strict=True)],
            ),
            differs(
                "test accuracy, conv minus local, both trained with shifts",
                [a - b for a, b in zip(conv_moved, local_moved, strict=True)],
                counts=False,
            ),
            differs(
                "test accuracy, what shifts give local",
                [a - b for a, b in zip(local_moved, local, strict=True)],
                counts=False,
            ),
        ),
        tuple(rows),
        (bars("Test accuracy", "%", rows),),
    )


SHARING_BEATS_LOCAL = Claim(
    name="sharing-beats-local",
    line="Weight sharing beats local connection.",
    words="The same local windows with weights of their own at every place learn less well than with shared weights.",
    source="LeCun 1989, Generalization and network design strategies; d'Ascoli et al. 2019, Finding the needle in the haystack "
    "with convolutions.",
    protocol="Two layers of 3x3 windows, `conv` or `local`, and a fully connected layer; each also trained on images "
    "moved by up to a pixel, from which unshared weights can learn what sharing gives.",
    falsifier="They are equal without shifts: the interval of the gain of sharing is below 0.5 points.",
    changes="More images, from which local weights learn the sharing; images that always lie alike, as faces that were aligned.",
    measure=_sharing_beats_local,
    arms=_LOCAL_ARMS,
)


# ---- learned-once -------------------------------------------------------------------------------------

_CANVAS = 3
_MIDDLE = ImageSet(canvas=_CANVAS)
_HEADS = {
    "conv, global pooling": "conv 16 3x3 -> relu -> maxpool 2 -> conv 32 3x3 -> relu -> conv 32 3x3 -> relu -> pool max -> head: fc classes",
    "conv, fc": "conv 16 3x3 -> relu -> maxpool 2 -> conv 32 3x3 -> relu -> conv 32 3x3 -> relu -> head: fc classes",
    "mlp": "fc 128 -> relu -> fc 128 -> relu -> head: fc classes",
}
_ONCE_ARMS = {
    name: Arm(name, net, images=_MIDDLE, keys=(("batch", 64),), epochs=12) for name, net in _HEADS.items()
}


def _learned_once(bench: Bench) -> Finding:
    middle: dict[str, list[float]] = {}
    corner: dict[str, list[float]] = {}
    images, labels = bench.loaded.test
    side = _CANVAS * images.shape[1]
    corners = [placed(images, side, corner=number) for number in range(4)]
    truth = torch.from_numpy(labels)
    for name, arm in _ONCE_ARMS.items():
        middle[name], corner[name] = [], []
        for outcome in bench.outcomes(arm):
            trained = bench.trained(outcome)
            middle[name].append(100 * outcome.test_accuracy)
            right = [
                float((answers(trained.net, bench.read(trained, x)) == truth).float().mean()) for x in corners
            ]
            corner[name].append(100 * float(np.mean(right)))
    falls = {name: [a - b for a, b in zip(middle[name], corner[name], strict=True)] for name in _ONCE_ARMS}
    rows = []
    for name, arm in _ONCE_ARMS.items():
        rows.append(Row(name, "accuracy in the middle", "%", tuple(middle[name]), bench.chosen(arm)))
        rows.append(Row(name, "accuracy in the corners", "%", tuple(corner[name]), bench.chosen(arm)))
    comparisons = [
        differs(
            f"what the corners cost, mlp minus {name}",
            [a - b for a, b in zip(falls["mlp"], falls[name], strict=True)],
            margin=5,
        )
        for name in ("conv, global pooling", "conv, fc")
    ]
    places = ("middle", "corners")
    chart = Chart(
        "Test accuracy by place", "", "%",
        tuple(series(name, (0, 1), list(zip(middle[name], corner[name], strict=True))) for name in _ONCE_ARMS),
        ticks=places,
    )  # fmt: skip
    return Finding(
        tuple(comparisons),
        tuple(rows),
        (chart,),
        notes=(
            f"The canvas has {_CANVAS} times the side of the images, so a corner shares no pixel with the middle.",
        ),
    )


LEARNED_ONCE = Claim(
    name="learned-once",
    line="What a convolutional net learned in one place it recognizes in any other; a dense net does not.",
    words="Once a feature is learned in one place, a convolutional network recognizes it in any other.",
    source="LeCun et al. 1998, section II.A; Goodfellow, Bengio and Courville 2016, section 9.2; CS231n notes.",
    protocol="Trained with every image in the middle of a black canvas, tested in its four corners: convolutions with "
    "global pooling, the same with a fully connected layer, and a dense network.",
    falsifier="The convolutional network falls as the dense one: the interval of the difference of what the corners cost is "
    "below 5 points.",
    changes="Training with moved images. A fully connected layer behind the convolutions: it is dense again, and sees places.",
    correction="Sharing makes the maps move along with the image (equivariance). That the answer stays takes global pooling; "
    "a fully connected layer behind undoes it, and both are measured.",
    measure=_learned_once,
    arms=list(_ONCE_ARMS.values()),
)


# ---- sharing-adds -------------------------------------------------------------------------------------

EXACT = 1e-5


def patch_gradients(x: Tensor, weight: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """The gradient of a convolution's weights by autograd, and that of each place by hand.

    loss = sum of target * conv(x).  x: 1 x C x H x W.  weight: K x C x 3 x 3.  target: 1 x K x H x W.
    Returned are K x C x 3 x 3, and P x K x C x 3 x 3 for the P places, whose sum over the places it should be.
    """
    free = weight.clone().requires_grad_(True)
    (whole,) = torch.autograd.grad((F.conv2d(x, free, padding=1) * target).sum(), free)
    patches = F.unfold(x, 3, padding=1)[0].T.reshape(-1, 1, x.shape[1], 3, 3)
    errors = target[0].flatten(1).T.reshape(-1, target.shape[1], 1, 1, 1)
    return whole, errors * patches


def _sharing_adds(bench: Bench) -> Finding:
    off = []
    pictures: list[Picture] = []
    images = bench.loaded.train[0]
    for seed in bench.seeds:
        draw = torch.Generator().manual_seed(seed)
        x = torch.from_numpy(images[seed : seed + 1].astype(np.float64)).permute(0, 3, 1, 2) / 255
        weight = torch.randn(4, x.shape[1], 3, 3, generator=draw, dtype=torch.float64)
        # What would come back through a relu from a random loss.
        target = torch.randn(1, 4, *x.shape[2:], generator=draw, dtype=torch.float64)
        target = target * (F.conv2d(x, weight, padding=1) > 0)
        whole, places = patch_gradients(x, weight, target)
        off.append(float((whole - places.sum(dim=0)).abs().max() / whole.abs().max()))
        if seed == 0:
            pictures = _adding_pictures(x, whole, places)
    worst = max(off)
    same: Verdict = "holds" if worst < EXACT else "does not hold"
    middle, low, high = interval(off)
    comparison = Comparison(
        "largest difference, of the largest gradient", "", tuple(off), middle, low, high,
        f"every one is {'below' if worst < EXACT else 'not below'} {EXACT:g}", same,
    )  # fmt: skip
    return Finding(
        (comparison,), (Row("float64", "largest difference", "", tuple(off)),), pictures=tuple(pictures)
    )


def _adding_pictures(x: Tensor, whole: Tensor, places: Tensor) -> list[Picture]:
    """The image, how much each place adds to one weight matrix, a few of those, and their sum."""
    # The map that most places add to.
    busiest = int((places.flatten(2).abs().sum(dim=2) > 0).sum(dim=0).argmax())
    kernel = places[:, busiest].mean(dim=1)
    strength = kernel.flatten(1).norm(dim=1).reshape(x.shape[2:])
    strongest = strength.flatten().argsort(descending=True)[:3].tolist()
    found = [_picture("the image", x[0].mean(dim=0)), _picture("how much each place adds", strength)]
    for place in strongest:
        row, column = divmod(place, x.shape[3])
        found.append(_picture(f"gradient of row {row}, column {column}", kernel[place]))
    return [
        *found,
        _picture("their sum over all places", kernel.sum(dim=0)),
        _picture("autograd's", whole[busiest].mean(dim=0)),
    ]


def _picture(caption: str, values: Tensor) -> Picture:
    low, high = float(values.min()), float(values.max())
    scaled = (values - low) / max(high - low, 1e-12)
    return Picture(caption, tuple(tuple(round(float(one), 3) for one in row) for row in scaled))


SHARING_ADDS = Claim(
    name="sharing-adds",
    line="With shared weights the gradients of all places add up.",
    words="The gradient of a shared weight is the sum of the gradients that it would have at each place.",
    source="LeCun et al. 1989, Backpropagation applied to handwritten zip code recognition; CS231n notes.",
    protocol="A 3x3 convolution on an image, behind it a relu and a random loss, in float64: autograd's gradient against "
    "the sum over all places of error times patch.",
    falsifier="They differ by more than 1e-5 of the largest gradient.",
    changes="Nothing: it is the chain rule. In float32 the sums differ by their order.",
    measure=_sharing_adds,
)


# ---- gray-sharing -------------------------------------------------------------------------------------

# Thirds of a turn swap the channels, so that no value leaves 0 to 255 and R + G + B stays as it is, exactly.
TURNS = (0, 1 / 3, 2 / 3)
_PAINTED = ImageSet(painted=True)
_COLOR_NET = "conv 16 3x3 -> relu -> maxpool 2 -> conv 32 3x3 -> relu -> pool max -> head: fc classes"
# A standard deviation for each channel would weigh them, and their mean would no longer be blind to the hue.
_GRAY_KEYS = (("batch", 64), ("center", "none"), ("scale", "none"))
_GRAY_ARMS = {
    "color": Arm("color", _COLOR_NET, images=_PAINTED, keys=_GRAY_KEYS, epochs=15),
    "grey": Arm("grey", f"grey -> {_COLOR_NET}", images=_PAINTED, keys=_GRAY_KEYS, epochs=15),
}


def _grey_sharing(bench: Bench) -> Finding:
    found: dict[str, list[list[float]]] = {}
    rows = []
    for name, arm in _GRAY_ARMS.items():
        images, labels = bench.images(arm.images).test
        truth = torch.from_numpy(labels)
        found[name] = []
        for outcome in bench.outcomes(arm):
            trained = bench.trained(outcome)
            found[name].append(
                [
                    100
                    * float(
                        (answers(trained.net, bench.read(trained, turned_hue(images, turn))) == truth)
                        .float()
                        .mean()
                    )
                    for turn in TURNS
                ]
            )
        rows.append(
            Row(
                name,
                "test accuracy, hues as trained",
                "%",
                tuple(row[0] for row in found[name]),
                bench.chosen(arm),
            )
        )
        rows.append(
            Row(
                name,
                "test accuracy, hues turned by 240 degrees",
                "%",
                tuple(row[-1] for row in found[name]),
                bench.chosen(arm),
            )
        )
    cost = {name: [row[0] - row[-1] for row in rows_] for name, rows_ in found.items()}
    plain = [b[0] - a[0] for a, b in zip(found["grey"], found["color"], strict=True)]
    chart = Chart(
        "Test accuracy by hue", "degrees that the hue is turned", "%",
        tuple(series(name, [360 * turn for turn in TURNS], rows_) for name, rows_ in found.items()),
    )  # fmt: skip
    return Finding(
        (
            differs(
                "accuracy lost when the hue is turned by 240 degrees, color minus grey",
                [a - b for a, b in zip(cost["color"], cost["grey"], strict=True)],
            ),
            differs("test accuracy with hues as trained, color minus grey", plain, counts=False),
        ),
        tuple(rows),
        (chart,),
        notes=("Turning the hue by a third swaps the channels: R + G + B stays as it is, exactly.",),
    )


GREY_SHARING = Claim(
    name="grey-sharing",
    line="Sharing one weight over R, G and B makes a network robust to other colors.",
    words="With one shared weight for red, green and blue the network does not see color, and is robust to changes of hue.",
    source="Lecture notes on convolutional networks; `grey` of the notation.",
    protocol="Images with their own colors, or gray ones painted in hues near red; a network that reads three channels, and "
    "the same behind `grey`. Tested with all hues turned by 0, 120 and 240 degrees. Nothing is subtracted or divided.",
    falsifier="No difference: the interval of what turning costs, color minus grey, is below 0.5 points.",
    changes="Training with turned hues, which teaches the same; classes that color tells apart.",
    measure=_grey_sharing,
    arms=list(_GRAY_ARMS.values()),
)


CLAIMS = (SHARING_BEATS_LOCAL, LEARNED_ONCE, SHARING_ADDS, GREY_SHARING)
