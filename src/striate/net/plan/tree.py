"""A plan as a tree: branches indented, norms and activations joined to the layer before them, repeats folded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from striate.errors import StriateError, nearest
from striate.net.layout.layout import Chain, Join, Layout, Part, Placed
from striate.net.plan.receptive_field import Fields
from striate.net.shape import Shape
from striate.text.figures import aligned, size

# Words that are joined to the layer before them: they change no shape and have no place of their own in a drawing.
_JOINED = frozenset(
    [
        "bn",
        "lrn",
        "ln",
        "relu",
        "relu6",
        "leaky",
        "prelu",
        "elu",
        "sigmoid",
        "tanh",
        "gelu",
        "silu",
        "scale",
        "dropout",
        "dropout2d",
        "droppath",
    ]
)


@dataclass(frozen=True, slots=True)
class Row:
    """One layer of the table.

    path: the labels and places that lead to it.  text: the layer as it is written.
    output: its shape for one image.  weights: trained numbers.  multiply_adds: for one image.
    field: its receptive field along height and width, or None where it sees the whole image.
    saved_bytes: what the backward pass keeps because of it, for the whole batch, the images themselves not
    counted.
    side: it belongs to an auxiliary classifier, which is absent at inference.
    initial: the first weights that `auto` draws, `he` or `xavier`; None for layers without a matrix.
    """

    path: str
    text: str
    output: Shape
    weights: int
    multiply_adds: int
    field: Fields | None
    saved_bytes: int
    side: bool
    initial: str | None


@dataclass(frozen=True, slots=True)
class Node:
    """One layer with what is joined to it, or a join of branches, `times` times one behind the other.

    label: the part that it belongs to, as `stem`; empty where the text has none.
    text: as it is written, what is joined behind it.  kind: the word of the layer, or add, concat or aux.
    output: behind the last repeat.  field: its receptive field, None where it sees the whole image.
    weights, multiply_adds, saved_bytes: of all repeats, those of its branches not counted.
    branches: the nodes of each branch of a join, or of the one behind an auxiliary classifier.
    """

    label: str
    text: str
    kind: str
    output: Shape
    field: Fields | None
    weights: int
    multiply_adds: int
    saved_bytes: int
    times: int = 1
    branches: tuple[tuple[Node, ...], ...] = ()

    def total(self, figure: str) -> int:
        """A figure of the node and all its branches: weights, multiply_adds or saved_bytes."""
        inner = sum(node.total(figure) for branch in self.branches for node in branch)
        return int(getattr(self, figure)) + inner


def tree(layout: Layout, rows: Sequence[Row]) -> tuple[Node, ...]:
    """The nodes of a network from its input to its answer; the figures are those of its plan."""
    return _folded(_joined(_nodes(layout.root, {row.path: row for row in rows})))


def seen_by(every: Sequence[Row], name: str) -> tuple[str, Fields | None]:
    """The receptive field of a layer, by its path or label; of a part with several layers, that of the last.

    Raises StriateError where there is none of that name, the nearest one suggested.
    """
    rows = [row for row in every if row.path == name or row.path.startswith(name + ".")]
    if not rows:
        names = list(dict.fromkeys([_label(row.path) or row.path for row in every]))
        raise StriateError(
            f"there is no layer `{name}`",
            place="--at",
            expected="one of " + ", ".join(names[:12]) + (", ..." if len(names) > 12 else ""),
            cure=f"--at {nearest(name, names) or names[-1]}",
        )
    return name, rows[-1].field


def _nodes(part: Part, rows: dict[str, Row]) -> Iterator[Node]:
    if isinstance(part, Placed):
        row = rows[part.path]
        yield Node(
            _label(part.path), row.text, part.layer.word, row.output, row.field,
            row.weights, row.multiply_adds, row.saved_bytes,
        )  # fmt: skip
    elif isinstance(part, Chain):
        for each in part.parts:
            yield from _nodes(each, rows)
    else:
        chains = part.chains if isinstance(part, Join) else (part.chain,)
        branches = tuple(_folded(_joined(_nodes(chain, rows))) for chain in chains)
        kind = part.kind if isinstance(part, Join) else "aux"
        text = kind if isinstance(part, Join) else f"aux {part.weight:g}"
        field = None
        if isinstance(part, Join):
            # A unit of the sum sees what the widest of its branches sees.
            ends = [branch[-1].field for branch in branches]
            known = [end for end in ends if end is not None]
            if len(known) == len(ends):
                field = max(known, key=lambda each: each.rows.size * each.columns.size)
        yield Node(_label(part.path), text, kind, part.output, field, 0, 0, 0, branches=branches)


def _joined(nodes: Iterator[Node]) -> list[Node]:
    """Norms, activations and dropout as a part of the layer before them."""
    found: list[Node] = []
    for node in nodes:
        before = found[-1] if found else None
        if (
            before is None
            or node.kind not in _JOINED
            or before.kind in ("identity", "aux")
            or before.label != node.label
        ):
            found.append(node)
            continue
        # What the norm makes superfluous, and its own numbers, are told by the whole table.
        text, more = before.text, node.text
        if node.kind == "bn":
            text, more = text.removesuffix(" nobias"), "bn"
        found[-1] = replace(
            before,
            text=f"{text} {more}",
            output=node.output,
            field=node.field,
            weights=before.weights + node.weights,
            multiply_adds=before.multiply_adds + node.multiply_adds,
            saved_bytes=before.saved_bytes + node.saved_bytes,
        )
    return found


def _folded(nodes: list[Node]) -> tuple[Node, ...]:
    """Equal joins one behind the other as one, `times` as often."""
    found: list[Node] = []
    for node in nodes:
        before = found[-1] if found else None
        if before is not None and node.branches and _alike(before) == _alike(node):
            found[-1] = _added(before, node)
        else:
            found.append(node)
    return tuple(found)


def _alike(node: Node) -> object:
    """What two nodes have in common where one is the other again."""
    inner = tuple(tuple(_alike(each) for each in branch) for branch in node.branches)
    return node.label, node.text, node.output, inner


def _added(first: Node, second: Node) -> Node:
    """Two alike as one: the figures of both, the field of the later one."""
    return replace(
        first,
        field=second.field,
        weights=first.weights + second.weights,
        multiply_adds=first.multiply_adds + second.multiply_adds,
        saved_bytes=first.saved_bytes + second.saved_bytes,
        times=first.times + second.times,
        branches=tuple(
            tuple(replace(_added(a, b), times=a.times) for a, b in zip(one, other, strict=True))
            for one, other in zip(first.branches, second.branches, strict=True)
        ),
    )


def _label(path: str) -> str:
    first = path.split(".", 1)[0]
    return "" if first.isdigit() else first


def lines(nodes: tuple[Node, ...]) -> Iterator[tuple[str, Node]]:
    """The rows of a tree, each with the branch that is drawn before it; a branch without a join in it is one row."""
    for node in nodes:
        if node.kind == "aux" and all(not each.branches for each in node.branches[0]):
            inner = _one_row(node.branches[0])
            yield "", replace(inner, label=node.label, text=f"{node.text}: {inner.text}")
            continue
        yield "", node
        for number, branch in enumerate(node.branches):
            mark, following = ("└ ", "  ") if number == len(node.branches) - 1 else ("├ ", "│ ")
            if any(each.branches for each in branch):
                for place, (before, each) in enumerate(lines(branch)):
                    yield (following if place else mark) + before, each
            else:
                yield mark, _one_row(branch)


def _one_row(branch: tuple[Node, ...]) -> Node:
    """A branch as one node: its layers one behind the other, their figures summed."""
    return replace(
        branch[-1],
        text=" -> ".join(node.text for node in branch),
        weights=sum(node.weights for node in branch),
        multiply_adds=sum(node.multiply_adds for node in branch),
        saved_bytes=sum(node.saved_bytes for node in branch),
    )


def table_lines(nodes: Sequence[Node], rows: Sequence[Row], input: Shape) -> list[str]:
    """The table of a plan, by the nodes of its tree or, without nodes, layer by layer."""
    every: list[tuple[str, str, Row | Node]] = [
        (node.label, written(mark, node), node) for mark, node in lines(tuple(nodes))
    ]
    if not nodes:
        every = [(_label(row.path), ("aux  " if row.side else "") + row.text, row) for row in rows]
    labelled = any(label for label, _, _ in every)
    cells = [["part", "layer", *(title for title, _ in _columns())], ["", "input", str(input)]]
    before = ""
    for label, layer, row in every:
        cells.append([label if label != before else "", layer, *(cell(row) for _, cell in _columns())])
        before = label
    return aligned([line if labelled else line[1:] for line in cells], left=2 if labelled else 1)


def written(mark: str, node: Node) -> str:
    """A node in its row, behind the branch that is drawn before it."""
    return f"{mark}{node.text}{f' x{node.times}' if node.times > 1 else ''}"


def _columns() -> list[tuple[str, Callable[[Row | Node], str]]]:
    return [
        ("output", lambda row: str(row.output)),
        ("weights", lambda row: number(row.weights)),
        ("multiply-adds", lambda row: number(row.multiply_adds)),
        ("sees", lambda row: _field(row.field)[0]),
        ("step", lambda row: _field(row.field)[1]),
        ("saved", lambda row: _bytes(row.saved_bytes)),
    ]


def _field(field: Fields | None) -> tuple[str, str]:
    if field is None:
        return "all", ""
    rows, columns = field
    step = str(rows.step) if rows.step == columns.step else f"{rows.step}x{columns.step}"
    return f"{rows.size}x{columns.size}", step


def number(value: int) -> str:
    """A count, or nothing for none."""
    return f"{value:,}" if value else ""


def _bytes(count: float) -> str:
    return size(count) if count else ""
