"""How threads wait, set before torch is imported."""

from __future__ import annotations

import os


def wait_passively() -> None:
    """Let threads that wait for each other sleep instead of spinning.

    OpenMP reads this once, when torch loads.  Beside another job on the same cores a spinning thread takes
    the time that the one it waits for needs.  What the user set stands.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
