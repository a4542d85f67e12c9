"""Images that are arrays: .npz and safetensors files, idx files, CIFAR-100's records, Python functions and objects."""

import gzip
import struct

import numpy as np
import pytest
from cifar_files import targz
from commands import refused
from numpy.testing import assert_array_equal
from PIL import Image
from safetensors.numpy import save_file

from minighost import data
from minighost.data import cifar_100, sources
from minighost.errors import FormatError, one_line

IMAGES = np.random.default_rng(0).integers(0, 256, (12, 6, 8, 3), np.uint8)
LABELS = np.arange(12) % 3
PARTS = {"x_train": IMAGES[:8], "y_train": LABELS[:8], "x_test": IMAGES[8:], "y_test": LABELS[8:]}


def assert_parts(found, images=IMAGES, classes=("0", "1", "2"), name="mine"):
    train, test = found
    assert_array_equal(np.concatenate([train.images, test.images]), images)
    assert_array_equal(np.concatenate([train.labels, test.labels]), LABELS)
    assert train.classes == test.classes == classes and train.name == test.name == name


def complaint(source, **options):
    with pytest.raises((ValueError, TypeError, OSError)) as error:
        data.open(source, progress=False, **options)
    return one_line(error.value)


# .npz and safetensors ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "form",
    [
        "x_train y_train x_test y_test",
        "train_images train_labels test_images test_labels",
        "train/images train/labels val/images val/labels",
    ],
)
@pytest.mark.parametrize("suffix", ["npz", "safetensors"])
def test_arrays_in_a_file_are_taken_as_they_are(tmp_path, form, suffix):
    path, arrays = tmp_path / f"mine.{suffix}", dict(zip(form.split(), PARTS.values(), strict=True))
    np.savez(path, **arrays) if suffix == "npz" else save_file(arrays, path)
    assert_parts(data.open(path))


def test_grey_images_and_labels_in_a_column_are_understood(tmp_path):
    np.savez(tmp_path / "mine.npz", **{k: v[..., 0] if "x" in k else v[:, None] for k, v in PARTS.items()})
    assert_parts(data.open(tmp_path / "mine.npz"), IMAGES[..., :1])


def test_images_that_nobody_divided_are_divided_class_by_class(tmp_path):
    np.savez_compressed(tmp_path / "mine.npz", images=IMAGES, labels=LABELS)
    train, test = data.open(tmp_path / "mine.npz", split=0.25)
    assert np.bincount(test.labels).tolist() == [1, 1, 1] and len(train) == 9
    other = data.open(tmp_path / "mine.npz", split=0.25, split_seed=1)[1]
    assert not np.array_equal(other.images, test.images)
    opened = sources.survey(tmp_path / "mine.npz", size=(3, 4))
    assert opened.train.size == opened.test.size == (3, 4) and opened.divided


def test_names_of_classes_are_kept(tmp_path):
    names = ["ant", "bee", "cat"]
    np.savez(tmp_path / "mine.npz", classes=names, **PARTS)
    assert_parts(data.open(tmp_path / "mine.npz"), classes=tuple(names))
    save_file(PARTS, tmp_path / "mine.safetensors", metadata={"classes": '["ant", "bee", "cat"]'})
    assert_parts(data.open(tmp_path / "mine.safetensors"), classes=tuple(names))
    np.savez(tmp_path / "mine.npz", **{k: v if "x" in k else np.array(names)[v] for k, v in PARTS.items()})
    assert_parts(data.open(tmp_path / "mine.npz"), classes=tuple(names))


@pytest.mark.parametrize(
    "changes, words",
    [
        (
            {"x_train": None},
            "needs the arrays x_train, y_train, x_test, y_test, or images and labels; has y_tra",
        ),
        (
            {"x_train": IMAGES[:8] / 255},
            "must be uint8 (0..255), got float64; convert them, e.g. (255 * images)",
        ),
        ({"x_train": IMAGES[:8].transpose(0, 3, 1, 2)}, "look like NCHW: images.transpose(0, 2, 3, 1)"),
        ({"x_train": IMAGES[:8, :5]}, "must have one shape, got (5, 8, 3) and (6, 8, 3)"),
        ({"x_train": IMAGES[0]}, "6 images need labels of shape (6,), got (8,)"),
        ({"y_train": LABELS[:8] / 1}, "labels must be whole numbers or names, got float64"),
        ({"y_train": LABELS[:7]}, "mine, train: 8 images need labels of shape (8,), got (7,)"),
        ({"y_train": LABELS[:8] - 1}, "label -1 is negative; labels count from 0"),
        ({"y_train": LABELS[:8] + 2**40}, "is too large; labels count from 0"),
        ({"classes": ["a", "b"]}, "mine, train: label 2 of image 2 is outside 0..1"),
        ({"classes": ["a", "b", "b"]}, "a class is named twice"),
        ({"classes": [1, 2, 3]}, "classes must be a list of names, got an array of int64"),
        ({"y_train": LABELS[:8] * 0, "y_test": LABELS[8:] * 0}, "has one class only, 0"),
        (
            {"y_train": np.array(["a", {}] * 4, object)},
            "y_train holds Python objects, which are not read",
        ),
        ({"x_train": IMAGES[:0], "y_train": LABELS[:0]}, "none 0, got (0, 6, 8, 3)"),
    ],
)
def test_arrays_that_are_no_images_are_refused_in_one_line(tmp_path, changes, words):
    arrays = {key: value for key, value in {**PARTS, **changes}.items() if value is not None}
    np.savez(tmp_path / "mine.npz", **arrays)
    assert words in complaint(tmp_path / "mine.npz")


