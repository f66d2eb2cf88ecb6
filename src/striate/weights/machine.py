"""The stack machine that a pickle is a program for, with nothing in it that could be run.

It follows the program as far as plain values go: numbers, strings, tuples, lists, dictionaries, sets.  A
class or function that is named becomes a `Name`; what would have come of calling it becomes an `Opaque` or,
for torch's own tensors, a `View` (see `rebuild.py`).  Nothing is imported or looked up.
"""

from __future__ import annotations

import struct
from typing import BinaryIO

from striate.weights.forbidden import runs_code
from striate.weights.inert import Broken, Name, Opaque, Storage
from striate.weights.rebuild import call, key, persistent

# Lists, dictionaries, sets and tuples, empty ones too: the largest takes 216 bytes.
MOST_CONTAINERS = 1_000_000

# Of a pickle alone, without the numbers of its tensors.
MOST_BYTES = 1 << 28

_MOST_LINE = 1 << 16
_MOST_NAME = 400
_MOST_INTEGER_BYTES = 1024
_MOST_DIGITS = 400


class Forbidden(Exception):
    """A pickle names what could run code; the text is the name."""


class Machine:
    """The state of reading one pickle.

    file: stands at the beginning of the pickle.  size_bytes: how much of the file is left.
    foreign: what would have been called or made and is not known here, in order, each once.
    storages: those that were referred to, in order.

    Every method raises Broken where the pickle asks for what cannot be, or for too much.
    """

    def __init__(self, file: BinaryIO, size_bytes: int) -> None:
        self.file = file
        self.left = min(size_bytes, MOST_BYTES)
        self.foreign: dict[str, str] = {}
        self.storages: list[Storage] = []
        self._stack: list[object] = []
        self._marks: list[list[object]] = []
        self._memo: dict[int, object] = {}
        self._containers = 0

    # -- bytes

    def take(self, size_bytes: int) -> bytes:
        """The next bytes."""
        if size_bytes > self.left:
            raise Broken(f"its pickle ends too early, or is longer than {MOST_BYTES:,} bytes")
        content = self.file.read(size_bytes)
        if len(content) != size_bytes:
            raise Broken("its pickle ends too early")
        self.left -= size_bytes
        return content

    def line(self) -> str:
        """The next line, without its end."""
        content = self.file.readline(min(self.left, _MOST_LINE))
        self.left -= len(content)
        if not content.endswith(b"\n"):
            raise Broken("its pickle ends too early")
        return text(content[:-1])

    def number(self, form: str) -> int:
        """The next number, little endian."""
        return int(struct.unpack(form, self.take(struct.calcsize(form)))[0])

    def sized(self, form: str) -> bytes:
        """A length and as many bytes."""
        return self.take(self.number(form))

    # -- stack

    def push(self, value: object) -> None:
        """On top of the stack."""
        self._stack.append(value)

    def container(self, value: object) -> None:
        """A new list, dictionary, set or tuple, counted."""
        self._containers += 1
        if self._containers > MOST_CONTAINERS:
            raise Broken(f"its pickle makes more than {MOST_CONTAINERS:,} containers")
        self._stack.append(value)

    def pop(self) -> object:
        """From the top of the stack."""
        if not self._stack:
            raise Broken("its pickle takes from an empty stack")
        return self._stack.pop()

    def drop(self) -> None:
        """Forget the top of the stack; where there is nothing since the last mark, the mark."""
        if self._stack:
            self._stack.pop()
        else:
            self.since_mark()

    def top(self) -> object:
        """The top of the stack, which stays."""
        if not self._stack:
            raise Broken("its pickle looks at an empty stack")
        return self._stack[-1]

    def mark(self) -> None:
        """Remember this height of the stack."""
        self.container(None)
        self._stack.pop()
        self._marks.append(self._stack)
        self._stack = []

    def since_mark(self) -> list[object]:
        """What was pushed since the last mark, taken off."""
        if not self._marks:
            raise Broken("its pickle goes back to a mark that was never set")
        items, self._stack = self._stack, self._marks.pop()
        return items

    def remember(self, index: int) -> None:
        """Put the top of the stack into the memo."""
        self._memo[index] = self.top()

    def remember_next(self) -> None:
        """The same under the next free number."""
        self.remember(len(self._memo))

    def recall(self, index: int) -> None:
        """Push what the memo has."""
        if index not in self._memo:
            raise Broken("its pickle recalls what it never remembered")
        self._stack.append(self._memo[index])

    # -- objects

    def name(self, module: object, name: object) -> None:
        """A class or function, by name only.  Raises Forbidden where it could run code."""
        if not isinstance(module, str) or not isinstance(name, str):
            raise Broken("its pickle names a class by something other than text")
        if runs_code(module, name):
            raise Forbidden(f"{module}.{name}")
        if len(module) + len(name) > _MOST_NAME:
            raise Broken("its pickle names a class by a text of too many characters")
        self._stack.append(Name(module, name))

    def reduce(self, arguments: object, function: object) -> None:
        """What a call would have given."""
        if isinstance(arguments, tuple):
            # A call may copy something large that the pickle made once and recalls a million times.
            self._containers += sum(len(each) for each in arguments if isinstance(each, dict | list | tuple))
        made = call(function, arguments)
        if isinstance(made, Opaque):
            made.name = self.foreign.setdefault(made.name, made.name)
        self.container(made)

    def refer(self, identity: object) -> None:
        """A storage, by its name in the file."""
        found = persistent(identity)
        if isinstance(found, Storage):
            self.storages.append(found)
        self._stack.append(found)

    def build(self) -> None:
        """Attributes: kept for what stands for an object, dropped for anything else."""
        state, made = self.pop(), self.top()
        if isinstance(made, Opaque):
            inner = state[0] if isinstance(state, tuple) and len(state) == 2 else state
            if isinstance(inner, dict):
                made.state = inner

    def extend(self, items: list[object]) -> None:
        """Append to the list on top; an object that stands there swallows them."""
        made = self.top()
        if isinstance(made, list):
            made.extend(items)
        elif not isinstance(made, Opaque):
            raise Broken(f"its pickle appends to a {type(made).__name__}")

    def set_items(self, items: list[object]) -> None:
        """Keys and values, in turns, into the dictionary on top."""
        made = self.top()
        if isinstance(made, dict):
            made.update(paired(items))
        elif not isinstance(made, Opaque):
            raise Broken(f"its pickle sets keys of a {type(made).__name__}")

    def add_items(self, items: list[object]) -> None:
        """Into the set on top."""
        made = self.top()
        if not isinstance(made, set):
            raise Broken(f"its pickle adds members to a {type(made).__name__}")
        made.update(key(each) for each in items)

    def instance(self) -> None:
        """Protocol 0's way to make an object."""
        module, name = self.line(), self.line()
        arguments = tuple(self.since_mark())
        self.name(module, name)
        self.reduce(arguments, self.pop())

    def instance_below(self) -> None:
        """Protocol 1's way to make an object."""
        items = self.since_mark()
        if not items:
            raise Broken("its pickle makes an object of no class")
        self.reduce(tuple(items[1:]), items[0])

    def registered(self) -> None:
        """A name from copyreg's registry of the machine that reads."""
        raise Broken("its pickle names a class by a number of Python's extension registry")


