"""A text in another notation, put into this one: lecture notes, papers, PyTorch, Keras, Caffe, Darknet.

Nothing is run.  The words are looked up in `foreign`; what is in no table is not guessed, so a translation is
either whole or there is none.  The grammar itself stays strict: the translation is the cure of its error.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from striate.net.layers.argument import Argument, arguments
from striate.net.layers.words import WORDS
from striate.net.notation.foreign import (
    ARGUMENTS_CALLED,
    FILLERS,
    GROUPS,
    IDLE,
    NOTHING,
    SIGNATURES,
    UNPADDED,
    called,
    plain_word,
)

# Longer texts are not pasted from a page.
LONGEST = 4000
DEEPEST = 12

# What is taken where a text says no number: a window, channels, features between others, how often.
_DEFAULTS = {
    "channels": "32", "kernel": "2", "pieces": "2", "depth": "2", "features": "128",
}  # fmt: skip
_OFTEN = "2"

_LEFT_OUT = (("stride", "1"), ("dilate", "1"), ("groups", "1"), ("grid", "1"), ("grid", "1x1"))

# A fully connected layer of no known size; the last one answers the classes.
_OPEN = "fc ?"

_TOKEN = re.compile(
    r"""
    (?P<blank>[ \t\r]+)
  | (?P<line>\n\s*)
  | (?P<arrow>->|\|>)
  | (?P<size>(?:\d+(?:[xX]\d+){1,2}|\d+[ ]+[xX][ ]+\d+)(?![\w.]))
  | (?P<way>\d+-(?:d|way|unit|dim)\b)
  | (?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?%?(?![\w.]))
  | (?P<name>[A-Za-z_]\w*(?:[.-]\w+)*|\d[\w]*(?:-\w+)*)
  | (?P<mark>[\[\](){}|,;:=*/@+?^&<>])
    """,
    re.VERBOSE | re.ASCII,
)
_ARROWS = re.compile(
    r"\\(?:long)?(?:right)?arrow\b|\\(?:Long)?[Rr]ightarrow\b|\\to\b|[-‐‑‒–—―−=~]+>|[-=]{2,}|>+"
    r"|[→⇒⟶⟹➔➜➝➞▶►»›↦⇨]|\s[‒–—―−]\s"
)
_LATEX_WORDS = re.compile(r"\\(?:text|mathrm|mathbf|textbf|mathit|operatorname|mbox)\s*\{([^{}]*)\}")
_LATEX = re.compile(r"\\(?:text|mathrm|mathbf|textbf|mathit|operatorname)\b|[$\\]|~")
_BULLET = re.compile(r"^[ \t]*(?:[-*•·–]|\(?\d{1,2}[.)])[ \t]+(?=\S)", re.MULTILINE)
_PYTHON = re.compile(
    r"^[ \t]*(?:[\w.]+[ \t]*=(?!=)(?=.*\()|return\b)[ \t]*|^[ \t]*(?:from|import|def|class)\b.*$|^>>>",
    re.MULTILINE,
)
_CFG = re.compile(r"^\[(\w+)\][ \t]*\n((?:[ \t]*\w+[ \t]*=.*(?:\n|$)|[ \t]*\n)+)", re.MULTILINE)
_PROTOTXT = re.compile(r"\blayers?\s*\{")
_TWICE = {"twice": "2", "thrice": "3"}

# Codes of one word, as C64k3s1 and 32C3; their groups are arguments of the layer.
_CODES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.ASCII | re.IGNORECASE), word)
    for pattern, word in (
        (r"c(?:onv)?(?P<kernel>\d)-(?P<channels>\d+)", "conv"),
        (r"c(?:onv)?(?P<kernel>\d+x\d+)-(?P<channels>\d+)", "conv"),
        (r"c(?P<channels>\d+)(?:k(?P<kernel>\d+))?(?:s(?P<stride>\d+))?(?:p(?P<pad>\d+))?", "conv"),
        (r"c(?P<kernel>\d+)s(?P<stride>\d+)-(?P<channels>\d+)", "conv"),
        (r"(?P<channels>\d+)c(?P<kernel>\d+)", "conv"),
        (r"conv(?P<kernel>\d+x\d+)", "conv"),
        (r"(?P<kernel>\d+x\d+)conv", "conv"),
        (r"conv(?P<channels>[1-9]\d+)", "conv"),
        (r"m?p(?P<kernel>\d+)(?:s(?P<stride>\d+))?", "maxpool"),
        (r"ap(?P<kernel>\d+)(?:s(?P<stride>\d+))?", "avgpool"),
        (r"max-?pool-?(?P<kernel>[2-9](?:x\d)?)", "maxpool"),
        (r"avg-?pool-?(?P<kernel>[2-9](?:x\d)?)", "avgpool"),
        (r"(?:fc?|dense|linear)-?(?P<features>[1-9]\d+)", "fc"),
        (r"(?P<features>\d+)(?:fc?|n|d)", "fc"),
        (r"d(?:rop(?:out)?)?(?P<share>0?\.\d+)", "dropout"),
        (r"r", "relu"),
        (r"b", "bn"),
        (r"(?:conv|c)\d?", "conv"),
        (r"(?:fc|f)\d?", "fc"),
        (r"(?:pool|p|s)\d?", "maxpool"),
        (r"(?:bn|norm)\d?", "bn"),
        (r"(?:relu)\d?", "relu"),
        (r"drop(?:out)?\d?", "dropout"),
    )
)
_SHORT = {"k": "kernel", "s": "stride", "p": "pad", "d": "dilate", "g": "groups"}
_BEHIND_A_WORD = {
    each for layer in WORDS.values() for each, argument in arguments(layer).items() if argument.keyed
}
_KEYS = {plain_word(each): each for layer in WORDS.values() for each in arguments(layer)}


class _Strange(Exception):
    """Some of the text is in no table."""


@dataclass(slots=True)
class _Said:
    """What is said of a layer.  named: by argument.  loose: numbers and sizes without a name.

    behind: layers that its arguments say, as activation='relu'.
    """

    named: dict[str, str] = field(default_factory=dict)
    loose: list[str] = field(default_factory=list)
    behind: list[str] = field(default_factory=list)


def translate(text: str) -> str | None:
    """The text in this notation, on one line; None where it is not foreign, or not understood as a whole."""
    if len(text) > LONGEST or "let " in text or "?(" in text:
        return None
    plain, foreign = _plain(text)
    try:
        tokens = _tokens(plain)
        reading = _Reading(tokens, foreign)
        steps = reading.flow("")
    except _Strange:
        return None
    if not steps or not reading.foreign:
        return None
    return _closed(" -> ".join(steps))


def _closed(text: str) -> str:
    """The text with a size for every open layer: the last answers the classes, where nothing behind it has weights."""
    before, last, behind = text.rpartition(_OPEN)
    if last and not re.search(r"\b(?:conv|fc|local)\b", behind) and "]" not in behind and "}" not in behind:
        text = f"{before}fc classes{behind}"
    return text.replace(_OPEN, f"fc {_DEFAULTS['features']}")


def _plain(text: str) -> tuple[str, bool]:
    """The text with plain arrows and brackets, and whether that changed more than blanks and comments."""
    text = re.sub(r"(?m)(?:#|//).*$", "", text).strip()
    if _PROTOTXT.search(text):
        text = _from_prototxt(text)
    text = _CFG.sub(lambda found: f"{found[1]}({','.join(found[2].split())})\n", text + "\n").strip()
    plain = _BULLET.sub("\n", text).strip()
    plain = _LATEX.sub(" ", _ARROWS.sub(" -> ", _LATEX_WORDS.sub(r"\1", plain)))
    plain = re.sub(r"([\])]\s*[*xX^]\s*\w+)-(?=[A-Za-z])", r"\1 -> ", plain)
    plain = re.sub(r"[×✕✖⨯∗·]|\btimes\b(?=\s*\w)", "x", plain).replace("“", "").replace("”", "")
    plain = re.sub(r"[\"'`]", "", plain)
    plain = _PYTHON.sub("", plain).strip()
    foreign = re.sub(r"\s|->|→", "", plain) != re.sub(r"\s|->|→", "", text) or plain.startswith("->")
    return re.sub(r"^(?:\s*->)+|(?:->\s*)+$", "", plain).strip(), foreign


def _from_prototxt(text: str) -> str:
    """Caffe's `layer { type: "Convolution" convolution_param { num_output: 20 } }` as calls."""
    calls = []
    for each in _PROTOTXT.split(text)[1:]:
        pairs = dict(re.findall(r"(\w+)\s*:\s*\"?([\w.]+)\"?", each))
        word = pairs.pop("type", "")
        kind = {"MAX": "MaxPool2d", "AVE": "AvgPool2d"}.get(pairs.pop("pool", ""), word)
        calls.append(f"{kind}({','.join(f'{key}={value}' for key, value in pairs.items())})")
    return "\n".join(calls)


