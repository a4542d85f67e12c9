"""A folder of images for each class: what is found, how it is divided, read, kept and remarked upon."""

import os
import zipfile

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from own_images import folder, picture
from PIL import Image

from minighost import data
from minighost.data import decoded, pictures, sources
from minighost.data.folder import find
from minighost.errors import FormatError, one_line


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MINIGHOST_DATA_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "pictures"


# What is where -------------------------------------------------------------------------------------------------------


def test_each_class_keeps_its_share_for_testing_and_at_least_one_image(tmp_path):
    parts = data.open(folder(tmp_path / "x", {"b": 20, "a": 2, "c": 5}), split=0.3, progress=False)
    assert [np.bincount(part.labels).tolist() for part in parts] == [[1, 14, 3], [1, 6, 2]]
    parts = data.open(tmp_path / "x", split=0.9, progress=False)
    assert [np.bincount(part.labels).tolist() for part in parts] == [[1, 2, 1], [1, 18, 4]]
    opened = sources.survey(tmp_path / "x", progress=False)
    for part, files in zip(opened[:2], opened.files, strict=True):
        assert [part.classes[k] for k in part.labels] == [file.split("/")[0] for file in files]


def test_the_split_follows_from_its_seed_and_the_names_alone(tmp_path):
    root = folder(tmp_path / "x", {"a": 20, "b": 20})

    def chosen(seed):
        return set(sources.survey(root, split_seed=seed, progress=False).files[1])

    before = chosen(0)
    assert before == chosen(0) != chosen(1)
    picture(root / "a" / "new.png")
    assert len(before ^ chosen(0)) <= 2


def test_the_first_images_are_of_all_classes(tmp_path):
    train, _ = data.open(folder(tmp_path / "x", {"a": 20, "b": 20}), progress=False)
    assert set(train.first(12).labels) == {0, 1}


@pytest.mark.parametrize("test", ["val", "test", "Validation"])
def test_train_and_val_are_taken_as_they_are(tmp_path, test):
    root = folder(tmp_path / "x", {"train/a": 3, "train/b": 2, f"{test}/b": 1, f"{test}/a": 1})
    train, held = data.open(root, progress=False)
    assert (np.bincount(train.labels).tolist(), held.labels.tolist().count(0), len(held)) == ([3, 2], 1, 2)
    assert train.classes == held.classes == ("a", "b")


def test_val_comes_before_test_and_flat_folders_are_no_classes(tmp_path):
    root = folder(tmp_path / "x", {"train/a": 2, "train/b": 2, "val/a": 1, "val/b": 1, "test/a": 9, "test/b": 9})
    listing = find(root)
    assert listing.testing.sum() == 2 and "not used: test/; `minighost eval --data" in listing.notes[1]
    root = folder(tmp_path / "y", {"train/a": 5, "train/b": 5, "test": 3})
    listing = find(root)
    assert listing.testing is None and listing.notes == ("test/ has no class folders and is not used",)


def test_a_class_may_be_called_train(tmp_path):
    assert find(folder(tmp_path / "x", {"train": 3, "bus": 3})).classes == ("bus", "train")


def test_images_lie_below_their_class_however_deep_and_leftovers_are_ignored(tmp_path):
    root = folder(tmp_path / "x", {"a": 2, "a/more/still": 1, "b": 2, ".git/a": 1, "__MACOSX": 1, "a/.thumbs": 1})
    for name in ("a/.DS_Store", "a/Thumbs.db", "b/notes.txt", "b/._1.png"):
        (root / name).write_bytes(b"x")
    listing = find(root)
    assert len(listing.names) == 5 and "a/more/still/0.png" in listing.names and listing.classes == ("a", "b")
    assert listing.notes == ("1 other file passed over: b/notes.txt",)


@pytest.mark.parametrize(
    "counts, words",
    [
        ({}, "needs a folder of images for each class, such as cat and dog, and has no folder in it"),
        ({".": 3}, "and has 3 images directly in it"),
        ({"a": 3}, "has one class only, a; a network tells two or more apart"),
        ({"pets/a": 3, "pets/b": 3}, "did you mean {x}/pets, with its 2 folders?"),
        ({"a": 3, "b": 0}, "{x}/b: this class has no images; put some into it, or remove the folder"),
        ({"a": 3, "b": 1}, "{x}: class b has one image only, and needs one to train on and one to test with"),
        ({"train/a": 3, "train/b": 3, "val/a": 3, "val/c": 3}, "only in one of them: b, c"),
        ({"train/a": 3, "train/b": 3, "val/a": 3, "val/b": 0}, "{x}/val/b: this class has no images"),
        ({"a": 3, "b" * 201: 3}, "has at most 200 characters"),
    ],
)
def test_a_folder_that_cannot_be_learnt_from_is_refused_in_one_line(tmp_path, counts, words):
    root = tmp_path / "x"
    root.mkdir()
    folder(root, counts)
    with pytest.raises(FormatError) as error:
        data.open(root, progress=False)
    assert words.format(x=root) in one_line(error.value)


