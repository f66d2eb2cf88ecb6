"""The record of a run: read whole and within bounds, or refused in one clear error."""

from __future__ import annotations

import json
import os
import random
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from report.report_sample import damage, make_run
from striate.errors import RunError
from striate.runs.folder import RunFolder, list_runs
from striate.runs.record import RunRecord, read_mistakes, to_json

CURE = "a copy of it, or striate train, which starts over"


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A run of three classes."""
    return make_run(tmp_path / "run", classes=3, epochs=2, mistakes=2)


def values(path: Path) -> Any:
    """Plain JSON."""
    return json.loads(path.read_bytes())


def test_what_is_written_is_read(run: RunFolder) -> None:
    for path, read in ((run.record, run.read_record), (run.data, run.read_data)):
        record = read()
        path.write_bytes(to_json(record))
        assert read() == record
    record = run.read_record()
    assert record.result is not None
    assert record.result.confusion == values(run.record)["result"]["confusion"]
    assert values(run.mistakes) == json.loads(to_json(read_mistakes(run.mistakes)))


def test_keys_of_a_later_striate_are_kept(run: RunFolder) -> None:
    known = values(run.record)
    known["later"], known["result"]["classes"][0]["later"] = {"a": [1]}, None
    run.record.write_text(json.dumps(known))
    record = run.read_record()
    record.status = "stopped"
    run.write_record(record)
    assert values(run.record)["later"] == {"a": [1]}


def test_a_record_keeps_names_that_are_not_utf8(run: RunFolder) -> None:
    source = os.fsdecode(b"/photos/caf\xe9 \xf0\x9f\x90\x88")
    run.write_record(RunRecord(status="done", source=source))
    assert run.read_record().source == source
    data = run.read_data()
    data.classes = [source, "b", "c"]
    run.data.write_bytes(to_json(data))
    assert run.read_data().classes == [source, "b", "c"]
    assert to_json(RunRecord(status="done", name="é")).decode().count("é") == 1


def test_a_record_that_lacks_what_came_later() -> None:
    """What striate 0.1 wrote at least."""
    old = {"format": 1, "status": "done", "result": None}
    assert RunRecord.model_validate(old) == RunRecord(status="done")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"{", "it is not JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        (b"\xff\xfe", "it is not JSON: "),
        (b"[]", "Input should be a valid dictionary or instance of RunRecord"),
        (b"[" * 200_000, "it is nested too deep"),
        (b"[" * 200_001, "it holds more values than any record"),
        (b"1" * 5000, "it is not JSON: Exceeds the limit (4300 digits) for integer string conversion"),
        (b'{"format": "new"}', "format: Input should be a valid integer"),
        (b'{"format": 1}', "status: Field required"),
        (
            b'{"status": "odd"}',
            "status: Input should be 'running', 'stopped', 'diverged', 'failed' or 'done'",
        ),
        (
            b'{"status": "done", "result": [1]}',
            "result: Input should be a valid dictionary or instance of Result",
        ),
        (b'{"status": "done", "versions": [1]}', "versions: Input should be a valid "),
        (b'{"status": "done", "name": 5}', "name: Input should be a text of at most 10,000 characters"),
        (b'{"status": "done", "seconds": NaN}', "seconds: Input should be "),
        (b'{"status": "done", "seconds": -1}', "seconds: Input should be greater than or equal to 0"),
    ],
    ids=lambda each: str(each)[:30],
)
def test_damaged_records(run: RunFolder, content: bytes, told: str) -> None:
    run.record.write_bytes(content)
    with pytest.raises(RunError) as caught:
        run.read_record()
    assert str(caught.value).startswith(f"{run.path}: run.json is damaged: {told}")
    assert str(caught.value).endswith(f"\n  expected: run.json as `striate train` writes it\n  try: {CURE}")
    ((found, error),) = list_runs(run.path.parent)
    assert found == run
    assert isinstance(error, RunError)
    assert error.problem == caught.value.problem


def test_a_record_of_a_later_striate(run: RunFolder) -> None:
    run.record.write_text('{"format": 99, "status": {}}')
    with pytest.raises(RunError) as caught:
        run.read_record()
    assert str(caught.value) == (
        f"{run.path}: the run is of format 99, and this striate knows 1\n  try: pip install --upgrade striate"
    )


def test_a_missing_record(run: RunFolder) -> None:
    run.data.unlink()
    with pytest.raises(RunError) as caught:
        run.read_data()
    assert str(caught.value) == f"{run.path}: the run has no data.json\n  try: striate runs"


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("classes", None, "classes: Field required"),
        ("classes", [], "classes: List should have at least 1 item after validation, not 0"),
        ("classes", ["a", 5], "classes.1: Input should be a text of at most 10,000 characters"),
        ("splits", {"odd": {}}, "splits.odd.[key]: Input should be 'train', 'val' or 'test'"),
        ("preparation", None, "preparation: Field required"),
        ("preparation.dtype", "object", "preparation.dtype: Input should be 'uint8' or 'float32'"),
        ("preparation.channels", 10**9, "preparation.channels: Input should be less than or equal to 100000"),
        (
            "preparation.size",
            [100_000, 100_000],
            "preparation: an image should have at most 268,435,456 values",
        ),
        ("preparation.size", [99, 32], "preparation: size should be within stored_size"),
        ("preparation.size", [32], "preparation.size.1: Field required"),
        ("preparation.mean", [1.0], "preparation: mean and standard deviation should have 3 numbers"),
        ("preparation.mean", [1.0, 2.0, float("inf")], "preparation.mean.2: Input should be "),
        ("preparation.deviation", [0.0, 1.0, 1.0], "preparation.deviation.0: Input should be greater than 0"),
        ("preparation.mean_image", "QUJD", "preparation: mean_image should have 12,288 bytes"),
        ("preparation.mean_image", "!", "preparation: "),
    ],
    ids=str,
)
def test_damaged_data(run: RunFolder, key: str, value: object, told: str) -> None:
    known = values(run.data)
    place = known
    *path, last = key.split(".")
    for each in path:
        place = place[each]
    place[last] = value
    if value is None:
        del place[last]
    run.data.write_text(json.dumps(known))
    with pytest.raises(RunError) as caught:
        run.read_data()
    assert str(caught.value).startswith(f"{run.path}: data.json is damaged: {told}")


@pytest.mark.parametrize("kind", ["pipe", "zero", "folder"])
def test_what_is_no_file(run: RunFolder, kind: str) -> None:
    for path in (run.record, run.data):
        path.unlink()
        if kind == "pipe":
            os.mkfifo(path)
        elif kind == "zero":
            path.symlink_to("/dev/zero")
        else:
            path.mkdir()
    reason = "it is a folder" if kind == "folder" else "it is a pipe or a device"
    for read, name in ((run.read_record, "run.json"), (run.read_data, "data.json")):
        with pytest.raises(RunError) as caught:
            read()
        assert caught.value.problem == f"{name} is damaged: {reason}"


def test_random_damage_is_an_error_or_a_record(run: RunFolder) -> None:
    draw = random.Random(5)
    sound = {path: values(path) for path in (run.record, run.data)}
    caught = 0
    for _ in range(150):
        for path, value in sound.items():
            changed = json.loads(json.dumps(value))
            damage(changed, draw)
            path.write_text(json.dumps(changed))
        for read in (run.read_record, run.read_data):
            try:
                read()
            except RunError:
                caught += 1
    assert caught > 200


@pytest.mark.parametrize(
    "content", ["b'[' + b'0,' * 9_000_000 + b'0]'", "b'[' + b'[],' * 199_998 + b'0]'", "b'[' * 90_000_000",
                "b'{\"status\": \"done\", \"created\": \"' + b'x' * 90_000_000 + b'\"}'"],
)  # fmt: skip
def test_a_large_record_takes_no_gigabytes(run: RunFolder, content: str) -> None:
    """Under a limit on the memory of the process."""
    script = f"""
import sys
from pathlib import Path
from striate.errors import RunError
from striate.runs.folder import RunFolder
run = RunFolder(Path(sys.argv[1]))
run.record.write_bytes({content})
try:
    run.read_record()
except RunError as error:
    print(error.problem)
"""
    limit = 1_500_000_000
    ended = subprocess.run(
        [sys.executable, "-c", script, str(run.path)], capture_output=True, text=True, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    )  # fmt: skip
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("run.json is damaged: ")
