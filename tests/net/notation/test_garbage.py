"""Texts that nobody wrote on purpose: they give our error, soon, and one that is safe to print."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from effort import calls
from networks import networks
from striate.errors import FitError, NotationError, StriateError
from striate.net.layers.words import WORDS
from striate.net.layout.layout import DEEPEST, MOST_LAYERS, MOST_PARTS, lay
from striate.net.network import Network
from striate.net.notation.reader import RESERVED, read_text
from striate.net.notation.tokens import LONGEST_WORD, MOST_CHARACTERS, MOST_TOKENS
from striate.net.notation.writer import write_text
from striate.net.shape import Map

IMAGE = Map(3, 8, 8)


def outcome(text: str, *, laid: bool = True) -> StriateError | None:
    """The error of a text, or None where it reads and lays out; anything else is raised."""
    error: StriateError | None = None
    try:
        network = read_text(text)
        if laid:
            lay(network, IMAGE, 10)
    except (NotationError, FitError) as raised:
        error = raised
    assert error is None or printable(error)
    return error


def printable(error: Exception) -> bool:
    """Whether each line of an error may be sent to a terminal, and there are few of them."""
    lines = str(error).split("\n")
    return all(line.isprintable() for line in lines) and len(str(error)) < 3000 and len(lines) <= 5


def test_printable_sees_a_terminal_escape() -> None:
    assert not printable(ValueError("unexpected \x1b[31m"))
    assert printable(NotationError("unexpected \x1b[31m"))
    assert not printable(NotationError("long" * 1000))
    assert printable(NotationError("unexpected `x`", place="network:1:1", cure="y"))


# --- drawn garbage ------------------------------------------------------------------------------------

TOKENS = [
    *sorted(WORDS), *RESERVED, "->", "->", "->", "→", "[", "]", "{", "}", "(", ")", "|", ",", ";", ":", "=",
    "?(", "..", "x3", "x", "×", "X2", "1", "3", "0.5", "64", "1e400", "3x3", "7x7", "0x0", "stride", "pad",
    "valid", "same", "nobias", "dilate", "groups", "avg", "max", "sobel-x", "ceil", "eps", "n", "block", "#", "\n", "-", ".",
]  # fmt: skip


@settings(deadline=None, max_examples=300)
@given(st.text(max_size=60))
@example("relu -> \x00")
@example("\ud800")
@example("relu # \ud800\n-> con")
@example("𝟛x𝟛")
@example("ｃｏｎｖ ３２")
@example("conv ²")
@example("conv 1e999999999999999999999999")
@example("x" * 59)
@example("İ -> ß")
def test_any_text(text: str) -> None:
    outcome(text)


@settings(deadline=None, max_examples=500)
@given(st.lists(st.sampled_from(TOKENS), max_size=25), st.sampled_from([" ", " ", ""]))
def test_any_tokens(tokens: list[str], between: str) -> None:
    outcome(between.join(tokens))


@settings(deadline=None, max_examples=150)
@given(networks(), st.data())
def test_a_good_text_damaged(network: Network, data: st.DataObject) -> None:
    text = write_text(network)
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        gone = data.draw(st.integers(0, 5))
        text = text[:start] + data.draw(st.sampled_from(["", *TOKENS])) + text[start + gone :]
    outcome(text)


@settings(deadline=None, max_examples=100)
@given(networks())
def test_any_network_laid_out(network: Network) -> None:
    outcome(write_text(network))


# --- limits -------------------------------------------------------------------------------------------


# What reading and laying out may call a character, and at all, as a short text may be a network of 20,000 layers.
CALLS_A_CHARACTER, FEW_CALLS = 60, 3_000_000


def in_little_work(text: str, *, laid: bool = True) -> StriateError | None:
    """The outcome of a text, found in work that grows with its length and not faster."""
    found: list[StriateError | None] = []
    work = calls(lambda: found.append(outcome(text, laid=laid)))
    assert work < CALLS_A_CHARACTER * len(text) + FEW_CALLS
    return found[0]


def test_ten_thousand_steps() -> None:
    assert in_little_work(" -> ".join(["conv 3 3x3 stride 1 nobias"] * 10_000)) is None
    assert in_little_work("\n-> ".join(["[relu]"] * 10_000)) is None


NESTS: dict[str, Callable[[int], str]] = {
    "brackets": lambda depth: "[" * depth + "relu" + "]" * depth,
    "add": lambda depth: "add { relu | " * depth + "relu" + " }" * depth,
    "concat": lambda depth: "concat { " * depth + "relu" + " | relu }" * depth,
    "aux": lambda depth: "aux { " * depth + "relu" + " }" * depth,
    "let": lambda depth: (
        "let a0 = relu; " + "".join(f"let a{i} = a{i - 1}; " for i in range(1, depth)) + f"a{depth - 1}"
    ),
    "repeats": lambda depth: "[" * depth + "relu" + "] x1" * depth,
}


@pytest.mark.parametrize("kind", NESTS)
def test_nesting_up_to_the_limit(kind: str) -> None:
    assert in_little_work(NESTS[kind](DEEPEST)) is None
    network = read_text(NESTS[kind](DEEPEST))
    assert read_text(write_text(network)) == network
    assert len(repr(network)) > DEEPEST
    assert hash(network) == hash(read_text(NESTS[kind](DEEPEST)))


@pytest.mark.parametrize("kind", NESTS)
@pytest.mark.parametrize("depth", [DEEPEST + 1, 200, 10_000])
def test_nesting_beyond_the_limit(kind: str, depth: int) -> None:
    error = in_little_work(NESTS[kind](depth))
    assert error is not None
    if kind == "let":
        assert error.problem == "more than 50 brackets, branches and calls inside each other"
    else:
        assert error.problem == "more than 50 brackets and branches inside each other"
    assert error.expected == "at most 50"


def test_nesting_through_definitions_counts_as_well() -> None:
    inner = NESTS["brackets"](DEEPEST)
    error = in_little_work(f"let a = {inner}; a")
    assert str(error) == (
        "network:1:58: more than 50 brackets, branches and calls inside each other\n"
        f"    1 | ...{'[' * 31}relu{']' * 50}; a\n"
        "      |                                  ^^^^^^    the input is 3x8x8, in `a` at 1:115\n"
        "  expected: at most 50\n"
        "  try: fewer of them"
    )


LAYERS = f"more than {MOST_LAYERS:,} layers once all is repeated"
PARTS = f"more than {MOST_PARTS:,} brackets, branches and calls once all is repeated"
BOMBS = {
    "one repeat": ("relu x20000 -> relu", LAYERS),
    "repeats of repeats": ("[[[[relu x1000] x1000] x1000] x1000] x1000", LAYERS),
    "definitions of definitions": (
        "let a = relu x1000; let b = a x1000; let c = b x1000; c x1000",
        LAYERS,
    ),
    "auxiliary classifiers": ("[aux { relu x1000 }] x1000", LAYERS),
    "parameters": ("let a(n) = relu x n; let b(n) = a(n) x n; b(20000)", LAYERS),
    "doubling": (
        "let a0 = relu -> relu -> relu; "
        + "".join(f"let a{i} = a{i - 1} -> a{i - 1}; " for i in range(1, 40))
        + "a39",
        LAYERS,
    ),
    "branches": (
        "let a0 = relu; "
        + "".join(f"let a{i} = add {{ a{i - 1} | a{i - 1} }}; " for i in range(1, 20))
        + "a19",
        PARTS,
    ),
    "brackets without number": ("[" * 30 + "relu" + "]" * 30 + " x10000", PARTS),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_repeats_and_definitions_cannot_blow_up(bomb: str) -> None:
    text, problem = BOMBS[bomb]
    assert in_little_work(text, laid=False) is None
    error = in_little_work(text)
    assert isinstance(error, FitError)
    assert error.problem == problem
    assert error.cure == "a smaller xN"


def test_the_limit_of_layers_is_exact() -> None:
    assert outcome(f"relu x{MOST_LAYERS}") is None
    assert outcome(f"[relu -> tanh] x{MOST_LAYERS // 2}") is None
    assert isinstance(outcome(f"relu x{MOST_LAYERS} -> relu"), FitError)


def test_an_error_names_only_the_innermost_calls() -> None:
    text = "let a = conv 8 9x9 valid; let b = a; let c = b; let d = c; let e = d; e"
    assert str(outcome(text)) == (
        "network:1:9: the 9x9 window does not fit: the map here is 8x8 and no padding was given\n"
        "    1 | let a = conv 8 9x9 valid; let b = a; let c = b; let d = c; let e = d; e\n"
        "      |         ^^^^^^^^^^^^^^^^    the input is 3x8x8, in `a` at 1:35, in `b` at 1:46, in `c` at 1:57, "
        "in 2 more calls\n"
        "  expected: dilate*(F-1)+1 <= N + 2P\n"
        "  try: a window of at most 8x8, or pad 1"
    )


LARGE = {
    "x1000000000": ("relu x1000000000", "cannot repeat 1000000000 times"),
    "x of sixty digits": (f"relu x{'9' * 59}", f"cannot repeat {'9' * 59} times"),
    "a number of 30 digits": (f"fc {'9' * 30}", f"{'9' * 30} is too large"),
    "a number of 31 digits": (f"fc {'9' * 31}", "this number is too long"),
    "a number of many digits": (f"fc {'9' * 200_000}", "this word has 200,000 characters"),
    "1e400": ("scale 1e400", "1e400 is too large"),
    "1e-400 is 0": ("bn eps 1e-400", "eps cannot be 0"),
    "a size": ("conv 8 9999999999x1", "this size is too large"),
    "a size in its argument": ("conv 8 5000x5000", "kernel cannot be 5000x5000"),
    "a passed value": ("let a(n) = conv n; a(10000000000)", "10000000000 is too large"),
    "many numbers": ("conv " + "1 " * 99_000, "`1` is one too many"),
    "many layers without arrows": ("relu " * 60_000, "`relu` begins a new step"),
    "many choices": ("fc ?(" + "1," * 45_000 + "1)", "this hole has more than 1000 values"),
    "many parameters": (f"let a({', '.join(f'n{i}' for i in range(30_000))}) = relu; a", "`a` has more than 20 parameters"),
    "many definitions": ("".join(f"let a{i}=relu;" for i in range(18_000)) + "b", "`b` is not a layer"),
    "a long name": ("a" * 61, "this word has 61 characters"),
    "a long label": (f"{'a' * 100_000}: relu", "this word has 100,000 characters"),
    "open brackets": ("conv(" * 45_000, "the arguments of `conv` stand without brackets"),
    "a long line": ("relu -> " * 37_000 + "con", "`con` is not a layer"),
    "many lines": ("relu" + "\n" * 280_000 + "-> con", "`con` is not a layer"),
    "a long comment": ("#" * MOST_CHARACTERS, "there is no network here"),
    "blanks": (" " * MOST_CHARACTERS, "there is no network here"),
    "points": ("." * 2 * MOST_TOKENS, "unexpected `..`"),
    "too many tokens": ("x" + ";" * MOST_TOKENS, "the text has more than 100,000 words, numbers and marks"),
    "a text too long": (" " * (MOST_CHARACTERS + 1), "the text has 300,001 characters"),
}  # fmt: skip


@pytest.mark.parametrize("name", LARGE)
def test_large_texts_and_numbers(name: str) -> None:
    text, problem = LARGE[name]
    error = in_little_work(text)
    assert isinstance(error, NotationError)
    assert error.problem == problem
    assert error.expected
    assert error.cure


def test_a_layer_larger_than_any_machine() -> None:
    error = outcome("fc 1000000000 -> fc 1000000000")
    assert isinstance(error, FitError)
    assert error.problem == "1,000,000,001,000,000,000 weights are more than any machine holds"


def test_groups_that_do_not_divide_are_found_out_soon() -> None:
    error = in_little_work("conv 99999989 -> conv 99999989 groups 99999988")
    assert error is not None
    assert error.cure == "groups 1"


def test_the_longest_word_is_a_name() -> None:
    name = "a" * LONGEST_WORD
    assert outcome(f"{name}: relu") is None


# --- excerpts -----------------------------------------------------------------------------------------


def test_a_tab_is_one_column() -> None:
    error = outcome("\trelu\t->\tcon 3")
    assert error is not None
    assert error.place == "network:1:10"
    assert error.excerpt == "    1 |  relu -> con 3\n      |          ^^^"


def test_the_caret_of_a_crlf_text() -> None:
    error = outcome("relu\r\n-> con 3\r\n")
    assert error is not None
    assert error.excerpt == "    2 | -> con 3\n      |    ^^^"


def test_a_span_over_lines_is_marked_on_its_first() -> None:
    error = outcome("relu -> add { conv 8 3x3\n  | conv 4 }")
    assert error is not None
    assert error.excerpt == (
        "    1 | relu -> add { conv 8 3x3\n      |         ^^^^^^^^^^^^^^^^    after `relu`, 3x8x8"
    )


def test_a_long_line_is_shown_around_the_place() -> None:
    error = outcome("relu -> " * 1000 + "con 3" + " -> relu" * 1000)
    assert error is not None
    shown, carets = error.excerpt.split("\n")
    assert shown.startswith("    1 | ...lu -> relu -> relu -> relu -> con 3 -> relu")
    assert shown.endswith("-> relu ->...")
    assert len(shown) == len("    1 | ") + 100
    assert shown[carets.index("^") :].startswith("con 3")
    assert carets.count("^") == 3


def test_nothing_that_moves_the_cursor_is_printed() -> None:
    text = "relu # \u202eevil\u2066 \x1b]0;title\x07 \x9b31m\n-> add { relu # \x1b[2J\n | conv 4 } -> con\x00"
    error = outcome(text)
    assert str(error) == (
        "network:3:19: `\\x00` does not belong here\n"
        "    3 |  | conv 4 } -> con\n"
        "      |                   ^\n"
        "  expected: a word, a number, a size such as 3x3, -> or a bracket\n"
        "  try: leave it out"
    )
    error = outcome("con # \u202eevil\x1b[31m\n")
    assert error is not None
    assert error.excerpt == "    1 | con #  evil [31m\n      | ^^^"
    # The layer before is quoted, without the comment that stands inside of it.
    error = outcome("[relu # \x1b[31m\n -> add { conv 8 # \x1b[2J\n | conv 8 }] -> conv 4 9x9 valid")
    assert error is not None
    assert error.excerpt.endswith("    after `add { conv 8 | conv 8 }`, 8x8x8")


def test_a_file_name_cannot_move_the_cursor_either() -> None:
    with pytest.raises(NotationError) as caught:
        read_text("con", "\x1b[31mnet\n.net")
    assert caught.value.place == " [31mnet .net:1:1"
