"""A network as canonical text: `read_text(write_text(network)) == network`."""

from __future__ import annotations

from striate.net.layers.value import write_value
from striate.net.layers.words import write_word
from striate.net.network import AUX_WEIGHT, Aux, Branch, Call, Flow, Network, Pick, Step, Word

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


def _write_atom(atom: Word | Flow | Branch | Aux | Call | Pick) -> str:
    if isinstance(atom, Word):
        return write_word(atom.word, atom.arguments)
    if isinstance(atom, Flow):
        return f"[{write_flow(atom)}]"
    if isinstance(atom, Branch):
        return f"{atom.kind} {{ {' | '.join(write_flow(flow) for flow in atom.flows)} }}"
    if isinstance(atom, Aux):
        weight = "" if atom.weight == AUX_WEIGHT else f"{write_value(atom.weight)} "
        return f"aux {weight}{{ {write_flow(atom.flow)} }}"
    if isinstance(atom, Pick):
        return f"?({', '.join(write_step(step) for step in atom.steps)})"
    return f"{atom.name}({', '.join(write_value(value) for value in atom.values)})"


def _wrapped(steps: list[str]) -> list[str]:
    lines = [steps[0]]
    for step in steps[1:]:
        if len(lines[-1]) + len(step) + 4 > WIDTH:
            lines.append(f"  -> {step}")
        else:
            lines[-1] += f" -> {step}"
    return lines
