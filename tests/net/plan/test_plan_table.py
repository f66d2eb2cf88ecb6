"""The table of a network and its sums, by hand."""

from __future__ import annotations

import pytest

from effort import calls
from striate.errors import FitError
from striate.net.layers.axis import Field
from striate.net.layout.layout import Layout, lay
from striate.net.network import Network
from striate.net.notation.reader import read_text
from striate.net.plan.memory import step_memory
from striate.net.plan.receptive_field import Fields
from striate.net.plan.table import Row, plan
from striate.net.shape import Flat, Map, Shape

LENET5 = """
conv 6 5x5 pad 2 -> relu -> maxpool 2
-> conv 16 5x5 valid -> relu -> maxpool 2
-> fc 120 -> relu -> fc 84 -> relu -> fc classes
"""


def laid(text: str, image: Map) -> Layout:
    return lay(read_text(text), image, 10)


def row(
    path: str,
    text: str,
    output: Shape,
    weights: int,
    adds: int,
    field: Field | None,
    saved: int,
    initial: str,
) -> Row:
    fields = None if field is None else Fields(field, field)
    return Row(path, text, output, weights, adds, fields, saved, False, initial or None)


def test_lenet5() -> None:
    table = plan(laid(LENET5, Map(1, 28, 28)))
    assert table.rows == (
        row("0", "conv 6 5x5 pad 2", Map(6, 28, 28), 6 * 26, 4704 * 25, Field(5, 1, -2), 0, "he"),
        row("1", "relu", Map(6, 28, 28), 0, 0, Field(5, 1, -2), 4 * 4704, ""),
        # The largest value's place, an int64; the map itself is relu's already.
        row("2", "maxpool 2", Map(6, 14, 14), 0, 0, Field(6, 2, -2), 8 * 1176, ""),
        row("3", "conv 16 5x5 valid", Map(16, 10, 10), 16 * 151, 1600 * 150, Field(14, 2, -2), 4 * 1176, "he"),
        row("4", "relu", Map(16, 10, 10), 0, 0, Field(14, 2, -2), 4 * 1600, ""),
        row("5", "maxpool 2", Map(16, 5, 5), 0, 0, Field(16, 4, -2), 8 * 400, ""),
        row("6", "fc 120", Flat(120), 120 * 401, 48_000, None, 4 * 400, "he"),
        row("7", "relu", Flat(120), 0, 0, None, 4 * 120, ""),
        row("8", "fc 84", Flat(84), 84 * 121, 10_080, None, 0, "he"),
        row("9", "relu", Flat(84), 0, 0, None, 4 * 84, ""),
        row("10", "fc 10", Flat(10), 10 * 85, 840, None, 0, "xavier"),
    )  # fmt: skip
    assert (table.input, table.classes, table.batch) == (Map(1, 28, 28), 10, 1)
    assert (table.weights, table.side_weights, table.multiply_adds) == (61_706, 0, 416_520)
    assert table.saved_bytes == 44_944
    assert tuple(each.text for each in table.notes) == (
        "`fc 120` at 6 holds 48,120 of the 61,706 weights (78%); `pool avg` before it would save most of them",
    )


def test_memory_of_a_training_step() -> None:
    """The step is the one that memory is predicted by everywhere; what it keeps are the rows."""
    layout = laid(LENET5, Map(1, 28, 28))
    one, many = plan(layout), plan(layout, batch=64, precision="bf16", optimizer="sgd")
    assert plan(layout, batch=64).saved_bytes == 64 * one.saved_bytes
    assert one.step == step_memory(layout, 1)
    assert many.step == step_memory(layout, 64, precision="bf16", optimizer="sgd")
    assert many.saved_bytes < 64 * one.saved_bytes


