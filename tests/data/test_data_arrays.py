"""Sources that hold arrays: idx, CIFAR, npz and the built-in digits."""

from __future__ import annotations

import gzip
import io
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from striate.checks.check import check
from striate.data.formats.listing import list_data
from striate.data.gather import gather
from striate.errors import DataError, ResourceError

REAL = Path(__file__).parents[3] / "shared" / "data"


def idx(values: np.ndarray, packed: bool = False) -> bytes:
    content = struct.pack(">BBBB", 0, 0, 8, values.ndim) + struct.pack(f">{values.ndim}I", *values.shape)
    content += values.astype(np.uint8).tobytes()
    return gzip.compress(content) if packed else content


@pytest.fixture
def mnist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Forty images and ten, of 28x28, with the labels 0 to 3."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "m"
    folder.mkdir()
    draw = np.random.default_rng(0)
    for split, count, packed in (("train", 40, True), ("t10k", 10, False)):
        end = ".gz" if packed else ""
        images = draw.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        (folder / f"{split}-images-idx3-ubyte{end}").write_bytes(idx(images, packed))
        (folder / f"{split}-labels-idx1-ubyte{end}").write_bytes(idx(np.arange(count) % 4, packed))
    return folder


def test_idx(mnist: Path) -> None:
    listing = list_data("m")
    assert (listing.kind, listing.classes) == ("idx", ("0", "1", "2", "3"))
    train, test = listing.arrays
    assert (train.split, test.split) == ("train", "test")
    assert train.images.shape == (40, 28, 28, 1)
    assert (train.images == np.random.default_rng(0).integers(0, 256, (40, 28, 28, 1), dtype=np.uint8)).all()
    assert train.labels.tolist() == [0, 1, 2, 3] * 10
    data = gather("m", val_share=0.2)
    assert (data.size, data.stored_size, data.channels) == ((28, 28), (28, 28), 1)
    assert (len(data.train.labels), len(data.val.labels), data.test and len(data.test.labels)) == (32, 8, 10)
    assert data.train.images.dtype == np.uint8
    assert data.test is not None
    assert data.test.names[:2] == ("test/0", "test/1")


def test_idx_resized_when_asked(mnist: Path) -> None:
    steps: list[tuple[int, int]] = []
    data = gather("m", size=32, progress=lambda done, total: steps.append((done, total)))
    assert (data.size, data.stored_size) == ((32, 32), (32, 32))
    assert data.train.images.shape[1:] == (32, 32, 1)
    assert steps == [(done, 50) for done in range(1, 51)]


HEAD = b"\0\0\x08\x03"
IMAGES = "train-images-idx3-ubyte.gz"
IDX = "train-images-idx3-ubyte and train-labels-idx1-ubyte, and if wanted the same with t10k, with or without .gz"

