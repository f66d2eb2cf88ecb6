"""The weights among all else that a training script saved beside them."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from striate.weights.inert import Opaque, View

# What scripts call the weights, the likeliest first.  It only settles between tables of one size, as the
# weights and their running average are.
_USUAL = (
    "state_dict",
    "model_state_dict",
    "model_state",
    "model",
    "net",
    "network",
    "weights",
    "params",
    "state_dict_ema",
    "ema_state_dict",
    "model_ema",
    "ema",
)

# Tables inside tables are followed so far.
_DEEPEST = 6
_MOST_WAITING = 20_000
_MOST_LISTED = 100
_LONGEST = 500

# The state of an optimiser, which for one large layer can take more than all weights together.
_OPTIMISER = re.compile(r"optim|(^|\.)state\.\d+$", re.IGNORECASE)

# A table of fewer numbers than this share of the largest one is not the weights.
_LEAST_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Table:
    """Tensors by name.  path: the keys that lead to them in the file, joined by dots."""

    path: str
    views: dict[str, View]

    @property
    def numbers(self) -> int:
        """How many there are in all tensors together."""
        return sum(view.numbers for view in self.views.values() if view.dtype.is_floating_point)


def choose_table(value: object) -> Table | None:
    """The table of tensors that are most likely a network's weights, or None where there is no table.

    The largest one, optimisers' left out; among those nearly as large, the one with the likeliest name.
    """
    tables = [table for table in _tables(value) if not _OPTIMISER.search(table.path)]
    most = max((table.numbers for table in tables), default=0)
    large = [table for table in tables if table.numbers >= _LEAST_SHARE * most]
    return min(large, key=_rank, default=None)


def _rank(table: Table) -> int:
    last = table.path.rpartition(".")[2].lower()
    return _USUAL.index(last) if last in _USUAL else len(_USUAL)


def _tables(value: object) -> Iterator[Table]:
    """All dictionaries that have tensors, and all modules that were saved whole."""
    seen: set[int] = set()
    waiting: deque[tuple[str, object, int]] = deque([("", value, 0)])
    while waiting:
        path, now, depth = waiting.popleft()
        if id(now) in seen or depth > _DEEPEST:
            continue
        seen.add(id(now))
        views, inner = _opened(now)
        if views:
            yield Table(path, views)
        for name, each in inner.items():
            if len(waiting) < _MOST_WAITING and isinstance(each, dict | list | tuple | Opaque):
                key = name if isinstance(name, str) else str(name) if isinstance(name, int) else "?"
                waiting.append((f"{path}.{key[:_LONGEST]}".removeprefix("."), each, depth + 1))


def _opened(value: object) -> tuple[dict[str, View], Mapping[object, object]]:
    """The tensors of one container by name, and what else may hold some."""
    if isinstance(value, dict):
        return {
            name: each for name, each in value.items() if isinstance(name, str) and isinstance(each, View)
        }, value
    if isinstance(value, list | tuple):
        return {}, dict(enumerate(value[:_MOST_LISTED]))
    if isinstance(value, Opaque) and value.state:
        views = _module_views(value)
        # What a module holds is in its table already; other objects may hold one further in.
        return views, {} if views else value.state
    return {}, {}


def _module_views(module: Opaque) -> dict[str, View]:
    """The tensors of a torch.nn.Module that was saved whole, named as its state_dict names them.

    A scripted module has its tensors and modules as attributes, one of torch.nn in three dictionaries.
    """
    views: dict[str, View] = {}
    waiting: list[tuple[str, Opaque]] = [("", module)]
    for _ in range(_MOST_WAITING):
        if not waiting:
            break
        prefix, now = waiting.pop()
        inner: list[tuple[str, Opaque]] = []
        for name, each in _attributes(now):
            if isinstance(each, View):
                views[prefix + name[:_LONGEST]] = each
            elif isinstance(each, Opaque) and len(prefix) < _LONGEST:
                inner.append((f"{prefix}{name[:_LONGEST]}.", each))
        waiting.extend(inner[: _MOST_WAITING - len(waiting)][::-1])
    return views


def _attributes(module: Opaque) -> Iterator[tuple[str, object]]:
    for name, each in (module.state or {}).items():
        held = (
            each
            if name in ("_parameters", "_buffers", "_modules") and isinstance(each, dict)
            else {name: each}
        )
        for inner, value in held.items():
            if isinstance(inner, str):
                yield inner, value