@pytest.mark.parametrize("suffix", ["npz", "safetensors"])
def test_a_file_of_no_arrays_says_so(tmp_path, suffix):
    path = tmp_path / f"mine.{suffix}"
    path.write_bytes(b"<html>")
    assert complaint(path).startswith(f"{path}: not a ")
    np.savez(path, **PARTS) if suffix == "npz" else save_file(PARTS, path)
    path.write_bytes(path.read_bytes()[:-300])
    assert complaint(path).startswith(f"{path}: ")


# idx -----------------------------------------------------------------------------------------------------------------


def idx(array):
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


def write_mnist(root, packed=False):
    root.mkdir(parents=True, exist_ok=True)
    for key, name in zip(PARTS, ("train-images", "train-labels", "t10k-images", "t10k-labels"), strict=True):
        array = PARTS[key][..., 0] if "x" in key else PARTS[key]
        content, suffix = idx(array), f"-idx{array.ndim}-ubyte"
        (root / (name + suffix + ".gz" * packed)).write_bytes(gzip.compress(content) if packed else content)
    return root


@pytest.mark.parametrize("packed", [False, True])
def test_idx_files_are_read_from_their_folder_or_by_the_name_of_one(tmp_path, packed):
    root = write_mnist(tmp_path / "digits", packed)
    assert_parts(data.open(root), IMAGES[..., :1], name="digits")
    assert_parts(data.open(next(root.glob("t10k-im*"))), IMAGES[..., :1], name="digits")
    (root / "classes.txt").write_text("ant\nbee\n\ncat\n")
    assert data.open(root)[0].classes == ("ant", "bee", "cat")


def test_fashion_mnist_has_names(tmp_path):
    assert data.open(write_mnist(tmp_path / "FashionMNIST" / "raw"))[0].classes[9] == "Boot"


@pytest.mark.parametrize(
    "name, content, words",
    [
        (
            "train-images-idx3-ubyte",
            idx(IMAGES[:8, ..., 0])[:-1],
            "its head says 384 bytes for (8, 6, 8), but it",
        ),
        ("train-images-idx3-ubyte", idx(IMAGES[:8, ..., 0]) + b"x", "but it has more"),
        ("train-images-idx3-ubyte", idx(LABELS), "not an idx file of bytes in 3 dimensions"),
        ("train-images-idx3-ubyte", b"\x1f\x8b\x08junk", "damaged or truncated"),
        ("train-images-idx3-ubyte", struct.pack(">HBB3I", 0, 8, 3, *[2**32 - 1] * 3), "more than 4,294,967,296"),
        ("t10k-labels-idx1-ubyte", None, "t10k-images-idx3-ubyte is there, but no file of test labels"),
        ("train.images.idx3-ubyte", b"", "both train-images-idx3-ubyte and train.images.idx3-ubyte are train images"),
    ],
)
def test_idx_files_that_do_not_fit_are_named(tmp_path, name, content, words):
    root = write_mnist(tmp_path / "digits")
    (root / name).unlink(missing_ok=True) if content is None else (root / name).write_bytes(content)
    assert words in complaint(root)


# CIFAR-100 -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def hundred(monkeypatch):
    """CIFAR-100's files in miniature: name -> bytes."""
    monkeypatch.setattr(cifar_100, "IMAGES", {"train": 20, "test": 10})
    pixels = np.random.default_rng(0).integers(0, 256, (30, 3072), np.uint8)
    rows = np.concatenate([np.full((30, 1), 7), np.arange(70, 100)[:, None], pixels], axis=1).astype(np.uint8)
    return {"train.bin": rows[:20].tobytes(), "test.bin": rows[20:].tobytes(), "fine_label_names.txt": b"apple\n"}