HOSTILE = {
    "labels": (idx(np.zeros(3)), f"m/{IMAGES}: it begins with 00 00 08 01\n"
               "  expected: 00 00 08 03 or 00 00 08 04: an idx file of unsigned bytes with 3 or 4 axes"),
    "floats": (b"\0\0\x0d\x03" + bytes(12), f"m/{IMAGES}: it begins with 00 00 0d 03\n"
               "  expected: 00 00 08 03 or 00 00 08 04: an idx file of unsigned bytes with 3 or 4 axes"),
    "nothing": (b"", f"m/{IMAGES}: it begins with nothing\n"
                "  expected: 00 00 08 03 or 00 00 08 04: an idx file of unsigned bytes with 3 or 4 axes"),
    "cut header": (HEAD + bytes(7), f"m/{IMAGES}: its header is cut off\n  expected: {IDX}\n  try: fetch it again"),
    "bomb": (HEAD + struct.pack(">3I", 2**31, 2**15, 2**15) + bytes(99),
             f"m/{IMAGES}: it declares 2,147,483,648 x 32,768 x 32,768 values, more than a file of its length "
             "can hold\n  expected: a header that agrees with the file\n  try: fetch it again"),
    "short": (idx(np.zeros((2, 3, 3)))[:-1], f"m/{IMAGES}: it declares 2 x 3 x 3 = 18 values and holds only 17\n"
              "  expected: a header that agrees with the file\n  try: fetch it again"),
    "long": (idx(np.zeros((2, 3, 3))) + b"x", f"m/{IMAGES}: it declares 2 x 3 x 3 = 18 values and holds more\n"
             "  expected: a header that agrees with the file\n  try: fetch it again"),
    "no images": (idx(np.zeros((0, 3, 3))), "m/train-labels-idx1-ubyte.gz: there are 40 labels for 0 images\n"
                    "  expected: one label an image"),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_idx(mnist: Path, case: str) -> None:
    content, text = HOSTILE[case]
    (mnist / IMAGES).write_bytes(gzip.compress(content))
    with pytest.raises(DataError) as error:
        list_data("m")
    assert str(error.value) == text


def test_damaged_gzip(mnist: Path) -> None:
    whole = (mnist / IMAGES).read_bytes()
    for content in (whole[:-9], b"no gzip", whole[:200] + b"\0\0\0" + whole[203:]):
        (mnist / IMAGES).write_bytes(content)
        with pytest.raises(DataError, match=f"^m/{IMAGES}: the gzip file is damaged: "):
            list_data("m")


def test_idx_beyond_the_memory(mnist: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("striate.data.decode.memory.machine_bytes", lambda: 1000)
    with pytest.raises(ResourceError) as error:
        list_data("m")
    assert str(error.value) == (
        f"m/{IMAGES}: it declares 31,360 bytes of images\n"
        "  expected: at most the 1,000 bytes of memory of this machine\n"
        "  try: give the images as files in class folders: they are read piece by piece"
    )


def test_idx_without_labels(mnist: Path) -> None:
    (mnist / "train-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataError) as error:
        list_data("m")
    assert str(error.value) == f"m: the labels of the train split are missing\n  expected: {IDX}"


def cifar_record(label: int, red: int, green: int, blue: int) -> bytes:
    return bytes([label]) + bytes([red]) * 1024 + bytes([green]) * 1024 + bytes([blue]) * 1024


def test_cifar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "c"
    folder.mkdir()
    ramp = bytes([1]) + bytes(range(256)) * 12
    (folder / "data_batch_1.bin").write_bytes(cifar_record(0, 10, 20, 30) + ramp)
    (folder / "data_batch_10.bin").write_bytes(cifar_record(0, 1, 2, 3))
    (folder / "data_batch_2.bin").write_bytes(cifar_record(1, 4, 5, 6))
    with pytest.raises(DataError) as error:
        list_data("c")
    assert str(error.value) == (
        "c: there is no data_batch_3.bin, but data_batch_10.bin\n"
        "  expected: all batches from 1 on\n"
        "  try: fetch it again, in CIFAR's binary version"
    )
    for number in range(3, 10):
        (folder / f"data_batch_{number}.bin").write_bytes(cifar_record(1, 4, 5, 6))
    (folder / "test_batch.bin").write_bytes(cifar_record(1, 7, 8, 9))
    (folder / "batches.meta.txt").write_text("plane\ncar\n\n")
    listing = list_data("c")
    assert (listing.kind, listing.classes) == ("cifar", ("plane", "car"))
    train, test = listing.arrays
    assert train.labels.tolist() == [0, 1, *[1] * 8, 0]  # data_batch_10 comes after data_batch_2
    assert train.images[0, 31, 31].tolist() == [10, 20, 30]
    assert train.images[1, 1, 2].tolist() == [34, 34, 34]  # row 1, column 2: 32 + 2 in each plane
    assert train.images.flags.c_contiguous
    assert test.images.shape == (1, 32, 32, 3)

    (folder / "batches.meta.txt").write_text("plane\n")
    with pytest.raises(DataError) as error:
        list_data("c")
    assert str(error.value) == (
        "c: a label is 1, and batches.meta.txt names 1 classes\n  expected: a name for each label, counted from 0"
    )
    (folder / "data_batch_1.bin").write_bytes(bytes(3000))
    with pytest.raises(DataError) as error:
        list_data("c")
    assert str(error.value) == (
        "c/data_batch_1.bin: its 3,000 bytes are no whole number of records\n"
        "  expected: one or more records of 3,073 bytes, 1 for the label\n"
        "  try: fetch it again, in CIFAR's binary version"
    )


def test_random_bytes_are_no_cifar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("data_batch_1.bin").write_bytes(np.random.default_rng(0).bytes(3073 * 9))
    with pytest.raises(DataError) as error:
        list_data(".")
    assert str(error.value) == (
        ".: a label is 251, and CIFAR-10 has the labels 0 to 9\n"
        "  expected: CIFAR-10's binary version, or batches.meta.txt with a name for each label\n"
        "  try: fetch it again; or write the names of the classes into batches.meta.txt, one a line"
    )
    Path("data_batch_1.bin").write_bytes(cifar_record(0, 1, 2, 3) + cifar_record(11, 4, 5, 6))
    Path("batches.meta.txt").write_text("\n".join("abcdefghijkl"))
    assert list_data(".").classes == tuple("abcdefghijkl")


def test_cifar_100(tmp_path: Path) -> None:
    (tmp_path / "train.bin").write_bytes(
        bytes([9]) + cifar_record(0, 1, 2, 3) + bytes([9]) + cifar_record(1, 4, 5, 6)
    )
    (tmp_path / "test.bin").write_bytes(bytes([9]) + cifar_record(1, 7, 8, 9))
    (tmp_path / "fine_label_names.txt").write_text("apple\nbear\n")
    listing = list_data(tmp_path)
    assert listing.classes == ("apple", "bear")
    assert listing.arrays[0].labels.tolist() == [0, 1]
    assert listing.arrays[0].images[1, 0, 0].tolist() == [4, 5, 6]


def test_npz_by_keras_and_by_medmnist(tmp_path: Path) -> None:
    images = np.arange(12 * 5 * 6 * 3).reshape(12, 5, 6, 3) % 256
    labels = np.array([3, 7, 9] * 4)
    np.savez(tmp_path / "k.npz", x_train=images, y_train=labels, x_test=images[:2], y_test=labels[:2])
    np.savez_compressed(
        tmp_path / "m.npz", train_images=images[..., 0].astype(np.uint8), train_labels=labels[:, None],
        val_images=images[:3, ..., 0].astype(np.uint8), val_labels=labels[:3, None].astype(np.uint8),
    )  # fmt: skip
    keras, medmnist = list_data(tmp_path / "k.npz"), list_data(tmp_path / "m.npz")
    assert keras.classes == medmnist.classes == ("3", "7", "9")
    assert keras.arrays[0].images.dtype == np.uint8  # whole numbers in 0..255 are bytes
    assert (keras.arrays[0].images == images).all()
    assert keras.arrays[0].labels.tolist() == [0, 1, 2] * 4
    assert [each.split for each in medmnist.arrays] == ["train", "val"]
    assert medmnist.arrays[0].images.shape == (12, 5, 6, 1)
    data = gather(tmp_path / "m.npz")
    assert (data.size, data.test, data.record["validation"]) == ((5, 6), None, {"made": False})


@pytest.mark.parametrize(
    ("images", "labels"),
    [("X_train", "Y_train"), ("train_x", "train_y"), ("X", "y"), ("images", "labels"), ("data", "target")],
)
def test_npz_under_other_names(tmp_path: Path, images: str, labels: str) -> None:
    arrays = {images: np.zeros((4, 5, 6), np.uint8), labels: np.array([2, 1, 2, 1])}
    np.savez(tmp_path / "a.npz", **arrays)
    listing = list_data(tmp_path / "a.npz")
    assert (listing.classes, listing.arrays[0].labels.tolist()) == (("1", "2"), [1, 0, 1, 0])


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (np.array([2.0, 1.0, 2.0, 1.0]), ("1", "2")),
        (np.array([True, False, True, False]), ("0", "1")),
        (np.array([b"b", b"a", b"b", b"a"]), ("a", "b")),
    ],
)
def test_npz_labels_of_other_kinds(tmp_path: Path, labels: np.ndarray, classes: tuple[str, ...]) -> None:
    np.savez(tmp_path / "a.npz", x_train=np.zeros((4, 5, 6), np.uint8), y_train=labels)
    listing = list_data(tmp_path / "a.npz")
    assert (listing.classes, listing.arrays[0].labels.tolist()) == (classes, [1, 0, 1, 0])


def test_npz_of_real_numbers_and_text_labels(tmp_path: Path) -> None:
    images = np.random.default_rng(0).normal(size=(8, 4, 4, 2))
    np.savez(tmp_path / "r.npz", x_train=images, y_train=np.array(["b", "a"] * 4))
    data = gather(tmp_path / "r.npz", val_share=0.25)
    assert (data.classes, data.channels, data.train.images.dtype) == (("a", "b"), 2, np.float32)
    assert data.record["dtype"] == "float32"


NPZ = "arrays named x_train, y_train, x_test, y_test, or train_images, train_labels, val_images, ..."


@pytest.mark.parametrize(
    ("arrays", "text"),
    [
        (
            {"a": np.zeros(3)},
            f"a.npz: it holds a\n  expected: {NPZ}\n  try: numpy.savez(FILE, x_train=images, y_train=labels)",
        ),
        (
            {"x_train": np.zeros((2, 3, 3)), "y_train": np.array(["a", "b"], object)},
            "a.npz: y_train: it holds Python objects, and opening them could run code\n"
            "  expected: an array of numbers\n  try: labels.astype(str) before saving",
        ),
        (
            {"x_train": np.zeros((2, 3, 8, 8)), "y_train": np.zeros(2, int)},
            "a.npz: x_train: its shape (2, 3, 8, 8) looks like (N, C, H, W)\n  expected: (N, H, W, C)\n"
            "  try: numpy.moveaxis(images, 1, -1) before saving",
        ),
        ({"x_train": np.zeros((2, 3, 3))}, f"a.npz: there is no array `y_train`\n  expected: {NPZ}"),
        (
            {"x_train": np.zeros((2, 3)), "y_train": np.zeros(2, int)},
            "a.npz: x_train: its shape is (2, 3)\n"
            "  expected: (N, H, W) or (N, H, W, C), at least one image\n"
            "  try: images.reshape(-1, height, width, channels) before saving",
        ),
        (
            {"x_train": np.zeros((2, 3, 32, 32)), "y_train": np.zeros(2, int)},
            "a.npz: x_train: its shape (2, 3, 32, 32) looks like (N, C, H, W)\n  expected: (N, H, W, C)\n"
            "  try: numpy.moveaxis(images, 1, -1) before saving",
        ),
        (
            {"x_train": np.zeros((2, 3, 3)), "y_train": np.zeros(3, int)},
            "a.npz: y_train: there are 3 labels for 2 images\n  expected: one label an image",
        ),
        (
            {"x_train": np.zeros((2, 3, 3)), "y_train": np.zeros((2, 14), int)},
            "a.npz: y_train: its shape is (2, 14)\n  expected: one label an image: (N,) or (N, 1)\n"
            "  try: where it is one-hot, labels.argmax(axis=1) before saving",
        ),
        (
            {"x_train": np.zeros((2, 3, 3)), "y_train": np.full(2, 0.5)},
            "a.npz: y_train: the labels are float64\n  expected: whole numbers or texts",
        ),
        (
            {"x_train": np.full((2, 3, 3), np.nan), "y_train": np.arange(2)},
            "a.npz: each of its 2 images holds NaN or infinity\n  expected: finite numbers\n"
            "  try: replace those values",
        ),
    ],
)
def test_broken_npz(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arrays: dict[str, np.ndarray], text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez("a.npz", **arrays)
    with pytest.raises(DataError) as error:
        list_data("a.npz")
    assert str(error.value) == text


class Trap:
    """Unpickled, it would leave a file behind."""

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, ("trapped", "w")


def test_npz_is_never_unpickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez("a.npz", x_train=np.array([Trap(), Trap()], dtype=object), y_train=np.arange(2))
    with pytest.raises(DataError) as error:
        list_data("a.npz")
    assert str(error.value) == (
        "a.npz: x_train: it holds Python objects, and opening them could run code\n"
        "  expected: an array of numbers\n"
        "  try: stack the images into one (N, H, W, C) array of uint8 before saving"
    )
    assert not (tmp_path / "trapped").exists()


def test_npz_whose_header_lies(tmp_path: Path) -> None:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {"descr": "|u1", "fortran_order": False, "shape": (10**6, 10**6, 9)}
    )
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x_train.npy", file.getvalue() + b"few")
        archive.writestr("y_train.npy", b"")
    with pytest.raises(DataError, match="it declares 9,000,000,000,000 bytes and holds at most 131"):
        list_data(tmp_path / "a.npz")


@pytest.mark.parametrize("shape", [(-1, 28, 28, 1), (-1, -1, 28, 28)])
def test_npz_of_a_negative_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
    with zipfile.ZipFile("a.npz", "w") as archive:
        archive.writestr("x_train.npy", file.getvalue() + bytes(784))
        archive.writestr("y_train.npy", b"")
    with pytest.raises(DataError) as error:
        list_data("a.npz")
    told = f"a.npz: x_train: it is no array (a side of its shape {shape} is negative)\n  expected: {NPZ}"
    assert str(error.value) == told


def test_npz_whose_members_lack_their_suffix(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        for name, array in (("x_train", np.zeros((2, 3, 3), np.uint8)), ("y_train", np.arange(2))):
            file = io.BytesIO()
            np.save(file, array)
            archive.writestr(name, file.getvalue())
    (split,) = list_data(tmp_path / "a.npz").arrays
    assert split.images.shape == (2, 3, 3, 1)


def test_npz_of_values_that_no_float32_holds(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x_train=np.full((2, 3, 3), -1.7e308), y_train=np.arange(2))
    with pytest.raises(DataError, match="each of its 2 images holds NaN or infinity"):
        list_data(tmp_path / "a.npz")


def test_one_npz_image_with_nan_is_named_and_left_out(tmp_path: Path) -> None:
    images = np.random.default_rng(0).random((12, 4, 4), np.float32)
    images[3, 1, 2], images[10, 0, 0] = np.nan, np.inf
    labels = np.arange(12) % 2
    np.savez(tmp_path / "a.npz", x_train=images, y_train=labels, x_test=images[9:11], y_test=labels[9:11])
    data = gather(tmp_path / "a.npz", val_share=0.2)
    assert [(each.code, each.name, each.reason) for each in data.findings if each.left_out] == [
        ("not-finite", "train/03", "it holds NaN or infinity"),
        ("not-finite", "train/10", "it holds NaN or infinity"),
        ("not-finite", "test/1", "it holds NaN or infinity"),
    ]
    names = sorted([*data.train.names, *data.val.names])
    assert names == [f"train/{each:02d}" for each in range(12) if each not in (3, 10)]
    assert data.test is not None
    assert (data.test.names, data.test.labels.tolist()) == (("test/0",), [1])
    checked = check(tmp_path / "a.npz")
    assert (checked.files, checked.images, checked.number("error")) == (14, 11, 3)


def test_numpy_s_advice_to_unpickle_is_not_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    header = "{'descr': '|u1', 'fortran_order': False, 'shape': (1,)" + " " * 20_000 + "}"
    content = np.lib.format.magic(1, 0) + len(header).to_bytes(2, "little") + header.encode()
    with zipfile.ZipFile("a.npz", "w") as archive:
        archive.writestr("x_train.npy", content)
        archive.writestr("y_train.npy", b"")
    with pytest.raises(DataError) as error:
        list_data("a.npz")
    assert str(error.value) == f"a.npz: x_train: it is no array (its header is too long)\n  expected: {NPZ}"


def test_npz_whose_classes_would_speak_to_the_terminal(tmp_path: Path) -> None:
    labels = np.array(["\x1b]0;hello\x07", "b"])
    np.savez(tmp_path / "a.npz", x_train=np.zeros((2, 3, 3), np.uint8), y_train=labels)
    assert not any("\x1b" in name for name in list_data(tmp_path / "a.npz").classes)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no more", b"text"])
def test_no_npz(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(DataError, match="it is damaged or no \\.npz file"):
        list_data(tmp_path / "a.npz")


def test_digits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    monkeypatch.chdir(tmp_path)
    data = gather("digits")
    assert (data.name, data.size, data.channels) == ("digits", (8, 8), 1)
    assert data.test is not None
    assert data.classes == tuple("0123456789")
    assert (len(data.train.labels), len(data.val.labels), len(data.test.labels)) == (1295, 142, 360)
    # scikit-learn's first digit begins 0 0 5 13 9 1 0 0; round(v * 255 / 16)
    first = list_data("digits").arrays[0].images[0, 0, :, 0]
    assert first.tolist() == [0, 0, 80, 207, 143, 16, 0, 0]
    assert not cache.exists()  # arrays need no store


def test_a_folder_called_digits_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for each in ("a", "b"):
        (tmp_path / "digits" / each).mkdir(parents=True)
        (tmp_path / "digits" / each / "1.jpg").write_bytes(b"x")
    assert list_data("digits").kind == "folder"


@pytest.mark.skipif(not (REAL / "mnist").is_dir(), reason="the real MNIST is not at ../shared/data")
def test_the_real_mnist() -> None:
    train, test = list_data(REAL / "mnist").arrays
    assert (train.images.shape, test.images.shape) == ((60000, 28, 28, 1), (10000, 28, 28, 1))
    # Its known mean: 0.1307 of 255.
    assert train.images.mean() / 255 == pytest.approx(0.1307, abs=5e-5)