# Reading -------------------------------------------------------------------------------------------------------------


def test_pictures_are_what_predict_reads(tmp_path):
    root = folder(tmp_path / "x", {"a": 3, "b": 3}, size=(90, 70))
    opened = sources.survey(root, size=(24, 32), progress=False)
    for part in (0, 1):
        for image, file in zip(opened[part].images, opened.files[part], strict=True):
            assert_array_equal(image, pictures.read(root / file, (24, 32))[0])
    assert opened.sizes.tolist() == [[90, 70]] * 6


@pytest.mark.parametrize(
    "sizes, side",
    [([(20, 12)] * 4, (20, 12)), ([(20, 12)] * 3 + [(9, 9)], (32, 32)), ([(90, 70), (99, 80)] * 2, (64, 64))],
)
def test_without_a_size_it_follows_from_the_pictures(tmp_path, sizes, side):
    for i, size in enumerate(sizes):
        picture(tmp_path / "x" / "ab"[i % 2] / f"{i}.png", i, size)
    assert data.open(tmp_path / "x", progress=False)[0].size == side


def test_only_where_all_are_grey_is_there_one_channel(tmp_path):
    root = folder(tmp_path / "x", {"a": 2, "b": 2}, grey=True)
    train, test = data.open(root, progress=False)
    assert train.channels == test.channels == 1
    image = np.asarray(Image.open(root / sources.survey(root, progress=False).files[0][0]))
    assert_array_equal(train.images[0, :, :, 0], image)
    picture(root / "a" / "colour.png")
    assert data.open(root, progress=False)[0].channels == 3


def test_what_cannot_be_read_is_listed_and_left_out(tmp_path):
    root = folder(tmp_path / "x", {"a": 4, "b": 4})
    (root / "a" / "broken.png").write_bytes((root / "a" / "0.png").read_bytes()[:60])
    (root / "a" / "phone.HEIC").write_bytes(b"x")
    (root / "b" / "empty.jpg").touch()
    Image.new("F", (8, 8)).save(root / "b" / "float.tif")
    os.symlink("nowhere", root / "b" / "gone.png")
    opened = sources.survey(root, size=8, progress=False)
    assert len(opened.train) + len(opened.test) == 8 and len(opened.faults) == 5
    why = dict(opened.faults)
    assert why["a/phone.HEIC"] == "HEIC is not read; make a JPEG or PNG of it" and why["b/empty.jpg"] == "it is empty"
    assert why["b/gone.png"] == "No such file or directory" and "floating-point" in why["b/float.tif"]
    (line,) = [note for note in opened.notes if "cannot be read" in note]
    assert line.startswith("5 files cannot be read and are left out: ") and line.endswith("; and 2 more")


def test_a_class_of_which_nothing_can_be_read_is_named(tmp_path):
    root = folder(tmp_path / "x", {"a": 4, "b": 0})
    for i in range(3):
        (root / "b" / f"{i}.png").write_bytes(b"x")
    with pytest.raises(FormatError, match="class b has no image that can be read; 3 cannot, such as b/"):
        data.open(root, progress=False)


def test_animations_sixteen_bits_and_huge_pictures_are_read_or_named(tmp_path, monkeypatch):
    root = folder(tmp_path / "x", {"a": 2, "b": 2})
    frames = [Image.fromarray(np.full((8, 8, 3), v, np.uint8)) for v in (10, 200)]
    frames[0].save(root / "a" / "moving.gif", save_all=True, append_images=frames[1:])
    Image.fromarray(np.full((8, 8), 0xAB00, np.uint16)).save(root / "a" / "deep.png")
    Image.new("RGB", (900, 500)).save(root / "b" / "huge.png")
    monkeypatch.setattr(pictures, "MEMORY", 4 * 900 * 500 - 1)
    opened = sources.survey(root, size=8, progress=False)
    assert [file for file, _ in opened.faults] == ["b/huge.png"] and "scale it down" in opened.faults[0][1]
    files = opened.files[0] + opened.files[1]
    images = dict(zip(files, np.concatenate([opened.train.images, opened.test.images]), strict=True))
    assert (images["a/moving.gif"] == 10).all() and (images["a/deep.png"] == 0xAB).all()


