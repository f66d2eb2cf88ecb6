"""Recursive descent over the grammar; each rule stands in the docstring of the function that reads it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from striate.errors import NotationError, counted
from striate.net.layers.argument import Argument, Misfit, arguments
from striate.net.layers.value import Choice, Name, Range, Size, Value, write_value
from striate.net.layers.words import WORDS
from striate.net.layout.layout import DEEPEST, MOST_LAYERS
from striate.net.network import (
    AUX_WEIGHT,
    GIVEN,
    Atom,
    Aux,
    Branch,
    Call,
    Define,
    Flow,
    Network,
    Pick,
    Step,
    Word,
)
from striate.net.notation.cursor import MOST_CHOICES
from striate.net.notation.diagnosis import TIMES, Diagnosis, example_call, example_value, is_count, said_form
from striate.net.notation.tokens import Token
from striate.net.notation.translation import translate
from striate.net.source import Source, Span

RESERVED = ("let", "add", "concat", "aux", *GIVEN)

# Of one definition; an error that names them all stays readable.
MOST_PARAMETERS = 20


def read_text(text: str, name: str = "network") -> Network:
    """Read a network from its text.

    name: what errors call the text, a file's name for instance.

    Raises NotationError, with its place, where the text is not a network; nothing else.  Where it is one in
    another notation, the cure is the whole text in this one.
    """
    try:
        return _Reader(Source(name, text)).network()
    except NotationError as error:
        error.cure = _translated(text) or error.cure
        raise


def _translated(text: str) -> str | None:
    """The text in this notation, where it was written in another and can be read then."""
    cure = translate(text)
    if cure is None:
        return None
    try:
        _Reader(Source("cure", cure)).network()
    except NotationError:
        return None
    return cure


class _Reader(Diagnosis):
    """The walk along one text.

    depth: how many flows are open, one inside the other.
    """

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self.depth = 0

    def network(self) -> Network:
        """network = { define } flow"""
        if self.here.kind == "end":
            self.fail(self.here, "there is no network here", "steps joined by ->", "conv 32 3x3 -> relu")
        while self.is_let(self.here):
            self.define()
        if self.here.kind == "end":
            *_, last = self.defines.values()
            self.fail(
                self.here, "the network itself is missing", "a flow after the definitions", example_call(last)
            )
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
        if name.lower() in (*WORDS, *RESERVED, "x") or is_count(name):
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
        if is_count(token.text):
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
        """atom = layer | "[" flow "]" | branch | call | hole"""
        token = self.here
        if token.kind == "hole":
            return self.pick()
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

    def pick(self) -> Pick:
        """hole = "?(" step { "," step } ")", in which a flow stands in brackets"""
        opening = self.take()
        if self.here.kind in ("number", "size"):
            problem = f"{self.here.text} is a value, and a step should begin here"
            self.fail(self.here, problem, "steps separated by `,`", "?(maxpool 2, avgpool 2)")
        self.depth += 1
        if self.depth > DEEPEST + 1:
            problem = f"more than {DEEPEST} brackets and branches inside each other"
            self.fail(opening, problem, f"at most {DEEPEST}", "fewer of them")
        steps = [self.step()]
        while self.here.kind == ",":
            if len(steps) == MOST_CHOICES:
                problem = f"this hole has more than {MOST_CHOICES} steps"
                self.fail(self.here, problem, f"at most {MOST_CHOICES}", "fewer of them")
            self.take()
            steps.append(self.step())
        if self.here.kind == "arrow":
            self.fail(self.here, "a step in a hole ends here", "`,` or `)`", "[ ... ] around the flow")
        self.close(opening, ")", "`,` and another step, or `)`")
        self.depth -= 1
        return Pick(tuple(steps))

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
            self.fail_at(span, problem, example_call(define, named=True), example_call(define))
        return Call(token.text, tuple(values))

    def passed(self, define: Define) -> Value:
        """One value of a call."""
        if self.here.kind == "name" and self.ahead().kind == "=":
            span = Span(self.here.span.start, self.ahead().span.end)
            problem = "values are passed by their place, not by name"
            self.fail_at(span, problem, example_call(define, named=True), "leave it out")
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
            elif here.kind == "name" and not is_count(here.text) and here.text not in TIMES:
                self.unknown_argument(word, known, choices)
            else:
                break
        for argument in placed:
            if argument.required and argument.name not in found:
                self.missing(token, argument)
        ordered = ((name, found[name]) for name in known if name in found)
        return Word(word, tuple((name, value) for name, value in ordered if value != known[name].default))

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
            cure = f"{argument.name} {example_value(argument)}"
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
        self.fail(token, f"`{token.text}` is one too many", said_form(word), cure)

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