def test_side_classifiers_train_but_do_not_answer() -> None:
    table = plan(laid("conv 4 3x3 -> aux { grey -> fc classes } -> fc classes", Map(1, 4, 4)))
    assert [each.side for each in table.rows] == [False, True, True, False]
    assert [each.path for each in table.rows] == ["0", "1.0", "1.1", "2"]
    assert table.weights == 4 * 10 + 10 * 65
    assert table.side_weights == 10 * 17
    assert table.multiply_adds == 4 * 16 * 9 + 10 * 64
    # Both train: 16 grey pixels, and the 64 numbers that the last layer reads, laid out for it.
    assert table.saved_bytes == 4 * (16 + 64)
    assert table.step.weights == 4 * (690 + 170)


def test_what_a_batch_keeps_once() -> None:
    table = plan(laid("conv 4 3x3 -> bn -> fc classes", Map(1, 4, 4)), batch=8)
    assert [each.saved_bytes for each in table.rows] == [0, 8 * 256 + 2 * 4 * 4, 8 * 256]


# --- strict --------------------------------------------------------------------------------------------

STRICT = [
    (
        "conv 6 5x5 pad 2 ->\n  maxpool 2 -> fc classes",
        Map(1, 29, 28),
        Map(1, 28, 28),
        "network:2:3: the stride does not divide: it leaves 1 row at the far end of the 6x29x28 map unread, "
        "padding counted\n"
        "    2 |   maxpool 2 -> fc classes\n"
        "      |   ^^^^^^^^^",
    ),
    (
        "conv 6 7x7 stride 4x3 -> fc classes",
        Map(3, 32, 32),
        Map(3, 33, 31),
        "network:1:1: the stride does not divide: it leaves 3 rows and 1 column at the far end of the 3x32x32 "
        "map unread, padding counted\n"
        "    1 | conv 6 7x7 stride 4x3 -> fc classes\n"
        "      | ^^^^^^^^^^^^^^^^^^^^^",
    ),
]


@pytest.mark.parametrize(("text", "image", "divided", "error"), STRICT)
def test_strict_refuses_a_stride_that_does_not_divide(
    text: str, image: Map, divided: Map, error: str
) -> None:
    layout = laid(text, image)
    with pytest.raises(FitError) as caught:
        plan(layout, strict=True)
    assert str(caught.value) == (
        f"{error}\n"
        "  expected: (N + 2P - F) / S whole\n"
        "  try: another pad, window or input size, or leave out --strict"
    )
    # The cures work.
    assert plan(layout).rows
    assert plan(laid(text, divided), strict=True).rows


def test_strict_says_the_path_where_there_is_no_text() -> None:
    network = read_text("stem: [conv 4 3x3 -> maxpool 2] -> fc classes")
    layout = lay(Network(network.flow), Map(1, 5, 5), 10)
    with pytest.raises(FitError) as caught:
        plan(layout, strict=True)
    assert str(caught.value).splitlines()[0] == (
        "stem.1: the stride does not divide: it leaves 1 row and 1 column at the far end of the 4x5x5 map "
        "unread, padding counted"
    )


@pytest.mark.parametrize(
    ("text", "image"),
    [
        (LENET5, Map(1, 28, 28)),
        ("maxpool 2 ceil -> conv 4 3x3 stride 2 same -> fc classes", Map(1, 9, 9)),
        ("conv 4 2x2 stride 2 valid -> pool avg 3 -> fc classes", Map(1, 8, 8)),
    ],
)
def test_strict_lets_the_rest_pass(text: str, image: Map) -> None:
    layout = laid(text, image)
    assert plan(layout, strict=True) == plan(layout)


# --- speed ---------------------------------------------------------------------------------------------


def test_a_network_ten_times_as_long_is_ten_times_the_work() -> None:
    """Anything quadratic would be a hundred times as much."""
    short, long = (
        laid(f"conv 4 -> [conv 4 3x3 -> relu] x{times} -> fc classes", Map(1, 32, 32))
        for times in (300, 3000)
    )
    assert len(plan(long).rows) == 6002
    assert calls(lambda: plan(long)) < 11 * calls(lambda: plan(short))
