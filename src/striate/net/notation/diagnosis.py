"""What is wrong where the grammar does not go on, and what was probably meant.

The reader knows only what may come next; the functions here look around the place where it stopped.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn

from striate.net.layers.argument import Argument, arguments
from striate.net.layers.value import write_value
from striate.net.layers.words import WORDS, write_form
from striate.net.network import GIVEN, Define
from striate.net.notation.cursor import Cursor
from striate.net.notation.foreign import BY_PLACE, meant, meant_argument
from striate.net.notation.tokens import Token
from striate.net.source import Source, Span

TIMES = ("x", "X", "×")

_BRANCHES = ("add", "concat", "aux")
_STEP = "a layer such as `conv 32 3x3`, a bracket, or a block"


class Diagnosis(Cursor):
    """A cursor that says why a text cannot be read on from here.

    defines: the definitions read so far.  defining: the name of the `let` being read, or None.
    """

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self.defines: dict[str, Define] = {}
        self.defining: str | None = None

    def is_let(self, token: Token) -> bool:
        """Whether a definition begins here."""
        return token.kind == "name" and token.text.lower() == "let"

    def begins_step(self) -> bool:
        """Whether what stands here is a step, with or without a label."""
        token = self.here
        if token.kind != "name":
            return token.kind == "["
        words = (*WORDS, *_BRANCHES)
        named = token.text.lower() in words or token.text in self.defines or token.text == self.defining
        return named or self.ahead().kind == ":"

    def new_step(self) -> None:
        """Fail if what stands here begins a step or a definition, without -> or ; before it."""
        token, before = self.here, self.tokens[self.index - 1]
        if self.is_let(token) and not self.defining:
            self.misplaced_let(token)
        if not self.is_let(token) and not self.begins_step():
            return
        if self.defining and (self.is_let(token) or self.on_new_line()):
            problem = f"the definition of `{self.defining}` does not end"
            self.fail_at(before.span, problem, "-> and another step, or `;`", f"{before.text};")
        self.fail(token, f"`{token.text}` begins a new step", "-> between two steps", f"-> {token.text}")

    def misplaced_let(self, token: Token) -> NoReturn:
        """Fail at a definition inside or after the flow."""
        problem = "a definition cannot stand inside a flow"
        self.fail(token, problem, "definitions first, then one flow", "move it to the beginning of the text")

    def on_new_line(self) -> bool:
        """Whether a line ends between the last token and this one."""
        before, here = self.tokens[self.index - 1].span, self.here.span
        return self.source.line_and_column(before.end)[0] < self.source.line_and_column(here.start)[0]

    def after_step(self, expected: str) -> NoReturn:
        """Fail at what stands behind a whole step without being -> or the end of the flow."""
        token = self.here
        self.new_step()
        if token.kind == "end":
            problem = f"the definition of `{self.defining}` does not end"
            self.fail(token, problem, expected, ";")
        if token.kind in ("]", "}", ")"):
            self.fail(token, f"this `{token.text}` closes nothing", expected, "leave it out")
        before, behind = self.tokens[self.index - 1], self.ahead()
        if token.kind == "," and before.text.isdigit() and behind.text.isdigit():
            span = Span(before.span.start, behind.span.end)
            self.fail_at(span, "unexpected `,`", "a point in a number", f"{before.text}.{behind.text}")
        cures = {
            ";": "->",
            ",": "->",
            "=": "->",
            ":": "->",
            "|": "add { ... | ... } around the flows",
            "number": f"x{token.text}",
        }
        cure = cures.get(token.kind, "leave it out")
        if token.kind == "name":
            close = meant(token.text, (*WORDS, *self.defines, *_BRANCHES))
            cure = f"-> {close}" if close else cure
        self.fail(token, expected=expected, cure=cure)

    def no_step(self, token: Token) -> NoReturn:
        """Fail where a step should begin and something else than a name or [ stands."""
        before = self.tokens[self.index - 1].text if self.index else ""
        if token.kind == "end" and before in ("->", "→"):
            arrow = self.tokens[self.index - 1].span
            self.fail_at(arrow, f"the text ends after `{before}`", "another step", "leave it out")
        if before and token.kind in ("]", "}", ")", "|", ";", "arrow", "end"):
            what = f"`{token.text}`" if token.text else "the end"
            self.fail(
                token,
                f"there is no step between `{before}` and {what}",
                _STEP,
                "identity, which does nothing",
            )
        cures = {"{": "add {", "number": f"conv {token.text} 3x3", "size": f"maxpool {token.text}"}
        self.fail(token, expected=_STEP, cure=cures.get(token.kind, "leave it out"))

    def unknown(self, token: Token) -> NoReturn:
        """Fail at a name that stands where a step begins and is none."""
        name = token.text
        expected = "a layer word or a block defined by `let` above"
        if self.is_let(token):
            self.misplaced_let(token)
        if name == self.defining:
            cure = "[ ... ] x3 to repeat"
            self.fail(token, f"`{name}` cannot stand in its own definition", "blocks defined above it", cure)
        if name in self.parameters:
            self.fail(token, f"`{name}` stands for a number here", expected, f"conv {name} 3x3")
        if is_count(name) or name in TIMES:
            problem = f"there is no step before `{name}` to repeat"
            self.fail(token, problem, "a step, then how many times", "[conv 32 3x3 -> relu] x3")
        pairs = zip(self.tokens[self.index :], self.tokens[self.index + 1 :], strict=False)
        if any(self.is_let(first) and second.text == name for first, second in pairs):
            problem = f"`{name}` is defined only further down"
            self.fail(token, problem, "blocks defined above it", f"move the definition of `{name}` up")
        close = meant(name, (*WORDS, *self.defines, *_BRANCHES))
        if self.ahead().kind == "(":
            cure = f"let {name}(...) = ...; above"
            if close:
                span, cure = self.call_span(token), example_layer(close) if close in WORDS else close
                self.fail_at(span, f"`{name}` is not a layer", expected, cure)
        elif self.ahead().kind == "{" and close:
            cure = close.split(" {")[0]
        else:
            cure = close or f"one of {', '.join(WORDS)}"
        self.fail(token, f"`{name}` is not a layer", expected, cure)

    def missing(self, token: Token, argument: Argument) -> NoReturn:
        """Fail at a layer without an argument that it cannot do without."""
        word = token.text.lower()
        rest = self.source.said(Span(token.span.end, self.tokens[self.index - 1].span.end))
        article = "" if argument.name.endswith("s") else "a "
        self.fail(
            token,
            f"`{token.text}` needs {article}{argument.name}",
            f"{argument.name}: {argument.domain()}",
            " ".join([word, example_value(argument), *([rest] if rest else [])]),
        )

    def unknown_argument(
        self, word: str, known: Mapping[str, Argument], choices: tuple[str, ...]
    ) -> NoReturn:
        """Fail at a name among the arguments of a layer that is none of them."""
        self.new_step()
        token = self.here
        if token.text in known or token.text in BY_PLACE:
            problem = f"the word `{token.text}` is not written"
            self.fail(token, problem, write_form(word), "leave it out")
        keyed = tuple(name for name, argument in known.items() if argument.keyed)
        takes_numbers = any(argument.kind not in ("word", "flag") for argument in known.values())
        numbers = (*self.parameters, *GIVEN) if takes_numbers else ()
        close = meant_argument(token.text, (*keyed, *choices, *numbers))
        if close is None:
            other = meant(token.text, (*WORDS, *self.defines))
            close = f"-> {other}" if other and other != word else "leave it out"
        self.fail(token, f"`{word}` knows no `{token.text}`", said_form(word), close)

    def in_brackets(self, word: Token) -> NoReturn:
        """Fail at a layer whose arguments stand in brackets, as in Python."""
        span = self.call_span(word)
        ends = [index for index, token in enumerate(self.tokens) if token.span.end == span.end]
        inside = [token.text for token in self.tokens[self.index + 1 : ends[0]] if token.kind != ","]
        layer = word.text.lower()
        cure = " ".join([layer, *inside]) if 0 < len(inside) < 20 else example_layer(layer)
        problem = f"the arguments of `{word.text}` stand without brackets"
        self.fail_at(span, problem, said_form(layer), cure)

    def call_span(self, word: Token) -> Span:
        """From a word to the `)` after it, or to the end of the text where there is none."""
        after = self.tokens[self.tokens.index(word) :]
        end = next((token for token in after if token.kind == ")"), after[-1])
        return Span(word.span.start, end.span.end)


def is_count(text: str) -> bool:
    """Whether a name is a repeat, as x3."""
    return len(text) > 1 and text[0] in "xX" and text[1:].isdigit()


def said_form(word: str) -> str:
    """How a layer is written, for an error that must not show one word alone."""
    form = write_form(word)
    return f"{word} alone" if form == word else form


def example_value(argument: Argument) -> str:
    """An example of an argument's value."""
    if argument.kind == "word":
        return argument.words[0]
    if isinstance(argument.default, float):
        return write_value(argument.default)
    return {"channels": "32", "features": "120", "pad": "1"}.get(argument.name, "2")


def example_layer(word: str) -> str:
    """An example of a layer."""
    needed = [example_value(argument) for argument in arguments(WORDS[word]).values() if argument.required]
    return " ".join([word, *needed, *(["3x3"] if word in ("conv", "local") else [])])


def example_call(define: Define, *, named: bool = False) -> str:
    """A call of a block, or with the names of its parameters how it is written."""
    return f"{define.name}({', '.join(name if named else '32' for name in define.parameters)})"
