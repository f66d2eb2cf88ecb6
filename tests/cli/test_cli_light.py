"""What a command line does without torch: help, errors of the call, plan, runs, zoo, words."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cli.conftest import STRIATE, Call
from striate.cli.main import COMMANDS
from striate.cli.values import input_shape
from striate.errors import StriateError
from striate.recipe.given import seconds
from striate.runs.folder import RunFolder, create_run
from striate.runs.lock import held
from striate.runs.record import RunRecord, Status, to_json

PLAN = ("plan", "conv 6 5x5 -> relu -> maxpool 2 -> fc classes", "--input", "1x28x28")


def test_the_list_of_commands(call: Call) -> None:
    said = call("--help")
    assert said.code == 0
    assert said.err == ""
    for name, line in COMMANDS.items():
        assert f"│ {name} " in said.out
        assert line.split(",")[0].split(":")[0][:40] in said.out
    assert "For example:" in said.out
    assert call() == said


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command(call: Call, name: str) -> None:
    said = call(name, "--help")
    assert said.code == 0
    assert said.err == ""
    assert said.out.startswith(f"Usage: striate {name}")
    assert "For example:" in said.out
    assert said.out.count(f"\n  striate {name}") >= 1
    # Its own examples, and not those of the whole.
    assert "a folder of class folders\n  striate train" not in said.out
    # Each parameter is explained, none by a default of no meaning.
    assert "[default:" not in said.out
    assert "--no-" not in said.out
    rows = [line[2:-2].strip() for line in said.out.splitlines() if line.startswith("│")]
    assert all(len(row.split()) > 2 or not row.startswith("-") for row in rows), rows


def test_the_version(call: Call) -> None:
    from striate.version import __version__

    assert call("--version") == (0, f"{__version__}\n", "")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["trian"], 'Unknown command "trian". Did you mean "train"?'),
        (["train", "digits", "--epohcs", "3"], "Unknown option: --epohcs. Did you mean --epochs?"),
        (["train", "digits", "--epochs", "x"], 'Invalid value for --epochs: unable to convert "x" into int.'),
        (["train", "digits", "more"], "Unused Tokens: ['more']."),
        (["predict"], 'Command "predict" parameter RUN requires an argument.'),
        (["resume"], 'Command "resume" parameter RUN requires an argument.'),
        (["plan"], 'Command "plan" parameter NET requires an argument.'),
    ],
)
def test_wrong_calls_leave_with_2(call: Call, words: list[str], told: str) -> None:
    said = call(*words)
    assert said.code == 2
    assert said.out == ""
    assert told.split(".")[0] in " ".join(said.err.replace("│", " ").split())


def test_no_torch_where_none_is_needed(here: Path) -> None:
    script = f"""
import sys
from striate.cli.main import main
for words in (["--help"], ["train", "--help"], {list(PLAN)!r}, ["zoo"], ["zoo", "lenet5"], ["runs"], ["cache"], ["words"],
              ["words", "conv"]):
    sys.argv = ["striate", *words]
    try:
        main()
    except SystemExit as end:
        assert not end.code, words
    for heavy in ("torch", "sklearn", "matplotlib", "scipy"):
        assert heavy not in sys.modules, (words, heavy)
"""
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)


@pytest.mark.parametrize(
    "words",
    [["train", "digits"], ["predict", "runs/latest", "cat.jpg"], ["resume", "runs/latest"]],
    ids=lambda words: words[0],
)
def test_torch_is_not_installed(here: Path, words: list[str]) -> None:
    script = f"""
import importlib.abc, sys
class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.split(".")[0] in ("torch", "sklearn"):
            raise ModuleNotFoundError(name)
import importlib.util
real = importlib.util.find_spec
importlib.util.find_spec = lambda name, *more: None if name in ("torch", "sklearn") else real(name, *more)
sys.meta_path.insert(0, Missing())
from striate.cli.main import main
sys.argv = ["striate", *{words!r}]
main()
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == (
        f"striate: `striate {words[0]}` needs torch, sklearn, not installed here\n"
        "  expected: the extra `train`\n"
        '  try: pip install "striate[train]"\n'
    )


# plan


