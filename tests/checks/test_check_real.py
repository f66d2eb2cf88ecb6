"""Real images: what is said of them is true, and nothing else is said."""

from __future__ import annotations

import csv
import tarfile
from collections import Counter
from pathlib import Path

import pytest

from striate.checks.check import check
from striate.checks.checked import Checked

REAL = Path(__file__).resolve().parents[3] / "shared" / "data"
CALTECH = REAL / "caltech26" / "caltech26.tar"


@pytest.fixture(scope="module")
def caltech(tmp_path_factory: pytest.TempPathFactory) -> Checked:
    folder = tmp_path_factory.mktemp("caltech26")
    with open(CALTECH.with_name("split.csv"), newline="") as file:
        split = {row["path"]: row["split"] for row in csv.DictReader(file)}
    with tarfile.open(CALTECH) as archive:
        for member in archive:
            content = archive.extractfile(member)
            if member.isfile() and content is not None:
                name = member.name.split("/", 1)[1]
                (folder / split[name] / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / split[name] / name).write_bytes(content.read())
    return check(folder)


@pytest.mark.skipif(not CALTECH.is_file(), reason="caltech26 is not at ../shared/data")
def test_no_false_alarm_on_clean_photos(caltech: Checked) -> None:
    """2,618 photographs: the nine groups that lie across train and test, each looked at, and no other warning."""
    assert (caltech.files, caltech.images) == (2618, 2618)
    assert Counter(each.code for each in caltech.findings) == {
        "near-duplicate-across-splits": 9,
        "near-duplicate": 16,
        "look-alike": 6,
        "grey-among-color": 196,
    }
    across = [(each.name, each.also[0]) for each in caltech.findings if each.severity == "warning"]
    assert across == [
        ("train/grand_piano/image_0003.jpg", "test/grand_piano/image_0046.jpg"),
        ("train/kangaroo/image_0015.jpg", "test/kangaroo/image_0025.jpg"),
        ("train/menorah/image_0014.jpg", "test/menorah/image_0016.jpg"),
        ("train/revolver/image_0010.jpg", "test/revolver/image_0009.jpg"),
        ("train/trilobite/image_0011.jpg", "test/trilobite/image_0022.jpg"),
        ("train/trilobite/image_0041.jpg", "test/trilobite/image_0064.jpg"),
        ("train/watch/image_0160.jpg", "test/watch/image_0125.jpg"),
        ("train/watch/image_0172.jpg", "test/watch/image_0212.jpg"),
        ("train/watch/image_0211.jpg", "test/watch/image_0173.jpg"),
    ]


@pytest.mark.slow
@pytest.mark.skipif(not (REAL / "mnist").is_dir(), reason="MNIST is not at ../shared/data")
def test_no_false_alarm_on_digits() -> None:
    checked = check(REAL / "mnist")
    assert (checked.images, checked.findings) == (70_000, ())
    assert len(checked.limits) == 1