# Remarks -------------------------------------------------------------------------------------------------------------


def test_equal_pixels_are_reported_where_they_spoil_the_result(tmp_path):
    root = folder(tmp_path / "x", {"train/a": 3, "train/b": 3, "val/a": 1, "val/b": 1})
    for copy in ("val/a/0.bmp", "train/b/same.png", "train/a/harmless.png"):
        Image.open(root / "train/a/1.png").save(root / copy)
    notes = sources.survey(root, progress=False).notes
    (across,) = [note for note in notes if "also used for training" in note]
    assert across.startswith("1 test image also used for training") and "val/a/0.bmp = " in across
    (mixed,) = [note for note in notes if "in two classes" in note]
    assert mixed.startswith(("1 image in two classes", "3 images in two classes")) and "train/b/same.png" in mixed


def test_uneven_classes_are_reported(tmp_path):
    notes = sources.survey(folder(tmp_path / "x", {"a": 30, "b": 5, "c": 20}), progress=False).notes
    assert "uneven classes: a has 24 training images, b 4; look at the accuracy class by class" in notes
    notes = sources.survey(folder(tmp_path / "y", {"a": 10, "b": 5}), progress=False).notes
    assert not any("uneven" in note for note in notes)


# The cache -----------------------------------------------------------------------------------------------------------


def counted(monkeypatch):
    calls, read_all = [], pictures.read_all

    def counting(paths, size):
        calls.append(len(paths))
        return read_all(paths, size)

    monkeypatch.setattr(pictures, "read_all", counting)
    return calls


def same(one, other):
    return all(
        np.array_equal(a.images, b.images) and np.array_equal(a.labels, b.labels)
        for a, b in zip(one, other, strict=True)
    )


def test_pictures_are_decoded_once_for_a_size_and_again_when_one_changes(tmp_path, monkeypatch, cache):
    calls, root = counted(monkeypatch), folder(tmp_path / "x", {"a": 3, "b": 3})
    first = data.open(root, progress=False)
    assert same(first, data.open(root, progress=False)) and len(calls) == 1
    assert same(first, data.open(root, size=8, progress=False)) and len(calls) == 1
    data.open(root, size=16, progress=False)
    assert len(calls) == 2 and len(list(cache.iterdir())) == 2
    picture(root / "a" / "0.png", seed=77)
    os.utime(root / "a" / "0.png", ns=(1, 1))
    assert not same(first, data.open(root, progress=False)) and len(calls) == 3
    assert len(list(cache.iterdir())) == 2


@pytest.mark.parametrize("damage", ["cut", "flip", "other", "empty"])
def test_a_damaged_cache_is_made_again(tmp_path, monkeypatch, cache, damage):
    calls, root = counted(monkeypatch), folder(tmp_path / "x", {"a": 3, "b": 3})
    first = data.open(root, progress=False)
    (place,) = cache.iterdir()
    content = bytearray(place.read_bytes())
    if damage == "flip":
        start = content.index(b"NUMPY", content.index(b"images.npy"))
        content[start + 200] ^= 1
    other = b"PK" if damage == "other" else b""
    place.write_bytes({"cut": content[:-50], "flip": content}.get(damage, other))
    assert same(first, data.open(root, progress=False)) and len(calls) == 2
    assert zipfile.ZipFile(place).testzip() is None
    data.open(root, progress=False)
    assert len(calls) == 2


def test_it_works_where_nothing_can_be_kept(tmp_path, monkeypatch):
    root = folder(tmp_path / "x", {"a": 3, "b": 3})
    first = data.open(root, progress=False)
    (tmp_path / "file").touch()
    monkeypatch.setenv("MINIGHOST_DATA_DIR", str(tmp_path / "file"))
    assert same(first, data.open(root, progress=False))

    def homeless():
        raise FileNotFoundError("no home")

    monkeypatch.setattr(decoded, "data_directory", homeless)
    assert same(first, data.open(root, progress=False))


def test_who_names_a_class_is_told_the_folder_of_classes(tmp_path):
    root = folder(tmp_path / "x", {"a": 3, "b": 3})
    with pytest.raises(FormatError, match=f"has 3 images directly in it; did you mean {root}, of which it is one"):
        data.open(root / "a", progress=False)