def test_plan(call: Call) -> None:
    said = call(*PLAN)
    assert (said.code, said.err) == (0, "")
    lines = said.out.splitlines()
    assert lines[0].split() == ["layer", "output", "weights", "multiply-adds", "sees", "step", "saved"]
    assert lines[1].split() == ["input", "1x28x28"]
    assert lines[2].split()[:7] == ["conv", "6", "5x5", "relu", "6x28x28", "156", "117,600"]
    assert "11,926 weights, 129,360 multiply-adds an image, 10 classes" in lines


def test_a_plan_layer_by_layer(call: Call) -> None:
    lines = call(*PLAN, "--all").out.splitlines()
    assert lines[2].split()[:6] == ["conv", "6", "5x5", "6x28x28", "156", "117,600"]
    assert lines[3].split()[:2] == ["relu", "6x28x28"]


def test_a_plan_as_a_tree(call: Call) -> None:
    """Branches indented, repeats folded, all of a large network on a screen."""
    lines = call("plan", "resnet152").out.splitlines()
    assert len(lines) <= 60
    (fold,) = (line for line in lines if " x35 " in line)
    after = lines[lines.index(fold) + 1 : lines.index(fold) + 3]
    assert after[0].split("  ")[4] == "├ conv 256 1x1 bn relu -> conv 256 3x3 bn relu -> conv 1024 1x1 bn"
    assert after[1].split()[0:2] == ["└", "identity"]
    assert len(call("plan", "resnet152", "--all").out.splitlines()) > 500


def test_two_plans_beside_each_other(call: Call) -> None:
    text = "conv 6 3x3 -> relu -> maxpool 2 -> fc classes"
    lines = call(*PLAN, "--against", text).out.splitlines()
    assert lines[0].split() == [
        "conv",
        "6",
        "5x5",
        "->",
        "relu",
        "->...",
        "conv",
        "6",
        "3x3",
        "->",
        "relu",
        "->...",
        "times",
    ]
    assert lines[1].split() == ["weights", "11,926", "11,830", "x0.992"]
    assert [" ".join(each.split()) for each in lines[-4:]] == [
        "conv 6 5x5 -> relu ->... output weights | conv 6 3x3 -> relu ->... output weights",
        "conv 6 5x5 relu 6x28x28 156 | conv 6 3x3 relu 6x28x28 60",
        "maxpool 2 6x14x14 | maxpool 2 6x14x14",
        "fc 10 10 11,770 | fc 10 10 11,770",
    ]
    said = call(*PLAN, "--against", text, "--json")
    assert said.err == "striate: --against: --json prints one network\n  try: leave out --json\n"


def test_plan_says_one_memory_and_leaves_no_blanks(call: Call) -> None:
    """What is predicted for a step is one number, however it is asked for."""
    said = call(*PLAN, "--train").out
    total = said.split("needs about ")[1].split(" in all")[0]
    assert f"total, over the process without a network {total}" in " ".join(said.split())
    assert (
        "keeps 0 B of activations and needs about 4 MB in all"
        in call("plan", "elu 0.5", "--input", "1x8x8").out
    )


def test_plan_as_json(call: Call) -> None:
    said = call(*PLAN, "--json")
    plan = json.loads(said.out)
    assert (plan["weights"], plan["multiply_adds"], plan["classes"]) == (11_926, 129_360, 10)
    assert [layer["layer"] for layer in plan["layers"]] == ["conv 6 5x5", "relu", "maxpool 2", "fc 10"]


def test_plan_of_the_zoo_and_of_a_file(call: Call, here: Path) -> None:
    assert "61,706 weights" in call("plan", "lenet5").out
    (here / "mine.net").write_text("fc classes")
    assert "785 weights" in call("plan", "mine.net", "--input", "1x28x28", "--classes", "1").out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ["fc classes"],
            "plan: the shape of the images is not known\n  try: --input 3x224x224",
        ),
        (
            ["fc classes", "--input", "28x28"],
            "--input: `28x28` is not the shape of an image\n"
            "  expected: CHANNELSxHEIGHTxWIDTH\n  try: --input 3x28x28, or 1x28x28 for grey images",
        ),
        (
            ["fc classes", "--input", "1x28x28", "--batch", "0"],
            "plan: a batch and a number of classes are at least 1",
        ),
        (
            ["mine.net", "--input", "1x28x28"],
            "mine.net: there is no such file",
        ),
        (
            ["lenet6"],
            "network: there is no network `lenet6`\n"
            "  expected: a text such as `conv 32 3x3 -> relu -> fc classes`, a .net or .txt file or a name of the zoo\n"
            "  try: lenet5",
        ),
        (
            ["conv 32 7x7 valid -> fc classes", "--input", "1x5x5"],
            "network:1:1: the 7x7 window does not fit: the map here is 5x5 and no padding was given",
        ),
    ],
)
def test_plan_s_errors(call: Call, words: list[str], told: str) -> None:
    said = call("plan", *words)
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith(f"striate: {told}")


