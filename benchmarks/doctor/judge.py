"""What the doctor says of the runs of its benchmark, and what the published rules say: writes receipt.json.

python benchmarks/doctor/judge.py --work FOLDER [--out FILE] [--cures N]

A case is broken if its test accuracy over the seeds is below its parent's by 2 points at least, by Welch's t-test or the
exact rank test of Mann and Whitney (one-sided, p < 0.05) and by half a standard deviation (Cohen's d, as DeepCrime), or if
two seeds are 10 points below the worst of its parent; all others are healthy.  An alarm is
an error or a warning; notes are none.  Counted are cases, each by its run with seed 0; all runs are counted beside.
--cures N: run the command of the first finding for so many broken cases, and see whether it brings the accuracy back to
within 2 points of the parent.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import shlex
import shutil
import time
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, pstdev, stdev
from typing import Any

import torch
from cases import MUTATIONS, cases
from collect import folder_of, read_lines, run
from published import RULES

from striate.doctor.doctor import examine
from striate.doctor.facts import RunFacts, read_facts
from striate.doctor.finding import Diagnosis
from striate.runs.folder import RunFolder
from striate.text.figures import wilson

# Points of accuracy that count, and the effect that does.
DROP, CHANCE, EFFECT = 0.02, 0.05, 0.5
# And so far below the worst of the parent a seed is lost.
FAR = 0.1
# A cure that comes so near to its goal is tried with three seeds.
NEAR = 0.03
# So many of the cases, in their order, were looked at when the rules were written; the others came later.
LOOKED = 262
CLOCK = ("data-bound", "stalled")


@dataclass
class Judged:
    """A case with its runs.  found: what the doctor said of the run of each seed."""

    name: str
    parent: str
    mutation: str
    codes: tuple[str, ...]
    data: str
    accuracies: list[float]
    broken: bool
    drop: float
    found: dict[int, Diagnosis]
    others: dict[str, set[str]]


def main() -> None:
    """Read the call, judge and write."""
    reader = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    reader.add_argument("--work", type=Path, required=True)
    reader.add_argument("--out", type=Path, default=Path(__file__).parent / "receipt.json")
    reader.add_argument("--cures", type=int, default=0)
    reader.add_argument("--seconds", type=float, default=600.0, help="for the cures")
    asked = reader.parse_args()
    torch.set_num_threads(1)
    judged, seconds = judge(asked.work)
    record = summary(judged, seconds)
    if asked.cures:
        record["cures"] = cures(judged, asked.work, asked.cures, asked.seconds)
    left_out = Path(__file__).parent / "leave_out.json"
    if left_out.exists():
        record["left_out"] = json.loads(left_out.read_text())["left_out"]
    write(record, asked.out)
    if asked.out.name == "receipt.json":
        write_table(asked.out)
    print(json.dumps({key: record[key] for key in ("cases", "recall", "false_alarms", "others")}, indent=1))
    for line in record["alarms_on_healthy"]:
        print("healthy:", line)
    for line in record["missed"]:
        print("missed:", line)


@dataclass
class Known:
    """A case of which enough was measured.  facts: of the run with seed 0."""

    name: str
    parent: str
    mutation: str
    codes: tuple[str, ...]
    data: str
    lines: list[dict[str, Any]]
    broken: bool
    drop: float
    facts: RunFacts


def read_cases(work: Path) -> list[Known]:
    """All cases that have three seeds at least and whose parent has five."""
    by_case: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in read_lines(work / "runs.jsonl"):
        by_case[line["case"]].append(line)
    parents = {name: scores(lines) for name, lines in by_case.items() if not lines[0]["mutation"]}
    found = []
    for name, lines in by_case.items():
        first, own = lines[0], scores(lines)
        parent = parents.get(first["parent"], [])
        if any(each["status"] == "refused" for each in lines) or len(own) < 3 or len(parent) < 5:
            continue
        found.append(
            Known(
                name, first["parent"], first["mutation"], tuple(first["codes"]), first["data"], lines,
                bool(first["mutation"]) and worse(own, parent), fmean(parent) - fmean(own), read_facts(folder(work, name, 0)),
            )
        )  # fmt: skip
    return found


def folder(work: Path, name: str, seed: int) -> RunFolder:
    """The run of a case."""
    return RunFolder(work / "runs" / folder_of(name) / str(seed))


def judge(work: Path) -> tuple[list[Judged], list[float]]:
    """All cases, and the seconds of each diagnosis."""
    judged, seconds = [], []
    for case in read_cases(work):
        found = {}
        for line in case.lines:
            began = time.perf_counter()
            found[line["seed"]] = examine(read_facts(folder(work, case.name, line["seed"])))
            seconds.append(time.perf_counter() - began)
        others = {tool: rules(case.facts) for tool, rules in RULES.items()}
        judged.append(
            Judged(case.name, case.parent, case.mutation, case.codes, case.data, scores(case.lines), case.broken, case.drop, found, others)
        )  # fmt: skip
    return judged, seconds


def scores(lines: list[dict[str, Any]]) -> list[float]:
    """Test accuracies; 0 where the run came to none."""
    return [each["accuracy"] or 0.0 for each in lines]


def worse(own: list[float], parent: list[float]) -> bool:
    """Whether a mutant is broken: see the top of this file."""
    drop = fmean(parent) - fmean(own)
    if drop < DROP:
        return False
    # Some seeds die and others do not: no mean tells it.
    if sum(each < min(parent) - FAR for each in own) >= 2:
        return True
    spread = math.sqrt((pstdev(own) ** 2 + pstdev(parent) ** 2) / 2)
    if spread and drop / spread < EFFECT:
        return False
    from scipy.stats import mannwhitneyu, ttest_ind

    if stdev(own) == 0 and stdev(parent) == 0:
        return True
    # Where one seed of three dies the spread is wide, and ranks tell it all the same.
    by_rank = mannwhitneyu(own, parent, alternative="less", method="exact").pvalue
    return bool(min(by_rank, ttest_ind(own, parent, equal_var=False, alternative="less").pvalue) < CHANCE)


def alarms(found: Diagnosis) -> list[str]:
    """The codes of errors and warnings, in order, but for those of the clock: they are about this machine's load."""
    return [each.code for each in found.findings if each.severity != "note" and each.code not in CLOCK]


