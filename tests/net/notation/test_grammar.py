"""Every rule of the grammar: a text and the tree that it stands for."""

from __future__ import annotations

import pytest

from striate.errors import NotationError
from striate.net.layers.argument import arguments
from striate.net.layers.value import Choice, Name, Range, Size
from striate.net.layers.words import WORDS
from striate.net.network import Aux, Branch, Call, Define, Flow, Network, Step, Word
from striate.net.notation.reader import read_text
from striate.net.source import Span

RELU = Word("relu")
TANH = Word("tanh")


def flow(*atoms: Word | Flow | Branch | Aux | Call) -> Flow:
    return Flow(tuple(Step(atom) for atom in atoms))


def word(text: str) -> Word:
    """The only layer of a text."""
    (step,) = read_text(text).flow.steps
    assert isinstance(step.atom, Word)
    assert step.count == 1
    assert step.label is None
    return step.atom


def test_network_is_definitions_and_a_flow() -> None:
    read = read_text("let a = relu; let b = a -> tanh; b -> tanh")
    a = Define("a", (), flow(RELU))
    b = Define("b", (), flow(Call("a"), TANH))
    assert read == Network(flow(Call("b"), TANH), (a, b))


def test_flow_is_steps_joined_by_arrows() -> None:
    assert read_text("relu -> tanh -> relu") == Network(flow(RELU, TANH, RELU))


@pytest.mark.parametrize("arrow", ["->", "→", "\n->\n", "->  # why\n", " → "])
def test_arrows(arrow: str) -> None:
    assert read_text(f"relu{arrow}tanh") == Network(flow(RELU, TANH))


def test_step_has_a_label_and_a_count() -> None:
    assert read_text("stem: relu x3").flow.steps == (Step(RELU, "stem", 3),)


@pytest.mark.parametrize("count", ["x3", "x 3", "X3", "X 3", "×3", "× 3", "x03"])
def test_counts(count: str) -> None:
    assert read_text(f"[relu] {count}").flow.steps == (Step(flow(RELU), None, 3),)


def test_a_count_may_be_a_parameter_a_hole_or_given_by_the_data() -> None:
    read = read_text("let a(n) = relu x n; relu x ?(1, 2) -> relu x ?(1 .. 4) -> relu x classes -> a(2)")
    assert read.defines[0].flow.steps[0].count == Name("n")
    counts = [step.count for step in read.flow.steps]
    assert counts == [Choice((1, 2)), Range(1, 4), Name("classes"), 1]


def test_a_number_before_a_count_belongs_to_the_layer() -> None:
    assert read_text("fc 120 x3").flow.steps == (Step(Word("fc", (("features", 120),)), None, 3),)
    assert read_text("conv 8 3 x3").flow.steps[0].count == 3


def test_brackets_nest() -> None:
    assert read_text("[[relu] -> tanh]") == Network(flow(flow(flow(RELU), TANH)))


@pytest.mark.parametrize("kind", ["add", "concat"])
def test_branches(kind: str) -> None:
    read = read_text(f"{kind} {{ relu -> tanh | identity | tanh }}")
    assert read == Network(flow(Branch(kind, (flow(RELU, TANH), flow(Word("identity")), flow(TANH)))))  # type: ignore[arg-type]


def test_aux_weighs_its_loss() -> None:
    assert read_text("aux { relu }") == Network(flow(Aux(flow(RELU), 0.3)))
    assert read_text("aux 1 { relu }") == Network(flow(Aux(flow(RELU), 1.0)))
    assert read_text("let a(w) = aux w { relu }; a(1)").defines[0].flow == flow(Aux(flow(RELU), Name("w")))
    assert read_text("aux ?(0.1, 0.3) { relu }") == Network(flow(Aux(flow(RELU), Choice((0.1, 0.3)))))