# runs


def test_there_are_no_runs(call: Call) -> None:
    assert call("runs") == (0, "no runs in runs/ yet; striate train DATA makes one\n", "")
    assert call("runs", "--json") == (0, "", "")


def begun(out: Path, status: Status = "done", created: str = "2029-01-01T00:00:00+0000") -> RunFolder:
    """A run of which nothing is there but the record."""
    return create_run("x", out, {"run.json": to_json(RunRecord(status=status, created=created))})


def test_the_list_of_runs(call: Call, run: Path, here: Path) -> None:
    shutil.copytree(run, here / "runs" / "first")
    record = json.loads((run / "run.json").read_bytes())
    said: list[tuple[str, str, Status]] = [
        ("second", "2030-01-01T10:00:00+0000", "stopped"),
        ("third", "2031-01-01T10:00:00+0000", "running"),
        ("fourth", "2032-01-01T10:00:00+0000", "running"),
    ]
    for name, created, status in said:
        made = begun(here / "runs" / name, status, created)
    (begun(here / "runs" / "damaged").record).write_text("{")
    (here / "runs" / "no run").mkdir()
    with held(made):
        shown = call("runs")
    assert (shown.code, shown.err) == (0, "")
    rows = [line.split() for line in shown.out.splitlines()]
    assert rows[0] == ["run", "began", "status", "accuracy", "of", "seconds"]
    assert rows[1] == ["fourth", "2032-01-01", "10:00", "running"]
    # Nobody holds it: the process was killed.
    assert rows[2] == ["third", "2031-01-01", "10:00", "interrupted"]
    assert rows[3] == ["second", "2030-01-01", "10:00", "stopped"]
    accuracy = f"{record['result']['accuracy']:.2%}"
    assert [rows[4][0], *rows[4][3:6]] == ["first", "done", accuracy, "validation"]
    assert rows[5][:2] == ["damaged", "damaged"]
    listed = [json.loads(line) for line in call("runs", "--json").out.splitlines()]
    assert [Path(each["run"]).name for each in listed] == ["fourth", "third", "second", "first", "damaged"]
    assert listed[3]["result"]["accuracy"] == record["result"]["accuracy"]
    assert [each["version"] for each in listed] == [1] * 5
    assert listed[1]["status"] == "interrupted"
    assert listed[4] == {
        "version": 1,
        "run": "runs/damaged",
        "error": "run.json is damaged: it is not JSON: Expecting property name enclosed in double quotes: line 1 "
        "column 2 (char 1)",
    }


def test_runs_elsewhere(call: Call, run: Path) -> None:
    assert call("runs", str(run.parent)).out.splitlines()[1].startswith("photos")


def test_a_run_is_deleted(call: Call, here: Path) -> None:
    """By its name or as tab completion writes it; the link goes to the newest one that is left."""
    for number, name in enumerate(("first", "second", "third")):
        run = begun(here / "runs" / name, created=f"203{number}-01-01T00:00:00+0000")
        (run.path / "weights.safetensors").write_bytes(bytes(2000))
    (here / "runs" / "latest").symlink_to("third")
    (here / "runs" / "second" / "away").symlink_to(here / "mine")
    (here / "mine").mkdir()
    (here / "mine" / "letter").touch()
    assert call("runs", "--delete", "third", "--yes").out.startswith("deleted runs/third (done, 3 files, 2.")
    assert os.readlink(here / "runs" / "latest") == "second"
    assert call("runs", "--delete", "runs/second/", "--yes").code == 0
    assert (here / "mine" / "letter").exists()
    assert sorted(os.listdir(here / "runs")) == ["first", "latest"]
    assert call("runs", "--delete", "first", "--yes").code == 0
    assert os.listdir(here / "runs") == []


