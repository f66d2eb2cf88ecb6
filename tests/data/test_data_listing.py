"""What DATA may be, and what is said where it is none of it."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest

from data.conftest import Paint
from striate.data.files.entry import split_of
from striate.data.files.finding import Finding
from striate.data.formats.listing import list_data
from striate.data.gather import gather
from striate.errors import DataError

FORMS = (
    "a folder of class folders, a folder of train/, val/ and test/, MNIST's idx files, CIFAR's binary "
    "batches, a .zip or .tar(.gz, .bz2, .xz) of one of these, an .npz, a manifest (.csv, .tsv or .jsonl), or a "
    "built-in name: digits"
)
FOLDERS = "a folder with one folder of images a class, or train/, val/ and test/ folders of such folders"


def error_of(source: str | Path) -> str:
    with pytest.raises(DataError) as error:
        list_data(source)
    return str(error.value)


def touch(root: Path, *files: str) -> Path:
    for each in files:
        path = root / each
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return root


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Names in errors are as typed, so tests type relative ones."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_folder_of_class_folders(here: Path) -> None:
    touch(here / "p", "dog/2.jpg", "dog/10.jpg", "cat/deep/er/1.png", "Ant/1.jpg")
    listing = list_data("p")
    assert (listing.source, listing.name, listing.kind) == ("p", "p", "folder")
    assert listing.classes == ("Ant", "cat", "dog")  # sorted by code point
    assert [(each.name, each.label, each.split) for each in listing.entries] == [
        ("Ant/1.jpg", 0, None),
        ("cat/deep/er/1.png", 1, None),
        ("dog/10.jpg", 2, None),
        ("dog/2.jpg", 2, None),
    ]
    assert listing.findings == ()


@pytest.mark.parametrize(
    ("train", "val", "test"),
    [
        ("train", "valid", "test"),
        ("Training", "Validation", "Testing"),
        ("training_set", "dev_set", "test_set"),
        ("train2017", "val2017", "test2017"),
        ("TrainImages", "ValImages", "TestImages"),
        ("dataset-train", "dataset-dev", "dataset-eval"),
        ("seg_train", "seg_val", "seg_test"),
        ("trn", "vld", "tst"),
    ],
)
def test_splits_are_known_by_what_their_names_mean(here: Path, train: str, val: str, test: str) -> None:
    touch(here / "p", f"{train}/a/1", f"{train}/b/1", f"{val}/b/1", f"{test}/a/1")
    listing = list_data("p")
    assert (listing.kind, listing.classes) == ("split-folder", ("a", "b"))
    assert [(each.name, each.split) for each in listing.entries] == [
        (f"{train}/a/1", "train"),
        (f"{train}/b/1", "train"),
        (f"{val}/b/1", "val"),
        (f"{test}/a/1", "test"),
    ]


@pytest.mark.parametrize("name", ["testimony", "trainer", "retrain", "detest", "values", "set", "data", "a"])
def test_other_words_are_no_splits(name: str) -> None:
    assert split_of(name) is None


def test_a_folder_that_wraps_the_classes_of_a_split(here: Path) -> None:
    """As in Kaggle's Intel scenes; else they would be two classes, seg_train and seg_test."""
    touch(
        here / "p", "seg_train/seg_train/sea/1", "seg_train/seg_train/ice/1", "seg_test/seg_test/sea/1",
        "seg_pred/seg_pred/1.jpg",
    )  # fmt: skip
    listing = list_data("p")
    assert (listing.classes, listing.kind) == (("ice", "sea"), "split-folder")
    assert [each.name for each in listing.entries][-1] == "seg_test/seg_test/sea/1"
    assert [(each.code, each.name) for each in listing.findings] == [("ignored-folder", "seg_pred")]


def same_folders(reason: str, cure: str) -> tuple[Finding, ...]:
    return (Finding("same-folders", "p", reason, cure),)


def test_parts_that_are_taken_for_classes(here: Path) -> None:
    touch(here / "p", *(f"{part}/{each}/1" for part in ("batch1", "batch2") for each in ("cat", "dog")))
    assert list_data("p").classes == ("batch1", "batch2")
    assert list_data("p").findings == same_folders(
        "batch1/ and batch2/ are learnt as the classes, and all hold the folders cat/ and dog/",
        "if cat/ and dog/ are the classes, give one folder a class, with the images of batch1/ and batch2/ together",
    )


