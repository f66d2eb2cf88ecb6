"""`striate doctor`: what it prints, of runs that are whole and of those that are not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.conftest import Call
from doctor.sick import make
from striate.doctor.reference import reference
from striate.runs.lock import held
from training.jobs import lines

DOCS = Path(__file__).parents[2] / "docs"

DEAD = {"last": {"layers": [[0.0, 0.0, 1.0, 0.0, 1.0]] * 7}, "train": [0.3] * 8, "val": [0.3] * 8}


def test_the_page_is_what_its_generator_writes() -> None:
    assert (DOCS / "doctor.md").read_text(encoding="utf-8") == reference(), "run `make docs`"


def test_a_run_with_a_finding(call: Call, tmp_path: Path) -> None:
    run = make(tmp_path / "run", **DEAD)  # type: ignore[arg-type]
    said = call("doctor", str(run.path))
    assert (said.code, said.err) == (1, "")
    assert (
        said.out
        == f"""{run.path}: done, 8 epochs, 30.0% on validation at best

error     dead-relu at 0.0.1
          100.0% of the units of `relu` at 0.0.1 are 0 for each of 32 images at step 320; so it is in 2 more layers
          why: A unit that is always 0 has no gradient: it never comes back, and what is behind it sees nothing.
          try: `striate train photos --net '[conv 8 3x3 -> leaky -> maxpool 2] x2 -> hidden: fc 32 -> leaky -> head: fc classes' --recipe {run.path}/recipe.toml`

found     1 error, 0 warnings, 0 notes; 8 checks not applicable (--all says why)
"""
    )
    muted = call("doctor", str(run.path), "--mute", "dead-relu", "--all")
    assert muted.code == 0
    assert "not applicable  saturated, because the network has no tanh or sigmoid\n" in muted.out
    assert muted.out.endswith("found     nothing wrong; 8 checks not applicable\n")


def test_as_json(call: Call, tmp_path: Path) -> None:
    run = make(tmp_path / "run", **DEAD)  # type: ignore[arg-type]
    said = call("doctor", str(run.path), "--json")
    assert said.code == 1
    told = json.loads(said.out)
    assert list(told) == ["version", "run", "status", "findings", "not_applicable", "gaps"]
    assert (told["version"], told["run"], told["status"], told["gaps"]) == (1, str(run.path), "done", [])
    assert [list(each) for each in told["findings"]] == [
        ["code", "severity", "layer", "evidence", "why", "try"]
    ]
    assert [(each["code"], each["severity"], each["layer"]) for each in told["findings"]] == [
        ("dead-relu", "error", "0.0.1"),
    ]  # fmt: skip
    assert {"code": "saturated", "reason": "the network has no tanh or sigmoid"} in told["not_applicable"]


@pytest.mark.parametrize(
    ("call_", "said"),
    [
        (
            (),
            "striate: doctor: no run and no data were given\n  expected: striate doctor RUN, or striate doctor DATA\n"
            "  try: striate doctor runs/latest\n",
        ),
        (
            ("digits", "--probe"),
            "striate: --probe: digits is no run\n"
            "  expected: a folder with a run.json; of data, the experiments are all there is\n  try: striate doctor digits\n",
        ),
        (
            ("RUN", "--net", "lenet5"),
            "striate: --net: --net is given beside a run, which has its own\n  expected: data\n  try: leave out --net\n",
        ),
        (
            ("RUN", "--mute", "dead-rely"),
            "striate: --mute: there is no code `dead-rely`\n  expected: a code of docs/doctor.md\n  try: --mute dead-relu\n",
        ),
        (
            ("none",),
            "striate: none: there is no such run\n  expected: a folder with run.json in it, as `striate train` leaves it\n"
            "  try: striate runs, which lists them\n",
        ),
    ],
)
def test_a_wrong_call(call: Call, tmp_path: Path, call_: tuple[str, ...], said: str) -> None:
    run = make(tmp_path / "run")
    answer = call("doctor", *(str(run.path) if each == "RUN" else each for each in call_))
    assert (answer.code, answer.out, answer.err) == (1, "", said)


def test_a_run_whose_record_is_damaged(call: Call, tmp_path: Path) -> None:
    run = make(tmp_path / "run")
    run.record.write_text('{"status": "don')
    said = call("doctor", str(run.path))
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith(f"striate: {run.path}: run.json is damaged: it is not JSON: ")


def test_vitals_that_are_cut_short(call: Call, tmp_path: Path) -> None:
    """The last line is half there, as after a crash: what is before it counts."""
    run = make(tmp_path / "run", **DEAD)  # type: ignore[arg-type]
    run.vitals.append(run_line(run.path))
    content = run.vitals.path.read_bytes()
    run.vitals.path.write_bytes(content[:-400])
    said = call("doctor", str(run.path))
    assert said.out.splitlines()[1] == "gap       1 of 12 lines of vitals.jsonl cannot be read"
    assert "error     dead-relu at 0.0.1" in said.out
    # And of noise nothing is read, and nothing breaks.
    run.vitals.path.write_bytes(b"\xff\x00[[[[{" * 5000)
    assert call("doctor", str(run.path)).out.splitlines()[1].startswith("gap       ")


def run_line(path: Path):  # type: ignore[no-untyped-def]
    """The last look once more."""
    from striate.runs.vitals import Look

    return Look.model_validate(lines(path / "vitals.jsonl")[-1])


def test_a_run_of_an_older_striate(call: Call, tmp_path: Path) -> None:
    """Without vitals, and with other names in its recipe."""
    run = make(tmp_path / "run", vitals=False, recipe={"learning_rate": 1.0}, train=[0.2] * 8, val=[0.2] * 8)
    run.recipe.write_text('rate = 1.0\noptimiser = "adamw"\nbatch = 32\n')
    said = call("doctor", str(run.path))
    assert said.out.splitlines()[1] == "gap       the run has no vitals.jsonl"
    assert "error     rate-too-high" in said.out
    (run.path / "recipe.toml").unlink()
    said = call("doctor", str(run.path), "--json")
    told = json.loads(said.out)
    assert told["gaps"] == ["the run has no recipe.toml", "the run has no vitals.jsonl"]
    assert {"code": "rate-too-high", "reason": "the recipe cannot be read"} in told["not_applicable"]


def test_runs_that_did_not_end(call: Call, tmp_path: Path) -> None:
    running = make(tmp_path / "running", status="running")
    with held(running):
        said = call("doctor", str(running.path))
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith(f"{running.path}: running, 8 epochs, 91.0% on validation at best\n")
    killed = make(tmp_path / "killed", status="running")
    said = call("doctor", str(killed.path))
    assert (
        f"""
error     stalled
          no process works on it; the last step that was noted is 320
          why: Its process was killed or hangs: it will not come to an end by itself.
          try: `striate resume {killed.path}`
"""
        in said.out
    )
    stopped = make(tmp_path / "stopped", status="stopped", train=[0.2], val=[0.2], val_loss=[1.6])
    said = call("doctor", str(stopped.path), "--all")
    assert said.code == 0
    assert "not applicable  rate-too-low, because the run has 1 epoch and is stopped\n" in said.out
    empty = make(
        tmp_path / "empty", status="diverged", error="the loss became nan at step 3", train=[], vitals=False
    )
    said = call("doctor", str(empty.path))
    assert (
        f"""
error     nan
          the loss became nan at step 3
          why: Nothing can be learned from a step that is no number; the steps before it were thrown about already.
          try: `striate train photos --net {empty.path}/net.txt --recipe {empty.path}/recipe.toml --set learning_rate=0.0001`
"""
        in said.out
    )
