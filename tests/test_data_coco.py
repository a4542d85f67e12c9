"""COCO's format: what is written is read again, boxes go along when pictures are scaled, and what is wrong is said."""

import json

import numpy as np
import pytest
from commands import printed, refused
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from minighost.data import coco, pictures
from minighost.data.coco import open_coco, results, survey_coco, write_coco
from minighost.data.detection_set import DetectionSet
from minighost.detect.boxes import Detections, Target
from minighost.errors import FormatError

CLASSES = ("cat", "dog")


def pictures_with_boxes(seed, count=4, size=(16, 24)):
    """Noise, with up to three boxes each."""
    rng = np.random.default_rng(seed)
    targets = []
    for i in range(count):
        n = int(rng.integers(0, 4)) or int(i == 0)
        start = rng.uniform(0, 10, (n, 2))
        boxes = np.concatenate([start, start + rng.uniform(1.5, 6, (n, 2))], axis=1)
        targets.append(Target(boxes.astype(np.float32), rng.integers(0, 2, n)))
    return DetectionSet(rng.integers(0, 256, (count, *size, 3), np.uint8), targets, CLASSES, "noise")


def tree(**changes):
    """A small annotation file: one picture of 20 x 10 pixels with a dog, and one with nothing."""
    return {
        "images": [
            {"id": 70, "file_name": "a.png", "width": 20, "height": 10},
            {"id": 9, "file_name": "b.png", "width": 10, "height": 10},
        ],
        "categories": [{"id": 90, "name": "dog"}, {"id": 3, "name": "cat"}],
        "annotations": [{"id": 1, "image_id": 70, "category_id": 90, "bbox": [2, 4, 6, 4], "iscrowd": 0}],
        **changes,
    }


def lay(folder, found=None, sizes=((10, 20), (10, 10))):
    """The file and its pictures in a folder."""
    folder.mkdir(exist_ok=True)
    for name, size in zip(("a.png", "b.png"), sizes, strict=True):
        (folder / name).write_bytes(pictures.png(np.full((*size, 3), 200, np.uint8)))
    (folder / "boxes.json").write_text(json.dumps(tree() if found is None else found))
    return folder


def note(**more):
    return {"id": 2, "image_id": 70, "category_id": 3, "bbox": [0, 0, 5, 5], **more}


@given(st.integers(0, 10**6))
def test_what_is_written_is_read_again(tmp_path_factory, seed):
    folder = tmp_path_factory.mktemp("coco") / "new"
    train, test = pictures_with_boxes(seed), pictures_with_boxes(seed + 1, 2)
    write_coco(folder, train, test)
    for one, other in zip((train, test), open_coco(folder, size=(16, 24)), strict=True):
        assert_array_equal(one.images, other.images)
        assert one.classes == other.classes
        for a, b in zip(one.targets, other.targets, strict=True):
            assert_array_equal(a.boxes, b.boxes)
            assert_array_equal(a.labels, b.labels)


def test_ids_may_have_gaps_and_classes_follow_them(tmp_path):
    found = survey_coco(lay(tmp_path / "d", tree(annotations=[note(image_id=9, id=7), *tree()["annotations"]])))
    whole = found.train.joined(found.test)
    assert whole.classes == ("cat", "dog") and found.divided
    assert dict(zip(whole.origin.ids, [t.labels.tolist() for t in whole.targets], strict=True)) == {9: [0], 70: [1]}


def test_pictures_of_several_sizes_come_whole_with_their_boxes(tmp_path):
    both = tree(annotations=[note(image_id=9), *tree()["annotations"]])
    found = survey_coco(lay(tmp_path / "d", both), size=(40, 40))
    boxes = {key: t.boxes.tolist() for one in (found.train, found.test) for key, t in zip(one.origin.ids, one.targets)}  # noqa: B905
    assert boxes == {70: [[4, 18, 16, 26]], 9: [[0, 0, 20, 20]]}
    assert survey_coco(tmp_path / "d").train.size == (128, 128)


def test_results_are_in_pixels_and_ids_of_the_file(tmp_path):
    both = tree(annotations=[note(image_id=9), *tree()["annotations"]])
    found = survey_coco(lay(tmp_path / "d", both), size=(40, 40))
    whole = found.train.joined(found.test)
    k = whole.origin.ids.index(70)
    nothing = Detections(np.zeros((0, 4), np.float32), np.zeros(0, int), np.zeros(0, np.float32))
    lines = [nothing, nothing]
    lines[k] = Detections(np.float32([[4, 18, 16, 26]]), np.array([1]), np.float32([0.5]))
    assert results(lines, whole) == [{"image_id": 70, "category_id": 90, "bbox": [2, 4, 6, 4], "score": 0.5}]
    plain = DetectionSet(whole.images, whole.targets, whole.classes, "mine")
    assert results(lines, plain)[0] == {"image_id": k + 1, "category_id": 2, "bbox": [4, 18, 12, 8], "score": 0.5}


def test_crowds_boxes_without_area_and_pictures_that_cannot_be_read_are_left_out_and_said(tmp_path):
    more = [note(iscrowd=1), note(id=3, bbox=[1, 1, 0, 4]), note(id=4, image_id=9), note(id=5, bbox=[15, 5, 9, 9])]
    three = [*tree()["images"], {"id": 5, "file_name": "c.png", "width": 9, "height": 9}]
    folder = lay(tmp_path / "d", tree(images=three, annotations=[*tree()["annotations"], *more]))
    (folder / "c.png").write_bytes(b"no picture")
    found = survey_coco(folder)
    text = "; ".join(found.notes)
    assert "1 box around crowds is left out" in text and "1 box without area is left out" in text
    assert "1 box reaches beyond the picture and is cut off there" in text
    assert "1 file cannot be read and is left out: c.png" in text and len(found.train) + len(found.test) == 2