def test_splits_in_class_folders(here: Path) -> None:
    touch(here / "p", *(f"{each}/{part}/1" for part in ("train", "test") for each in "abcdef"))
    assert list_data("p").findings == same_folders(
        "a/, b/, c/, d/ and 2 more all hold the folders test/ and train/, and these splits are not kept apart",
        "turn the folders round, as test/a/",
    )


def test_folders_that_only_some_classes_hold_are_their_own_affair(here: Path) -> None:
    touch(here / "p", "cat/big/1", "cat/small/1", "dog/big/1", "dog/2")
    assert list_data("p").findings == ()


@pytest.mark.parametrize(
    ("files", "named"),
    [
        (("images/1.jpg", "annotations/1.xml"), "annotations/ and images/"),
        (("train/images/1.jpg", "train/labels/1.txt", "valid/images/2.jpg"), "images/ and labels/"),
        (("pictures/1.jpg", "annotations/1.xml"), "annotations/ and pictures/"),
        (("images/train/1.jpg", "images/val/1.jpg", "labels/train/1.txt"), "images/ and labels/"),
    ],
)
def test_data_for_detection_are_no_classes(here: Path, files: tuple[str, ...], named: str) -> None:
    touch(here / "p", *files)
    assert error_of("p") == (
        f"p: {named} are no classes: this is laid out as data for detection or segmentation\n"
        f"  expected: {FOLDERS}\n"
        "  try: one folder of images a class, or a manifest.csv with the columns path,label"
    )


def test_splits_of_loose_images_beside_annotations(here: Path) -> None:
    touch(here / "p", "train2017/1.jpg", "val2017/1.jpg", "annotations/x.json")
    assert error_of("p").startswith("p: train2017/ holds no class folders\n")


@pytest.mark.parametrize("val", ["val", "valid", "validation", "Val"])
def test_split_folders_share_one_index(here: Path, val: str) -> None:
    """A val/ that lacks the first class must not shift the labels of the others."""
    touch(here / "p", "train/a/1", "train/b/1", "train/c/1", f"{val}/b/1", f"{val}/c/1", "test/c/1")
    listing = list_data("p")
    assert listing.kind == "split-folder"
    assert listing.classes == ("a", "b", "c")
    assert [(each.name, each.label, each.split) for each in listing.entries] == [
        ("train/a/1", 0, "train"),
        ("train/b/1", 1, "train"),
        ("train/c/1", 2, "train"),
        (f"{val}/b/1", 1, "val"),
        (f"{val}/c/1", 2, "val"),
        ("test/c/1", 2, "test"),
    ]


def test_train_may_be_a_class_of_vehicles(here: Path) -> None:
    touch(here / "p", "train/1.jpg", "car/1.jpg", "plane/1.jpg")
    assert list_data("p").classes == ("car", "plane", "train")
    touch(here / "q", "train/steam/1.jpg", "train/diesel/1.jpg", "car/1.jpg")
    assert list_data("q").classes == ("car", "train")


def test_splits_of_loose_images_are_no_classes(here: Path) -> None:
    touch(here / "p", "train/1.jpg", "train/2.jpg", "test/1.jpg")
    assert error_of("p") == (
        "p: train/ holds no class folders\n"
        "  expected: a folder for each class in it, or a manifest of paths and labels\n"
        "  try: where the labels lie elsewhere, a .csv with the columns path, label and split"
    )


@pytest.mark.parametrize("name", ["~nobody-of-this-name", "~nobody-of-this-name/x"])
def test_a_tilde_of_nobody(name: str) -> None:
    assert error_of(name).startswith(f"{name}: there is no such file or folder")


def test_accents_of_a_mac_and_of_linux_are_one_class(here: Path) -> None:
    composed, decomposed = unicodedata.normalize("NFC", "pâté"), unicodedata.normalize("NFD", "pâté")
    touch(here / "p", f"train/{composed}/1", "train/b/1", f"val/{decomposed}/1")
    assert list_data("p").classes == ("b", composed)


def test_hidden_and_system_files_are_no_files(here: Path) -> None:
    touch(
        here / "p", "a/1.jpg", "a/._1.jpg", "a/Thumbs.db", "a/.DS_Store", "a/.ipynb_checkpoints/1.jpg",
        "b/1.jpg", "b/desktop.ini", "__MACOSX/a/1.jpg", ".git/x", ".hidden/1.jpg",
    )  # fmt: skip
    listing = list_data("p")
    assert [each.name for each in listing.entries] == ["a/1.jpg", "b/1.jpg"]
    assert listing.findings == ()