def test_cifar100_is_read_from_a_folder_and_an_archive_by_name_and_by_path(tmp_path, hundred):
    assert len(set(cifar_100.CLASSES)) == 100 and cifar_100.CLASSES[99] == "worm"
    root = tmp_path / "cifar-100-binary"
    root.mkdir()
    for name, content in hundred.items():
        (root / name).write_bytes(content)
    archive = tmp_path / "cifar-100-binary.tar.gz"
    archive.write_bytes(targz({f"cifar-100-binary/{name}": content for name, content in hundred.items()}))
    for found in (
        data.load("cifar100", "test", directory=root),
        data.load("cifar100", "test", directory=tmp_path),
        data.load("cifar100", "test", archive=archive),
        data.open(root)[1],
        data.open(archive)[1],
    ):
        assert found.labels.tolist() == list(range(90, 100)) and found.classes == cifar_100.CLASSES
        first = np.frombuffer(hundred["test.bin"], np.uint8)[2:3074].reshape(3, 32, 32)
        assert_array_equal(found.images[0].transpose(2, 0, 1), first)
    assert len(data.load("cifar100", "train", directory=root, n=7)) == 7


@pytest.mark.parametrize(
    "content, words",
    [
        (bytes(9), "9 bytes, expected 30,740"),
        (bytes([0, 100, *bytes(3072)]) * 10, "record 0 has label 100"),
    ],
)
def test_other_files_than_cifar100s_are_refused(tmp_path, hundred, content, words):
    (tmp_path / "test.bin").write_bytes(content)
    with pytest.raises(FormatError, match=words):
        data.load("cifar100", "test", directory=tmp_path)


def test_no_cifar100_says_how_to_get_it(tmp_path):
    with pytest.raises(
        FileNotFoundError, match="no CIFAR-100: .* has none of train.bin, cifar-100-binary/, cifar-100-"
    ):
        data.load("cifar100", "test", directory=tmp_path)


# Python --------------------------------------------------------------------------------------------------------------


class Items:
    """What many a library calls a data set."""

    def __init__(self, images, labels, classes=None):
        self.images, self.labels = images, labels
        if classes:
            self.classes = classes

    def __len__(self):
        return len(self.images)

    def __getitem__(self, i):
        return self.images[i], self.labels[i]


@pytest.mark.parametrize("kind", ["pairs", "items", "lists", "datasets"])
def test_anything_with_length_and_items_is_a_data_set(kind):
    make = {
        "pairs": lambda x, y: (x, y),
        "items": lambda x, y: Items([Image.fromarray(one) for one in x], y, ["0", "1", "2"]),
        "lists": lambda x, y: [(one, int(k)) for one, k in zip(x, y, strict=True)],
        "datasets": lambda x, y: data.Dataset(x, y, ("0", "1", "2"), "other"),
    }[kind]
    assert_parts(data.as_datasets(make(IMAGES[:8], LABELS[:8]), make(IMAGES[8:], LABELS[8:]), name="mine"))


def test_images_of_many_sizes_need_one():
    images = [IMAGES[0], IMAGES[1][:4], IMAGES[2]]
    one = Items(images, [0, 1, 2])
    with pytest.raises(ValueError, match=r"image 1 has shape \(4, 8, 3\) .* image 0 \(6, 8, 3\) .*; give --size"):
        data.as_datasets(one, one)
    assert data.as_datasets(one, one, size=(4, 4))[0].images.shape == (3, 4, 4, 3)


HEAD = "import numpy as np\nx = np.zeros((4, 8, 8, 3), np.uint8)\ny = np.array([0, 1, 0, 1])\n"


def test_a_function_of_a_file_gives_the_images(tmp_path):
    (tmp_path / "my.py").write_text(HEAD + "def load():\n    return (x, y), (x + 1, y), ['ant', 'bee']\n")
    train, test = data.open(f"{tmp_path}/my.py:load")
    assert train.classes == ("ant", "bee") and train.name == "my" and test.images.max() == 1


@pytest.mark.parametrize(
    "body, words",
    [
        ("def load():\n    return 1 / 0", "my.py, line 5: ZeroDivisionError: division by zero"),
        ("def load():\n    raise SystemExit(3)", "my.py, line 5: SystemExit: 3"),
        ("def load():\n    return x", "my.py:load: must return train, test, each (images, labels) or a data set"),
        (
            "def load():\n    return 5, 6",
            "my, train: must be a pair (images, labels), a Dataset, or an object with __len__",
        ),
        (
            "def load():\n    return (x, y * 0.5), (x, y)",
            "my, train: labels must be whole numbers or names, got float64",
        ),
        (
            "def load():\n    return [(x[0], 0), x], [(x[0], 1)]",
            "my, train: item 1 must be (image, label), got",
        ),
        (
            "def load():\n    return [(x[0], 0.5)], [(x[0], 1)]",
            "label of image 0 must be a whole number or a name",
        ),
        ("def load():\n    return [], [(x[0], 1)]", "my, train: has no images"),
        ("def read():\n    pass", "has no 'load'"),
        ("load = 5", "my.py:load: is of type int; a function is needed that returns train, test"),
        ("def load(:", "line 4"),
    ],
)
def test_a_function_that_gives_no_images_is_one_line(tmp_path, capsys, body, words):
    (tmp_path / "my.py").write_text(HEAD + body + "\n")
    assert words in refused(capsys, "data", f"{tmp_path}/my.py:load")
