"""A network as one SVG: volumes that shrink and deepen, branches side by side, weights and work as areas."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterator, Sequence
from html import escape

from PIL import Image

from striate.net.layout.layout import Layout
from striate.net.plan.receptive_field import Fields
from striate.net.plan.tree import Node
from striate.net.shape import Map, Shape
from striate.text.figures import short

# Pixels: the widest row of the drawing, the tallest volume, a column's gap, and a line of text.
WIDTH, TALLEST, GAP, LINE = 1180, 120, 22, 13

# The largest of the two squares that stand for weights and multiply-adds.
SQUARE = 44

# What kinds of layers look like, as classes of the style.
_LOOKS = {
    **dict.fromkeys(("conv", "local", "filter", "grey", "widen", "whiten"), "conv"),
    **dict.fromkeys(("maxpool", "avgpool", "pool", "depthpool"), "pool"),
    **dict.fromkeys(("fc", "flatten", "softmax", "maxout"), "fc"),
    **dict.fromkeys(("add", "concat"), "join"),
}

_STYLE = """
svg{font:11px system-ui,sans-serif;--ink:#1d2733;--soft:#5d6b7a;--line:#b9c3cd;--paper:#fff;--conv:#4c8fd6;--pool:#e9a23b;
--fc:#8a63d2;--join:#3aa687;--other:#9aa5b1;--weights:#c8553d;--work:#2f6f9f}
@media(prefers-color-scheme:dark){svg{--ink:#e6ebf0;--soft:#9fabb8;--line:#4a5561;--paper:#14191f;--conv:#5b9fe6;--pool:#e9a94d;
--fc:#9f7be6;--join:#45b897;--other:#7c8894;--weights:#e07a63;--work:#5fa3d6}}
.paper{fill:var(--paper)}text{fill:var(--ink)}.soft{fill:var(--soft)}.name{font-weight:600}.arrow{stroke:var(--soft);fill:none}
.panel{fill:none;stroke:var(--line)}.conv{fill:var(--conv)}.pool{fill:var(--pool)}.fc{fill:var(--fc)}.join{fill:var(--join)}
.other{fill:var(--other)}.top{filter:brightness(1.18)}.side{filter:brightness(.8)}.weights{fill:var(--weights)}.work{fill:var(--work)}
.field{fill:none;stroke:#ff2d95;stroke-width:2}
"""


def draw_svg(
    layout: Layout,
    nodes: Sequence[Node],
    *,
    seen: tuple[str, Fields | None] | None = None,
    image: Image.Image | None = None,
) -> str:
    """The drawing of a network as the text of an SVG file.

    nodes: its `tree`.  seen: a layer's name and its receptive field, to be marked in the middle of `image`, which has
    the size that the network reads; without an image it is marked in an empty frame.
    """
    largest = max(layout.input.height, layout.input.width)
    most = {
        figure: max((node.total(figure) for node in nodes), default=0)
        for figure in ("weights", "multiply_adds")
    }
    columns = [_input_column(layout.input, largest), *(_Column(node, largest, most) for node in nodes)]
    rows = _rows(columns)
    parts: list[str] = []
    y = 34.0
    for row in rows:
        x = 16.0
        base = y + max(max(column.front + column.slant, column.panel_height) for column in row)
        foot = base + max(column.words for column in row) + max(column.areas for column in row)
        for number, column in enumerate(row):
            if number:
                parts.append(
                    f'<path class="arrow" d="M{x - GAP + 5:.1f} {base - 8:.1f}h{GAP - 12}l-4 -3m4 3l-4 3"/>'
                )
            parts.extend(column.draw(x, base, foot))
            x += column.width + GAP
        y = foot + LINE + 30
    width = max(sum(column.width + GAP for column in row) for row in rows) + 20
    if seen is not None:
        drawn, height, wide = _field_panel(layout.input, *seen, image, y)
        parts.extend(drawn)
        y, width = y + height, max(width, wide)
    width = max(width, 460)
    weights, work = (
        sum(node.total(figure) for node in nodes if node.kind != "aux")
        for figure in ("weights", "multiply_adds")
    )
    extra = sum(node.total("weights") for node in nodes if node.kind == "aux")
    more = f" (and {short(extra)} in auxiliary classifiers, in training)" if extra else ""
    head = (
        f'<text x="16" y="20"><tspan class="name">{short(weights)} weights</tspan>{more}, '
        f"{short(work)} multiply-adds per image"
        '<tspan class="soft">   areas: </tspan><tspan class="weights">■</tspan> weights '
        '<tspan class="work">■</tspan> multiply-adds</text>'
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {y:.0f}" width="{width:.0f}" height="{y:.0f}" '
        f'role="img" aria-label="drawing of the network"><style>{_STYLE}</style>'
        f'<rect class="paper" width="{width:.0f}" height="{y:.0f}"/>{head}{"".join(parts)}</svg>\n'
    )


def notebook_drawing(layout: Layout, nodes: Sequence[Node]) -> str:
    """The drawing as an image in a notebook, whose style it cannot reach."""
    code = base64.b64encode(draw_svg(layout, nodes).encode()).decode("ascii")
    return f'<img alt="drawing of the network" style="max-width:100%" src="data:image/svg+xml;base64,{code}">'


class _Column:
    """A node: its branches in a panel, the volume of its output, and what stands below."""

    def __init__(self, node: Node, largest: int, most: dict[str, int]) -> None:
        self.node = node
        # What follows an auxiliary classifier reads its input: it has no volume in the row.
        aux = node.kind == "aux"
        self.front, self.depth, self.slant = (0.0, 0.0, 0.0) if aux else _volume(node.output, largest)
        self.lanes = [_lane(branch) for branch in node.branches]
        lane_width = max((_width(text) + 8 for lane in self.lanes for text, _ in lane), default=0)
        self.deepest = max((len(lane) for lane in self.lanes), default=0)
        self.panel = len(self.lanes) * (lane_width + 6) + 10 if self.lanes else 0
        self.lane_width = lane_width
        self.texts = _wrapped(node.text if not node.branches else f"{node.text}{_times(node)}", 17)
        self.shape = str(node.output).replace("x", "×")
        text_width = max(_width(each) for each in [*self.texts, self.shape, node.label])
        self.squares = [
            (figure, SQUARE * math.sqrt(node.total(figure) / most[figure]) if most[figure] else 0.0)
            for figure in ("weights", "multiply_adds")
        ]
        squares_width = sum(max(side, 1) for _, side in self.squares) + 8
        self.inner = max(self.depth + self.slant, 0.0)
        self.width = max(self.panel + (10 if self.panel else 0) + self.inner, text_width, squares_width, 46.0)
        self.panel_height = self.deepest * (LINE + 8) + 8 if self.lanes else 0
        self.words = 18 + LINE * (len(self.texts) + 2)
        self.areas = max(side for _, side in self.squares)

    def draw(self, x: float, base: float, foot: float) -> Iterator[str]:
        """The column with its left edge at x, its volumes standing on `base` and its areas on `foot`."""
        node = self.node
        left = x
        if self.lanes:
            height = self.panel_height
            top = base - height
            dashes = ' stroke-dasharray="4 3"' if node.kind == "aux" else ""
            yield f'<rect class="panel"{dashes} x="{left:.1f}" y="{top:.1f}" width="{self.panel:.1f}" height="{height:.1f}" rx="6"/>'
            for number, lane in enumerate(self.lanes):
                at = left + 8 + number * (self.lane_width + 6)
                for place, (text, look) in enumerate(lane):
                    y = top + 6 + place * (LINE + 8)
                    yield (
                        f'<rect class="{look}" opacity=".28" x="{at:.1f}" y="{y:.1f}" width="{self.lane_width:.1f}" '
                        f'height="{LINE + 3}" rx="3"/>'
                        f'<text x="{at + self.lane_width / 2:.1f}" y="{y + LINE - 1:.1f}" text-anchor="middle">{escape(text)}</text>'
                    )
            left += self.panel + 10
        if self.front:
            yield from _slab(left, base, self.front, self.depth, self.slant, _LOOKS.get(node.kind, "other"))
        y = base + 16
        if node.label:
            yield f'<text class="name" x="{x:.1f}" y="{y:.1f}">{escape(node.label)}</text>'
        y += LINE
        yield f'<text x="{x:.1f}" y="{y:.1f}">{self.shape}</text>'
        for text in self.texts:
            y += LINE
            yield f'<text class="soft" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'
        y, at = foot, x
        for figure, side in self.squares:
            number = node.total(figure)
            if number:
                yield (
                    f'<rect class="{"weights" if figure == "weights" else "work"}" x="{at:.1f}" y="{y - side:.1f}" '
                    f'width="{max(side, 1):.1f}" height="{max(side, 1):.1f}"><title>{number:,} '
                    f"{figure.replace('_', '-')}</title></rect>"
                )
                at += max(side, 1) + 4
        told = " · ".join(short(node.total(figure)) for figure, _ in self.squares if node.total(figure))
        if told:
            yield f'<text class="soft" x="{x:.1f}" y="{y + LINE:.1f}">{told}</text>'


def _input_column(shape: Map, largest: int) -> _Column:
    node = Node("", "input", "input", shape, None, 0, 0, 0)
    return _Column(node, largest, {"weights": 0, "multiply_adds": 0})


def _rows(columns: list[_Column]) -> list[list[_Column]]:
    """The columns in rows that are not wider than the drawing."""
    rows: list[list[_Column]] = [[]]
    width = 0.0
    for column in columns:
        if rows[-1] and width + column.width > WIDTH:
            rows.append([])
            width = 0.0
        rows[-1].append(column)
        width += column.width + GAP
    return rows


def _volume(shape: Shape, largest: int) -> tuple[float, float, float]:
    """Height of the front, depth for the channels, and slant, in pixels; a vector is a thin bar."""
    channels = shape.channels
    depth = 4 + 5.5 * math.log2(max(channels, 1))
    if not isinstance(shape, Map):
        return min(TALLEST * 0.75, 10 + 7 * math.log2(max(channels, 1))), 9.0, 3.0
    side = max(shape.height, shape.width)
    # The square root keeps small maps in sight.
    front = max(6.0, 0.8 * TALLEST * math.sqrt(side / largest))
    return front, depth, 0.25 * front


def _slab(x: float, base: float, front: float, depth: float, slant: float, look: str) -> Iterator[str]:
    top, right = base - front, x + depth
    yield f'<rect class="{look}" x="{x:.1f}" y="{top:.1f}" width="{depth:.1f}" height="{front:.1f}"/>'
    yield (
        f'<path class="{look} top" d="M{x:.1f} {top:.1f}l{slant:.1f} {-slant:.1f}h{depth:.1f}l{-slant:.1f} {slant:.1f}z"/>'
        f'<path class="{look} side" d="M{right:.1f} {top:.1f}l{slant:.1f} {-slant:.1f}v{front:.1f}l{-slant:.1f} {slant:.1f}z"/>'
    )


def _lane(branch: Sequence[Node]) -> list[tuple[str, str]]:
    """The layers of a branch, a few letters each, and their looks."""
    return [(_brief(node), _LOOKS.get(node.kind, "other")) for node in branch]


def _brief(node: Node) -> str:
    """A layer in as few letters as tell it: `3x3 128` for a convolution."""
    if node.branches:
        return f"{node.kind} {len(node.branches)}{_times(node)}"
    words = node.text.split()
    if node.kind == "conv":
        size = next((word for word in words[2:3] if "x" in word), "1x1")
        stride = " /" + words[words.index("stride") + 1] if "stride" in words else ""
        return f"{size} {words[1]}{stride}".replace("x", "×")
    if node.kind == "identity":
        return "identity"
    return " ".join(words[:2])


def _times(node: Node) -> str:
    return f" ×{node.times}" if node.times > 1 else ""


def _field_panel(
    shape: Map, name: str, field: Fields | None, image: Image.Image | None, y: float
) -> tuple[list[str], float, float]:
    """The input with the receptive field of a layer's middle unit marked; its height and width in pixels."""
    scale = 260 / max(shape.height, shape.width)
    height, width = shape.height * scale, shape.width * scale
    parts = [
        f'<text x="16" y="{y + 12:.1f}"><tspan class="name">{escape(name)}</tspan> sees {_said(field, shape)}</text>'
    ]
    top, left = y + 22, 16.0
    if image is None:
        parts.append(
            f'<rect class="panel" x="{left}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}"/>'
        )
    else:
        parts.append(
            f'<image x="{left}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}" '
            f'preserveAspectRatio="none" href="data:image/png;base64,{_png(image)}"/>'
        )
    rows = (shape.height if field is None else field.rows.size) * scale
    columns = (shape.width if field is None else field.columns.size) * scale
    # The middle unit: what it sees beyond the edges is padding, and cut off.
    high, wide = min(rows, height), min(columns, width)
    parts.append(
        f'<rect class="field" x="{left + (width - wide) / 2:.1f}" y="{top + (height - high) / 2:.1f}" '
        f'width="{wide:.1f}" height="{high:.1f}"/>'
    )
    return parts, height + 40, width + 32


def _said(field: Fields | None, shape: Map) -> str:
    if field is None:
        return "the whole image"
    seen = min(field.rows.size, shape.height) * min(field.columns.size, shape.width)
    return f"{field.rows.size}×{field.columns.size} pixels, {seen / (shape.height * shape.width):.0%} of the image"


def _png(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def _wrapped(text: str, letters: int) -> list[str]:
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > letters:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def _width(text: str) -> float:
    """Pixels of a text in the drawing's letters, roughly."""
    return 6.2 * len(text)


def flowchart(nodes: Sequence[Node], layout: Layout, kind: str) -> str:
    """The network as text for other programs to draw.  kind: mermaid, or dot for Graphviz."""
    lines: list[str] = []
    edges: list[tuple[str, str]] = []
    names = iter(f"n{number}" for number in range(10**6))

    def add(text: str, shape: Shape) -> str:
        name = next(names)
        said = f"{text}\\n{shape}" if kind == "dot" else f"{text}<br/>{shape}"
        said = said.replace('"', "'")
        lines.append(f'  {name} [label="{said}"];' if kind == "dot" else f'  {name}["{said}"]')
        return name

    def walk(some: Sequence[Node], before: str) -> str:
        for node in some:
            if not node.branches:
                name = add(node.text, node.output)
                edges.append((before, name))
                before = name
            elif node.kind == "aux":
                walk(node.branches[0], before)
            else:
                ends = [walk(branch, before) for branch in node.branches]
                name = add(f"{node.text}{_times(node)}", node.output)
                edges.extend((end, name) for end in ends)
                before = name
        return before

    walk(nodes, add("input", layout.input))
    if kind == "dot":
        head = ["digraph network {", "  node [shape=box, fontname=Helvetica];"]
        return "\n".join([*head, *lines, *(f"  {a} -> {b};" for a, b in edges), "}"]) + "\n"
    return "\n".join(["flowchart TD", *lines, *(f"  {a} --> {b}" for a, b in edges)]) + "\n"