def test_calls_pass_values_of_every_kind() -> None:
    text = "let a(n, k, p) = conv n k -> dropout p; a(32, 3x5, 0.5) -> a(classes, ?(3, 5), ?(0.1 .. 0.5))"
    first, second = (step.atom for step in read_text(text).flow.steps)
    assert first == Call("a", (32, Size(3, 5), 0.5))
    assert second == Call("a", (Name("classes"), Choice((3, 5)), Range(0.1, 0.5)))


def test_a_call_without_values_needs_no_brackets() -> None:
    assert read_text("let a = relu; a -> a()") == Network(
        flow(Call("a"), Call("a")), (Define("a", (), flow(RELU)),)
    )


def test_a_parameter_may_have_the_name_of_an_argument() -> None:
    read = read_text("let down(stride) = conv 8 3x3 stride stride; down(2)")
    assert read.defines[0].flow.steps[0].atom == Word(
        "conv", (("channels", 8), ("kernel", Size(3, 3)), ("stride", Name("stride")))
    )


def test_layer_takes_numbers_sizes_words_and_words_with_numbers() -> None:
    assert word("conv 64 7x5 stride 2 pad 3x2 dilate 2 groups 4 nobias") == Word(
        "conv",
        (
            ("channels", 64),
            ("kernel", Size(7, 5)),
            ("stride", Size(2, 2)),
            ("pad", Size(3, 2)),
            ("dilate", Size(2, 2)),
            ("groups", 4),
            ("nobias", True),
        ),
    )


def test_arguments_stand_in_any_order() -> None:
    assert word("conv nobias stride 2 64 valid 7x7") == word("conv 64 7x7 stride 2 valid nobias")
    assert word("depthpool 4 max") == word("depthpool max 4")
    assert word("pool 7x7 avg") == word("pool avg 7x7")


def test_one_number_is_a_square() -> None:
    assert word("maxpool 3 stride 2") == word("maxpool 3x3 stride 2x2")
    assert word("conv 8 3") == word("conv 8 3x3")


@pytest.mark.parametrize("size", ["3x5", "3X5", "3×5", "03x5"])
def test_sizes(size: str) -> None:
    assert word(f"maxpool {size}") == Word("maxpool", (("kernel", Size(3, 5)),))


@pytest.mark.parametrize(("number", "value"), [("0.25", 0.25), ("1e-3", 0.001), ("1E-3", 0.001), ("1", 1.0)])
def test_numbers(number: str, value: float) -> None:
    assert word(f"scale {number}") == word(f"scale {value}")
    assert dict(word(f"leaky {number}").arguments)["slope"] == value


def test_a_whole_number_may_have_a_point() -> None:
    ((_, features),) = word("fc 12.0").arguments
    assert features == 12
    assert type(features) is int


def test_arguments_at_their_defaults_are_left_out() -> None:
    assert word("conv 8 1x1 stride 1 dilate 1 groups 1") == word("conv 8")
    assert word("dropout 0.5") == Word("dropout")
    assert word("bn eps 0.00001 momentum 0.1") == Word("bn")


def test_holes() -> None:
    assert word("conv ?(16, 32) ?(3, 5x7)") == Word(
        "conv", (("channels", Choice((16, 32))), ("kernel", Choice((Size(3, 3), Size(5, 7)))))
    )
    assert word("fc ?(64 .. 256)") == Word("fc", (("features", Range(64, 256)),))
    assert word("pool ?(avg, max)") == Word("pool", (("kind", Choice((Name("avg"), Name("max")))),))
    assert word("fc ?(classes, 10)") == Word("fc", (("features", Choice((Name("classes"), 10))),))


def test_a_range_has_the_numbers_of_its_argument() -> None:
    # A range of whole numbers draws whole numbers: a share must stay a real one.
    ((_, share),) = word("dropout ?(0 .. 0.9)").arguments
    assert isinstance(share, Range)
    assert (type(share.low), type(share.high)) == (float, float)
    ((_, features),) = word("fc ?(8.0 .. 16)").arguments
    assert isinstance(features, Range)
    assert (type(features.low), type(features.high)) == (int, int)


