"""A network as canonical text: `read_text(write_text(network)) == network`."""

from __future__ import annotations

from striate.spec.argument import arguments
from striate.spec.network import AUX_WEIGHT, Aux, Branch, Call, Flow, Network, Step, Word
from striate.spec.value import Choice, Size, Value, write_value
from striate.spec.words import WORDS

# A flow longer than this is broken before an arrow.
WIDTH = 100


def write_text(network: Network) -> str:
    """The canonical text: lower-case words, one space, defaults left out, one line a definition."""
    lines = []
    for define in network.defines:
        parameters = f"({', '.join(define.parameters)})" if define.parameters else ""
        lines.append(f"let {define.name}{parameters} = {write_flow(define.flow)};")
    lines.extend(_wrapped([write_step(step) for step in network.flow.steps]))
    return "\n".join(lines)


def write_flow(flow: Flow) -> str:
    """A flow on one line."""
    return " -> ".join(write_step(step) for step in flow.steps)


def write_step(step: Step) -> str:
    """A step with its label and count."""
    label = f"{step.label}: " if step.label else ""
    count = ""
    if step.count != 1:
        count = f" x{step.count}" if isinstance(step.count, int) else f" x {write_value(step.count)}"
    return label + _write_atom(step.atom) + count


def _write_atom(atom: Word | Flow | Branch | Aux | Call) -> str:
    if isinstance(atom, Word):
        return write_word(atom)
    if isinstance(atom, Flow):
        return f"[{write_flow(atom)}]"
    if isinstance(atom, Branch):
        return f"{atom.kind} {{ {' | '.join(write_flow(flow) for flow in atom.flows)} }}"
    if isinstance(atom, Aux):
        weight = "" if atom.weight == AUX_WEIGHT else f"{write_value(atom.weight)} "
        return f"aux {weight}{{ {write_flow(atom.flow)} }}"
    return f"{atom.name}({', '.join(write_value(value) for value in atom.values)})"


def write_word(word: Word) -> str:
    """A layer with its arguments, as `conv 64 7x7 stride 2 nobias`."""
    known = arguments(WORDS[word.word])
    parts = [word.word]
    for name, value in word.arguments:
        argument = known[name]
        if argument.keyed:
            parts.append(name)
        if not isinstance(value, bool):
            parts.append(_write_argument(value, short=argument.kind == "size" and word.word != "conv"))
    return " ".join(parts)


def _write_argument(value: Value | str, *, short: bool) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, Size) and value.height == value.width and short:
        return str(value.height)
    if isinstance(value, Choice):
        return str(value)
    return write_value(value)


def _wrapped(steps: list[str]) -> list[str]:
    lines = [steps[0]]
    for step in steps[1:]:
        if len(lines[-1]) + len(step) + 4 > WIDTH:
            lines.append(f"  -> {step}")
        else:
            lines[-1] += f" -> {step}"
    return lines