def _tokens(text: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    offset = 0
    while offset < len(text):
        match = _TOKEN.match(text, offset)
        if match is None:
            raise _Strange
        offset = match.end()
        kind = match.lastgroup or ""
        if kind == "way":
            found.append(("number", match.group().partition("-")[0]))
        elif kind != "blank":
            found.append((match.group() if kind == "mark" else kind, match.group()))
    return [*found, ("end", "")]


class _Reading:
    """A walk along the tokens of a foreign text.

    foreign: something was not of this notation.  channels: those of the layer before.
    """

    def __init__(self, tokens: list[tuple[str, str]], foreign: bool) -> None:
        self.tokens = tokens
        self.index = 0
        self.foreign = foreign
        self.depth = 0
        self.channels = "channels"

    @property
    def kind(self) -> str:
        return self.tokens[self.index][0]

    @property
    def text(self) -> str:
        return self.tokens[self.index][1]

    def ahead(self, steps: int = 1) -> tuple[str, str]:
        return self.tokens[min(self.index + steps, len(self.tokens) - 1)]

    def take(self) -> str:
        text = self.text
        self.index += self.kind != "end"
        return text

    def flow(self, closing: str) -> list[str]:
        """Steps up to the mark that closes them, or to the end."""
        self.depth += 1
        if self.depth > DEEPEST:
            raise _Strange
        steps: list[str] = []
        while self.kind != (closing or "end"):
            if self.kind in ("end", "]", ")", "}"):
                raise _Strange
            if self.kind == "|" and closing == "}":
                break
            if self.kind in ("arrow", "line", ",", ";", "+", "&") or self.text.lower() in ("and", "then"):
                apart = self.kind == "line" and "arrow" not in (self.ahead()[0], self.ahead(-1)[0])
                self.foreign |= apart or self.kind in (",", ";", "+", "&")
                self.take()
                continue
            steps += self.step()
        self.depth -= 1
        return steps

    def step(self) -> list[str]:
        """A layer, group or branch with its count; empty for what holds no layer."""
        count = self.count_before()
        label = ""
        if self.kind == "name" and self.ahead()[0] == ":" and self.ahead(2)[0] not in ("number", "size"):
            if self.text.lower() in WORDS:
                raise _Strange
            label = f"{self.text}: "
            self.index += 2
        grouped = self.kind in ("[", "(", "{")
        steps = self.group() if grouped else self.branch() or self.wrapped() or self.layer()
        count = self.count_behind() or count
        if self.kind == "?":
            self.take()
            self.foreign = True
        if not steps or not (count or label):
            return steps
        inner = " -> ".join(steps)
        inner = f"[{inner}]" if grouped or len(steps) > 1 else inner
        return [f"{label}{inner}{f' x{count}' if count else ''}"]

    def group(self) -> list[str]:
        """Steps in brackets of any kind."""
        opening = self.take()
        self.foreign |= opening != "["
        steps = self.flow({"[": "]", "(": ")", "{": "}"}[opening])
        self.take()
        return steps

    def branch(self) -> list[str]:
        """add { ... | ... } and concat, the flows also apart by commas."""
        word = self.text.lower()
        if word not in ("add", "concat") or self.ahead()[0] != "{":
            return []
        self.index += 2
        flows: list[list[str]] = [[]]
        before = self.channels
        while self.kind != "}":
            if self.kind in ("|", ","):
                self.foreign |= self.kind == ","
                self.take()
                self.channels = before
                flows.append([])
            elif self.kind == "arrow":
                self.take()
            else:
                flows[-1] += self.step()
            if self.kind in ("end", "]", ")"):
                raise _Strange
        self.take()
        if len(flows) < 2 or not all(flows):
            raise _Strange
        return [f"{word} {{ {' | '.join(' -> '.join(flow) for flow in flows)} }}"]

    def wrapped(self) -> list[str]:
        """nn.Sequential(...), model.add(...): what stands in the brackets."""
        name = self.text.rpartition(".")[2].lower()
        if self.kind != "name" or self.ahead()[0] != "(" or plain_word(name) not in GROUPS:
            return []
        self.take()
        self.foreign = True
        return self.group()

    def count_before(self) -> str:
        """`3 x [`, `3x [`, `2 * (`: how often, in front."""
        if self.kind == "number" and self.ahead()[1] in ("x", "X", "*"):
            count, steps = self.text, 2
        elif self.kind == "name" and re.fullmatch(r"\d+[xX]", self.text):
            count, steps = self.text[:-1], 1
        else:
            return ""
        self.index += steps
        self.foreign = True
        return count

    def count_behind(self) -> str:
        """`x3`, `x 3`, `* N`, `^3`, `3 times`: how often, behind."""
        found = ""
        if self.kind == "name" and re.fullmatch(r"[xX]\d+", self.text):
            found = self.take()[1:]
        elif self.text in ("x", "X", "*", "^") and (
            self.ahead()[0] == "number" or re.fullmatch(r"[A-Za-z]", self.ahead()[1])
        ):
            self.foreign |= self.text not in ("x", "X") or self.ahead()[0] != "number"
            self.take()
            found = self.take()
        elif self.text in _TWICE:
            found = _TWICE[self.take()]
            self.foreign = True
        elif self.kind == "number" and self.ahead()[1] == "times":
            found = self.take()
            self.take()
            self.foreign = True
        return _OFTEN if found.isalpha() else found

    def named(self, length: int) -> str | None:
        """What the next words, taken together, are called here."""
        words = []
        for steps in range(length):
            kind, text = self.ahead(steps)
            if kind != "name":
                return None
            words.append(text.rpartition(".")[2])
        joined = "".join(words)
        if plain_word(joined) in NOTHING:
            return ""
        return called(joined, tuple(WORDS))

    def layer(self) -> list[str]:
        """A layer in any of the ways in which it is written."""
        said = _Said()
        self.before(said)
        if self.kind != "name":
            raise _Strange
        if plain_word(self.text.rpartition(".")[2]) == "activation" and self.ahead()[0] == "(":
            self.index += 2
            self.foreign = True
            self.tokens[self.index + 1 : self.index + 2] = []
        if made := self.coded(said):
            return made
        for length in (5, 4, 3, 2, 1):
            ours = self.named(length)
            if ours is not None:
                break
        else:
            if "-" in self.text:
                self.split()
                return self.layer()
            raise _Strange
        written = self.text
        self.foreign |= length > 1 or written.lower() != ours or bool(said.loose)
        self.index += length
        signature: tuple[str, ...] = ()
        unpadded = False
        if self.kind == "(":
            name = written.rpartition(".")[2]
            self.foreign = True
            unpadded = name in UNPADDED
            signature = SIGNATURES.get(name, ())
            self.call(said, signature)
        self.more(said, ours)
        return self.made(ours, said, unpadded, bool(signature))

    def before(self, said: _Said) -> None:
        """Numbers in front: `3x3 conv 64`, `32 5x5 convolutions`, `1000-d fc`."""
        while True:
            if self.kind == "name" and (found := re.fullmatch(r"(\d+)-?(?:d|way|unit|dim)?", self.text)):
                self.tokens[self.index] = ("number", found[1])
            filler = self.text.lower() in FILLERS and not any(map(self.named, (1, 2, 3)))
            if self.kind not in ("number", "size") and not filler:
                return
            if self.kind == "number" and self.ahead()[0] in ("end", "arrow", "]"):
                raise _Strange
            if self.kind in ("number", "size"):
                said.loose.append(self.value())
            else:
                self.take()
            while self.kind in (",", "@"):
                self.take()

    def coded(self, said: _Said) -> list[str]:
        """One word that holds a whole layer, or several with - between: C64k3s1-R-P2."""
        word = self.text.rpartition(".")[2] if re.fullmatch(r"[a-z_.]+", self.text) else self.text
        if called(word, tuple(WORDS)) is not None or plain_word(word) in NOTHING:
            return []
        for pattern, ours in _CODES:
            if found := pattern.fullmatch(word):
                self.take()
                self.foreign = True
                said.named |= {key: value for key, value in found.groupdict().items() if value}
                if self.kind == "(":
                    self.call(said, ())
                self.more(said, ours)
                return self.made(ours, said, False, False)
        return []

    def split(self) -> None:
        """One token with - as several with arrows between."""
        pieces = self.text.split("-")
        parts: list[tuple[str, str]] = []
        for piece in pieces:
            kind = "number" if piece.isdigit() else "name"
            parts += [
                ("arrow", "->"),
                ("name", f"fc{piece}") if kind == "number" and len(piece) > 1 else (kind, piece),
            ]
        self.tokens[self.index : self.index + 1] = parts[1:]
        self.foreign = True

    def call(self, said: _Said, signature: tuple[str, ...]) -> None:
        """Arguments in brackets, by place or by name."""
        self.take()
        place = 0
        while self.kind != ")":
            if self.kind == "end":
                raise _Strange
            if self.kind in (",", "line"):
                self.take()
            elif self.kind == "name" and self.ahead()[0] in ("=", ":"):
                key = self.take()
                self.take()
                self.keyed(said, key, self.value())
            else:
                value = self.value()
                if place < len(signature):
                    self.keyed(said, signature[place] or IDLE[0], value)
                elif signature:
                    raise _Strange
                elif re.match(r"[\d.]", value):
                    said.loose.append(value)
                elif value.lower() in ("same", "valid", "avg", "max", "classes"):
                    said.named[value.lower()] = ""
                place += 1
        self.take()
        if self.kind == "(" and self.ahead()[0] == "name" and self.ahead(2)[0] == ")":
            # Keras' functional form, Dense(10)(x).
            self.index += 3

    def value(self) -> str:
        """A number, a size also as (3, 3), a word, or a tuple of more; what is no size is joined by blanks."""
        if self.kind in ("(", "["):
            closing = {"(": ")", "[": "]"}[self.take()]
            sides = []
            while self.kind != closing:
                if self.kind == "end":
                    raise _Strange
                side = self.take()
                if side != ",":
                    sides.append(side)
            self.take()
            return f"{sides[0]}x{sides[1]}" if len(sides) == 2 else " ".join(sides)
        if self.kind not in ("number", "size", "name"):
            raise _Strange
        word = self.kind == "name"
        value = self.take()
        if word and self.kind == "(":
            # An argument that is a call itself, as nn.ReLU(): its name says all.
            inner = _Said()
            self.call(inner, ())
        value = value.replace(" ", "") if not word else value.rpartition(".")[2]
        self.foreign |= value.endswith("%") or value[0] == "."
        if value.endswith("%"):
            return f"{float(value[:-1]) / 100:g}"
        value = f"0{value}" if value.startswith(".") else value.rstrip(".")
        return f"{value.replace('X', 'x')}"

    def keyed(self, said: _Said, key: str, value: str) -> None:
        """An argument by its name, ours or another's."""
        plain = plain_word(key)
        if key in IDLE or plain in map(plain_word, IDLE):
            return
        if plain == "activation":
            ours = called(value, tuple(WORDS))
            if ours is not None and value.lower() not in ("linear", "none"):
                said.behind.append(ours)
        elif plain in ("padding", "pad") and value.lower() in ("same", "valid"):
            said.named[value.lower()] = ""
        elif plain in _KEYS or plain in ARGUMENTS_CALLED:
            said.named[ARGUMENTS_CALLED.get(plain) or _KEYS[plain]] = value
        else:
            raise _Strange

    def more(self, said: _Said, ours: str) -> None:
        """Arguments without brackets, commas between them or not."""
        while True:
            index = self.index
            comma = self.kind == ","
            if comma:
                self.take()
            key = plain_word(self.text)
            after = self.ahead()
            if (
                self.kind in ("number", "size")
                and after[1] not in ("times", "*")
                and (after[1] not in ("x", "X") or self.kind == "size")
                and not (comma and self.begins_layer(1))
            ):
                said.loose.append(self.value())
                self.foreign |= comma
            elif self.kind == "/" and after[0] == "number":
                self.take()
                self.foreign = True
                said.named["stride"] = self.take()
            elif self.kind == "@":
                self.take()
                self.foreign = True
            elif self.kind == "(" and after[0] == "number":
                self.foreign = True
                said.loose.append(self.value())
            elif key in ("no", "without") and after[1].lower() == "bias":
                self.index += 2
                self.foreign = True
                said.named["bias"] = "False"
            elif self.kind != "name":
                self.index = index
                return
            elif found := re.fullmatch(r"([kspdg])=?(\d+)", self.text):
                self.take()
                self.foreign = True
                said.named[_SHORT[found[1]]] = found[2]
            elif key in ("same", "valid", "ceil", "nobias", "classes", "nogamma") or (
                key in ("avg", "max", "average", "mean", "maximum") and ours in ("pool", "depthpool")
            ):
                self.take()
                said.named[ARGUMENTS_CALLED.get(key, key)] = ""
                self.foreign |= comma
            elif ours == "filter" and self.text in arguments(WORDS["filter"])["kind"].words:
                said.named["kind"] = self.take()
            elif (
                (key in _KEYS or key in ARGUMENTS_CALLED or key in _SHORT)
                and (after[0] in ("number", "size", "=", ":", "(") or after[1] in ("same", "valid", "of"))
                and not (
                    key in FILLERS and (after[1] == "of" or (said.loose and after[0] in ("number", "size")))
                )
            ):
                self.foreign |= comma or key not in _BEHIND_A_WORD or after[0] == "="
                name = _SHORT.get(key, self.text)
                self.take()
                if self.kind in ("=", ":") or self.text == "of":
                    self.take()
                self.keyed(said, name, self.value())
            elif key in FILLERS and not self.begins_layer(0):
                self.take()
                self.foreign = True
            else:
                self.index = index
                return

    def begins_layer(self, steps: int) -> bool:
        """Whether the words from here on, behind `steps` tokens, are a layer: `64 conv`."""
        kind, text = self.ahead(steps)
        while kind in ("size", "number"):
            steps += 1
            kind, text = self.ahead(steps)
        return kind == "name" and called(text.rpartition(".")[2], tuple(WORDS)) is not None

    def made(self, ours: str, said: _Said, unpadded: bool, signed: bool) -> list[str]:
        """The layer as text, with what its arguments say behind it."""
        if ours == "":
            return []
        behind = [*said.behind]
        if said.named.pop("bn", "0") not in ("0", "False"):
            behind.insert(0, "bn")
        word = ours.split(" ")[0] if ours not in WORDS else ours
        if ours in ("pool avg", "pool max"):
            said.named["kind"] = ours[5:]
        elif ours == "avgpool" and not said.loose and "kernel" not in said.named and not signed:
            word, said.named["kind"] = "pool", "avg"
        elif word == "pool" and not {"avg", "max", "kind"} & set(said.named):
            word = "maxpool"
            self.foreign = True
        elif ours == "fc classes":
            if not said.loose:
                said.named["features"] = "classes"
            word = "fc"
        elif ours == "softmax" and said.loose and not signed:
            self.foreign = True
            return [f"fc {said.loose[0]}", "softmax"]
        elif ours not in WORDS and not ours.startswith("conv"):
            return [ours.replace("32", said.loose[0]) if said.loose else ours, *behind]
        if word == "leaky" and "alpha" in said.named:
            said.named["slope"] = said.named.pop("alpha")
        if word == "conv":
            behind = [*self.convolution(ours, said, unpadded), *behind]
        text, filled = _layer_text(word, said)
        self.foreign |= filled
        if word in ("conv", "local"):
            self.channels = text.split(" ")[1]
        return [text, *behind]

    def convolution(self, ours: str, said: _Said, unpadded: bool) -> list[str]:
        """Fill in what a convolution of another tool leaves unsaid; what stands behind it."""
        named = said.named
        if found := re.fullmatch(r"conv 32 (\dx\d)", ours):
            named.setdefault("kernel", found[1])
        for key, value in re.findall(r"(dilate|stride|groups) (\d+)", ours):
            named.setdefault(key, value)
        triple = next((each for each in said.loose if each.count("x") == 2), None)
        if triple:
            self.foreign = True
            first, second, third = triple.split("x")
            said.loose.remove(triple)
            sides, channels = (
                (f"{first}x{second}", third) if first == second else (f"{second}x{third}", first)
            )
            named |= {"kernel": sides, "channels": channels}
        behind: list[str] = []
        depthwise = "groups 32" in ours
        if depthwise and "->" in ours:
            wanted = named.pop("channels", None) or next(
                (each for each in said.loose if "x" not in each), "64"
            )
            said.loose = [each for each in said.loose if each != wanted]
            behind = [f"conv {wanted} 1x1"]
        if depthwise:
            named |= {"groups": self.channels, "channels": self.channels}
            said.loose = [each for each in said.loose if each != self.channels]
        for key in ("stride", "pad", "dilate"):
            first, _, second = named.get(key, "").partition("x")
            named |= {key: first} if first and first == second else {}
        if "channels" not in named:
            numbers = [each for each in said.loose if "x" not in each]
            if "kernel" in named and len(numbers) == 2:
                # What goes in and what comes out, as conv3x3(64, 128).
                said.loose.remove(numbers.pop(0))
            if numbers:
                said.loose.remove(numbers[0])
            self.foreign |= not numbers
            named["channels"] = numbers[0] if numbers else _DEFAULTS["channels"]
        if "kernel" not in named:
            sizes = sorted(said.loose, key=lambda each: "x" not in each)
            named["kernel"] = (
                sizes[0] if sizes else "1x1" if ours.endswith("1x1") and not depthwise else "3x3"
            )
            if sizes:
                said.loose.remove(sizes[0])
        for key in ("stride", "pad"):
            if said.loose and key not in named:
                named[key] = said.loose.pop(0)
        if named.pop("bias", "True").lower() in ("false", "0"):
            named["nobias"] = ""
        if "x" not in named["kernel"]:
            named["kernel"] = f"{named['kernel']}x{named['kernel']}"
        usual = _usual_padding(named)
        if unpadded and not {"pad", "same", "valid"} & set(named) and usual != "0":
            named["valid"] = ""
        elif named.get("pad") == "0" and usual != "0":
            del named["pad"]
            named["valid"] = ""
        elif usual is not None and named.get("pad") == usual:
            del named["pad"]
        if named.get("valid") == "" and usual == "0":
            del named["valid"]
        return behind


def _usual_padding(named: dict[str, str]) -> str | None:
    """dilate*(F-1)/2 of a square window, or None."""
    first, _, second = named["kernel"].partition("x")
    dilation = named.get("dilate", "1")
    if first != second or not first.isdigit() or not dilation.isdigit():
        return None
    extent = int(dilation) * (int(first) - 1)
    return str(extent // 2) if extent % 2 == 0 else None


def _layer_text(word: str, said: _Said) -> tuple[str, bool]:
    """A layer with its arguments in their order, and whether one had to be filled in.

    Raises _Strange where one is left over.
    """
    named, loose, filled = dict(said.named), list(said.loose), False
    parts = [word]
    for name, argument in arguments(WORDS[word]).items():
        value = _value(word, name, argument, named, loose)
        if value is None and argument.required:
            filled = True
            if word == "fc" and name == "features":
                value = "?"
            else:
                value = argument.words[0] if argument.words else _DEFAULTS[name]
        if value is None or value in ("False", "None") or (name, value) in _LEFT_OUT:
            continue
        if argument.kind == "flag":
            parts.append(name)
        elif not (argument.keyed and name == "stride" and word.endswith("pool") and value == parts[1]):
            parts += [name, value] if argument.keyed else [value]
    if named or loose:
        raise _Strange
    return " ".join(parts), filled


def _value(word: str, name: str, argument: Argument, named: dict[str, str], loose: list[str]) -> str | None:
    if argument.kind == "word":
        found = named.pop(name, None) or next((each for each in argument.words if each in named), None)
        named.pop(found or "", None)
        return found
    if name == "nobias" and named.get("bias", "").lower() in ("false", "0"):
        del named["bias"]
        return ""
    if name == "ceil" and word.endswith("pool"):
        named.pop("valid", None)
        asked = named.pop("ceil", "same" if "same" in named else "False") not in ("False", "false", "0")
        named.pop("same", None)
        return "True" if asked else None
    named.pop("bias", None)
    if name in named:
        value = named.pop(name)
        if argument.kind == "flag":
            return value or "True"
    elif name == "features":
        # Of two numbers the first is what goes in.
        value = named.pop("channels", "") or (loose[-1] if loose else "")
        if "classes" in named:
            value = "classes"
            del named["classes"]
        loose.clear()
    elif loose and (not argument.keyed or name in ("stride", "pad")):
        value = loose.pop(0)
    else:
        return None
    if name in ("kernel", "stride", "pad", "dilate") and "x" in value:
        first, _, second = value.partition("x")
        value = first if first == second and (argument.keyed or word.endswith("pool")) else value
    if name == "share" and value.replace(".", "").isdigit() and float(value) > 1:
        value = f"{float(value) / 100:g}"
    return value or None
