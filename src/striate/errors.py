"""One voice for errors: each has a place, a value, an expectation and a cure.

Every error that a user can cause is a `StriateError`.  Its text reads

    PLACE: PROBLEM
      excerpt of what was written, if any
      expected: EXPECTATION
      try: CURE

and a command prints it as it is, without a traceback.
"""

from __future__ import annotations

from collections.abc import Iterable

from striate.text.visible import visible_lines


class StriateError(Exception):
    """A problem that the user can mend.

    problem: what is wrong, with the value that is wrong in it.
    place: where, e.g. `alexnet.net:2:6`, a file's path or a recipe's key.
    excerpt: the lines of the user's text that show it, already laid out.
    expected: what would have been right.
    cure: what to do about it, as something that can be typed or done.
    """

    exit_code = 1

    def __init__(
        self, problem: str, *, place: str = "", excerpt: str = "", expected: str = "", cure: str = ""
    ) -> None:
        self.problem = problem
        self.place = place
        self.excerpt = excerpt
        self.expected = expected
        self.cure = cure
        super().__init__(problem)

    def __str__(self) -> str:
        lines = [f"{self.place}: {self.problem}" if self.place else self.problem]
        if self.excerpt:
            lines.append(self.excerpt)
        if self.expected:
            lines.append(f"  expected: {self.expected}")
        if self.cure:
            lines.append(f"  try: {self.cure}")
        # Whatever a file, a name or an argument has in it: no control character reaches the terminal.
        return visible_lines("\n".join(lines))


class NotationError(StriateError):
    """The text of a network cannot be read."""


class FitError(StriateError):
    """A network was read but does not fit its images, classes or limits."""


class DataError(StriateError):
    """Images or labels cannot be used."""


class RecipeError(StriateError):
    """A recipe has an unknown key or a value out of its domain."""


class RunError(StriateError):
    """A run folder is missing, in the way, in use or damaged."""


class BundleError(StriateError):
    """A bundle is missing, damaged, of a later striate, or asked for what it cannot promise."""


class ResourceError(StriateError):
    """The machine has too little memory, disk or device for the work."""


class MissingExtra(StriateError):
    """A command needs an extra that is not installed."""


def require_train(command: str) -> None:
    """Raise MissingExtra unless torch and scikit-learn are installed; imports neither."""
    from importlib.util import find_spec

    missing = [name for name in ("torch", "sklearn", "matplotlib") if find_spec(name) is None]
    if missing:
        raise MissingExtra(
            f"`{command}` needs {', '.join(missing)}, not installed here",
            expected="the extra `train`",
            cure='pip install "striate[train]"',
        )


def nearest(word: str, words: Iterable[str]) -> str | None:
    """The one of `words` most like `word`, or None where nothing is like it.

    Ratcliff-Obershelp similarity of at least 0.5, as in `difflib`.
    """
    import difflib

    by_lower = {each.lower(): each for each in words}
    close = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.5)
    return by_lower[close[0]] if close else None


def counted(number: int, noun: str, plural: str = "") -> str:
    """`1 image`, `2 images`, `1,000 classes` (plural given where it is not noun + s)."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
