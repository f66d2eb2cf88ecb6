"""Writes docs/benchmarks.md from the receipts in benchmarks/results.  `make bench` runs it; a test compares."""

from __future__ import annotations

import json
import math
import statistics
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

from pairs import Band, band, ratio  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results"

SECTIONS = {
    "mnist": "Time to 99 % on MNIST",
    "cifar": "Time to 94 % on CIFAR-10",
    "steps": "A training step",
    "load": "Beside somebody else's job",
    "photos": "A folder of photographs, from nothing",
    "transfer": "A folder of photographs, from what a network knows",
    "pipeline": "From files to batches",
    "parity": "Whether bf16 learns what fp32 learns",
    "ablation": "What each trick of the recipe `quick` is worth",
    "inference": "Answering",
    "serve": "Serving",
    "reject": "Whether a bundle says that it does not know",
    "memory": "Memory",
    "thrift": "Three times the batch in the same memory",
    "optimizer": "What the optimizer costs",
    "explain": "Whether an explanation points at the object",
    "start": "Until something begins",
    "gpu": "On an NVIDIA GPU",
}

HEAD = """# Benchmarks

Generated from the receipts in `benchmarks/results`; [benchmarks/README.md](../benchmarks/README.md) says how to
run them again and what each row means. A figure is the median of its rounds, in brackets the lowest and the highest
(of 10 rounds and more, all but the lowest and the highest tenth); **x2.00** says that striate was twice as good as the
peer in the median round, sides running one behind the other in each. Rows that striate loses stay, and begin with
**loses**.
"""

# A file of rows that were measured with AVX2 alone, and the peers that its emulation does not reach.
NARROW = "-avx2"
UNREACHED = ("TensorFlow", "ONNX Runtime", "OpenVINO")

# Where more was seen beside a table, it is folded away.
MOST_SHOWN = 4

# What a receipt has to say.
RECEIPT = (
    "date", "commit", "changed", "machine", "versions", "peers", "rounds", "seconds", "foreign_load",
    "peaks_gflops", "settings",
)  # fmt: skip

ROW = (
    "what",
    "peer",
    "unit",
    "better",
    "kind",
    "ours",
    "theirs",
    "n",
    "ratio",
    "share_of_peak",
    "figures",
    "note",
)


class NoReceipt(Exception):
    """A file of figures that cannot be believed as it stands."""


def page(results: Path = RESULTS) -> str:
    """The whole page.  Raises NoReceipt for a file that lacks its receipt or does not add up."""
    found = {file.stem: read(file) for file in sorted(results.glob("*.json"), key=lambda file: file.stem)}
    rows = [row for each in found.values() for row in each["rows"] if row["kind"] == "measured"]
    compared = [row for row in rows if outcome(row) is not None]
    lost = sum(is_lost(row) for row in compared)
    parts = [HEAD]
    if compared:
        parts.append(f"In {len(compared)} measured comparisons striate loses {lost}.\n")
    for name in dict.fromkeys([*SECTIONS, *map(benchmark_of, found)]):
        title = SECTIONS.get(name, name)
        mine = [stem for stem in found if benchmark_of(stem) == name]
        # What was measured with AVX2 alone stands in the table of the whole, its parts, too.
        tables: dict[str, list[dict[str, Any]]] = {}
        for stem in mine:
            of = stem.removesuffix(NARROW)
            tables.setdefault(of if of == stem or of in found else name, []).append(found[stem])
        parts += [
            section(title + of.removeprefix(name).replace("-", ": ", 1), *made)
            for of, made in sorted(tables.items())
        ] or [f"## {title}\n\nNot measured yet: `benchmarks/{name}.py`.\n"]
    return "\n".join(parts)


def benchmark_of(stem: str) -> str:
    """The benchmark of a file of results: NAME.json, or NAME-PART.json where only a part of it was run."""
    return stem.partition("-")[0]


def read(file: Path) -> dict[str, Any]:
    """A benchmark's JSON, looked through.  Raises NoReceipt."""
    try:
        made = json.loads(file.read_text(encoding="utf-8"))
        assert isinstance(made, dict)
    except (ValueError, AssertionError):
        raise NoReceipt(f"{file.name}: this is not the JSON of a benchmark") from None
    receipt = made.get("receipt")
    if not isinstance(receipt, dict):
        raise NoReceipt(f"{file.name}: it has no receipt")
    lacking = [key for key in RECEIPT if key not in receipt]
    if lacking:
        raise NoReceipt(f"{file.name}: its receipt lacks {', '.join(lacking)}")
    if made.get("quick") is not False:
        raise NoReceipt(f"{file.name}: a smoke run measures nothing")
    if made.get("benchmark") != benchmark_of(file.stem):
        raise NoReceipt(f"{file.name}: it is of the benchmark {made.get('benchmark')}")
    if not made.get("rows"):
        raise NoReceipt(f"{file.name}: it has no rows")
    for row in made["rows"]:
        check_row(row, file.name)
    return made


def check_row(row: dict[str, Any], name: str) -> None:
    """Raise NoReceipt where a row lacks something, or its ratio is not that of its figures."""
    lacking = [key for key in ROW if key not in row]
    if lacking:
        raise NoReceipt(f"{name}: a row lacks {', '.join(lacking)}")
    if not row["ours"] or len(row["ours"]) != len(row["theirs"]):
        raise NoReceipt(f"{name}: `{row['what']}` has not one figure of each side for each round")
    found, said = ratio(row["ours"], row["theirs"], row["better"]), row["ratio"]
    if (found is None) != (said is None):
        raise NoReceipt(f"{name}: the ratio of `{row['what']}` is not that of its figures")
    if found is not None and not all(
        math.isclose(value, said[key], rel_tol=1e-9) for key, value in found.to_record().items()
    ):
        raise NoReceipt(f"{name}: the ratio of `{row['what']}` is not that of its figures")