def test_what_is_not_deleted(call: Call, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that is no run, or lies elsewhere, or is trained; and nothing unasked."""
    run = begun(here / "runs" / "first")
    begun(here / "elsewhere" / "other")
    (here / "runs" / "photos").mkdir()
    (here / "runs" / "latest").symlink_to("first")
    (here / "runs" / "link").symlink_to(here / "elsewhere" / "other")
    for name in (
        "../elsewhere/other",
        "elsewhere/other",
        "..",
        ".",
        "",
        "photos",
        "latest",
        "link",
        "firs/../first",
    ):
        said = call("runs", "--delete", name, "--yes")
        assert (said.code, said.out) == (1, ""), name
        assert said.err.startswith(f"striate: --delete: there is no run `{name}` in runs/\n"), name
    assert call("runs", "--delete", "frist", "--yes").err == (
        "striate: --delete: there is no run `frist` in runs/\n"
        "  expected: the name of one run, as `striate runs` lists it\n  try: --delete first\n"
    )
    with held(run):
        assert call("runs", "--delete", "first", "--yes").err == (
            "striate: runs/first: another process is training this run\n"
            "  expected: a run that nobody works on\n  try: stop it first with Ctrl-C\n"
        )
    said = call("runs", "--delete", "first")
    assert said.err.startswith("striate: --delete: runs/first (done, 2 files, ")
    assert said.err.endswith(" B) would be deleted\n  try: --yes, if this is meant\n")
    for answer, left in (("n", True), ("", True), ("y", False)):
        monkeypatch.setattr("sys.stdin", Typed(answer))
        assert call("runs", "--delete", "first").code == 0
        assert run.path.exists() is left


class Typed(io.StringIO):
    """What is typed on a terminal."""

    def isatty(self) -> bool:
        return True


# zoo and words


def test_the_zoo(call: Call) -> None:
    said = call("zoo")
    assert (said.code, said.err) == (0, "")
    assert any(line.split()[:3] == ["lenet5", "1x28x28", "61,706"] for line in said.out.splitlines())
    text = call("zoo", "lenet5")
    assert "conv 6 5x5" in text.out
    wrong = call("zoo", "lenet6")
    assert (wrong.code, wrong.out) == (1, "")
    assert "lenet5" in wrong.err


def test_what_the_zoo_prints_can_be_planned(call: Call, here: Path) -> None:
    (here / "mine.net").write_text(call("zoo", "resnet18").out)
    assert "11,689,512 weights" in call("plan", "mine.net", "--input", "3x224x224", "--classes", "1000").out


# Pipes and odd terminals


@pytest.mark.parametrize("words", [PLAN, ("zoo",), ("zoo", "resnet152"), ("--help",), ("words",)])
def test_a_reader_that_leaves(here: Path, words: tuple[str, ...]) -> None:
    """As in `striate zoo | head -1`."""
    process = subprocess.Popen([*STRIATE, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(60) == 0
    assert process.stderr is not None
    assert process.stderr.read() == b""


def test_a_terminal_that_knows_only_ascii(here: Path) -> None:
    (here / "größe.net").write_text("conv 6 5x5 -> fc classes  # größe", encoding="utf-8")
    ended = subprocess.run(
        [*STRIATE, "plan", "größ.net", "--input", "1x8x8"],
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    assert ended.returncode == 1
    assert ended.stderr == b"striate: gr\\xf6\\xdf.net: there is no such file\n  try: gr\\xf6\\xdfe.net\n"


@pytest.mark.parametrize("linked", [True, False])
def test_ctrl_c_while_a_library_is_loaded(call: Call, monkeypatch: pytest.MonkeyPatch, linked: bool) -> None:
    """C++ libraries make an ImportError of it."""

    def load(*said: object, **named: object) -> None:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt as error:
            if linked:
                raise ImportError("initialization failed") from error
            raise ImportError("initialization failed")  # noqa: B904

    monkeypatch.setattr("striate.cli.plan.read", load)
    assert call(*PLAN) == (130, "", "striate: stopped\n")


def test_a_bug_is_not_hidden(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*said: object, **named: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("striate.cli.plan.read", broken)
    with pytest.raises(ZeroDivisionError):
        call(*PLAN)


# Values


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("90s", 90),
        ("90", 90),
        ("10m", 600),
        ("1h30m", 5400),
        ("1.5h", 5400),
        ("1h1m1s", 3661),
        (" 2m ", 120),
        ("90.5", 90.5),
    ],
)
def test_times(text: str, wanted: float) -> None:
    assert seconds(text) == wanted


@pytest.mark.parametrize(
    "text", ["", "0", "0s", "-5s", "1h30", "1m30", "10min", "m", "1m1h", "five", "1e3", "nan"]
)
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(StriateError) as caught:
        seconds(text)
    assert str(caught.value) == (
        f"--budget: `{text}` is not a time\n  expected: a time as 90s, 10m or 1h30m\n  try: --budget 10m"
    )


def test_shapes() -> None:
    assert input_shape("3x224x224") == (3, 224, 224)
    assert input_shape(" 1×28×20 ") == (1, 28, 20)
    for text in ("", "28", "28x28", "0x28x28", "ax28x28", "1x2x3x4", "1x28x-28", "1x1x9999999"):
        with pytest.raises(StriateError, match="is not the shape of an image"):
            input_shape(text)


# Hostile files and arguments


def test_escapes_in_files_and_arguments_are_shown(call: Call, here: Path) -> None:
    (here / "a.toml").write_text('"ra\x1b[2Jte" = 1\n'.replace("\x1b", "\\u001b"))
    folder = here / "runs" / "a\x1b[31m"
    begun(folder)
    for words in (
        ["plan", "lenet5", "--\x1b[31m", "1"],
        ["plan", "\x1b[2J.net"],
        ["\x1b[31mtrain"],
        ["runs"],
        ["runs", "\x1b[31m"],
        ["train", "digits", "--recipe", "a.toml"],
        ["train", "\x1b[31m"],
        ["predict", "runs/\x1b[31m", "cat.jpg"],
    ):
        said = call(*words)
        assert "\x1b" not in said.out + said.err, words
        assert r"\x1b[" in said.out + said.err, words


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["plan", "pipe.net"], "pipe.net: it cannot be read: it is a pipe or a device\n  expected: the text of a network\n"),
        (["plan", "zero.net"], "zero.net: it cannot be read: it is a pipe or a device\n  expected: the text of a network\n"),
        (
            ["train", "digits", "--recipe", "pipe.toml"],
            "pipe.toml: it cannot be read: it is a pipe or a device\n  expected: a recipe, as TOML\n",
        ),
        (
            ["train", "digits", "--set", "batch=" + "9" * 5000],
            f"--set: `{'9' * 60}... (5,000 characters)` cannot be a value: line 1 has more than 4,000 characters\n"
            "  expected: key=value\n  try: --set learning_rate=0.1\n",
        ),
        (
            ["train", "digits", "--set", "batch=" + "9" * 3000],
            f"--set: batch cannot be {'9' * 60}... (3,000 characters)\n"
            "  expected: less than or equal to 65536 (images in one step)\n  try: leave out batch\n",
        ),
        (
            ["train", "digits", "--set", "batch=" + "[" * 3000],
            f"--set: `{'[' * 60}... (3,000 characters)` cannot be a value: its brackets are nested too deep\n"
            "  expected: key=value\n  try: --set learning_rate=0.1\n",
        ),
        (
            ["train", "digits", "--recipe", "dotted.toml"],
            "dotted.toml: this is not TOML: line 1 has more than 4,000 characters\n  expected: key = value lines\n",
        ),
        (
            ["train", "digits", "--recipe", "nested.toml"],
            "nested.toml: this is not TOML: its brackets are nested too deep\n  expected: key = value lines\n",
        ),
    ],
)  # fmt: skip
def test_what_would_hang_or_fill_the_memory_is_refused(
    call: Call, here: Path, words: list[str], told: str
) -> None:
    for name in ("pipe.net", "pipe.toml"):
        os.mkfifo(here / name)
    (here / "zero.net").symlink_to("/dev/zero")
    (here / "dotted.toml").write_text("a." * 45_000 + "a = 1\n")
    (here / "nested.toml").write_text("batch = " + "[\n" * 40_000)
    assert call(*words) == (1, "", f"striate: {told}")
