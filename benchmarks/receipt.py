"""What a benchmark found, with all that is needed to believe it, as one JSON file."""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pairs import Better, ratio

FORMAT = 1

RESULTS = Path(__file__).parent / "results"

Kind = Literal["measured", "extrapolated", "literature"]


@dataclass(frozen=True)
class Row:
    """One comparison.

    what: the work.  peer: whom striate is compared with.
    ours, theirs: a figure for each round, in `unit`; None where that side did not get there.
    better: which figures are; `neither` where they are only told.
    kind: whether the peer's figures were measured, drawn out from a measured rate, or read in a paper.
    share_of_peak: achieved over the machine's measured peak, each side in its own arithmetic.
    figures: what else was seen in each round, as accuracies, by name.
    note: what a reader has to know.
    """

    what: str
    peer: str
    unit: str
    better: Better
    ours: Sequence[float | None]
    theirs: Sequence[float | None]
    kind: Kind = "measured"
    share_of_peak: Mapping[str, float] = field(default_factory=dict)
    figures: Mapping[str, Sequence[float]] = field(default_factory=dict)
    note: str = ""

    def to_record(self) -> dict[str, Any]:
        """As plain values, the ratio with them."""
        found = ratio(self.ours, self.theirs, self.better)
        return {
            "what": self.what,
            "peer": self.peer,
            "unit": self.unit,
            "better": self.better,
            "kind": self.kind,
            "ours": list(self.ours),
            "theirs": list(self.theirs),
            "n": found.n if found else len(self.ours),
            "ratio": found.to_record() if found else None,
            "share_of_peak": dict(self.share_of_peak),
            "figures": {name: list(values) for name, values in self.figures.items()},
            "note": without_folders(self.note),
        }


class Session:
    """The time over which a benchmark runs: how long it was, and how much others computed meanwhile."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._busy_s, self._own_s = busy_s(), own_s()

    def record(self) -> dict[str, float]:
        """Seconds, and the share of all cores that processes of others used; children must have ended."""
        seconds = time.monotonic() - self._began
        others_s = (busy_s() - self._busy_s) - (own_s() - self._own_s)
        share = max(0.0, others_s / (seconds * (os.cpu_count() or 1)))
        return {"seconds": round(seconds, 1), "foreign_load": round(share, 4)}


def without_folders(text: str) -> str:
    """A text in which a path is only its last part: receipts name no places."""
    return re.sub(r"(?<!\S)\S*/(?=\S)", "", text)


def busy_s() -> float:
    """CPU seconds that the machine spent on anything since it booted (Linux; elsewhere 0)."""
    try:
        fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    except OSError:
        return 0.0
    user, nice, system, _idle, _iowait, irq, softirq = (int(each) for each in fields[:7])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def own_s() -> float:
    """CPU seconds of this process and of its children that have ended, theirs included."""
    total = 0.0
    for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
        used = resource.getrusage(who)
        total += used.ru_utime + used.ru_stime
    return total


def write_receipt(
    name: str,
    rows: Sequence[Row],
    session: Session,
    *,
    rounds: int,
    quick: bool,
    out: Path | None,
    peers: Mapping[str, str],
    settings: Mapping[str, Any],
    peaks: Mapping[str, float] | None = None,
) -> None:
    """Write a benchmark's JSON.

    name: of the script.  rounds: how often each side ran.  quick: a smoke run, whose figures mean nothing.
    out: the file; None for results/NAME.json, or for the terminal where it was a smoke run.  With AVX2 alone it
    is results/NAME-avx2.json, whose rows stand in the same table.
    peers: their versions.  settings: what was said on the command line, no paths.
    peaks: GFLOP/s that the machine reached in big convolutions in the same run, by arithmetic.
    """
    import torch

    from striate.machine.device import describe_machine, versions

    record: dict[str, Any] = {
        "format": FORMAT,
        "benchmark": name,
        "quick": quick,
        "receipt": {
            "date": time.strftime("%Y-%m-%d"),
            **commit(),
            "machine": describe_machine(torch.device("cpu")),
            "versions": versions(),
            "peers": dict(peers),
            "rounds": rounds,
            **session.record(),
            "peaks_gflops": dict(peaks) if peaks else {},
            "settings": {
                key: without_folders(value) if isinstance(value, str) else value
                for key, value in settings.items()
            },
        },
        "rows": [row.to_record() for row in rows],
    }
    text = json.dumps(record, indent=1, ensure_ascii=False) + "\n"
    if out is None and quick:
        print(text)
        return
    narrow = str(record["receipt"]["machine"]["instructions"]).startswith("AVX2")
    target = out or RESULTS / f"{name}{'-avx2' if narrow else ''}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")


def commit() -> dict[str, Any]:
    """The commit of the striate that is measured, and whether its files differ from it."""
    import striate

    assert striate.__file__ is not None
    folder = str(Path(striate.__file__).parent)

    def git(*words: str) -> str | None:
        try:
            done = subprocess.run(["git", "-C", folder, *words], capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            return None
        return done.stdout.strip()

    head = git("rev-parse", "--short=12", "HEAD")
    return {"commit": head or "unknown", "changed": bool(git("status", "--porcelain", "--", "."))}
