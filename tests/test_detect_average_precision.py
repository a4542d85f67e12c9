"""Average precision: what it must be, and that it is COCO's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minighost.detect.average_precision import THRESHOLDS, average_precision
from minighost.detect.boxes import Detections, Target

CLASSES = 3


def pictures(seed, count=6, noise=3.0, extra=4):
    """Pictures with boxes, and detections of them that are shifted by some pixels, with false ones among them."""
    rng = np.random.default_rng(seed)
    found, truth = [], []
    for _ in range(count):
        n = int(rng.integers(0, 6))
        start = rng.uniform(0, 60, (n, 2))
        boxes = np.concatenate([start, start + rng.uniform(4, 40, (n, 2))], axis=1).astype(np.float32)
        labels = rng.integers(0, CLASSES, n)
        guesses = np.repeat(boxes, 2, axis=0) + rng.normal(0, noise, (2 * n, 4)).astype(np.float32)
        start = rng.uniform(0, 60, (extra, 2))
        wild = np.concatenate([start, start + rng.uniform(4, 40, (extra, 2))], axis=1)
        where = np.concatenate([guesses, wild]).astype(np.float32)
        where[:, 2:] = np.maximum(where[:, 2:], where[:, :2] + 1)
        what = np.concatenate([np.where(rng.random(2 * n) < 0.8, np.repeat(labels, 2), 0), rng.integers(0, 3, extra)])
        scores = rng.uniform(0.05, 1, len(where)).round(2).astype(np.float32)  # some of them equal
        order = np.argsort(-scores, kind="stable")
        found.append(Detections(where[order], what[order].astype(np.int64), scores[order]))
        truth.append(Target(boxes, labels.astype(np.int64)))
    truth[0] = Target(np.float32([[5, 5, 30, 40]]), np.array([0]))  # so that there is one
    return found, truth


def exactly(truth, score=0.9):
    return [Detections(t.boxes, t.labels, np.full(len(t.labels), score, np.float32)) for t in truth]


def with_more(found, boxes, labels, scores):
    """Detections of one picture, and others."""
    joined = [np.concatenate([a, b]) for a, b in zip(found, (boxes, labels, scores), strict=True)]
    order = np.argsort(-joined[2], kind="stable")
    return Detections(*(part[order] for part in joined))


@given(st.integers(0, 10**6))
def test_the_true_boxes_are_found_at_every_threshold(seed):
    _, truth = pictures(seed)
    report = average_precision(exactly(truth), truth, CLASSES)
    assert report.at_50 == report.mean == 1


@given(st.integers(0, 10**6))
def test_the_order_of_pictures_does_not_matter_where_no_scores_are_equal(seed):
    found, truth = pictures(seed)
    apart = [
        one._replace(scores=one.scores - np.float32(1e-4) * (k + np.arange(len(one.scores)) / 50))
        for k, one in enumerate(found)
    ]
    one = average_precision(apart, truth, CLASSES)
    other = average_precision(apart[::-1], truth[::-1], CLASSES)
    np.testing.assert_array_equal(one.table, other.table)


@given(st.integers(0, 10**6))
def test_a_false_detection_less_sure_than_all_others_changes_nothing(seed):
    found, truth = pictures(seed)
    wrong = np.float32([[200, 200, 210, 210]]), np.array([0]), np.float32([0.001])
    other = [with_more(found[0], *wrong), *found[1:]]
    np.testing.assert_array_equal(
        average_precision(found, truth, CLASSES).table, average_precision(other, truth, CLASSES).table
    )


@given(st.integers(0, 10**6))
def test_a_false_detection_surer_than_all_others_halves_what_one_box_is_worth(seed):
    truth = [pictures(seed)[1][0]]
    wrong = np.float32([[200, 200, 210, 210]]), np.array([0]), np.float32([0.99])
    report = average_precision([with_more(exactly(truth)[0], *wrong)], truth, CLASSES)
    assert report.at_50 == pytest.approx(0.5)


def test_a_second_detection_of_the_same_box_is_wrong():
    truth = [Target(np.float32([[0, 0, 10, 10], [50, 50, 60, 60]]), np.array([1, 1]))]
    twice = Detections(truth[0].boxes[[0, 0, 1]], np.array([1, 1, 1]), np.float32([0.9, 0.8, 0.7]))
    report = average_precision([twice], truth, CLASSES)
    assert report.at_50 == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_a_threshold_is_reached_by_an_overlap_of_just_that_much():
    truth = [Target(np.float32([[0, 0, 10, 20]]), np.array([0]))]
    for share in THRESHOLDS:
        for height, reached in ((20 * share + 0.001, THRESHOLDS <= share), (20 * share - 0.001, THRESHOLDS < share)):
            found = [Detections(np.float32([[0, 0, 10, height]]), np.array([0]), np.float32([1]))]
            assert (average_precision(found, truth, 1).table[0] == reached).all()


def test_a_class_that_no_picture_has_does_not_count():
    truth = [Target(np.float32([[0, 0, 10, 10]]), np.array([2]))]
    found = [Detections(np.float32([[0, 0, 10, 10]] * 2), np.array([1, 2]), np.float32([0.9, 0.8]))]
    report = average_precision(found, truth, CLASSES)
    assert np.isnan(report.table[:2]).all() and report.at_50 == 1
    assert report.boxes.tolist() == [0, 0, 1]


def test_nothing_found_is_worth_nothing_and_without_boxes_there_is_no_answer():
    none = Detections(np.empty((0, 4), np.float32), np.empty(0, np.int64), np.empty(0, np.float32))
    truth = [Target(np.float32([[0, 0, 10, 10]]), np.array([0]))]
    assert average_precision([none], truth, CLASSES).mean == 0
    assert np.isnan(average_precision([none], [Target(none.boxes, none.labels)], CLASSES).mean)


def test_only_the_surest_of_one_class_in_one_picture_count():
    truth = [Target(np.float32([[0, 0, 10, 10]]), np.array([0]))]
    boxes = np.float32([[50, 50, 60, 60]] * 3 + [[0, 0, 10, 10]])
    found = [Detections(boxes, np.zeros(4, np.int64), np.float32([0.9, 0.8, 0.7, 0.6]))]
    assert average_precision(found, truth, 1, most=3).at_50 == 0
    assert average_precision(found, truth, 1, most=4).at_50 == pytest.approx(0.25)


def test_as_many_pictures_are_needed_on_both_sides():
    with pytest.raises(ValueError, match="average_precision: found is of 1 pictures, truth of 0"):
        average_precision(exactly([Target(np.zeros((0, 4), np.float32), np.zeros(0, np.int64))]), [], 1)


@pytest.mark.parity
@pytest.mark.parametrize("seed", range(8))
def test_it_is_what_pycocotools_computes(seed):
    COCO = pytest.importorskip("pycocotools.coco").COCO
    COCOeval = pytest.importorskip("pycocotools.cocoeval").COCOeval
    found, truth = pictures(seed, count=40, noise=2 + seed % 3, extra=3 + 20 * (seed % 2))
    report = average_precision(found, truth, CLASSES)

    wide = lambda boxes: [[float(a), float(b), float(c) - float(a), float(d) - float(b)] for a, b, c, d in boxes]  # noqa: E731
    coco, results = COCO(), COCO()
    boxes = [(n, box, int(k)) for n, t in enumerate(truth) for box, k in zip(wide(t.boxes), t.labels, strict=True)]
    coco.dataset = {
        "images": [{"id": n + 1} for n in range(len(truth))],
        "categories": [{"id": k + 1, "name": str(k)} for k in range(CLASSES)],
        "annotations": [
            {"id": i + 1, "image_id": n + 1, "category_id": k + 1, "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
            for i, (n, box, k) in enumerate(boxes)
        ],
    }
    results.dataset = coco.dataset | {
        "annotations": [
            {"id": 1000 * n + i + 1, "image_id": n + 1, "category_id": int(k) + 1, "bbox": box, "area": box[2] * box[3],
             "iscrowd": 0, "score": float(score)}
            for n, d in enumerate(found)
            for i, (box, k, score) in enumerate(zip(wide(d.boxes), d.labels, d.scores, strict=True))
        ]
    }  # fmt: skip
    coco.createIndex()
    results.createIndex()
    theirs = COCOeval(coco, results, "bbox")
    theirs.evaluate()
    theirs.accumulate()
    theirs.summarize()
    assert report.mean == pytest.approx(theirs.stats[0], abs=1e-9)
    assert report.at_50 == pytest.approx(theirs.stats[1], abs=1e-9)
    precision = theirs.eval["precision"][:, :, :, 0, 2].mean(axis=1).T  # (classes, thresholds)
    np.testing.assert_allclose(report.table, np.where(precision < 0, np.nan, precision), atol=1e-9)