def test_links_in_circles_end(here: Path) -> None:
    touch(here / "p", "a/1.jpg", "b/1.jpg", "a/deep/2.jpg")
    (here / "p/a/deep/up").symlink_to(here / "p/a")
    (here / "p/b/root").symlink_to(here / "p")
    (here / "p/b/self").symlink_to(here / "p/b/self")
    listing = list_data("p")
    assert [each.name for each in listing.entries] == ["a/1.jpg", "a/deep/2.jpg", "b/1.jpg", "b/self"]
    assert listing.findings == (
        Finding("linked-twice", "a/deep/up", "a link to a folder that was already walked", "remove the link"),
        Finding("linked-twice", "b/root", "a link to a folder that was already walked", "remove the link"),
    )


def test_a_class_may_be_a_link(here: Path) -> None:
    touch(here, "elsewhere/1.jpg", "p/b/1.jpg")
    (here / "p/a").symlink_to(here / "elsewhere")
    assert [each.name for each in list_data("p").entries] == ["a/1.jpg", "b/1.jpg"]


def test_names_with_newlines_and_broken_bytes_are_shown_in_one_line(here: Path) -> None:
    touch(here / "p", "a/one\ntwo.jpg", "b/1.jpg")
    with open(os.fsencode(here / "p/b") + b"/\xff\x1b[31m.jpg", "wb") as file:
        file.write(b"x")
    assert [each.name for each in list_data("p").entries] == [
        "a/one\\ntwo.jpg",
        "b/1.jpg",
        "b/\\udcff\\x1b[31m.jpg",
    ]


def test_findings_of_folders(here: Path) -> None:
    touch(
        here / "p", "train/a/1", "train/b/1", "train/loose.jpg", "train/notes.txt",
        "test/1.jpg", "test/2.jpg", "extra/1", "top.png", "LICENSE",
    )  # fmt: skip
    (here / "p/train/c").mkdir()
    assert [(each.code, each.name, each.reason) for each in list_data("p").findings] == [
        ("outside-class", "top.png", "it lies in this folder itself, in no class folder"),
        ("ignored-folder", "extra", "it is no split, and it stands beside train/"),
        ("outside-class", "train/loose.jpg", "it lies in train/ itself, in no class folder"),
        ("unlabelled-split", "test/", "it has no class folders, only 2 files"),
        ("empty-class", "train/c", "the folder holds no files"),
    ]


def test_missing() -> None:
    assert error_of("photoz") == (
        f"photoz: there is no such file or folder, and no built-in data of this name\n  expected: {FORMS}"
    )


def test_nothing_at_all() -> None:
    assert error_of("").startswith("'': there is no such file or folder")


def test_missing_with_a_neighbor(here: Path) -> None:
    touch(here, "photos/a/1")
    assert error_of("photoz") == (
        "photoz: there is no such file or folder, and no built-in data of this name\n"
        f"  expected: {FORMS}\n"
        "  try: photos"
    )


def test_a_link_to_nothing(here: Path) -> None:
    (here / "p").symlink_to("gone")
    assert error_of("p") == f"p: this is a link that leads nowhere\n  expected: {FORMS}"


def test_mistyped_built_in() -> None:
    assert error_of("digit").endswith("\n  try: digits")


def test_empty(here: Path) -> None:
    (here / "p").mkdir()
    assert error_of("p") == f"p: the folder is empty\n  expected: {FOLDERS}"


def test_empty_class_folders(here: Path) -> None:
    (here / "p/a").mkdir(parents=True)
    (here / "p/b").mkdir()
    assert error_of("p") == f"p: its 2 folders hold no files\n  expected: {FOLDERS}"


def test_one_class(here: Path) -> None:
    touch(here / "p", "cat/1.jpg")
    assert error_of("p") == (
        "p: there is only one class, cat\n"
        "  expected: at least two classes to tell apart\n"
        "  try: add a second class of images; one of `other` things will do"
    )


def test_one_folder_with_the_classes_in_it(here: Path) -> None:
    touch(here / "p", "objects/cat/1.jpg", "objects/dog/1.jpg", "1.jpg")
    assert error_of("p") == (
        "p: there is only one class, objects\n"
        "  expected: at least two classes to tell apart\n"
        "  try: p/objects, where cat/ is a class"
    )


