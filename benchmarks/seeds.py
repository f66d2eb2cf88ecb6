"""The seeds of the rounds of one side: 0, 1, 2, and so on."""

from __future__ import annotations


class Seeds:
    """The seed of the next round."""

    def __init__(self) -> None:
        self._next = 0

    def take(self) -> int:
        """One that was not taken yet."""
        self._next += 1
        return self._next - 1
