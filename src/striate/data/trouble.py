"""Why one picture cannot be used, on its way from the decoder to whoever asked."""

from __future__ import annotations

from striate.data.finding import Finding
from striate.errors import DataError
from striate.text.visible import visible


class Unreadable(DataError):
    """One picture cannot be used: `code` is a finding's, `problem` the reason.

    Where many pictures are read it becomes a finding; where one was asked for it goes to the user.
    passing: it is the machine's fault, not that of the content, and another time the picture may be read.
    """

    def __init__(
        self, code: str, reason: str, cure: str = "mend or remove the file", *, passing: bool = False
    ) -> None:
        super().__init__(reason, expected=EXPECTED, cure=cure)
        self.code = code
        self.passing = passing

    def finding(self, name: str) -> Finding:
        """What is said of it in a list."""
        return Finding(self.code, name, self.problem, self.cure)


def told(problem: Exception) -> str:
    """What a library said, in one printable line of at most 200 characters."""
    return visible(" ".join(str(problem).split()))[:200] or type(problem).__name__


EXPECTED = "a JPEG, PNG, WebP, AVIF, TIFF, BMP, GIF or .npy picture"