def outcome(row: dict[str, Any]) -> float | None:
    """How many times as good striate was in the median round; None where no side can be said to be better.

    Not to get there is 0 where the peer did, and infinitely good the other way round.
    """
    if row["better"] == "neither":
        return None
    rounds = []
    for ours, theirs in zip(row["ours"], row["theirs"], strict=True):
        if ours is None and theirs is not None:
            rounds.append(0.0)
        elif ours is not None and theirs is None:
            rounds.append(math.inf)
        elif ours is not None and (one := ratio([ours], [theirs], row["better"])) is not None:
            rounds.append(one.median)
    return statistics.median(rounds) if rounds else None


def is_lost(row: dict[str, Any]) -> bool:
    """Whether striate was worse in the median round."""
    found = outcome(row)
    return found is not None and found < 1


def section(title: str, *made: dict[str, Any]) -> str:
    """A benchmark: its rows on each machine, what else was seen, its receipts."""
    rows = [labelled(row, each["receipt"]["machine"]) for each in made for row in each["rows"]]
    lines = [
        f"## {title}\n",
        "| what | against | striate | peer | striate is | share of peak, striate / peer | n |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [table_row(row) for row in rows]
    seen: dict[str, None] = {}
    for row in rows:
        said = [f"{name} {told(band(values), '')}" for name, values in row["figures"].items()]
        said += [row["note"]] if row["note"] else []
        if said:
            seen.setdefault(f"- {row['what']}, {row['peer']}: {'; '.join(said)}.")
    if len(seen) > MOST_SHOWN:
        lines += ["", "<details><summary>What else was seen</summary>", "", *seen, "", "</details>"]
    elif seen:
        lines += ["", *seen]
    for each in made:
        lines += ["", receipt_line(each["receipt"])]
    return "\n".join([*lines, ""])


def labelled(row: dict[str, Any], machine: dict[str, Any]) -> dict[str, Any]:
    """The row, and where it was measured if that was with AVX2 alone.

    Where an environment held the processor back, peers that ask the processor themselves were not held back.
    """
    instructions = str(machine.get("instructions", ""))
    if not instructions.startswith("AVX2"):
        return row
    free = "=" in instructions and any(name in row["peer"] for name in UNREACHED)
    return row | {
        "what": f"{row['what']}; AVX2 alone, {machine.get('processor')}",
        "peer": row["peer"] + (" (not held back)" if free else ""),
    }


def table_row(row: dict[str, Any]) -> str:
    """A row of the table."""
    share = row["share_of_peak"]
    shares = f"{share['striate']:.0%} / {share['peer']:.0%}" if share else ""
    cells = (
        row["what"], row["peer"], told(band(row["ours"]), row["unit"], len(row["ours"])),
        told(band(row["theirs"]), row["unit"], len(row["theirs"])), verdict(row), shares, str(row["n"]),
    )  # fmt: skip
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def verdict(row: dict[str, Any]) -> str:
    """What the rounds say."""
    kinds = {"measured": "", "extrapolated": ", extrapolated", "literature": ", from the literature"}
    if outcome(row) is None:
        return kinds[row["kind"]].removeprefix(", ")
    if row["ratio"] is None:
        said = "did not get there" if is_lost(row) else "the peer did not get there"
    else:
        times = Band(**row["ratio"])
        said = f"x{times.median:.2f}" if is_lost(row) else f"**x{times.median:.2f}**"
        said += f" ({times.low:.2f} to {times.high:.2f})" if times.n > 1 else ""
    return ("**loses**: " if is_lost(row) else "") + said + kinds[row["kind"]]


def told(middle: Band | None, unit: str, rounds: int = 0) -> str:
    """Median and band; how many rounds did not get there, where some did not."""
    if middle is None:
        return "did not get there"
    said = f"{number(middle.median)} {unit}".rstrip()
    if middle.n > 1:
        said += f" ({number(middle.low)} to {number(middle.high)})"
    return said + (f", {rounds - middle.n} of {rounds} did not get there" if rounds > middle.n else "")


def number(value: float) -> str:
    """Three digits, or four for a share near 1, or all before the point."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.4f}" if 0.9 < value < 1 else f"{value:.3g}"


def receipt_line(receipt: dict[str, Any]) -> str:
    """Machine, commit, versions and the rest, in small print."""
    machine = receipt["machine"]
    said = [
        f"{receipt['date']}, commit {receipt['commit']}{' with changes' if receipt['changed'] else ''}",
        ", ".join(
            [
                f"{machine.get('processor')}, {machine.get('cores')} cores, {machine.get('system')}",
                *filter(None, [machine.get("instructions")]),
            ]
        ),
        f"{receipt['rounds']} rounds in {receipt['seconds']:,.0f} s",
        f"other processes used {receipt['foreign_load']:.0%} of the cores",
    ]
    peaks = {name: value for name, value in receipt["peaks_gflops"].items() if value}
    if peaks:
        said.append("peak " + ", ".join(f"{value:.0f} GFLOP/s {name}" for name, value in peaks.items()))
    said.append("striate's side: " + named(receipt["versions"]))
    if receipt["peers"]:
        said.append("peers: " + named(receipt["peers"]))
    settings = {key: value for key, value in receipt["settings"].items() if value not in ("", None)}
    if settings:
        said.append("settings: " + ", ".join(f"{key} `{value}`" for key, value in settings.items()))
    return f"<sub>{'; '.join(said)}.</sub>"


def named(versions: dict[str, str]) -> str:
    """Names and versions."""
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def main() -> None:
    """Write the page."""
    (ROOT / "docs" / "benchmarks.md").write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