def test_one_split_of_loose_images(here: Path) -> None:
    touch(here / "p", "train/1.jpg", "train/2.jpg", "labels.csv")
    assert error_of("p").startswith("p: train/ holds no class folders\n")


def test_a_split_of_one_folder_of_images_is_unlabelled(here: Path) -> None:
    """As val/images/ of Tiny ImageNet, which would be a class of its own."""
    touch(here / "p", "train/n01/images/1.jpg", "train/n02/images/1.jpg", "val/images/1.jpg", "val/val.txt")
    listing = list_data("p")
    assert listing.classes == ("n01", "n02")
    assert [(each.code, each.name, each.reason) for each in listing.findings] == [
        ("unlabelled-split", "val/", "it has no class folders, only images/")
    ]


def test_what_python_leaves_behind_is_no_class(here: Path) -> None:
    touch(here / "p", "a/1.jpg", "b/1.jpg", "__pycache__/x.pyc")
    assert list_data("p").classes == ("a", "b")


HELD_ELSEWHERE = {
    "list.txt": "save it as .csv, with path,label in the first line",
    "labels.xlsx": "save it as .csv, with path,label in the first line",
    "labels.json": 'one object a line, {"path": "a.jpg", "label": "cat"}, as .jsonl',
    "data.yaml": "the folder that holds the images",
    "cat.jpg": "a folder of class folders; or striate predict RUN IMAGE",
    "data.pt": 'as arrays, numpy.savez("data.npz", x_train=images, y_train=labels)',
    "data.h5": 'as arrays, numpy.savez("data.npz", x_train=images, y_train=labels)',
    "x.npy": 'as arrays, numpy.savez("data.npz", x_train=images, y_train=labels)',
}


@pytest.mark.parametrize("name", HELD_ELSEWHERE)
def test_what_is_kept_in_a_way_that_is_not_read(here: Path, name: str) -> None:
    (here / name).write_bytes(b"PK\x03\x04")
    assert error_of(name) == (
        f"{name}: this is no file of images and labels\n  expected: {FORMS}\n  try: {HELD_ELSEWHERE[name]}"
    )


@pytest.mark.parametrize("name", ["train-images-idx3-ubyte.gz", "data_batch_1.bin"])
def test_one_file_of_several(here: Path, name: str) -> None:
    touch(here, f"raw/{name}")
    assert (
        error_of(f"raw/{name}") == f"raw/{name}: this is one file of several\n  expected: {FORMS}\n  try: raw"
    )


def test_no_class_folders(here: Path) -> None:
    touch(here / "p", "1.jpg", "2.JPG", "notes.txt")
    assert error_of("p/") == (
        "p/: 2 images lie directly in this folder, in no class folder\n"
        f"  expected: {FOLDERS}\n"
        "  try: make one folder a class, as p/cat/ and p/dog/, and move each image into its own, "
        "or write a manifest.csv with the columns path,label"
    )
    touch(here / "q", "notes.txt")
    assert error_of("q") == (
        f"q: there are no class folders, only 1 file that looks like no image\n  expected: {FOLDERS}"
    )


def test_an_archive_that_unpacked_into_one_folder(here: Path) -> None:
    touch(here / "p", "p/inner/cat/1.jpg", "p/inner/dog/1.jpg", "README.md")
    assert error_of("p") == (
        f"p: it holds nothing but the folder p/\n  expected: {FOLDERS}\n  try: p/p/inner"
    )
    assert list_data("p/p/inner").classes == ("cat", "dog")


def test_splits_without_train(here: Path) -> None:
    touch(here / "p", "val/a/1", "test/a/1")
    assert error_of("p") == (
        "p: there is test/ and val/ but no train/ folder\n"
        "  expected: train/ beside them, with the same class folders"
    )


def test_two_validation_folders(here: Path) -> None:
    touch(here / "p", "train/a/1", "train/b/1", "val/a/1", "valid/a/1")
    assert error_of("p") == (
        "p: val/ and valid/ are both the val split\n"
        "  expected: one folder for the val split\n"
        "  try: rename or remove the others"
    )


def test_pickles_are_refused(here: Path) -> None:
    touch(here / "p", "data_batch_1", "test_batch", "batches.meta")
    assert error_of("p") == (
        "p: these are CIFAR's Python pickles, and a pickle can run code when it is opened\n"
        f"  expected: {FOLDERS}\n"
        "  try: get CIFAR's binary version, with data_batch_1.bin"
    )


