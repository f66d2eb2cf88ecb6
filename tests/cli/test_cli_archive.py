"""Archives from the command line: checked, trained on, resumed and replayed as the folder would be."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from cli.conftest import NET, Call
from data.packed import member, tar, written_zip
from training.drawn import write_folder

FAST = ("--net", NET, "--set", "batch=8", "--device", "cpu")


@pytest.fixture
def packed(here: Path, photos: Path) -> dict[str, Path]:
    """The images as Python's zipfile packs them, and as tar does."""
    subprocess.run(["tar", "czf", here / "photos.tar.gz", "-C", photos.parent, photos.name], check=True)
    return {"zip": written_zip(photos, here / "photos.zip"), "tar": here / "photos.tar.gz"}


@pytest.mark.parametrize("form", ["zip", "tar"])
def test_check_and_a_training_of_a_few_seconds(
    form: str, call: Call, packed: dict[str, Path], photos: Path, here: Path
) -> None:
    said, folder = call("check", str(packed[form])), call("check", str(photos))
    assert (said.code, said.err) == (folder.code, "")
    assert said.out == folder.out.replace(str(photos), str(packed[form]))
    said = call("train", packed[form].name, *FAST, "--budget", "4s", "--out", "run")
    assert said.err == ""
    assert said.code == 0
    assert said.out.startswith("data      3 classes, 33 training, 3 validation images of 1x12x12 ")
    record = json.loads((here / "run" / "run.json").read_text())
    assert record["source"] == str(packed[form].resolve())
    assert record["name"] == "photos"
    assert call("features", "run", packed[form].name, "--at", "1").code == 0
    assert call("show", packed[form].name, "--out", "sheet.png").code == 0


def test_the_same_data_as_from_the_folder(
    call: Call, packed: dict[str, Path], photos: Path, here: Path
) -> None:
    records = []
    for out, data in (("a", photos), ("b", packed["zip"]), ("c", packed["tar"])):
        assert call("train", str(data), *FAST, "--epochs", "1", "--out", out).code == 0
        records.append(json.loads((here / out / "data.json").read_text()))
        assert records[-1].pop("source") == str(data)
    assert records[0] == records[1] == records[2]


def stopped(run: Path) -> None:
    """Make a finished run look like one that was stopped before its first checkpoint."""
    record = json.loads((run / "run.json").read_text())
    record["status"] = "stopped"
    record.pop("result", None)
    (run / "state").mkdir(exist_ok=True)
    (run / "run.json").write_text(json.dumps(record))
    (run / "report.html").unlink(missing_ok=True)


def test_resume_and_replay_unpack_again_and_say_what_changed(
    call: Call, packed: dict[str, Path], here: Path, tmp_path: Path
) -> None:
    assert call("train", "photos.zip", *FAST, "--epochs", "1", "--out", "run").code == 0
    data = (here / "run" / "data.json").read_bytes()
    shutil.rmtree(tmp_path / "cache")
    assert call("replay", "run", "--out", "again").err == ""
    assert json.loads((here / "again" / "run.json").read_text())["status"] == "done"
    assert (here / "again" / "data.json").read_bytes() == data
    shutil.rmtree(tmp_path / "cache")
    stopped(here / "run")
    said = call("resume", "run")
    assert said.err == ""
    assert said.code == 0
    assert json.loads((here / "run" / "run.json").read_text())["status"] == "done"
    # Packed anew, another way, it holds the same.
    shutil.copy(packed["tar"], packed["zip"])
    stopped(here / "run")
    assert call("resume", "run").code == 0
    other = write_folder(here / "other", count=33)
    written_zip(other, packed["zip"])
    stopped(here / "run")
    for command in (("resume", "run"), ("replay", "again", "--out", "third")):
        said = call(*command)
        assert said.code == 1
        assert "the data are not what they were: " in said.err
        assert "train had 33 images and has " in said.err
    packed["zip"].unlink()
    said = call("resume", "run")
    assert said.code == 1
    assert said.err == (
        f"striate: run: the data are not at {packed['zip'].resolve()} any more\n"
        "  expected: the images and labels that the run began with\n"
        "  try: striate resume run --data WHERE THEY ARE NOW\n"
    )
    assert call("replay", "again", "--out", "third").err.endswith("\n  try: put them back there\n")
    assert not (here / "third").exists()


def test_a_hostile_archive_is_one_error_and_no_run(call: Call, here: Path) -> None:
    (here / "a.tgz").write_bytes(tar(member("../../x", b"x")))
    for command in ("check", "train"):
        said = call(command, "a.tgz")
        assert said.code == 1
        assert said.err.startswith("striate: a.tgz: its member `../../x` would lie outside of the folder")
    assert not (here / "runs").exists()


def test_a_manifest_of_an_archive(call: Call, packed: dict[str, Path], here: Path) -> None:
    said = call("check", "photos.zip", "--manifest", "m.csv")
    assert said.code == 1
    assert said.err == (
        "striate: --manifest: a manifest names files, and these are packed in an archive\n"
        "  expected: a folder\n  try: unpack photos.zip, and striate check the folder\n"
    )
    assert not (here / "m.csv").exists()
