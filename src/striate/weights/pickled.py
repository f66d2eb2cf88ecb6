"""Pickles, read opcode by opcode.  Source: CPython's Lib/pickletools.py, which documents every one."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from striate.weights.inert import Broken, Storage
from striate.weights.machine import Machine, integer, long, paired, quoted, real, text
from striate.weights.rebuild import key

# ResNet-152 with its optimiser's state takes about 60,000 steps.
MOST_STEPS = 4_000_000


@dataclass(frozen=True, slots=True)
class Pickled:
    """What a pickle describes.

    value: plain values, Views, Names and Opaques.  storages: those that it refers to, in order.
    foreign: what it would have had called or made that is not known here.
    """

    value: object
    storages: tuple[Storage, ...]
    foreign: tuple[str, ...]


def read_pickle(file: BinaryIO, size_bytes: int) -> Pickled:
    """Read one pickle and stop behind it; nothing of what it asks for is run.

    file: stands at its beginning.  size_bytes: how much of the file is left; no more is read.
    Raises Broken where it is no whole pickle or passes a limit, Forbidden where it names what runs code.
    """
    machine = Machine(file, size_bytes)
    for _ in range(MOST_STEPS):
        code = machine.take(1)
        if code == b".":
            return Pickled(machine.pop(), tuple(machine.storages), tuple(machine.foreign))
        action = _ACTIONS.get(code)
        if action is None:
            raise Broken(f"it is no pickle: there is no opcode 0x{code.hex()}")
        action(machine)
    raise Broken(f"its pickle takes more than {MOST_STEPS:,} steps")


def _skip_1(machine: Machine) -> None:
    machine.take(1)


def _skip_8(machine: Machine) -> None:
    machine.take(8)


def _drop_since_mark(machine: Machine) -> None:
    machine.since_mark()


def _make_with_keywords(machine: Machine) -> None:
    machine.pop()
    machine.reduce(machine.pop(), machine.pop())


_Action = Callable[[Machine], None]

_ACTIONS: dict[bytes, _Action] = {
    b"\x80": _skip_1,
    b"\x95": _skip_8,
    b"(": Machine.mark,
    b"0": Machine.drop,
    b"1": _drop_since_mark,
    b"2": lambda m: m.push(m.top()),
    b"N": lambda m: m.push(None),
    b"\x88": lambda m: m.push(True),
    b"\x89": lambda m: m.push(False),
    b"I": lambda m: m.push(integer(m.line())),
    b"L": lambda m: m.push(integer(m.line())),
    b"J": lambda m: m.push(m.number("<i")),
    b"K": lambda m: m.push(m.number("<B")),
    b"M": lambda m: m.push(m.number("<H")),
    b"\x8a": lambda m: m.push(long(m.sized("<B"))),
    b"\x8b": lambda m: m.push(long(m.sized("<I"))),
    b"F": lambda m: m.push(real(m.line())),
    b"G": lambda m: m.push(struct.unpack(">d", m.take(8))[0]),
    b"S": lambda m: m.push(quoted(m.line())),
    b"T": lambda m: m.push(text(m.sized("<I"))),
    b"U": lambda m: m.push(text(m.sized("<B"))),
    b"V": lambda m: m.push(m.line()),
    b"X": lambda m: m.push(text(m.sized("<I"))),
    b"\x8c": lambda m: m.push(text(m.sized("<B"))),
    b"\x8d": lambda m: m.push(text(m.sized("<Q"))),
    b"B": lambda m: m.push(m.sized("<I")),
    b"C": lambda m: m.push(m.sized("<B")),
    b"\x8e": lambda m: m.push(m.sized("<Q")),
    b"\x96": lambda m: m.push(m.sized("<Q")),
    b"]": lambda m: m.container([]),
    b"a": lambda m: m.extend([m.pop()]),
    b"e": lambda m: m.extend(m.since_mark()),
    b"l": lambda m: m.container(m.since_mark()),
    b")": lambda m: m.push(()),
    b"t": lambda m: m.container(tuple(m.since_mark())),
    b"\x85": lambda m: m.container((m.pop(),)),
    b"\x86": lambda m: m.container((m.pop(), m.pop())[::-1]),
    b"\x87": lambda m: m.container((m.pop(), m.pop(), m.pop())[::-1]),
    b"}": lambda m: m.container({}),
    b"d": lambda m: m.container(paired(m.since_mark())),
    b"s": lambda m: m.set_items([m.pop(), m.pop()][::-1]),
    b"u": lambda m: m.set_items(m.since_mark()),
    b"\x8f": lambda m: m.container(set()),
    b"\x90": lambda m: m.add_items(m.since_mark()),
    b"\x91": lambda m: m.container({key(each) for each in m.since_mark()}),
    b"g": lambda m: m.recall(integer(m.line())),
    b"h": lambda m: m.recall(m.number("<B")),
    b"j": lambda m: m.recall(m.number("<I")),
    b"p": lambda m: m.remember(integer(m.line())),
    b"q": lambda m: m.remember(m.number("<B")),
    b"r": lambda m: m.remember(m.number("<I")),
    b"\x94": Machine.remember_next,
    b"c": lambda m: m.name(m.line(), m.line()),
    b"\x93": lambda m: m.name(*(m.pop(), m.pop())[::-1]),
    b"R": lambda m: m.reduce(m.pop(), m.pop()),
    b"b": Machine.build,
    b"\x81": lambda m: m.reduce(m.pop(), m.pop()),
    b"\x92": _make_with_keywords,
    b"i": Machine.instance,
    b"o": Machine.instance_below,
    b"P": lambda m: m.refer(m.line()),
    b"Q": lambda m: m.refer(m.pop()),
    b"\x82": Machine.registered,
    b"\x83": Machine.registered,
    b"\x84": Machine.registered,
}
