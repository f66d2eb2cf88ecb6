"""Recursive descent over the grammar; each rule stands in the docstring of the function that reads it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, NoReturn

from striate.errors import counted
from striate.notation.cursor import Cursor
from striate.notation.foreign import meant, meant_argument
from striate.notation.tokens import Token
from striate.spec.argument import Argument, Misfit, arguments
from striate.spec.layout import DEEPEST, MOST_LAYERS
from striate.spec.network import (
    AUX_WEIGHT,
    GIVEN,
    Atom,
    Aux,
    Branch,
    Call,
    Define,
    Flow,
    Network,
    Step,
    Word,
)
from striate.spec.source import Source, Span
from striate.spec.value import Choice, Name, Range, Size, Value, write_value
from striate.spec.words import WORDS, write_form

RESERVED = ("let", "add", "concat", "aux", *GIVEN)

TIMES = ("x", "X", "×")

# Of one definition; an error that names them all stays readable.
MOST_PARAMETERS = 20

_STEP = "a layer such as `conv 32 3x3`, a bracket, or a block"

# What other tools write before a value whose place says what it is here.
_BY_PLACE = ("kernel_size", "filters", "out_channels", "units", "out_features", "size", "window", "p", "rate")


def read_text(text: str, name: str = "network") -> Network:
    """Read a network from its text.

    name: what errors call the text, a file's name for instance.

    Raises NotationError, with its place, where the text is not a network; nothing else.
    """
    return _Reader(Source(name, text)).network()


class _Reader(Cursor):
    """The walk along one text.

    defines: the definitions read so far.  defining: the name of the `let` being read, or None.
    depth: how many flows are open, one inside the other.
    """

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self.defines: dict[str, Define] = {}
        self.defining: str | None = None
        self.depth = 0

    def network(self) -> Network:
        """network = { define } flow"""
        if self.here.kind == "end":
            self.fail(self.here, "there is no network here", "steps joined by ->", "conv 32 3x3 -> relu")
        while self.is_let(self.here):
            self.define()
        if self.here.kind == "end":
            *_, last = self.defines.values()
            self.fail(self.here, "the network itself is missing", "a flow after the definitions", _call(last))
        flow = self.flow()
        if self.here.kind != "end":
            self.after_step("-> and another step, or the end of the text")
        return Network(flow, tuple(self.defines.values()), self.source)

    def define(self) -> None:
        """define = "let" NAME [ "(" NAME { "," NAME } ")" ] "=" flow ";" """
        start = self.take().span.start
        name = self.fresh_name("a name for the block", self.defines)
        parameters: list[str] = []
        if self.here.kind == "(":
            opening = self.take()
            if self.here.kind == ")":
                span = Span(opening.span.start, self.here.span.end)
                self.fail_at(span, "there are no parameters in these brackets", "their names", "leave it out")
            parameters.append(self.fresh_name("the name of a parameter"))
            while self.here.kind == ",":
                self.take()
                if len(parameters) == MOST_PARAMETERS:
                    problem = f"`{name}` has more than {MOST_PARAMETERS} parameters"
                    self.fail(self.here, problem, f"at most {MOST_PARAMETERS}", "fewer of them")
                parameters.append(self.fresh_name("the name of a parameter", parameters))
            self.expect(")", "`,` or `)`", ")")
        begins = self.here.kind in ("name", "[")
        cure = f"= {self.here.text}" if begins else "= conv 32 3x3 -> relu;"
        self.expect("=", "`=` and the flow that the name stands for", cure)
        self.parameters, self.defining = tuple(parameters), name
        flow = self.flow()
        if self.here.kind != ";":
            self.after_step(f"-> and another step, or `;` at the end of `{name}`")
        self.parameters, self.defining = (), None
        self.defines[name] = Define(name, tuple(parameters), flow, Span(start, self.take().span.end))

    def fresh_name(self, what: str, taken: Iterable[str] = ()) -> str:
        """NAME = a letter or _, then letters, digits, _ and -; none of the words of the notation"""
        token = self.here
        name = token.text
        if token.kind != "name" or name == "×":
            self.fail(token, expected=what, cure=f"my_{name}" if token.kind == "number" else "my_name")
        if name.lower() in (*WORDS, *RESERVED, "x") or _is_count(name):
            self.fail(token, f"`{name}` is a word of the notation", what, f"my_{name}")
        if name in taken:
            self.fail(token, f"the name `{name}` is already taken", "another name", f"{name}_2")
        return self.take().text

    def flow(self) -> Flow:
        """flow = step { "->" step }"""
        self.depth += 1
        if self.depth > DEEPEST + 1:
            problem = f"more than {DEEPEST} brackets and branches inside each other"
            self.fail(self.tokens[self.index - 1], problem, f"at most {DEEPEST}", "fewer of them")
        steps = [self.step()]
        while self.here.kind == "arrow":
            self.take()
            steps.append(self.step())
        self.depth -= 1
        labels: set[str] = set()
        for step in steps:
            if step.label in labels:
                assert step.at is not None
                span = Span(step.at.start, step.at.start + len(step.label))
                problem = f"the label `{step.label}` stands twice in this flow"
                self.fail_at(span, problem, "another label", f"{step.label}_2")
            if step.label is not None:
                labels.add(step.label)
        return Flow(tuple(steps))

    def step(self) -> Step:
        """step = [ NAME ":" ] atom [ "x" COUNT ]"""
        label = None
        start = self.here.span.start
        if self.here.kind == "name" and self.ahead().kind == ":":
            label = self.fresh_name("a label")
            self.take()
        atom = self.atom()
        end = self.tokens[self.index - 1].span.end
        return Step(atom, label, self.count(), Span(start, end))

    def count(self) -> Value:
        """ "x" COUNT = "x3", "x 3", or x and a parameter or hole; 1 where there is none"""
        token = self.here
        if token.kind != "name":
            return 1
        if _is_count(token.text):
            self.take()
            return self.checked_count(token, int(token.text[1:]))
        if token.text not in TIMES:
            return 1
        before = self.tokens[self.index - 1]
        self.take()
        number = self.here
        if number.kind not in ("number", "hole", "name"):
            self.fail(token, f"`{token.text}` needs a number after it", "how many times, as in x3", "x3")
        if before.kind == number.kind == "number":
            # `conv 32 3 x 3` must not be taken for a layer that stands there three times.
            span = Span(before.span.start, number.span.end)
            self.fail_at(
                span,
                f"`{self.source.said(span)}` can mean two things",
                f"{before.text}x{number.text} for a window, {before.text} x{number.text} to repeat",
                f"{before.text}x{number.text}",
            )
        return self.checked_count(number, self.value())

    def checked_count(self, token: Token, value: Value) -> Value:
        values: tuple[Value, ...] = value.values if isinstance(value, Choice) else (value,)
        if isinstance(value, Range):
            values = (value.low, value.high)
        for each in values:
            if not isinstance(each, Name) and not (isinstance(each, int) and 1 <= each <= MOST_LAYERS):
                self.fail(
                    token,
                    f"cannot repeat {write_value(each)} times",
                    f"a whole number from 1 to {MOST_LAYERS}",
                    "x2" if token.text[0] in TIMES else "2",
                )
        return value

    def atom(self) -> Atom:
        """atom = layer | "[" flow "]" | branch | call"""
        token = self.here
        if token.kind == "[":
            return self.bracketed("[", "]")
        if token.kind != "name":
            self.no_step(token)
        word = token.text.lower()
        if word in ("add", "concat"):
            return self.branch()
        if word == "aux":
            return self.aux()
        if token.text in self.defines:
            return self.call()
        if word in WORDS:
            return self.layer()
        self.unknown(token)

    def bracketed(self, opening: str, closing: str) -> Flow:
        """ "[" flow "]", or the same in { }"""
        first = self.expect(opening, f"`{opening}` and a flow", f"{opening} fc classes {closing}")
        flow = self.flow()
        self.close(first, closing, f"-> and another step, or `{closing}`")
        return flow

    def branch(self) -> Branch:
        """branch = ( "add" | "concat" ) "{" flow { "|" flow } "}" """
        token = self.take()
        kind: Literal["add", "concat"] = "add" if token.text.lower() == "add" else "concat"
        example = f"{kind} {{ conv 32 3x3 | identity }}"
        first = self.expect("{", "`{` and flows separated by `|`", example)
        flows = [self.flow()]
        while self.here.kind == "|":
            self.take()
            flows.append(self.flow())
        self.close(first, "}", "-> and another step, `|` and another flow, or `}`")
        if len(flows) < 2:
            last = self.tokens[self.index - 1]
            self.fail(last, f"this `{kind}` has one flow", "two or more, separated by `|`", "| identity }")
        return Branch(kind, tuple(flows))

    def aux(self) -> Aux:
        """ "aux" [ NUMBER ] "{" flow "}" """
        self.take()
        weight: Value = AUX_WEIGHT
        token = self.here
        if token.kind in ("number", "hole", "size") or (
            token.kind == "name" and token.text in self.parameters
        ):
            value = self.value()
            for each in value.values if isinstance(value, Choice) else (value,):
                if isinstance(each, Size):
                    self.fail(token, f"a loss cannot weigh {each}", "a number from 0", "0.3")
            weight = float(value) if isinstance(value, int) else value
        return Aux(self.bracketed("{", "}"), weight)

    def call(self) -> Call:
        """call = NAME "(" [ value { "," value } ] ")", and a bare NAME where there are no parameters"""
        token = self.take()
        define = self.defines[token.text]
        values: list[Value] = []
        if self.here.kind == "(":
            self.take()
            if self.here.kind != ")":
                values.append(self.passed(define))
            while self.here.kind == ",":
                self.take()
                values.append(self.passed(define))
            self.expect(")", "`,` or `)`", ")")
        if len(values) != len(define.parameters):
            span = Span(token.span.start, self.tokens[self.index - 1].span.end)
            problem = f"`{token.text}` takes {counted(len(define.parameters), 'value')} and got {len(values)}"
            self.fail_at(span, problem, _call(define, named=True), _call(define))
        return Call(token.text, tuple(values))

    def passed(self, define: Define) -> Value:
        """One value of a call."""
        if self.here.kind == "name" and self.ahead().kind == "=":
            span = Span(self.here.span.start, self.ahead().span.end)
            problem = "values are passed by their place, not by name"
            self.fail_at(span, problem, _call(define, named=True), "leave it out")
        return self.value()

    def layer(self) -> Word:
        """layer = WORD { NUMBER | KxK | WORD | WORD NUMBER }"""
        token = self.take()
        word = token.text.lower()
        if self.here.kind == "(":
            self.in_brackets(token)
        known = arguments(WORDS[word])
        placed = [each for each in known.values() if not each.keyed]
        choices = tuple(each for argument in placed for each in argument.words)
        found: dict[str, Value | str | bool] = {}
        while True:
            here = self.here
            if here.kind == "name" and here.text in known and known[here.text].keyed:
                self.keyed(known[here.text], found)
            elif here.kind in ("number", "size", "hole") or (
                here.kind == "name" and here.text in (*self.parameters, *GIVEN, *choices)
            ):
                self.by_place(word, placed, choices, found)
            elif here.kind == "name" and not _is_count(here.text) and here.text not in TIMES:
                self.unknown_argument(word, known, choices)
            else:
                break
        for argument in placed:
            if argument.required and argument.name not in found:
                self.missing(token, argument)
        ordered = ((name, found[name]) for name in known if name in found)
        return Word(word, tuple((name, value) for name, value in ordered if value != known[name].default))

    def in_brackets(self, word: Token) -> NoReturn:
        """Fail at a layer whose arguments stand in brackets, as in Python."""
        span = self.call_span(word)
        ends = [index for index, token in enumerate(self.tokens) if token.span.end == span.end]
        inside = [token.text for token in self.tokens[self.index + 1 : ends[0]] if token.kind != ","]
        layer = word.text.lower()
        cure = " ".join([layer, *inside]) if 0 < len(inside) < 20 else _layer(layer)
        problem = f"the arguments of `{word.text}` stand without brackets"
        self.fail_at(span, problem, _form(layer), cure)

    def call_span(self, word: Token) -> Span:
        """From a word to the `)` after it, or to the end of the text where there is none."""
        after = self.tokens[self.tokens.index(word) :]
        end = next((token for token in after if token.kind == ")"), after[-1])
        return Span(word.span.start, end.span.end)

    def keyed(self, argument: Argument, found: dict[str, Value | str | bool]) -> None:
        """WORD NUMBER, as `stride 2`, or a WORD alone, as `valid`"""
        token = self.take()
        if argument.name in found:
            self.fail(token, f"`{argument.name}` is given twice", f"`{argument.name}` once", "leave one out")
        if argument.kind == "flag":
            found[argument.name] = True
            return
        number = self.here
        if number.kind not in ("number", "size", "hole") and not (
            number.kind == "name" and number.text in (*self.parameters, *GIVEN)
        ):
            problem = f"`{argument.name}` needs a number after it"
            cure = f"{argument.name} {_value(argument)}"
            self.fail(token, problem, f"{argument.name}: {argument.domain()}", cure)
        found[argument.name] = self.settled(argument, number, self.value())

    def by_place(
        self,
        word: str,
        placed: list[Argument],
        choices: tuple[str, ...],
        found: dict[str, Value | str | bool],
    ) -> None:
        """NUMBER, KxK or a WORD out of a list, whose place among the arguments says what it is"""
        token = self.here
        value = Name(self.take().text) if token.text in choices else self.value(choices)
        left = [argument for argument in placed if argument.name not in found]
        for argument in left:
            if self.suits(argument, value):
                found[argument.name] = self.settled(argument, token, value)
                return
        numbers = [argument for argument in left if argument.kind != "word"]
        if left and not (isinstance(value, Name) and value.name in choices):
            self.settled((numbers or left)[0], token, value)
        stepped = "stride" in arguments(WORDS[word]) and "stride" not in found and isinstance(value, int)
        cure = f"stride {value}" if stepped else "leave it out"
        self.fail(token, f"`{token.text}` is one too many", _form(word), cure)

    def suits(self, argument: Argument, value: Value) -> bool:
        """Whether a value written without a name can be meant for this argument."""
        first = value.values[0] if isinstance(value, Choice) else value
        if argument.kind == "word":
            return isinstance(first, Name) and first.name in argument.words
        if isinstance(first, Name) and first.name not in (*self.parameters, *GIVEN):
            return False
        return argument.kind == "size" or not isinstance(first, Size)

    def settled(self, argument: Argument, token: Token, value: Value) -> Value | str:
        try:
            if argument.kind == "word" and isinstance(value, Name):
                return argument.settle(value.name)
            return argument.settle(value)
        except Misfit as misfit:
            span = Span(token.span.start, self.tokens[self.index - 1].span.end)
            self.fail_at(span, misfit.problem, misfit.expected, misfit.cure)

    def close(self, first: Token, closing: str, expected: str) -> None:
        """Take the mark that closes `first`."""
        if self.here.kind == "end":
            problem = f"this `{first.text}` is never closed"
            self.fail(first, problem, f"`{closing}` after its steps", closing)
        if self.here.kind in ("]", "}", ")", ";") and self.here.kind != closing:
            self.fail(self.here, expected=expected, cure=closing)
        if self.here.kind != closing:
            self.after_step(expected)
        self.take()

    def is_let(self, token: Token) -> bool:
        return token.kind == "name" and token.text.lower() == "let"

    def begins_step(self) -> bool:
        token = self.here
        if token.kind != "name":
            return token.kind == "["
        words = (*WORDS, "add", "concat", "aux")
        named = token.text.lower() in words or token.text in (*self.defines, self.defining)
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
        problem = "a definition cannot stand inside a flow"
        self.fail(token, problem, "definitions first, then one flow", "move it to the beginning of the text")

    def on_new_line(self) -> bool:
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
            close = meant(token.text, (*WORDS, *self.defines, "add", "concat", "aux"))
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
        if _is_count(name) or name in TIMES:
            problem = f"there is no step before `{name}` to repeat"
            self.fail(token, problem, "a step, then how many times", "[conv 32 3x3 -> relu] x3")
        pairs = zip(self.tokens[self.index :], self.tokens[self.index + 1 :], strict=False)
        if any(self.is_let(first) and second.text == name for first, second in pairs):
            problem = f"`{name}` is defined only further down"
            self.fail(token, problem, "blocks defined above it", f"move the definition of `{name}` up")
        close = meant(name, (*WORDS, *self.defines, "add", "concat", "aux"))
        if self.ahead().kind == "(":
            cure = f"let {name}(...) = ...; above"
            if close:
                span, cure = self.call_span(token), _layer(close) if close in WORDS else close
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
            " ".join([word, _value(argument), *([rest] if rest else [])]),
        )

    def unknown_argument(
        self, word: str, known: Mapping[str, Argument], choices: tuple[str, ...]
    ) -> NoReturn:
        """Fail at a name among the arguments of a layer that is none of them."""
        self.new_step()
        token = self.here
        if token.text in known or token.text in _BY_PLACE:
            problem = f"the word `{token.text}` is not written"
            self.fail(token, problem, write_form(word), "leave it out")
        keyed = tuple(name for name, argument in known.items() if argument.keyed)
        numbers = (*self.parameters, *GIVEN) if len(known) > len(choices) else ()
        close = meant_argument(token.text, (*keyed, *choices, *numbers))
        if close is None:
            other = meant(token.text, (*WORDS, *self.defines))
            close = f"-> {other}" if other and other != word else "leave it out"
        self.fail(token, f"`{word}` knows no `{token.text}`", _form(word), close)


def _is_count(text: str) -> bool:
    return len(text) > 1 and text[0] in "xX" and text[1:].isdigit()


def _call(define: Define, *, named: bool = False) -> str:
    """An example of a call, or with the names of its parameters how it is written."""
    return f"{define.name}({', '.join(name if named else '32' for name in define.parameters)})"


def _form(word: str) -> str:
    form = write_form(word)
    return f"{word} alone" if form == word else form


def _value(argument: Argument) -> str:
    """An example of an argument's value."""
    if argument.kind == "word":
        return argument.words[0]
    if isinstance(argument.default, float):
        return write_value(argument.default)
    return {"channels": "32", "features": "120", "pad": "1"}.get(argument.name, "2")


def _layer(word: str) -> str:
    """An example of a layer."""
    needed = [_value(argument) for argument in arguments(WORDS[word]).values() if argument.required]
    return " ".join([word, *needed, *(["3x3"] if word in ("conv", "local") else [])])
