"""From DATA to arrays: labels, channels, splits and the record of what it was."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.conftest import Paint
from striate.data.decode.image import prepare_image
from striate.data.files.finding import Finding
from striate.data.gather import gather
from striate.data.split import make_validation
from striate.errors import MissingExtra

REAL = Path(__file__).parents[3] / "shared" / "data"


def test_the_whole_of_a_small_folder(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(photos.parent)
    data = gather("photos", val_share=0.2, seed=3)
    assert (data.name, data.classes, data.channels) == ("photos", ("cat", "dog"), 3)
    assert (data.size, data.stored_size) == ((32, 32), (37, 37))
    assert data.test is None
    assert data.findings == ()
    for split in (data.train, data.val):
        assert (split.images.dtype, split.labels.dtype) == (np.uint8, np.int64)
        for image, label, name in zip(split.images, split.labels, split.names, strict=True):
            assert data.classes[label] == name.split("/")[0]
            alone = prepare_image(photos / name, stored_size=(37, 37), channels=3)
            assert (image == alone).all()  # a single prediction sees what training saw
    assert sorted(data.train.names + data.val.names) == sorted(
        f"{name}/{number}.png" for name in ("cat", "dog") for number in range(10)
    )
    digest = hashlib.sha256()
    for name, label in zip(data.val.names, data.val.labels, strict=True):
        content = hashlib.sha256((photos / name).read_bytes()).hexdigest()
        digest.update(f"{name}\0{label}\0{content}\0".encode())
    record = json.loads(json.dumps(data.record))
    assert record["splits"]["val"] == {
        "count": 4,
        "per_class": {"cat": 2, "dog": 2},
        "sha256": digest.hexdigest(),
    }
    del record["splits"]
    assert record == {
        "format": 1,
        "source": "photos",
        "kind": "folder",
        "classes": ["cat", "dog"],
        "channels": 3,
        "size": [32, 32],
        "stored_size": [37, 37],
        "fit": "crop",
        "dtype": "uint8",
        "validation": {"made": True, "seed": 3, "share": 0.2, "stratified": True, "grouped": False},
        "findings": {},
    }


def test_progress_counts_images(photos: Path) -> None:
    said: list[tuple[int, int]] = []
    gather(photos, progress=lambda done, total: said.append((done, total)))
    assert said == [(done // 2, 20) for done in range(1, 41)]


def test_small_images_of_one_size_are_kept_exactly(tmp_path: Path, paint: Paint) -> None:
    for number in range(6):
        paint(tmp_path / "p" / "ab"[number % 2] / f"{number}.png", number, (24, 16))
    data = gather(tmp_path / "p")
    assert (data.size, data.stored_size) == ((16, 24), (16, 24))
    for image, name in zip(data.train.images, data.train.names, strict=True):
        with Image.open(tmp_path / "p" / name) as original:
            assert (image == np.asarray(original)).all()


def test_grey_stays_grey_unless_one_is_in_color(tmp_path: Path, paint: Paint) -> None:
    for number in range(6):
        paint(tmp_path / "p" / "ab"[number % 2] / f"{number}.png", number, mode="L")
    assert gather(tmp_path / "p").channels == 1
    paint(tmp_path / "p" / "a" / "9.png", 9)
    data = gather(tmp_path / "p")
    assert data.channels == 3
    for name, image in zip(data.train.names, data.train.images, strict=True):
        grey = (image[..., 0] == image[..., 1]).all() and (image[..., 0] == image[..., 2]).all()
        assert grey == (name != "a/9.png")


def test_arrays_of_many_channels_and_of_real_numbers(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    arrays = {}
    for number in range(6):
        path = tmp_path / "p" / "ab"[number % 2] / f"{number}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        arrays[f"{path.parent.name}/{path.name}"] = draw.normal(0, 1e3, (9, 7, 6)).astype(np.float32)
        np.save(path, arrays[f"{path.parent.name}/{path.name}"])
    data = gather(tmp_path / "p")
    assert (data.channels, data.size, data.train.images.dtype) == (6, (9, 7), np.float32)
    for image, name in zip(data.train.images, data.train.names, strict=True):
        assert (image == arrays[name]).all()


def test_an_array_that_is_not_finite(tmp_path: Path) -> None:
    for number in range(6):
        path = tmp_path / "p" / "ab"[number % 2] / f"{number}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, np.full((9, 7), np.inf if number == 3 else number))
    (finding,) = gather(tmp_path / "p").findings
    assert finding == Finding(
        "not-finite", "b/3.npy", "it holds NaN or infinity", "replace those values before saving"
    )


def test_labels_over_the_splits(tmp_path: Path, paint: Paint) -> None:
    names = ("train/a/1", "train/b/1", "train/c/1", "val/b/1", "test/b/1", "test/c/1")
    for number, name in enumerate(names):
        paint(tmp_path / "p" / f"{name}.png", number)
    data = gather(tmp_path / "p")
    assert data.test is not None
    assert data.val.labels.tolist() == [1]
    assert data.test.labels.tolist() == [1, 2]
    assert data.record["validation"] == {"made": False}
    assert [(each.code, each.name, each.reason) for each in data.findings] == [
        ("one-image-class", "a", "it has one image in all"),
        ("split-lacks-class", "val", "it has no image of a, c"),
        ("split-lacks-class", "test", "it has no image of a"),
    ]


def test_a_manifest_with_groups(tmp_path: Path, paint: Paint) -> None:
    lines = ["path,label,split,group"]
    for number in range(24):
        paint(tmp_path / "pics" / f"{number}.png", number)
        lines.append(f"pics/{number}.png,{'ab'[number % 2]},,patient {number // 4}")
    lines += ["pics/0.png,a,test,patient 0", "pics/missing.png,b,test,", "pics/1.png,b,test,"]
    (tmp_path / "m.csv").write_text("\n".join(lines))
    data = gather(tmp_path / "m.csv", val_share=0.2)
    assert data.test is not None
    assert data.test.names == ("pics/0.png", "pics/1.png")
    patients = [{int(Path(name).stem) // 4 for name in split.names} for split in (data.train, data.val)]
    assert not patients[0] & patients[1]
    assert data.record["validation"] == {
        "made": True, "seed": 0, "share": 0.2, "stratified": True, "grouped": True,
    }  # fmt: skip
    assert [(each.code, each.name) for each in data.findings] == [
        ("missing-file", "pics/missing.png"),
        ("group-in-two-splits", "patient 0"),
        ("duplicate-across-splits", "pics/0.png"),
        ("duplicate-across-splits", "pics/1.png"),
    ]


def test_the_same_every_time_on_any_number_of_threads(
    photos: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    records = []
    for threads in (1, 2, 7):
        monkeypatch.setattr("striate.threads.cores", lambda threads=threads: threads)
        data = gather(photos, cache=tmp_path / str(threads))
        records.append((data.record, data.train.names, data.train.images.tobytes()))
    assert records[0] == records[1] == records[2]


def test_names_in_any_script_and_with_any_bytes(tmp_path: Path, paint: Paint) -> None:
    for number in range(4):
        paint(tmp_path / "p" / "猫" / f"Straße\n{number}.png", number)
        paint(tmp_path / "p" / "б🐶" / f"{number}.png", number + 4)
        os.rename(
            tmp_path / "p/б🐶" / f"{number}.png", os.fsencode(tmp_path / "p/б🐶") + b"/\xff%d.png" % number
        )
    data = gather(tmp_path / "p", val_share=0.25)
    assert data.classes == ("б🐶", "猫")
    assert set(data.train.names + data.val.names) == {f"猫/Straße\\n{n}.png" for n in range(4)} | {
        f"б🐶/\\udcff{n}.png" for n in range(4)
    }
    json.dumps(data.record).encode("utf-8")
    assert gather(tmp_path / "p", val_share=0.25).record == data.record


def test_without_scikit_learn(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.model_selection", None)
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    assert len(gather(photos).val.labels)
    with pytest.raises(MissingExtra) as error:
        make_validation(np.array([0, 0, 1, 1]), ["one", "two", "three", "four"], 0.5, 0)
    assert str(error.value) == (
        "the validation split of groups is made with scikit-learn, which is not installed\n"
        '  try: pip install "striate[train]"'
    )
    with pytest.raises(MissingExtra, match="the built-in digits come with scikit-learn"):
        gather("digits")


def test_without_tifffile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tifffile

    for name in ("a", "b"):
        (tmp_path / "p" / name).mkdir(parents=True)
        bands = np.zeros((9, 9, 7), np.uint8)
        tifffile.imwrite(
            tmp_path / "p" / name / "1.tif", bands, photometric="minisblack", planarconfig="contig"
        )
    monkeypatch.setitem(sys.modules, "tifffile", None)
    with pytest.raises(MissingExtra, match="only tifffile reads, and it is not installed"):
        gather(tmp_path / "p")


def test_the_room_imports_no_torch_and_nothing_heavy() -> None:
    code = (
        "import sys, striate.data.gather; print([each for each in "
        "('torch', 'sklearn', 'tifffile', 'scipy', 'matplotlib') if each in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


PHOTOS = REAL / "imagenet-sample" / "imagenet-sample83.tar"


@pytest.mark.skipif(not PHOTOS.is_file(), reason="the real photos are not at ../shared/data")
def test_real_photos(tmp_path: Path) -> None:
    with tarfile.open(PHOTOS) as archive:
        archive.extractall(tmp_path, archive.getmembers()[:12], filter="data")
    lines = ["path,label"]
    for number, photo in enumerate(sorted(tmp_path.rglob("*.JPEG"))):
        lines.append(f"{photo.relative_to(tmp_path)},{number % 2}")
    (tmp_path / "m.csv").write_text("\n".join(lines))
    data = gather(tmp_path / "m.csv")
    assert (data.size, data.stored_size, data.channels) == ((128, 128), (146, 146), 3)
    assert data.findings == ()
    assert 60 < data.train.images.mean() < 180
