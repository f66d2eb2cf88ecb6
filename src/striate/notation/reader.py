"""Recursive descent over the grammar; each rule stands in the docstring of the function that reads it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn

from striate.errors import counted, nearest
from striate.notation.cursor import Cursor
from striate.notation.tokens import Token
from striate.spec.argument import Argument, Misfit, arguments
from striate.spec.layout import DEEPEST
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
from striate.spec.words import WORDS

RESERVED = ("let", "add", "concat", "aux", *GIVEN)


def read_text(text: str, name: str = "network") -> Network:
    """Read a network from its text.

    name: what errors call the text, a file's name for instance.

    Raises NotationError, with its place, where the text is not a network; nothing else.
    """
    return _Reader(Source(name, text)).network()


class _Reader(Cursor):
    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self.defines: dict[str, Define] = {}
        self.depth = 0

    def network(self) -> Network:
        """network = { define } flow"""
        if self.here.kind == "end":
            self.fail(self.here, "there is no network here", "steps joined by ->", "conv 32 3x3 -> relu")
        while self.here.kind == "name" and self.here.text == "let":
            self.define()
        flow = self.flow()
        if self.here.kind != "end":
            cure = "let stands before the flow, and ends with ;" if self.here.text == "let" else ""
            self.fail(self.here, expected="-> and another step, or the end", cure=cure)
        return Network(flow, tuple(self.defines.values()), self.source)

    def define(self) -> None:
        """define = "let" NAME [ "(" NAME { "," NAME } ")" ] "=" flow ";" """
        start = self.take().span.start
        name = self.fresh_name("a name for the block")
        if name in self.defines:
            self.fail(self.tokens[self.index - 1], f"`{name}` is already defined", "a new name")
        parameters: list[str] = []
        if self.here.kind == "(":
            self.take()
            while True:
                parameter = self.fresh_name("the name of a parameter")
                if parameter in parameters:
                    self.fail(self.tokens[self.index - 1], f"`{parameter}` stands twice", "another name")
                parameters.append(parameter)
                if self.here.kind != ",":
                    break
                self.take()
            self.expect(")", "`,` or `)`")
        self.expect("=", "`=` and the flow that the name stands for")
        self.parameters = tuple(parameters)
        flow = self.flow()
        self.parameters = ()
        end = self.expect(";", "-> and another step, or `;` after the definition", "; at its end").span.end
        self.defines[name] = Define(name, tuple(parameters), flow, Span(start, end))

    def fresh_name(self, what: str) -> str:
        token = self.expect("name", what)
        name = token.text
        if name.lower() in WORDS or name in RESERVED or _is_count(name) or name in ("x", "×"):
            self.fail(token, f"`{name}` is a word of the notation", what, f"my_{name}")
        return name

    def flow(self) -> Flow:
        """flow = step { "->" step }"""
        self.depth += 1
        if self.depth > DEEPEST:
            self.fail(self.here, "too deeply nested", f"at most {DEEPEST} brackets inside each other")
        steps = [self.step()]
        while self.here.kind == "arrow":
            self.take()
            steps.append(self.step())
        self.depth -= 1
        labels: set[str] = set()
        for step in steps:
            if step.label in labels:
                assert step.at is not None
                self.fail_at(step.at, f"the label `{step.label}` stands twice here", "another label", "")
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
        if token.text not in ("x", "X", "×"):
            return 1
        self.take()
        if self.here.kind not in ("number", "hole", "name"):
            self.fail(self.here, expected="how many times, as in x3")
        number = self.here
        return self.checked_count(number, self.value())

    def checked_count(self, token: Token, value: Value) -> Value:
        values = value.values if isinstance(value, Choice) else (value,)
        if isinstance(value, Range):
            values = (value.low, value.high)
        for each in values:
            if isinstance(each, Name):
                continue
            if not isinstance(each, int) or each < 1:
                self.fail(token, f"cannot repeat {write_value(each)} times", "a whole number from 1", "x2")
        return value

    def atom(self) -> Atom:
        """atom = layer | "[" flow "]" | branch | call"""
        token = self.here
        if token.kind == "[":
            return self.bracketed("[", "]")
        if token.kind != "name":
            self.fail(token, expected="a layer such as `conv 32 3x3`, a bracket, or a block", cure="")
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

    def unknown(self, token: Token) -> NoReturn:
        known = [*WORDS, *self.defines, "add", "concat", "aux"]
        close = nearest(token.text, known)
        if token.text == "let":
            self.fail(token, expected="a step", cure="let stands before the flow, and ends with ;")
        expected = "a layer word or a block defined by `let` above"
        if self.ahead().kind == "(":
            cure = close or f"let {token.text}(...) = ...; before it"
        else:
            cure = close or "striate words, which lists them"
        self.fail(token, f"`{token.text}` is not a layer", expected, cure)

    def bracketed(self, opening: str, closing: str) -> Flow:
        """ "[" flow "]" """
        first = self.expect(opening, f"`{opening}`")
        flow = self.flow()
        if self.here.kind == "end":
            self.fail(
                first, f"this `{opening}` is never closed", f"`{closing}`", f"{closing} after its steps"
            )
        self.expect(closing, f"-> and another step, or `{closing}`")
        return flow

    def branch(self) -> Branch:
        """branch = ( "add" | "concat" ) "{" flow { "|" flow } "}" """
        token = self.take()
        first = self.expect(
            "{", "`{` and flows separated by `|`", f"{token.text} {{ conv 8 3x3 | identity }}"
        )
        flows = [self.flow()]
        while self.here.kind == "|":
            self.take()
            flows.append(self.flow())
        if self.here.kind == "end":
            self.fail(first, "this `{` is never closed", "`}`", "} after the last flow")
        self.expect("}", "->, `|` or `}`")
        if len(flows) < 2:
            self.fail(token, f"`{token.text}` has one flow", "two or more, separated by `|`", "| identity")
        return Branch("add" if token.text.lower() == "add" else "concat", tuple(flows))

    def aux(self) -> Aux:
        """ "aux" [ NUMBER ] "{" flow "}" """
        self.take()
        weight: Value = AUX_WEIGHT
        if self.here.kind in ("number", "hole") or (
            self.here.kind == "name" and self.here.text in self.parameters
        ):
            token = self.here
            value = self.value()
            if isinstance(value, Size) or (isinstance(value, int | float) and not 0 <= value <= 1e9):
                self.fail(token, f"a loss cannot weigh {write_value(value)}", "a number from 0", "0.3")
            weight = float(value) if isinstance(value, int) else value
        flow = self.bracketed("{", "}")
        return Aux(flow, weight)

    def call(self) -> Call:
        """call = NAME "(" [ value { "," value } ] ")", and a bare NAME where there are no parameters"""
        token = self.take()
        values: list[Value] = []
        if self.here.kind == "(":
            self.take()
            while self.here.kind != ")":
                values.append(self.value())
                if self.here.kind != ",":
                    break
                self.take()
            self.expect(")", "`,` or `)`")
        parameters = self.defines[token.text].parameters
        if len(values) != len(parameters):
            wanted = f"{token.text}({', '.join(parameters)})"
            end = self.tokens[self.index - 1].span.end
            problem = f"`{token.text}` takes {counted(len(parameters), 'value')} and got {len(values)}"
            self.fail_at(Span(token.span.start, end), problem, wanted, wanted)
        return Call(token.text, tuple(values))

    def layer(self) -> Word:
        """layer = WORD { NUMBER | KxK | WORD | WORD NUMBER }"""
        token = self.take()
        word = token.text.lower()
        known = arguments(WORDS[word])
        placed = [each for each in known.values() if not each.keyed]
        found: dict[str, Value | str | bool] = {}
        while True:
            here = self.here
            if here.kind == "name" and here.text in known and known[here.text].keyed:
                self.keyed(known[here.text], found)
            elif (
                here.kind in ("number", "size", "hole")
                or (here.kind == "name" and (here.text in self.parameters or here.text in GIVEN))
                or (here.kind == "name" and self.is_choice(placed, here.text))
            ):
                self.by_place(token, placed, found)
            elif here.kind == "name" and not _is_count(here.text) and here.text not in ("x", "X", "×"):
                self.unknown_argument(token, known)
            else:
                break
        for argument in placed:
            if argument.required and argument.name not in found:
                self.fail(
                    token,
                    f"`{word}` needs {_said(argument)}",
                    f"{argument.name}: {argument.domain()}",
                    _example(word),
                )
        ordered = ((name, found[name]) for name in known if name in found)
        return Word(word, tuple((name, value) for name, value in ordered if value != known[name].default))

    def is_choice(self, placed: list[Argument], text: str) -> bool:
        return any(argument.kind == "word" and text in argument.words for argument in placed)

    def keyed(self, argument: Argument, found: dict[str, Value | str | bool]) -> None:
        """WORD NUMBER, as `stride 2`, or a WORD alone, as `valid`"""
        token = self.take()
        if argument.name in found:
            self.fail(token, f"`{argument.name}` is given twice", "it once")
        if argument.kind == "flag":
            found[argument.name] = True
            return
        number = self.here
        if number.kind not in ("number", "size", "hole", "name") or (
            number.kind == "name" and number.text not in (*self.parameters, *GIVEN)
        ):
            self.fail(number, expected=f"{argument.name} and {argument.domain()}", cure=f"{argument.name} 2")
        found[argument.name] = self.settled(argument, number, self.value())

    def by_place(self, word: Token, placed: list[Argument], found: dict[str, Value | str | bool]) -> None:
        """NUMBER, KxK or a WORD out of a list, whose place among the arguments says what it is"""
        token = self.here
        value = Name(self.take().text) if self.is_choice(placed, token.text) else self.value()
        open_ones = [argument for argument in placed if argument.name not in found]
        for argument in open_ones:
            if self.suits(argument, value):
                found[argument.name] = self.settled(argument, token, value)
                return
        if open_ones:
            shown = "; ".join(f"{each.name}: {each.domain()}" for each in open_ones)
            self.fail(token, f"`{write_value(value)}` does not fit here", shown, _example(word.text.lower()))
        takes = ", ".join(argument.name for argument in placed) or "no numbers"
        self.fail(token, f"`{word.text}` has one number too many", f"{takes}", _example(word.text.lower()))

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
            self.fail(token, misfit.problem, misfit.expected)

    def unknown_argument(self, word: Token, known: Mapping[str, Argument]) -> NoReturn:
        token = self.here
        if token.text.lower() in WORDS or token.text in self.defines or token.text in RESERVED:
            self.fail(token, f"`{token.text}` begins a new step", "-> between two steps", f"-> {token.text}")
        keyed = [name for name, argument in known.items() if argument.keyed]
        choices = [each for argument in known.values() for each in argument.words]
        takes = ", ".join(keyed + choices) or "no words"
        close = nearest(token.text, keyed + choices)
        if close is None:
            other = nearest(token.text, [*WORDS, *self.defines])
            close = f"-> {other}" if other and other != word.text.lower() else ""
        self.fail(token, f"`{word.text}` knows no `{token.text}`", f"`{word.text}` takes {takes}", close)


def _is_count(text: str) -> bool:
    return len(text) > 1 and text[0] in "xX" and text[1:].isdigit() and len(text) < 20


def _said(argument: Argument) -> str:
    if argument.kind == "word":
        return f"one of {', '.join(argument.words)}"
    return {"size": "a window", "count": "a whole number", "real": "a number"}[argument.kind]


def _example(word: str) -> str:
    examples = {
        "conv": "conv 32 3x3",
        "local": "local 16 3x3",
        "filter": "filter sobel-x",
        "maxpool": "maxpool 2",
        "avgpool": "avgpool 2",
        "pool": "pool avg",
        "depthpool": "depthpool max 2",
        "lrn": "lrn 5",
        "maxout": "maxout 2",
        "fc": "fc 120",
        "widen": "widen 64",
    }
    return examples.get(word, word)
