"""Networks before anything is trained: read, planned, drawn, used as a filter."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from striate.disk.small import read_small_text
from striate.errors import NotationError, StriateError, nearest, require_train
from striate.net.layers.words import WORDS
from striate.net.layout.layout import Layout, lay
from striate.net.network import Network
from striate.net.notation.reader import read_text
from striate.net.notation.writer import write_text
from striate.net.plan.drawing import draw_svg, flowchart, notebook_drawing
from striate.net.plan.table import Plan
from striate.net.plan.table import plan as plan_layout
from striate.net.plan.tree import seen_by
from striate.net.shape import Map
from striate.net.zoo.list import zoo_names, zoo_net, zoo_text

if TYPE_CHECKING:
    from striate.explaining.fixed_filter import Filtered
    from striate.modules.module import Net

# What `classes` stands for where nobody says: as many as there are digits.
CLASSES = 10


@dataclass(frozen=True, slots=True, repr=False)
class NetText:
    """A network that was read.

    network: its definitions and flow.  zoo: its name in the zoo, if it has one.
    """

    network: Network
    zoo: str | None = None

    def __str__(self) -> str:
        """The canonical text."""
        return write_text(self.network)

    # At the prompt, too: not a line of all its fields.
    __repr__ = __str__

    def _repr_html_(self) -> str:
        """In a notebook: its drawing where it is of the zoo, which knows the images, else its text."""
        if self.zoo is None:
            return f"<pre>{escape(str(self))}</pre>"
        known = zoo_net(self.zoo)
        layout = self.lay(known.input, known.classes)
        return notebook_drawing(layout, plan_layout(layout).nodes)

    def lay(self, input: tuple[int, int, int], classes: int | None = None) -> Layout:
        """Work out every shape for images of channels x height x width.  Raises FitError."""
        return lay(self.network, _map(input), classes)

    def plan(
        self,
        input: tuple[int, int, int],
        classes: int | None = None,
        *,
        batch: int = 1,
        strict: bool = False,
        precision: str = "fp32",
        optimizer: str = "adamw",
    ) -> Plan:
        """What it costs on images of channels x height x width; see `striate.net.plan.table.plan`."""
        return plan_layout(
            self.lay(input, classes), batch=batch, strict=strict, precision=precision, optimizer=optimizer
        )

    def build(self, input: tuple[int, int, int], classes: int | None = None, *, initial: str = "auto") -> Net:
        """An ordinary torch.nn.Module: N x channels x height x width -> N x classes logits.

        No layer writes over its input, so that hooks of every kind may be registered.

        initial: the distribution of its first weights, drawn from torch's random state (see
        `striate.modules.initial`).  A closing `softmax` of the text is left out.

        Raises FitError where a layer does not fit, MissingExtra where torch is not installed.
        """
        require_train("build")
        from striate.modules.initial import initialize
        from striate.modules.module import build, set_in_place

        net = build(self.lay(input, classes))
        set_in_place(net, False)
        initialize(net, initial=initial)
        return net


def read(net: str | Path | NetText) -> NetText:
    """Read a network: a text, the path of a `.net` or `.txt` file, or the name of one in the zoo.

    Raises NotationError, with its place, where it cannot be read.
    """
    if isinstance(net, NetText):
        return net
    said = str(net)
    if isinstance(net, Path) or said.endswith((".net", ".txt")):
        text = read_small_text(Path(net), NotationError, "the text of a network")
        return NetText(read_text(text, said))
    if said in zoo_names():
        return NetText(read_text(zoo_text(said), f"{said}.net"), zoo=said)
    try:
        return NetText(read_text(said))
    except NotationError:
        near = nearest(said, zoo_names())
        if near is None or not said.replace("_", "").replace(".", "").isalnum():
            raise
        raise NotationError(
            f"there is no network `{said}`",
            place="network",
            expected="a text such as `conv 32 3x3 -> relu -> fc classes`, a .net or .txt file or a name of the zoo",
            cure=near,
        ) from None


def plan(
    net: str | Path | NetText,
    input: tuple[int, int, int] | None = None,
    classes: int | None = None,
    *,
    batch: int = 1,
    strict: bool = False,
) -> Plan:
    """What a network costs before it runs: shapes, weights, multiply-adds, receptive fields, memory.

    net: as `read`.  input: channels, height, width; a network of the zoo knows its own.
    classes: what `classes` stands for, 10 where nobody says.  batch: images in a training step.
    strict: raise FitError where a stride does not divide.
    """
    text = read(net)
    shape, classes = _known(text, input, classes)
    return text.plan(shape, classes, batch=batch, strict=strict)


def draw(
    net: str | Path | NetText,
    input: tuple[int, int, int] | None = None,
    classes: int | None = None,
    *,
    at: str | None = None,
    image: str | Path | None = None,
    format: Literal["svg", "mermaid", "dot"] = "svg",
) -> str:
    """A network as a drawing: the text of an SVG file, or of Mermaid or Graphviz.

    net, input, classes: as `plan`.
    at: the label or path of a layer whose receptive field is marked, on `image` where one is given (svg only).

    Raises NotationError, FitError, DataError; StriateError where there is no such layer.
    """
    text = read(net)
    shape, classes = _known(text, input, classes)
    layout = text.lay(shape, classes)
    table = plan_layout(layout)
    nodes = table.nodes
    if format != "svg":
        return flowchart(nodes, layout, format)
    seen = None if at is None else seen_by(table.rows, at)
    under = None
    if image is not None:
        # Only here: without an image `plan` and `draw` need no numpy, and start in half the time.
        from PIL import Image

        from striate.data.decode.image import prepare_image

        values = prepare_image(image, stored_size=shape[1:], channels=3 if shape[0] == 3 else 1)
        under = Image.fromarray(values[..., 0] if values.shape[2] == 1 else values)
        seen = seen or seen_by(table.rows, table.rows[-1].path)
    return draw_svg(layout, nodes, seen=seen, image=under)


def _known(
    text: NetText, input: tuple[int, int, int] | None, classes: int | None
) -> tuple[tuple[int, int, int], int]:
    """The shape of the images and the classes: what is said, what the zoo knows, or CLASSES."""
    if text.zoo is not None:
        known = zoo_net(text.zoo)
        input, classes = input or known.input, classes or known.classes
    if input is None:
        raise StriateError(
            "the size of the images is not known", place="plan", expected="input=(channels, height, width)"
        )
    return input, CLASSES if classes is None else classes


def filter(flow: str | NetText, image: str | Path) -> Filtered:
    """An image put through a filter (`sobel-x`, `blur` and others), or a flow of layers without weights.

    Raises StriateError; see the command of the same name.
    """
    require_train("filter")
    from striate.explaining.fixed_filter import filter_image

    if isinstance(flow, str) and flow.replace("-", "").isalpha() and flow not in WORDS:
        return filter_image(flow, None, image)
    return filter_image(str(flow), read(flow).network, image)


def _map(input: tuple[int, int, int]) -> Map:
    if len(input) != 3 or not all(isinstance(side, int) and side > 0 for side in input):
        raise StriateError(
            f"input cannot be {input!r}",
            place="input",
            expected="(channels, height, width), whole numbers from 1",
        )
    return Map(*input)