def paired(items: list[object]) -> dict[object, object]:
    """A dictionary of keys and values that come in turns."""
    if len(items) % 2:
        raise Broken("its pickle sets a key without a value")
    return {key(items[i]): items[i + 1] for i in range(0, len(items), 2)}


def text(content: bytes) -> str:
    """UTF-8, or Latin-1 where it is none, as strings of Python 2 may be."""
    try:
        return content.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def integer(said: str) -> int:
    """A decimal number of protocol 0, where `00` and `01` are truth values."""
    if said in ("00", "01"):
        return said == "01"
    digits = said.removesuffix("L")
    if len(digits) > _MOST_DIGITS:
        raise Broken("its pickle has a number of too many digits")
    try:
        return int(digits)
    except ValueError:
        raise Broken("its pickle has a number that is none") from None


def long(content: bytes) -> int:
    """A number of any length, little endian, as two's complement."""
    if len(content) > _MOST_INTEGER_BYTES:
        raise Broken("its pickle has a number of too many digits")
    return int.from_bytes(content, "little", signed=True)


def real(said: str) -> float:
    """A real number of protocol 0."""
    try:
        return float(said)
    except ValueError:
        raise Broken("its pickle has a number that is none") from None


def quoted(said: str) -> str:
    """A string of protocol 0 without its quotes; escapes stay as they are."""
    return said[1:-1] if len(said) >= 2 and said[0] == said[-1] and said[0] in "'\"" else said