def rate(hits: int, number: int) -> dict[str, Any]:
    """A share with its n and its 95 % interval."""
    low, high = wilson(hits / number, number) if number else (0.0, 1.0)
    return {"n": number, "hits": hits, "share": round(hits / number, 4) if number else None, "interval": [round(low, 4), round(high, 4)]}  # fmt: skip


def summary(judged: list[Judged], seconds: list[float]) -> dict[str, Any]:
    """All figures."""
    broken, healthy = [each for each in judged if each.broken], [each for each in judged if not each.broken]
    named = [each for each in broken if each.codes]
    first = {each.name: alarms(each.found[0]) if 0 in each.found else [] for each in judged}
    runs = [(each, found) for each in judged for found in each.found.values()]
    confusion: dict[str, Counter[str]] = defaultdict(Counter)
    for each in broken:
        confusion[each.mutation].update(first[each.name][:1] or ["nothing"])
    seen = {each.name for each in list(cases())[:LOOKED]}
    fresh_broken, fresh_healthy = (
        [each for each in some if each.name not in seen] for some in (broken, healthy)
    )
    detected = {
        mutation: rate(sum(bool(first[each.name]) for each in some), len(some))
        for mutation, *_ in MUTATIONS
        if (some := [each for each in broken if each.mutation == mutation])
    }
    return {
        "cases": {
            "judged": len(judged), "broken": len(broken), "healthy": len(healthy), "runs": len(runs),
            "mutations_broken": {name: sum(each.mutation == name for each in broken) for name, *_ in MUTATIONS},
        },
        "recall": {
            "any_alarm": rate(sum(bool(first[each.name]) for each in broken), len(broken)),
            "code_that_names_it": rate(sum(bool(set(each.codes) & set(first[each.name])) for each in named), len(named)),
            "first_code_names_it": rate(sum(first[each.name][:1] != [] and first[each.name][0] in each.codes for each in named), len(named)),
            "runs_with_any_alarm": rate(sum(bool(alarms(found)) for each, found in runs if each.broken), sum(each.broken for each, _ in runs)),
            "by_mutation": detected,
        },
        "fresh": {
            "recall": rate(sum(bool(first[each.name]) for each in fresh_broken), len(fresh_broken)),
            "false_alarms": rate(sum(bool(first[each.name]) for each in fresh_healthy), len(fresh_healthy)),
            "first_code_names_it": rate(sum(first[each.name][:1] != [] and first[each.name][0] in each.codes for each in fresh_broken if each.codes), sum(bool(each.codes) for each in fresh_broken)),
        },
        "false_alarms": {
            "cases": rate(sum(bool(first[each.name]) for each in healthy), len(healthy)),
            "runs": rate(sum(bool(alarms(found)) for each, found in runs if not each.broken), sum(not each.broken for each, _ in runs)),
            "hard_cases": rate(sum(bool(first[each.name]) for each in healthy if each.name.startswith("hard-")), sum(each.name.startswith("hard-") for each in healthy)),
            "codes": Counter(code for each in healthy for code in first[each.name]),
        },
        "by_data": {
            data: {
                "recall": rate(sum(bool(first[each.name]) for each in broken if each.data.startswith(data)), sum(each.data.startswith(data) for each in broken)),
                "false_alarms": rate(sum(bool(first[each.name]) for each in healthy if each.data.startswith(data)), sum(each.data.startswith(data) for each in healthy)),
            }
            for data in ("digits", "mnist", "cifar")
        },
        "confusion": {mutation: dict(counts.most_common()) for mutation, counts in sorted(confusion.items())},
        "others": {
            tool: {
                "recall": rate(sum(bool(each.others.get(tool)) for each in broken), len(broken)),
                "false_alarms": rate(sum(bool(each.others.get(tool)) for each in healthy), len(healthy)),
                "codes_on_healthy": Counter(code for each in healthy for code in each.others.get(tool, ())),
            }
            for tool in RULES
        },
        "alarms_on_healthy": [f"{each.name}: {', '.join(first[each.name])} (drop {each.drop:.3f})" for each in healthy if first[each.name]],
        "missed": [f"{each.name}: drop {each.drop:.3f}, accuracy {fmean(each.accuracies):.3f}" for each in broken if not first[each.name]],
        "diagnosis_s": {"n": len(seconds), "median": round(sorted(seconds)[len(seconds) // 2], 4), "longest": round(max(seconds), 4)} if seconds else {},
    }  # fmt: skip


def cures(judged: list[Judged], work: Path, most: int, seconds: float) -> dict[str, Any]:
    """The command of the first finding, run, for broken cases in their order."""
    parents = {each.name: fmean(each.accuracies) for each in judged if not each.mutation}
    began, rows = time.monotonic(), []
    kept = work / "cures.json"
    before = {row["case"]: row for row in (json.loads(kept.read_text()) if kept.exists() else [])}
    for case in [each for each in judged if each.broken]:
        if len(rows) >= most:
            break
        found = case.found.get(0)
        commands = [] if found is None else [text for each in found.findings if each.severity != "note" and each.code not in CLOCK for text in re.findall(r"`(striate [^`]*)`", each.cure)]  # fmt: skip
        command = commands[0] if commands else ""
        old = before.get(case.name)
        if old is not None and old["command"] == command:
            rows.append(old)
            continue
        if time.monotonic() - began > seconds:
            continue
        goal = parents[case.parent] - DROP
        scores = tried(command, work, goal)
        mean = fmean(scores) if scores else None
        rows.append({
            "case": case.name, "mutation": case.mutation, "command": command, "parent": round(parents[case.parent], 4),
            "broken": round(fmean(case.accuracies), 4), "cured": None if mean is None else round(mean, 4), "seeds": len(scores),
            "recovered": mean is not None and mean >= goal,
        })  # fmt: skip
        before[case.name] = rows[-1]
        kept.write_text(json.dumps(list(before.values()), indent=1))
    by = defaultdict(list)
    for row in rows:
        by[row["mutation"]].append(row["recovered"])
    recipe = [row for row in rows if not is_of_data(row["mutation"])]
    return {
        "all": rate(sum(row["recovered"] for row in rows), len(rows)),
        "network_or_recipe": rate(sum(row["recovered"] for row in recipe), len(recipe)),
        "by_mutation": {name: rate(sum(each), len(each)) for name, each in sorted(by.items())},
        "rows": rows,
    }


def is_of_data(mutation: str) -> bool:
    """Whether the training data were changed, so that no command brings back what is missing."""
    return mutation in ("labels shuffled", "40 % of the labels wrong", "30 images", "half the classes rare",
                        "a class left out", "10 % of the labels wrong")  # fmt: skip


def tried(command: str, work: Path, goal: float) -> list[float]:
    """Test accuracies of a command: of one seed, and of three where the first is near the goal, above or below."""
    first = follow(command, work)
    if first is None:
        return []
    if abs(first - goal) >= NEAR:
        return [first]
    return [first, *(each for seed in (1, 2) if (each := follow(command, work, seed=seed)) is not None)]


def follow(command: str, work: Path, *, seed: int | None = None, again: bool = True) -> float | None:
    """The test accuracy of a command `striate train ...` for a run; None where it is another or fails.

    A training with all its defaults takes minutes, and is no cure here.

    `striate doctor RUN --probe` is followed by the first training that it gives.
    """
    words = shlex.split(command)
    if words[:2] == ["striate", "doctor"] and "--probe" in words and again:
        from striate.progress import Silence
        from striate.training.probe import probe_run

        try:
            found = probe_run(RunFolder(Path(words[2])), device="cpu", watch=Silence())
        except Exception as error:
            print("probe fails:", error)
            return None
        given = [
            text for each in found.findings for text in re.findall(r"`(striate train [^`]*)`", each.cure)
        ]
        return follow(given[0], work, seed=seed, again=False) if given else None
    if words[:2] != ["striate", "train"]:
        return None
    from striate.recipe.keys import read_settings

    data, keys, settings = words[2], {}, []
    rest = iter(words[3:])
    for flag in rest:
        if flag == "--set":
            settings.append(next(rest))
        elif flag == "--transfer":
            return None
        else:
            keys[flag.removeprefix("--")] = next(rest)
    out = work / "cure"
    shutil.rmtree(out, ignore_errors=True)
    net, recipe = keys.pop("net", None), keys.pop("recipe", None)
    more = read_settings([*settings, *(f"{key}={value}" for key, value in keys.items())])
    if recipe is None:
        return None
    extra: dict[str, Any] = {**more, "recipe": recipe, **({} if seed is None else {"seed": seed})}
    accuracy, status, why = run(Path(data), net, extra, out)
    if status != "done":
        print("cure fails:", command, why)
    return accuracy


def write(record: dict[str, Any], out: Path) -> None:
    """The receipt, with what is needed to believe it."""
    import subprocess

    from striate.machine.device import describe_machine, versions

    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False, cwd=Path(__file__).parent).stdout.strip()  # fmt: skip
    head = {
        "format": 1, "benchmark": "doctor", "date": time.strftime("%Y-%m-%d"), "commit": commit,
        "machine": describe_machine(torch.device("cpu")), "versions": versions(),
        "settings": {"drop": DROP, "chance": CHANCE, "effect": EFFECT, "seeds": "5, or 3 where these are clear (collect.py)"},
    }  # fmt: skip
    text = json.dumps({**head, **record}, indent=1)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(re.sub(r"(?<![\w.])/(?:[\w.-]+/)+", "", text) + "\n")


def write_table(receipt: Path) -> None:
    """The figures of a receipt at the end of README.md."""
    page = receipt.with_name("README.md")
    above = page.read_text().split("<!-- results -->")[0]
    page.write_text(above + "<!-- results -->\n" + "\n".join(table(json.loads(receipt.read_text()))) + "\n")


def table(record: dict[str, Any]) -> list[str]:
    """What was found, in lines of Markdown."""

    def said(share: dict[str, Any]) -> str:
        low, high = share["interval"]
        return f"{share['hits']} of {share['n']} ({low:.0%} to {high:.0%})" if share["n"] else "none"

    cases, recall, alarms = record["cases"], record["recall"], record["false_alarms"]
    lines = [
        f"## What was found on {record['date']}",
        "",
        f"{cases['judged']} cases in {cases['runs']} runs: {cases['broken']} broken, {cases['healthy']} healthy. "
        "In brackets 95 % intervals.",
        "",
        "| | alarm on a broken case | alarm on a healthy case |",
        "|---|---|---|",
        f"| striate doctor | {said(recall['any_alarm'])} | {said(alarms['cases'])} |",
        f"| of these, cases that came after its rules were written | {said(record['fresh']['recall'])} | {said(record['fresh']['false_alarms'])} |",
        *(
            [
                f"| its thresholds chosen without the case's network and data | {said(left['recall'])} | {said(left['false_alarms'])} |"
            ]
            if (left := record.get("left_out"))
            else []
        ),
        *(
            f"| {tool} | {said(found['recall'])} | {said(found['false_alarms'])} |"
            for tool, found in record["others"].items()
        ),
        "",
        f"One of its codes names what was done: {said(recall['code_that_names_it'])}; the first one does: "
        f"{said(recall['first_code_names_it'])}. By run instead of by case: {said(recall['runs_with_any_alarm'])} and "
        f"{said(alarms['runs'])}. Of the hard healthy cases {said(alarms['hard_cases'])} have an alarm.",
        "",
        f"A diagnosis takes {record['diagnosis_s']['median']:.2f} s in the median, {record['diagnosis_s']['longest']:.2f} s at most.",
    ]
    if "cures" in record:
        cured = record["cures"]
        lines += ["", f"Cured by the command of the first finding: {said(cured['all'])}; without those whose data were "
                  f"changed {said(cured['network_or_recipe'])}."]  # fmt: skip
    lines += ["", "Alarms on healthy cases:", "", *(f"- {each}" for each in record["alarms_on_healthy"]), "",
              "Broken cases without an alarm:", "", *(f"- {each}" for each in record["missed"])]  # fmt: skip
    return lines


if __name__ == "__main__":
    main()
