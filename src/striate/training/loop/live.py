"""What the doctor says of a training while it runs: one line as soon as a finding is certain.  It steers nothing."""

from __future__ import annotations

from striate.doctor.doctor import examine
from striate.doctor.facts import read_facts
from striate.errors import StriateError
from striate.progress import Clock, Watch
from striate.runs.folder import RunFolder

# Looking takes this share of the time at most.
COST_SHARE = 0.005

# What ends sooner is over before anybody reads a line.
FIRST_S = 5.0

# What is reported anyway: a rollback by its own line, a stall by nobody who stalls.
_REPORTED = ("nan", "stalled")


class LiveDoctor:
    """Examines a run behind an epoch.  What is found twice in a row is certain, and said once."""

    def __init__(self, run: RunFolder, clock: Clock) -> None:
        self.run = run
        self.clock = clock
        self._before: frozenset[str] = frozenset()
        self._said: set[str] = set()
        self._next_s = FIRST_S

    def look(self, elapsed_s: float, watch: Watch) -> None:
        """An epoch has ended, so many seconds after the beginning; nothing where the look before is too near."""
        if elapsed_s < self._next_s:
            return
        began = self.clock.monotonic()
        try:
            found = examine(read_facts(self.run)).findings
        except (StriateError, OSError):
            # The disk may be full, or somebody at work in the folder: training goes on.
            return
        grave = {each.code: each for each in found if each.severity == "error" and each.code not in _REPORTED}
        for code, finding in grave.items():
            if code in self._before and code not in self._said:
                self._said.add(code)
                where = f" at {finding.layer}" if finding.layer else ""
                watch.say(
                    f"doctor    {code}{where}: {finding.evidence}; striate doctor {self.run.quoted} says more"
                )
        self._before = frozenset(grave)
        self._next_s = elapsed_s + (self.clock.monotonic() - began) / COST_SHARE