WRONG = {
    "boxes.json: not JSON": "{",
    "boxes.json: not JSON (": "[" * 100_000,
    "expected an object, got list": [],
    "annotations is missing; expected a list": {key: tree()[key] for key in ("images", "categories")},
    "images is str; expected a list of objects": tree(images="x"),
    "images[0]: expected an object, got int": tree(images=[1]),
    "images is empty": tree(images=[], annotations=[]),
    "images[2]: id 9 is in images[1], too": tree(images=[*tree()["images"], tree()["images"][1]]),
    "file_name '../a.png' leads out of the folder": tree(
        images=[{"id": 1, "file_name": "../a.png", "width": 1, "height": 1}]
    ),
    "file_name must be the name of a picture, got None": tree(images=[{"id": 1}]),
    "images[0]: height must be a whole number of at least 1, got 0": tree(
        images=[{"id": 1, "file_name": "a.png", "width": 1, "height": 0}]
    ),
    "categories is empty": tree(categories=[]),
    "categories[1]: 'dog' with id 4: another category has that name or id": tree(
        categories=[{"id": 90, "name": "dog"}, {"id": 4, "name": "dog"}]
    ),
    "annotations[0]: category_id 4 is in no entry of categories": tree(annotations=[note(category_id=4)]),
    "annotations[0]: image_id 71 is in no entry of images": tree(annotations=[note(image_id=71)]),
    "annotations[0]: image_id must be a whole number of at least 0, it is missing": tree(annotations=[{"id": 1}]),
    "annotations[1]: id 2 is that of another annotation, too": tree(annotations=[note(), note()]),
    "annotations[0]: bbox must be four finite numbers [x, y, width, height], got [1, 2, 3]": tree(
        annotations=[note(bbox=[1, 2, 3])]
    ),
    "got [0, 0, nan, 1]": tree(annotations=[note(bbox=[0, 0, float("nan"), 1])]),
    "got [0, 0, True, 1]": tree(annotations=[note(bbox=[0, 0, True, 1])]),
    "bbox [5, 5, -2, 3] has a width or height below 0": tree(annotations=[note(bbox=[5, 5, -2, 3])]),
    "bbox [30, 5, 2, 3] lies outside its picture, which is 20 wide and 10 high": tree(
        annotations=[note(bbox=[30, 5, 2, 3])]
    ),
    "pictures have no boxes at all": tree(annotations=[]),
}


@pytest.mark.parametrize("words", WRONG)
def test_what_is_wrong_in_a_file_is_said_in_one_line(tmp_path, capsys, words):
    folder = lay(tmp_path / "d")
    found = WRONG[words]
    (folder / "boxes.json").write_text(found if isinstance(found, str) else json.dumps(found))
    assert words in refused(capsys, "data", folder, "--task", "detect")


def test_what_is_wrong_with_files_is_said_in_one_line(tmp_path, capsys, monkeypatch):
    refuse = lambda folder: refused(capsys, "data", folder, "--task", "detect")  # noqa: E731
    assert "--data says where the pictures with boxes are" in refuse(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    assert "no .json file in it or in its annotations" in refuse(tmp_path / "empty")
    folder = lay(tmp_path / "d", sizes=((10, 20), (10, 11)))
    assert "b.png: 11 wide and 10 high, but boxes.json says 10 and 10" in refuse(folder)
    (folder / "b.png").unlink()
    assert "no such picture, which boxes.json names" in refuse(folder)
    (folder / "other.json").write_text("{}")
    assert "2 .json files, boxes.json, other.json: one name must have train in it" in refuse(folder)
    monkeypatch.setattr(coco, "LARGEST", 100)
    assert "more than 100 bytes" in refuse(lay(tmp_path / "d2"))


def test_training_and_validation_are_told_by_names(tmp_path):
    train, test = lay(tmp_path / "train"), lay(tmp_path / "valid")
    (train / "boxes.json").rename(train / "_annotations.coco.json")
    (test / "boxes.json").rename(test / "_annotations.coco.json")
    found = survey_coco(tmp_path)
    assert (len(found.train), len(found.test), found.divided) == (2, 2, False)
    (test / "_annotations.coco.json").write_text(json.dumps(tree(categories=[{"id": 90, "name": "cow"}])))
    with pytest.raises(FormatError, match="other categories than in _annotations.coco.json: cat, cow, dog in one of"):
        survey_coco(tmp_path)


def test_a_data_set_is_looked_at_and_written_by_commands(tmp_path, capsys, monkeypatch):
    from minighost.data import several_shapes

    monkeypatch.setattr(several_shapes, "SIZES", {"train": 30, "test": 10})
    out = printed(capsys, "data", "shapes-detect", "--write-coco", tmp_path / "new", "--out", tmp_path / "a.png")
    assert "30 training and 10 test images, 64x64" in out and "boxes" in out
    out = printed(capsys, "data", tmp_path / "new", "--task", "detect", "--size", "64", "--out", tmp_path / "b.png")
    assert "30 training and 10 test images, 64x64" in out
    assert max(len(line) for line in out.splitlines() if "contact" not in line) <= 80
    assert (tmp_path / "a.png").exists() and (tmp_path / "b.png").exists()
    again = refused(capsys, "data", "shapes-detect", "--write-coco", tmp_path / "new")
    assert "is there and not empty; give the name of a new folder" in again
    assert "has no boxes" in refused(capsys, "data", "shapes10", "--write-coco", tmp_path / "other")
