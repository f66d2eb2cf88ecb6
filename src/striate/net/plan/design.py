"""What the text of a network alone says of how it will learn: legal, but hardly meant.

A network is looked at as sequences of layers, brackets and calls unrolled, a branch of a join in a sequence of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, final

from striate.errors import counted
from striate.net.layers.convolution import Conv, Local
from striate.net.layers.dropout import Dropout, Dropout2d
from striate.net.layers.linear import Fc
from striate.net.layers.words import write_layer
from striate.net.layout.layout import Chain, Join, Layout, Part, Placed, Side
from striate.net.plan.receptive_field import Fields
from striate.net.shape import Map


@final
@dataclass(frozen=True, slots=True)
class Note:
    """What is legal in a network but hardly meant.

    code: short and stable, a key of NOTES.  text: a sentence without its full stop.  cure: what to write instead,
    empty where the text says it.  layer: the path that it is about, empty for all of it.
    """

    code: str
    text: str
    cure: str = ""
    layer: str = ""

    @property
    def severity(self) -> Literal["warning", "note"]:
        """warning: it costs accuracy in nearly every network; note: a hint on the design."""
        return NOTES[self.code].severity

    def __str__(self) -> str:
        return f"{self.text} (try: {self.cure})" if self.cure else self.text


@final
@dataclass(frozen=True, slots=True)
class NoteKind:
    """A code of the notes.  meaning, why: sentences; source: where it is known from."""

    severity: Literal["warning", "note"]
    meaning: str
    why: str
    source: str


NOTES: dict[str, NoteKind] = {
    "no-nonlinearity": NoteKind(
        "warning",
        "Layers with weights follow each other without an activation between.",
        "Two linear layers one behind the other are one linear layer: the second adds weights and nothing else.",
        "Goodfellow, Bengio and Courville 2016, Deep Learning, section 6.1",
    ),
    "activation-on-output": NoteKind(
        "warning",
        "The last layer is an activation.",
        "The loss wants logits of any size and sign: relu makes half of them 0 with no gradient, tanh and sigmoid "
        "keep the network from being sure.",
        "Humbatova, Jahangirova and Tonella 2021 (DeepCrime), operators on the last layer's activation",
    ),
    "softmax-inside": NoteKind(
        "warning",
        "A softmax stands before the end.",
        "It squeezes its features into shares that add up to 1, and its gradient is small wherever one of them leads.",
        "Goodfellow, Bengio and Courville 2016, Deep Learning, section 6.2.2",
    ),
    "saturating-depth": NoteKind(
        "warning",
        "Many activations that are flat at both ends follow each other without a norm.",
        "Each multiplies the gradient by its slope, at most 1/4 for a sigmoid: the first layers hardly learn.",
        "Glorot and Bengio 2010, section 3: sigmoid networks with 4 hidden layers stay at a plateau",
    ),
    "receptive-field-small": NoteKind(
        "warning",
        "Units before the classifier see a small part of the image.",
        "What the pool behind them averages are textures; no unit ever sees a whole object.",
        "Luo, Li, Urtasun and Zemel 2016, section 2: the effective field is smaller still",
    ),
    "dropout-before-bn": NoteKind(
        "warning",
        "A dropout stands before a bn.",
        "Dropout changes the variance in training only, and bn keeps the variance of training: in evaluation it is wrong.",
        "Li, Chen, Hu and Yang 2019 (variance shift), sections 3 and 4",
    ),
    "repeated-bn": NoteKind(
        "note",
        "A bn reads what a bn gives.",
        "It is normalized already: the second one costs time and does nothing.",
        "Ioffe and Szegedy 2015, section 3",
    ),
    "only-1x1": NoteKind(
        "warning",
        "No layer looks at more than one pixel at once.",
        "The network sees the colors of an image and not one edge in it.",
        "Lin, Chen and Yan 2014 (Network in Network), section 3: 1x1 windows mix channels only",
    ),
    "conv-without-size": NoteKind(
        "note",
        "A conv without a size is 1x1 where a window is likely meant.",
        "A 1x1 convolution mixes the channels of each pixel by itself and sees no edge.",
        "the notation: `striate words conv`",
    ),
    "heavy-fc": NoteKind(
        "note",
        "One fc holds most of the weights.",
        "Its weights take memory and images to learn from, and add little.",
        "Lin, Chen and Yan 2014 (Network in Network), section 3.2: global average pooling",
    ),
    "unseen-pixels": NoteKind(
        "note",
        "Rows or columns of the image reach no output.",
        "Strides leave them out: what is there does not count.",
        "the arithmetic of the layers",
    ),
    "undivided-stride": NoteKind(
        "note",
        "A stride does not divide.",
        "The last rows or columns of that map are not read; --strict makes it an error.",
        "(N + 2P - F) / S is not whole",
    ),
    "bias-before-bn": NoteKind(
        "note",
        "A bias stands straight before a bn.",
        "The bn takes the mean out again: the bias does nothing.",
        "Ioffe and Szegedy 2015, section 3.2",
    ),
    "receptive-field-large": NoteKind(
        "note",
        "The receptive field is larger than the image.",
        "From there on units see padding around it; deeper layers add depth, not sight.",
        "the arithmetic of the layers",
    ),
}

SIGMOIDS, TANHS = 3, 8
"""So many of them, without a norm between, let hardly a gradient through.