@pytest.mark.parametrize("name", sorted(WORDS))
def test_every_word_reads_in_any_case_and_without_its_optional_arguments(name: str) -> None:
    values = {"count": "2", "size": "3", "word": None, "real": "0.5"}
    needed = [
        values[argument.kind] or argument.words[0]
        for argument in arguments(WORDS[name]).values()
        if argument.required
    ]
    rest = " ".join(needed)
    assert word(f"{name} {rest}").word == name
    assert word(f"{name.upper()} {rest}") == word(f"{name.title()} {rest}") == word(f"{name} {rest}")


def test_add_concat_aux_and_let_read_in_any_case() -> None:
    upper = read_text("LET a = ReLU; Add { a | Concat { a | a } } -> AUX { FC classes }")
    assert upper == read_text("let a = relu; add { a | concat { a | a } } -> aux { fc classes }")


def test_names_have_their_case() -> None:
    read = read_text("let A = relu; let a = tanh; A -> a")
    assert [step.atom for step in read.flow.steps] == [Call("A"), Call("a")]


@pytest.mark.parametrize(
    "name",
    ["add", "ADD", "Concat", "aux", "let", "Let", "classes", "Channels", "x", "X", "x3", "X12", "ReLU"],
)
def test_words_of_the_notation_are_no_names(name: str) -> None:
    # At the beginning of a text `let` is a definition.
    for text in (f"let {name} = relu; tanh", f"let a({name}) = relu; tanh", f"tanh -> {name}: relu"):
        with pytest.raises(NotationError, match=f": `{name}` is a word of the notation\n"):
            read_text(text)


def test_comments_run_to_the_end_of_the_line() -> None:
    text = "# a network -> with # an arrow\nrelu # [ { ?( \x1b[31m\n-> tanh # the end"
    assert read_text(text) == Network(flow(RELU, TANH))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_end_as_on_every_system(end: str) -> None:
    text = end.join(["let a = relu;  # first", "\ta", "  # alone", "-> tanh", ""])
    assert read_text(text) == Network(flow(Call("a"), TANH), (Define("a", (), flow(RELU)),))
    with pytest.raises(NotationError) as caught:
        read_text(end.join(["relu # one", "-> tanh", "\t-> con 3"]))
    assert caught.value.place == "network:3:5"
    assert caught.value.excerpt == "    3 |  -> con 3\n      |     ^^^"


def test_blanks_are_only_needed_between_words() -> None:
    text = "let a(n)=conv n 3x3->relu;[a(8)]x2->add{a(8)|identity}->aux 0.5{fc 3}->fc ?(1..8)"
    spaced = (
        "let a ( n ) = conv n 3x3 -> relu ; [ a ( 8 ) ] x2 -> add { a ( 8 ) | identity } "
        "-> aux 0.5 { fc 3 } -> fc ?( 1 .. 8 )"
    )
    assert read_text(text) == read_text(spaced)


def test_steps_and_definitions_know_where_they_stand() -> None:
    text = "let a = relu;\nstem: [a] x2 -> tanh"
    read = read_text(text)
    at = [read.defines[0].at, *(step.at for step in read.flow.steps)]
    assert [text[span.start : span.end] for span in at if span] == ["let a = relu;", "stem: [a]", "tanh"]
    assert read.source is not None
    assert read.source.place(Span(14, 15)) == "network:2:1"


def test_places_do_not_count_in_comparisons() -> None:
    assert read_text("relu->tanh") == read_text("relu\n\n -> tanh")
    assert read_text("relu->tanh") != read_text("relu -> relu")


def test_parameters_end_with_their_definition() -> None:
    with pytest.raises(NotationError, match=": `conv` knows no `n`\n"):
        read_text("let a(n) = conv n; conv n")
    with pytest.raises(NotationError, match=": `n` is not a value\n"):
        read_text("let a(n) = conv n; let b(m) = conv ?(n, m); b(2)")


def test_definitions_do_not_nest() -> None:
    with pytest.raises(NotationError, match=": a definition cannot stand inside a flow\n"):
        read_text("let a = [let b = relu; b]; a")
