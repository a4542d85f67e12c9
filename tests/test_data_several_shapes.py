"""shapes-detect: a function of its seed; boxes are tight, hardly overlap, and go along when a picture is mirrored."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from minighost import data
from minighost.data import several_shapes as module
from minighost.data.box_loader import BoxAugment, BoxLoader
from minighost.data.detection_set import DetectionSet
from minighost.data.letterbox import Letterbox, fit_whole
from minighost.detect.boxes import Target, iou

CLASSES = ("red", "green")


def rectangles(seed, count=3, size=(28, 40)):
    """Pictures with one red and one green rectangle on black, and their boxes."""
    rng = np.random.default_rng(seed)
    H, W = size
    images, targets = np.zeros((count, H, W, 3), np.uint8), []
    for image in images:
        boxes = []
        for k in range(2):
            x0, y0 = rng.integers(6, 10) + 14 * k, rng.integers(6, 10)  # 6 pixels from the border and 2 apart
            x1, y1 = x0 + rng.integers(4, 9), y0 + rng.integers(4, 12)
            image[y0:y1, x0:x1, k] = 255
            boxes.append([x0, y0, x1, y1])
        targets.append(Target(np.float32(boxes), np.arange(2)))
    return DetectionSet(images, targets, CLASSES, "rectangles")


def tight(image, k):
    """The box around the pixels of colour `k`."""
    rows, columns = np.flatnonzero(image[..., k].any(1)), np.flatnonzero(image[..., k].any(0))
    return [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]


def test_it_is_a_function_of_seed_and_split_and_a_longer_set_begins_with_the_shorter():
    one, longer = data.shapes_detect(30, 1), data.shapes_detect(60, 1)
    assert_array_equal(one.images, longer.images[:30])
    assert all((a.boxes == b.boxes).all() for a, b in zip(one.targets, longer.targets, strict=False))
    for other in (data.shapes_detect(30, 2), data.shapes_detect(30, 1, "test")):
        assert (one.images != other.images).mean() > 0.9


def test_each_picture_has_one_to_five_shapes_that_hardly_overlap_and_all_classes_come():
    found = data.shapes_detect(200)
    assert {len(one.labels) for one in found.targets} <= {1, 2, 3, 4, 5}
    assert max((iou(one.boxes, one.boxes) - np.eye(len(one.labels))).max() for one in found.targets) < 0.25
    assert (found.counts() > 0.5 * found.counts().mean()).all()
    assert found.images.shape == (200, 64, 64, 3) and found.classes == data.shapes10(1).classes


def test_a_box_is_that_of_the_pixels_that_are_seen(monkeypatch):
    """Without noise, ripples and strokes what is not the ground is shapes."""
    monkeypatch.setattr(module, "STROKES", 0)
    monkeypatch.setattr(module, "MOST", 1)
    flat = lambda rng, light, swing, side=32: np.broadcast_to(  # noqa: E731
        np.float32(0.9 if side == 32 else 0.1), (len(light), 3, side, side)
    ).copy()
    monkeypatch.setattr(module, "paint", flat)
    found = module.shapes_detect(40)
    for image, one in zip(found.images, found.targets, strict=True):
        bright = np.median(image, axis=2) > 128  # noise is far below the contrast
        bright &= sum(np.roll(bright, s, a) for s in (1, -1) for a in (0, 1)) > 0
        rows, columns = np.flatnonzero(bright.any(1)), np.flatnonzero(bright.any(0))
        seen = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
        assert np.abs(one.boxes[0] - seen).max() <= 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((0,), "n = 0 images"), ((3, -1), "seed = -1"), ((3, 0, "valid"), "unknown split 'valid'; available: 'train'")],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=f"shapes-detect: {message}"):
        data.shapes_detect(*arguments)


@given(st.integers(0, 10**6), st.booleans(), st.integers(0, 5))
def test_a_box_moves_with_what_is_in_it(seed, flip, shift):
    found = rectangles(seed)
    images, targets = BoxAugment(flip, shift)(found.images, found.targets, np.random.default_rng(seed))
    for image, one in zip(images, targets, strict=True):
        for box, k in zip(one.boxes, one.labels, strict=True):
            assert box.tolist() == tight(image, k)


def test_a_picture_may_be_mirrored_every_second_time_and_stays_as_it_is_without_augmentation():
    found = rectangles(0, 4)
    images, targets = BoxAugment(True, 0)(found.images, found.targets, np.random.default_rng(0), [True, False] * 2)
    assert_array_equal(images[0], found.images[0, :, ::-1])
    assert targets[1].boxes.tolist() == found.targets[1].boxes.tolist()
    epochs = [
        dict(
            zip(loader.order(e).tolist(), [t.boxes[0, 0] for _, ts in loader.epoch(e) for t in ts], strict=True)
        )
        for loader in [BoxLoader(found, 2, seed=3, augment=BoxAugment("alternate", 0), mean=[0] * 3, std=[1] * 3)]
        for e in (0, 1)
    ]  # fmt: skip
    for i in range(4):
        x0, _, x1, _ = found.targets[i].boxes[0]
        assert {epochs[0][i], epochs[1][i]} == {x0, 40 - x1}


def test_what_is_left_of_a_box_that_a_shift_pushes_out_is_kept_if_it_is_half():
    target = Target(np.float32([[0, 0, 4, 4], [10, 0, 14, 4]]), np.array([0, 1]))

    class Left:
        def integers(self, low, high, shape):
            return np.array([[0], [-self.by]])

    for by, kept in ((2, [0, 1]), (3, [1])):
        Left.by = by
        _, (moved,) = BoxAugment(False, 4)(np.zeros((1, 8, 20, 3), np.uint8), [target], Left())
        assert moved.labels.tolist() == kept
        assert moved.boxes[-1].tolist() == [10 - by, 0, 14 - by, 4] and moved.boxes.min() >= 0


def test_a_loader_gives_the_same_batches_again_from_any_of_them():
    found = data.shapes_detect(20)
    loader = BoxLoader(found, 4, seed=1, augment=BoxAugment())
    whole, rest = list(loader.epoch(2)), list(loader.epoch(2, start=3))
    for (x, targets), (y, others) in zip(whole[3:], rest, strict=True):
        assert_array_equal(x, y)
        assert all((a.boxes == b.boxes).all() and (a.labels == b.labels).all() for a, b in zip(targets, others))  # noqa: B905
    assert x.shape == (4, 64, 64, 3) and x.dtype == np.float32 and len(targets) == 4


@given(st.tuples(st.integers(5, 90), st.integers(5, 90)), st.tuples(st.integers(8, 64), st.integers(8, 64)))
def test_a_letterbox_and_back_is_where_it_was(whole, size):
    place = Letterbox(whole, size)
    h, w = place.inner
    assert (h == size[0] or w == size[1]) and h <= size[0] and w <= size[1]
    boxes = np.float32([[0.25 * whole[1], 0.25 * whole[0], 0.5 * whole[1], 0.75 * whole[0]]])
    np.testing.assert_allclose(place.back(place.boxes(boxes)), boxes, atol=1e-3)


@pytest.mark.parametrize("size", [(64, 64), (40, 90), (100, 50)])
def test_a_thing_lies_in_its_box_at_another_size(size):
    found = rectangles(5)
    other = found.resized(size)
    assert other.size == size
    for image, one in zip(other.images, other.targets, strict=True):
        for box, k in zip(one.boxes, one.labels, strict=True):
            rest = np.delete(image.astype(int), k, axis=2).max(axis=2)
            coloured = (image[..., k].astype(int) - rest) > 128
            rows, columns = np.flatnonzero(coloured.any(1)), np.flatnonzero(coloured.any(0))
            assert np.abs(box - [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]).max() <= 1
    grey, place = fit_whole(found.images[0], (64, 64))
    top, left = place.border
    assert (grey[:top] == 114).all() and (top, left) == ((64 - 45) // 2, 0)


@pytest.mark.parametrize(
    ("images", "targets", "message"),
    [
        (np.zeros((1, 4, 4, 1), np.uint8), [], r"images must have shape \(N, H, W, 3\), got \(1, 4, 4, 1\)"),
        (np.zeros((2, 4, 4, 3), np.uint8), [Target([], [])], "2 images need as many targets, got 1"),
        (np.zeros((1, 4, 4, 3), np.uint8), [Target([[0, 0, 5, 2]], [0])], r"boxes\[0\]=.* beyond the picture's 4x4"),
        (np.zeros((1, 4, 4, 3), np.uint8), [Target([[0, 0, 2, 2]], [2])], r"labels\[0\]=2 must be a class from 0 to 1"),
    ],
)
def test_a_set_checks_what_it_is_given(images, targets, message):
    with pytest.raises(ValueError, match=message):
        DetectionSet(images, targets, CLASSES, "mine")
    with pytest.raises(TypeError, match="images must be uint8"):
        DetectionSet(images.astype(float), targets, CLASSES, "mine")