LeNet-5 of 1998 has 6 tanh and trains; sigmoids are worse (Glorot and Bengio 2010, sections 3.1 and 3.2).
"""

SMALL_FIELD = 1 / 4
"""A receptive field of a smaller share of both sides sees no object.  No network of the zoo has less than 0.6."""

_ACTIVATIONS = (
    "relu", "relu6", "leaky", "prelu", "elu", "sigmoid", "tanh", "gelu", "silu", "maxout", "softmax",
)  # fmt: skip
# They are no activations, but not linear either.
_CURVED = (*_ACTIVATIONS, "maxpool", "lrn", "depthpool")
_NORMS = ("bn", "ln", "lrn")
# Linear, and without a weight that mixes channels or pixels.
_PASSES = ("bn", "scale", "dropout", "dropout2d", "droppath", "flatten", "identity", "avgpool", "pool")

Sequenced = Placed | Join


def design_notes(layout: Layout, fields: Mapping[str, Fields | None]) -> Iterator[Note]:
    """The notes on how a network will learn, the most telling first."""
    sequences = list(_sequences(layout.root))
    yield from _linear(layout, sequences)
    yield from _on_output(layout)
    yield from _softmax_inside(layout)
    yield from _saturating(sequences)
    yield from _only_1x1(layout)
    yield from _without_size(layout)
    yield from _small_field(layout, fields)
    yield from _dropout_before_bn(sequences)
    yield from _repeated_bn(sequences)


def _sequences(chain: Chain) -> Iterator[list[Sequenced]]:
    """The main flow and each branch, as layers and joins one behind the other; auxiliary heads are left out."""
    found: list[Sequenced] = []
    inner: list[Chain] = []

    def walk(part: Part) -> None:
        if isinstance(part, Chain):
            for each in part.parts:
                walk(each)
        elif isinstance(part, Join):
            found.append(part)
            inner.extend(part.chains)
        elif not isinstance(part, Side):
            found.append(part)

    walk(chain)
    yield found
    for each in inner:
        yield from _sequences(each)


def _mixes(placed: Placed) -> bool:
    return isinstance(placed.layer, Conv | Local | Fc)


def _linear(layout: Layout, sequences: Sequence[list[Sequenced]]) -> Iterator[Note]:
    layers = list(layout.layers(sides=False))
    matrices = [each for each in layers if _mixes(each)]
    if len(matrices) > 1 and not any(each.layer.word in _ACTIVATIONS for each in layers):
        yield Note(
            "no-nonlinearity",
            f"{counted(len(matrices), 'layer')} with weights and no activation between any of them",
            f"`{write_layer(matrices[0].layer)} -> relu`, and so behind each but the last",
        )
        return
    for sequence in sequences:
        before: Placed | None = None
        for each in sequence:
            if isinstance(each, Join) or each.layer.word in _CURVED:
                before = None
            elif _mixes(each):
                if before is not None and _hardly_meant(before, each):
                    yield Note(
                        "no-nonlinearity",
                        f"`{write_layer(before.layer)}` at {before.path} and `{write_layer(each.layer)}` at {each.path} "
                        "have no activation between them: they are one linear layer",
                        f"`{write_layer(before.layer)} -> relu`",
                        before.path,
                    )
                    return
                before = each
            elif each.layer.word not in _PASSES:
                before = None


def _hardly_meant(one: Placed, other: Placed) -> bool:
    """Factored convolutions and bottlenecks are linear on purpose: depthwise and 1x1 ones."""
    if isinstance(one.layer, Fc) and isinstance(other.layer, Fc):
        return one.layer.features >= min(one.input.elements, other.layer.features)
    layers = (one.layer, other.layer)
    return all(isinstance(each, Conv) and each.groups == 1 and min(each.kernel) > 1 for each in layers)


def _on_output(layout: Layout) -> Iterator[Note]:
    parts = _flat(layout.root)
    if parts and isinstance(parts[-1], Placed) and parts[-1].layer.word == "softmax":
        parts = parts[:-1]
    while parts and isinstance(parts[-1], Placed) and parts[-1].layer.word in ("flatten", "identity"):
        parts = parts[:-1]
    last = parts[-1] if parts else None
    if isinstance(last, Placed) and last.layer.word in _ACTIVATIONS and len(parts) > 1:
        what = "a second softmax" if last.layer.word == "softmax" else f"`{write_layer(last.layer)}`"
        yield Note(
            "activation-on-output",
            f"the last layer is {what} at {last.path}, on the {last.output.elements} logits",
            f"leave out `{write_layer(last.layer)}` at {last.path}",
            last.path,
        )


def _flat(chain: Chain) -> list[Sequenced]:
    return next(_sequences(chain))


def _softmax_inside(layout: Layout) -> Iterator[Note]:
    layers = list(layout.layers(sides=False))
    for index, each in enumerate(layers):
        if each.layer.word == "softmax" and any(_mixes(later) for later in layers[index + 1 :]):
            yield Note(
                "softmax-inside",
                f"`softmax` at {each.path} stands before other layers",
                f"`relu` in place of `softmax` at {each.path}",
                each.path,
            )
            return


def _saturating(sequences: Sequence[list[Sequenced]]) -> Iterator[Note]:
    for sequence in sequences:
        found: list[Placed] = []
        for each in sequence:
            if isinstance(each, Join) or each.layer.word in _NORMS:
                found = []
            elif each.layer.word in ("sigmoid", "tanh"):
                found.append(each)
            sigmoids = sum(one.layer.word == "sigmoid" for one in found)
            if sigmoids >= SIGMOIDS or len(found) >= TANHS:
                what = "sigmoid" if sigmoids >= SIGMOIDS else "tanh"
                yield Note(
                    "saturating-depth",
                    f"{counted(len(found), 'saturating activation')} follow each other up to `{each.layer.word}` at "
                    f"{each.path}, without a norm between"
                    if isinstance(each, Placed)
                    else "",
                    f"`relu` in place of `{what}`, or `bn` before each",
                    found[0].path,
                )
                return


def _windows(layout: Layout, *, pools: bool = True) -> list[Placed]:
    return [
        each
        for each in layout.layers(sides=False)
        if isinstance(each.input, Map)
        and each.layer.word
        in ("conv", "local", "filter", "whiten", *(("maxpool", "avgpool") if pools else ()))
    ]


def _only_1x1(layout: Layout) -> Iterator[Note]:
    mixing = [each for each in layout.layers(sides=False) if isinstance(each.layer, Conv | Local)]
    if not mixing or min(layout.input[1:]) < 3:
        return
    if any(axis.kernel > 1 for each in _windows(layout, pools=False) for axis in each.layer.axes(each.input)):
        return
    # An fc that reads a map sees all of its pixels.
    for each in layout.layers(sides=False):
        if isinstance(each.layer, Fc) and isinstance(each.input, Map) and min(each.input[1:]) > 1:
            return
    first = mixing[0]
    yield Note(
        "only-1x1",
        f"all {counted(len(mixing), 'convolution')} are 1x1: none sees two places at once"
        if len(mixing) > 1
        else f"`{write_layer(first.layer)}` at {first.path} is 1x1: none sees two places at once",
        f"`conv {_channels(first)} 3x3`",
        first.path,
    )


def _channels(placed: Placed) -> int:
    assert isinstance(placed.layer, Conv | Local)
    return placed.layer.channels


_SIZED = re.compile(r"\d+x\d+")


def _without_size(layout: Layout) -> Iterator[Note]:
    """The first convolution, written without a size: it is 1x1 by the notation, and a window of pixels likely meant."""
    source = layout.network.source
    first = next((each for each in layout.layers(sides=False) if isinstance(each.layer, Conv | Local)), None)
    if source is None or first is None or first.at is None or min(layout.input[1:]) < 3:
        return
    assert isinstance(first.layer, Conv | Local)
    written = source.text[first.at.start : first.at.end].split("#")[0]
    if max(first.layer.kernel) == 1 and not _SIZED.search(written):
        yield Note(
            "conv-without-size",
            f"`{' '.join(written.split())}` at {first.path} has no size, which makes it 1x1: it sees one pixel at a time",
            f"`conv {first.layer.channels} 3x3`",
            first.path,
        )


def _small_field(layout: Layout, fields: Mapping[str, Fields | None]) -> Iterator[Note]:
    """The receptive field at the last window, where a global pool, and no fc over a map, brings places together."""
    windows = [each for each in _windows(layout) if each.layer.word != "filter"]
    if not windows or min(layout.input[1:]) < 8:
        return
    last = windows[-1]
    field = fields[last.path]
    if field is None or (field.rows.size == field.columns.size == 1):
        return
    behind = list(layout.layers(sides=False))
    behind = behind[behind.index(last) + 1 :]
    reads_map = any(isinstance(each.layer, Fc) and isinstance(each.input, Map) and each.input.height * each.input.width > 1 for each in behind)  # fmt: skip
    if reads_map or any(
        each.layer.word == "flatten" and each.input.elements > each.input.channels for each in behind
    ):
        return
    shares = (field.rows.size / layout.input.height, field.columns.size / layout.input.width)
    if max(shares) < SMALL_FIELD:
        yield Note(
            "receptive-field-small",
            f"`{write_layer(last.layer)}` at {last.path} is the last layer with a window, and sees "
            f"{field.rows.size}x{field.columns.size} of the {layout.input.height}x{layout.input.width} image",
            f"`maxpool 2 -> conv {last.output.channels} 3x3 -> relu` behind it, once or twice",
            last.path,
        )


def _dropout_before_bn(sequences: Sequence[list[Sequenced]]) -> Iterator[Note]:
    for sequence in sequences:
        dropped: Placed | None = None
        matrices = 0
        for each in sequence:
            if isinstance(each, Join):
                dropped = None
            elif isinstance(each.layer, Dropout | Dropout2d) and each.layer.share > 0:
                dropped, matrices = each, 0
            elif _mixes(each):
                matrices += 1
            elif each.layer.word == "bn" and dropped is not None and matrices <= 1:
                yield Note(
                    "dropout-before-bn",
                    f"`{write_layer(dropped.layer)}` at {dropped.path} stands before the bn at {each.path}",
                    f"`{write_layer(dropped.layer)}` behind the last bn, before the last fc",
                    dropped.path,
                )
                return


def _repeated_bn(sequences: Sequence[list[Sequenced]]) -> Iterator[Note]:
    for sequence in sequences:
        before: Placed | None = None
        for each in sequence:
            if isinstance(each, Join):
                before = None
            elif each.layer.word == "bn":
                if before is not None:
                    yield Note(
                        "repeated-bn",
                        f"the bn at {each.path} reads what the bn at {before.path} gives",
                        f"leave out one of them: `bn` at {each.path}",
                        each.path,
                    )
                    return
                before = each
            elif each.layer.word not in ("dropout", "dropout2d", "droppath", "identity", "flatten"):
                before = None
