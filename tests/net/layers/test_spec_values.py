"""Values, arguments and shapes: how they are written, and what an argument makes of a value."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from striate.net.layers.argument import MOST, Argument, Misfit, arguments
from striate.net.layers.convolution import KERNELS, Conv
from striate.net.layers.normalization import BatchNorm
from striate.net.layers.pooling import MaxPool, Pool
from striate.net.layers.value import Choice, Name, Range, Size, Value, write_value
from striate.net.layers.words import WORDS, write_form, write_layer, write_word
from striate.net.shape import Flat, Map
from striate.net.source import Source, Span


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3, "3"),
        (3.0, "3"),
        (0.25, "0.25"),
        (1e-05, "1e-05"),
        (Size(3, 5), "3x5"),
        (Name("classes"), "classes"),
        (Choice((16, Size(3, 3), Name("n"), 0.5)), "?(16, 3x3, n, 0.5)"),
        (Range(1, 8), "?(1 .. 8)"),
        (Range(0.0, 0.5), "?(0 .. 0.5)"),
    ],
)
def test_write_value(value: Value, text: str) -> None:
    assert write_value(value) == text


def test_shapes() -> None:
    assert (str(Map(3, 4, 5)), Map(3, 4, 5).elements, Map(3, 4, 5).channels) == ("3x4x5", 60, 3)
    assert (str(Flat(7)), Flat(7).elements, Flat(7).channels) == ("7", 7, 7)


def declared(word: str, name: str) -> Argument:
    return arguments(WORDS[word])[name]


@pytest.mark.parametrize(
    ("word", "name", "domain"),
    [
        ("conv", "channels", "a whole number from 1"),
        ("conv", "kernel", "a whole number from 1 to 4096 or HEIGHTxWIDTH"),
        ("conv", "pad", "a whole number from 0 to 4096 or HEIGHTxWIDTH"),
        ("conv", "valid", "nothing"),
        ("maxout", "pieces", "a whole number from 2"),
        ("dropout", "share", "a number from 0 to 0.999"),
        ("bn", "eps", "a number from 1e-12 to 1"),
        ("scale", "start", "a number from 0"),
        ("pool", "kind", "one of avg, max"),
    ],
)
def test_domains(word: str, name: str, domain: str) -> None:
    assert declared(word, name).domain() == domain


@pytest.mark.parametrize(
    ("word", "name", "value", "settled"),
    [
        ("conv", "channels", 8.0, 8),
        ("conv", "channels", Name("n"), Name("n")),
        ("conv", "channels", Choice((8.0, Name("n"))), Choice((8, Name("n")))),
        ("conv", "channels", Range(1.0, 8.0), Range(1, 8)),
        ("conv", "kernel", 3, Size(3, 3)),
        ("conv", "kernel", 3.0, Size(3, 3)),
        ("conv", "kernel", Choice((3, Size(1, 5))), Choice((Size(3, 3), Size(1, 5)))),
        ("conv", "kernel", Range(1.0, 7), Range(1, 7)),
        ("dropout", "share", 0, 0.0),
        ("dropout", "share", Range(0, 0.5), Range(0.0, 0.5)),
        ("pool", "kind", "avg", "avg"),
        ("pool", "kind", Choice((Name("avg"), Name("max"))), Choice((Name("avg"), Name("max")))),
    ],
)
def test_settle(word: str, name: str, value: Value | str, settled: Value | str) -> None:
    found = declared(word, name).settle(value)
    assert found == settled
    assert repr(found) == repr(settled)


@pytest.mark.parametrize(
    ("word", "name", "value", "problem", "cure"),
    [
        ("conv", "channels", 0, "channels cannot be 0", "1 in place of 0"),
        ("conv", "channels", -3, "channels cannot be -3", "1 in place of -3"),
        ("conv", "channels", 2.5, "channels cannot be 2.5", "3 in place of 2.5"),
        ("conv", "channels", MOST + 1, "channels cannot be 1000000001", "1000000000 in place of 1000000001"),
        ("conv", "channels", Size(3, 5), "channels cannot be 3x5", "3 in place of 3x5"),
        ("conv", "channels", "avg", "channels cannot be avg", "1 in place of avg"),
        ("conv", "channels", Choice((8, 2.5)), "channels cannot be 2.5", "3 in place of 2.5"),
        ("conv", "channels", Range(0, 8), "channels cannot be 0", "1 in place of 0"),
        ("conv", "channels", Range(1, 8.5), "channels cannot be 8.5", "9 in place of 8.5"),
        ("conv", "kernel", Size(0, 3), "kernel cannot be 0x3", "1 in place of 0x3"),
        ("conv", "kernel", 5000, "kernel cannot be 5000", "4096 in place of 5000"),
        ("dropout", "share", 1.0, "share cannot be 1", "0.5 in place of 1"),
        ("dropout", "share", 25, "share cannot be 25", "0.25 in place of 25"),
        ("dropout", "share", Size(1, 1), "share cannot be 1x1", "0.5 in place of 1x1"),
        ("leaky", "slope", 5, "slope cannot be 5", "0.01 in place of 5"),
        ("pool", "kind", "mean", "kind cannot be mean", "avg in place of mean"),
        ("pool", "kind", 3, "kind cannot be 3", "avg in place of 3"),
        ("pool", "kind", Range(1, 2), "kind cannot be ?(1 .. 2)", "avg in place of ?(1 .. 2)"),
        ("pool", "kind", Choice((Name("avg"), 3)), "kind cannot be 3", "avg in place of 3"),
    ],
)
def test_settle_refuses(word: str, name: str, value: Value | str, problem: str, cure: str) -> None:
    argument = declared(word, name)
    with pytest.raises(Misfit) as caught:
        argument.settle(value)
    assert caught.value.problem == problem
    assert caught.value.expected == f"{name}: {argument.domain()}"
    assert caught.value.cure == cure
    # What stands first in the cure lies in the domain.
    near = cure.split(" in place of ")[0]
    argument.settle(near if argument.kind == "word" else float(near))


@settings(deadline=None)
@given(
    st.sampled_from([*arguments(Conv).values(), *arguments(BatchNorm).values()]), st.floats() | st.integers()
)
def test_every_cure_of_a_number_lies_in_the_domain(argument: Argument, value: float) -> None:
    if argument.kind == "flag":
        return
    try:
        argument.settle(value)
    except Misfit as misfit:
        cure = misfit.cure
        argument.settle(float(cure.split(" in place of ")[0]))


@pytest.mark.parametrize("word", sorted(WORDS))
def test_arguments_are_written_by_place_first_then_by_name(word: str) -> None:
    keyed = [argument.keyed for argument in arguments(WORDS[word]).values()]
    assert keyed == sorted(keyed)
    assert [field.name for field in dataclasses.fields(WORDS[word])] == list(arguments(WORDS[word]))


@pytest.mark.parametrize(
    ("word", "form"),
    [
        ("conv", "conv CHANNELS [KERNEL] [stride N] [pad N] [dilate N] [groups N] [valid] [same] [nobias]"),
        ("maxpool", "maxpool KERNEL [stride N] [pad N] [ceil]"),
        ("pool", "pool avg|max [GRID]"),
        ("dropout", "dropout [SHARE]"),
        ("lrn", "lrn [NEIGHBORS] [alpha N] [beta N] [k N]"),
        ("relu", "relu"),
    ],
)
def test_write_form(word: str, form: str) -> None:
    assert write_form(word) == form


def test_write_layer_leaves_defaults_out() -> None:
    assert write_layer(Conv(8)) == "conv 8 1x1"
    assert (
        write_layer(Conv(8, Size(3, 3), Size(2, 2), Size(0, 1), nobias=True))
        == "conv 8 3x3 stride 2 pad 0x1 nobias"
    )
    assert write_layer(MaxPool(Size(3, 3), stride=Size(2, 2))) == "maxpool 3 stride 2"
    assert write_layer(Pool("avg")) == "pool avg"
    assert write_layer(BatchNorm(eps=0.001)) == "bn eps 0.001"
    assert write_word("conv", [("channels", Choice((8, 16))), ("kernel", Name("k"))]) == "conv ?(8, 16) k"


def test_kernels_of_filters() -> None:
    assert all(len(rows) == 3 and all(len(row) == 3 for row in rows) for rows in KERNELS.values())
    sums = {name: sum(map(sum, rows)) for name, rows in KERNELS.items()}
    # Edges answer 0 on a flat image; the others keep its brightness.
    assert sums == {
        "sobel-x": 0,
        "sobel-y": 0,
        "laplacian": 0,
        "sharpen": 1,
        "blur": 1,
        "emboss": 1,
        "identity": 1,
    }
    # A brightness that grows to the right is a positive edge in x and none in y, and the other way round.
    ramp = [list(range(3))] * 3
    answers = {
        name: sum(
            w * x
            for row, line in zip(KERNELS[name], ramp, strict=True)
            for w, x in zip(row, line, strict=True)
        )
        for name in ("sobel-x", "sobel-y")
    }
    assert answers == {"sobel-x": 8, "sobel-y": 0}
    assert KERNELS["sobel-y"] == tuple(zip(*KERNELS["sobel-x"], strict=True))


def test_a_source_knows_lines_and_columns() -> None:
    source = Source("net", "ab\ncd\r\nef\rgh")
    assert [source.line_and_column(offset) for offset in (0, 1, 3, 7, 10)] == [
        (1, 1), (1, 2), (2, 1), (3, 1), (4, 1),
    ]  # fmt: skip
    assert source.place(Span(4, 5)) == "net:2:2"
    assert source.excerpt(Span(3, 5), "here") == "    2 | cd\n      | ^^    here"
    assert source.excerpt(Span(12, 12)) == "    4 | gh\n      |   ^"


def test_a_source_quotes_on_one_line_without_comments() -> None:
    source = Source("net", "[relu # why\n\t-> tanh\x07]  x3")
    assert source.said(Span(0, 22)) == "[relu -> tanh ]"
    long = Source("net", "relu -> " * 20)
    assert long.said(Span(0, 160)) == ("relu -> " * 20)[:57] + "..."