def test_a_file_of_another_kind(here: Path) -> None:
    touch(here, "photos.zip", "net.dat")
    assert error_of("photos.zip") == (
        f"photos.zip: its name says that it is an archive, and its content is none\n  expected: {FORMS}\n"
        "  try: fetch it again, and compare its hash"
    )
    for name, content in (
        ("photos.7z", b"x"),
        ("photos", b"7z\xbc\xaf\x27\x1c"),
        ("photos.rar", b"Rar!\x1a\x07\0"),
    ):
        (here / name).write_bytes(content)
        assert error_of(name) == (
            f"{name}: this is no file of images and labels\n  expected: {FORMS}\n"
            "  try: unpack it and give the folder"
        )
    assert error_of("net.dat") == f"net.dat: this is no file of images and labels\n  expected: {FORMS}"


def test_a_pipe_is_not_opened(here: Path) -> None:
    os.mkfifo(here / "p.npz")
    assert error_of("p.npz").startswith("p.npz: this is no file and no folder\n")


def test_a_name_that_no_file_can_have() -> None:
    assert error_of("a\0b").startswith("a\\x00b: ")


def test_no_permission(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulated: whoever runs the tests as root may read everything."""
    touch(here / "p", "a/1", "b/1")
    real = os.scandir

    def refusing(path: Path) -> object:
        if Path(path).name == "b":
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr("os.scandir", refusing)
    assert error_of("p") == (
        "p/b: no permission to read this folder\n"
        "  expected: a folder that you may read and enter\n"
        "  try: give yourself the permission (chmod u+rx on Linux and macOS)"
    )
    # Where two classes are left, the rest is used.
    touch(here / "p", "c/1", "c/b/1", "train/x/1")
    listing = list_data("p")
    assert listing.classes == ("a", "c", "train")
    cure = "give yourself the permission (chmod u+rx on Linux and macOS)"
    assert listing.findings == (
        Finding("unreadable-folder", "b/", "no permission to read this folder", cure),
        Finding("unreadable-folder", "c/b/", "no permission to read this folder", cure),
    )
    touch(here / "q", "train/a/1", "train/b/1", "train/c/1", "val/a/1", "val/b/1")
    listing = list_data("q")
    assert listing.classes == ("a", "c")
    assert [each.name for each in listing.findings] == ["train/b/", "val/b/"]


def test_manifest_csv(here: Path, paint: Paint) -> None:
    (here / "m.csv").write_text(
        '\ufeffLabel,path,split,group\ncat,"pics/a,b.jpg",train,g1\ndog,pics/c.jpg,VALID,\n\ncat,/x/d.jpg,,g1\n'
    )
    listing = list_data("m.csv")
    assert (listing.kind, listing.classes, listing.findings) == ("manifest", ("cat", "dog"), ())
    assert [(e.name, e.label, e.split, e.group, str(e.path)) for e in listing.entries] == [
        ("pics/a,b.jpg", 0, "train", "g1", "pics/a,b.jpg"),
        ("pics/c.jpg", 1, "val", None, "pics/c.jpg"),
        ("/x/d.jpg", 0, None, "g1", "/x/d.jpg"),
    ]


def test_manifest_jsonl(here: Path) -> None:
    (here / "m.jsonl").write_text(
        '{"path": "a.jpg", "label": 10}\n\n{"path": "b.jpg", "label": "9", "split": "test"}\n'
        '{"path": "c.jpg", "label": -1, "group": 7}\n'
    )
    listing = list_data("m.jsonl")
    assert listing.classes == ("-1", "9", "10")  # all are numbers, and sort as numbers
    assert [(e.name, e.label, e.split, e.group) for e in listing.entries] == [
        ("a.jpg", 2, None, None),
        ("b.jpg", 1, "test", None),
        ("c.jpg", 0, None, "7"),
    ]


COLUMNS = "the columns path and label, and if wanted split (train, val or test) and group"

BROKEN = {
    "mistyped.csv": (
        "path,lable\na,b\n",
        "mistyped.csv:1: there is no column `label`\n    path,lable\n"
        f"  expected: {COLUMNS}\n  try: rename `lable` to `label`",
    ),
    "headless.csv": (
        "a.jpg,cat\nb.jpg,dog\n",
        "headless.csv:1: there is no column `path`\n    a.jpg,cat\n"
        f"  expected: {COLUMNS}\n  try: name the columns in the first line, as path,label",
    ),
    # Ignored, this one would train on the test images.
    "spilt.csv": (
        "path,label,spilt\na,b,test\n",
        f"spilt.csv:1: the column `spilt` is not known\n  expected: {COLUMNS}\n"
        "  try: rename it to `split`, or remove it",
    ),
    "twice.csv": (
        "path,label,label\na,b,c\n",
        f"twice.csv:1: the column `label` is there twice\n  expected: {COLUMNS}",
    ),
    "commas.csv": (
        "path,label\na,b.jpg,cat\n",
        "commas.csv:2: this line has 3 values, and the first line names 2 columns\n"
        '  expected: as many values as columns\n  try: a value with a comma in it stands in quotes: "a,b.jpg"',
    ),
    "split.csv": (
        "path,label,split\na,b,trian\n",
        "split.csv:2: there is no split `trian`\n  expected: train, val (valid, validation) or test\n  try: train",
    ),
    "blank.csv": (
        "path,label\na,\n",
        "blank.csv:2: the label is empty\n  expected: a path and a label in each line",
    ),
    "rows.csv": ("path,label\n", f"rows.csv: the manifest names no images\n  expected: {COLUMNS}"),
    "text.jsonl": (
        '{"path": "a", "label": 1}\nnonsense\n',
        'text.jsonl:2: this line is no JSON object\n    nonsense\n  expected: {"path": "a.jpg", "label": "cat"}',
    ),
    "list.jsonl": (
        '{"path": "a", "label": [1, 2]}\n',
        "list.jsonl:1: label is [1, 2]\n  expected: a text or a whole number",
    ),
    "keyless.jsonl": (
        '{"path": "a", "sort": "b"}\n',
        "keyless.jsonl:1: there is no column `label`\n    path,sort\n"
        f"  expected: {COLUMNS}\n  try: rename the column of the file to `path`, and that of the class to `label`",
    ),
    "ids.csv": (
        "id,breed\na,b\n",
        "ids.csv:1: there is no column `path`\n    id,breed\n"
        f"  expected: {COLUMNS}\n  try: rename the column of the file to `path`, and that of the class to `label`",
    ),
    "one-hot.csv": (
        "image,cat,dog\na.jpg,0,1\n",
        "one-hot.csv:1: there is no column `label`\n    image,cat,dog\n"
        f"  expected: {COLUMNS}\n"
        "  try: rename the column of the class to `label`; where each class has a column, write its name into one",
    ),
    "pixels.csv": (
        "label,pixel0,pixel1\n1,0,0\n",
        "pixels.csv:1: there is no column `path`\n    label,pixel0,pixel1\n"
        f"  expected: {COLUMNS}\n"
        '  try: images as files; or as arrays, numpy.savez("data.npz", x_train=pixels.reshape(-1, 28, 28), '
        "y_train=labels)",
    ),
    "long.csv": (
        "path,label\n" + "x" * 1_000_001,
        f"long.csv: it holds a line of more than 1,000,000 characters\n  expected: {COLUMNS}",
    ),
    "long.jsonl": (
        '"' + "x" * 1_000_001,
        f"long.jsonl: it holds a line of more than 1,000,000 characters\n  expected: {COLUMNS}",
    ),
    "pretty.jsonl": (
        '[\n  {"path": "a", "label": "b"}\n]\n',
        "pretty.jsonl:1: this line is no JSON object\n    [\n"
        '  expected: {"path": "a.jpg", "label": "cat"}\n  try: one object a line',
    ),
    "semicolons.csv": (
        "path;label\na;b;c\n",
        "semicolons.csv:2: this line has 3 values, and the first line names 2 columns\n"
        '  expected: as many values as columns\n  try: a value with a semicolon in it stands in quotes: "a;b.jpg"',
    ),
    "unmarked.csv": (
        "p\0a\0t\0h\0,\0l\0a\0b\0e\0l\0\n\0",
        "unmarked.csv: this is no UTF-8 text: it holds zero bytes, as UTF-16 does\n"
        f"  expected: {COLUMNS}\n  try: save it again as UTF-8",
    ),
    "single.csv": (
        "path,label\na,b\n",
        "single.csv: there is only one class, b\n  expected: at least two classes to tell apart\n"
        "  try: add a second class of images; one of `other` things will do",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_manifests(here: Path, name: str) -> None:
    text, error = BROKEN[name]
    (here / name).write_text(text)
    assert error_of(name) == error


@pytest.mark.parametrize(
    "content",
    [
        b"path,label\n\xff\xfe,b\n",
        b'path,label\n"a\x00,b\n',
        b"[" * 100_000,
        b'path,label\n"' + b"x" * 200_000,
    ],
)
@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_hostile_manifests_are_data_errors(here: Path, content: bytes, suffix: str) -> None:
    (here / f"m.{suffix}").write_bytes(content)
    error_of(f"m.{suffix}")


def rows_of(column: str, values: list[str]) -> str:
    lines = [f"{number}.jpg,{'cat' if number < 6 else 'dog'},{value}" for number, value in enumerate(values)]
    return "\n".join([f"path,label,{column}", *lines])


UNREAD = {
    "subset": (
        ["train", "test", "dev"] * 4,
        "it seems to say in which split an image is (dev, test, train), and is not read",
        "rename `subset` to `split`",
    ),
    "is_valid": (
        ["True", "False"] * 6,
        "it seems to say in which split an image is (False, True), and is not read",
        "a column `split` with val where `is_valid` is True, and train elsewhere",
    ),
    "istrain": (
        ["0", "1"] * 6,
        "it seems to say in which split an image is (0, 1), and is not read",
        "a column `split` with train where `istrain` is 1, and val elsewhere",
    ),
    "fold": (
        list("012345") * 2,
        "it seems to say in which split an image is (0, 1, 2, 3, ...), and is not read",
        "a column `split` with val for one value of `fold`, as 0, and train elsewhere",
    ),
    "patient_id": (
        list("abcdefabcdef"),
        "it seems to say what belongs together (6 names in 12 lines), and is not read: images of one may be "
        "trained on and validated with",
        "rename `patient_id` to `group`",
    ),
}


@pytest.mark.parametrize("column", UNREAD)
def test_columns_that_say_split_or_group_under_another_name(here: Path, column: str) -> None:
    values, reason, cure = UNREAD[column]
    (here / "m.csv").write_text(rows_of(column, values))
    assert list_data("m.csv").findings == (Finding("unread-column", column, reason, cure),)


@pytest.mark.parametrize("column", ["patient", "SubjectID", "person_id", "scene", "video_id", "id"])
def test_groups_by_their_names(here: Path, column: str) -> None:
    (here / "m.csv").write_text(rows_of(column, list("abcdefabcdef")))
    assert [each.code for each in list_data("m.csv").findings] == ["unread-column"]
    (here / "n.csv").write_text(rows_of(column, [str(each) for each in range(12)]))
    assert [each.code for each in list_data("n.csv").findings] == ["ignored-column"]  # each by itself


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("age_group", list("abcabcabcabc")),
        ("class_id", list("000000111111")),
        ("id", list("000000111111")),  # the labels under another name
        ("usage", list("abcdefabcdef")),
        ("width", list("333333333333")),
    ],
)
def test_columns_that_mean_nothing_here(here: Path, column: str, values: list[str]) -> None:
    (here / "m.csv").write_text(rows_of(column, values))
    assert list_data("m.csv").findings == (
        Finding("ignored-column", column, "a column without a meaning here", "nothing needs to be done"),
    )


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("m.csv", b"path;label\na/1.jpg;cat\nb/2.jpg;dog\n"),
        ("m.csv", b"sep=;\r\npath;label\r\na/1.jpg;cat\r\nb/2.jpg;dog\r\n"),
        ("m.csv", b"path\tlabel\na/1.jpg\tcat\nb/2.jpg\tdog\n"),
        ("m.tsv", b"path\tlabel\na/1.jpg\tcat\nb/2.jpg\tdog\n"),
        ("m.csv", b"path|label\na/1.jpg|cat\nb/2.jpg|dog\n"),
        ("m.csv", b"path label\na/1.jpg cat\nb/2.jpg dog\n"),
        ("m.csv", b"label, path\ncat, a/1.jpg\ndog, b/2.jpg \n"),
        ("m.csv", b'"label", "path"\n"cat", "a/1.jpg"\n"dog", "b/2.jpg"\n'),
        ("m.csv", b"path,label\na\\1.jpg,cat\nb\\2.jpg,dog\n"),
        ("m.csv", "path\tlabel\na/1.jpg\tcat\nb/2.jpg\tdog\n".encode("utf-16")),
        ("m.csv", b"\xef\xbb\xbfpath,label\na/1.jpg,cat\nb/2.jpg,dog\n"),
        ("m.csv", b"Filename,Class\na/1.jpg,cat\nb/2.jpg,dog\n"),
        ("m.csv", b"image_path,category,width\na/1.jpg,cat,3\nb/2.jpg,dog,4\n"),
        ("m.jsonl", b'{"file_name": "a/1.jpg", "label": "cat"}\n{"file_name": "b/2.jpg", "label": "dog"}\n'),
    ],
)
def test_tables_in_other_forms(here: Path, file: str, content: bytes) -> None:
    touch(here, "a/1.jpg", "b/2.jpg")
    (here / file).write_bytes(content)
    listing = list_data(file)
    assert [(str(each.path), listing.classes[each.label]) for each in listing.entries] == [
        ("a/1.jpg", "cat"),
        ("b/2.jpg", "dog"),
    ]
    assert {each.code for each in listing.findings} <= {"read-column", "ignored-column"}


def test_columns_read_under_another_name(here: Path) -> None:
    (here / "m.csv").write_text("filename,class,image\na,cat,1\nb,dog,2\n")
    assert list_data("m.csv").findings == (
        Finding("read-column", "filename", "read as the path", "rename it to `path`"),
        Finding("read-column", "class", "read as the label", "rename it to `label`"),
        Finding("ignored-column", "image", "a column without a meaning here", "nothing needs to be done"),
    )


def test_a_file_whose_name_holds_what_else_is_mended(here: Path) -> None:
    touch(here, "a\\1.jpg", " b.jpg ")
    (here / "m.csv").write_text('path,label\na\\1.jpg,cat\n" b.jpg ",dog\n')
    assert [str(each.path) for each in list_data("m.csv").entries] == ["a\\1.jpg", " b.jpg "]


def test_ids_without_a_suffix(here: Path) -> None:
    touch(here, "train/7.jpg", "train/8.png", "train/9")
    (here / "m.csv").write_text("image,label\ntrain/7,a\ntrain/8,b\ntrain/9,b\ntrain/10,a\n")
    assert [str(each.path) for each in list_data("m.csv").entries] == [
        "train/7.jpg", "train/8.png", "train/9", "train/10",
    ]  # fmt: skip


def test_files_that_lie_in_another_folder(here: Path, paint: Paint) -> None:
    paint(here / "train/1.png")
    (here / "m.csv").write_text("path,label\n/content/1.png,a\n/content/2.png,b\n")
    reason = (
        "not one of its files is where it says, beside it, as /content/1.png; one of that name lies in train/"
    )
    assert list_data("m.csv").findings == (
        Finding("files-elsewhere", "m.csv", reason, "write the paths as train/1.png"),
    )
    with pytest.raises(DataError) as error:
        gather("m.csv")
    assert str(error.value).startswith("m.csv: not one of its 2 files can be used\n")
    assert str(error.value).endswith("\n  try: write the paths as train/1.png")


def test_several_labels_in_one(here: Path) -> None:
    (here / "m.csv").write_text("path,label\na,cat\nb,dog\nc,cat;small\nd,dog|cat\ne,x;y\n")
    assert list_data("m.csv").findings == (
        Finding(
            "several-labels",
            "m.csv",
            "`cat;small` looks like several labels in one, as does 1 other, and is learnt as a class of its own",
            "one label an image: a column `label` with the one that matters",
        ),
    )


def test_lines_that_say_the_same(here: Path) -> None:
    (here / "m.csv").write_text("path,label\na,cat\nb,dog\na,cat\na,dog\nb,dog\nb,dog\n")
    listing = list_data("m.csv")
    assert [(each.name, each.label) for each in listing.entries] == [("a", 0), ("b", 1), ("a", 1)]
    assert listing.findings == (
        Finding(
            "repeated-row",
            "a",
            "2 lines say the same of it, and it is read once; the same goes for 1 other file",
            "remove the lines, unless it is meant so",
        ),
    )


def test_a_column_without_a_meaning_is_a_finding(here: Path) -> None:
    (here / "m.csv").write_text("path,label,width\na,1,30\nb,2,40\n")
    assert list_data("m.csv").findings == (
        Finding("ignored-column", "width", "a column without a meaning here", "nothing needs to be done"),
    )
