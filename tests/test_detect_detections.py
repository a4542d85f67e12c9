"""Non-maximum suppression and what becomes of predictions."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from minighost import detect

pytestmark = pytest.mark.small
SUPPRESSION = pytest.mark.parametrize("nms", [detect.nms, detect.nms_reference])


@st.composite
def candidates(draw):
    """Boxes on a coarse grid, so that overlaps and scores are often equal; some have no area."""
    rng, n = np.random.default_rng(draw(st.integers(0, 2**32 - 1))), draw(st.integers(0, 25))
    start = rng.integers(0, 8, (n, 2))
    boxes = np.concatenate([start, start + rng.integers(0, 6, (n, 2))], axis=1).astype(np.float32)
    return boxes, (rng.integers(0, 6, n) / 6).astype(np.float32), rng.integers(0, 3, n)


@given(candidates(), st.sampled_from([0, 0.2, 0.5, 1.0]))
def test_twins_agree(case, threshold):
    assert_array_equal(detect.nms(*case, threshold), detect.nms_reference(*case, threshold))


@given(candidates())
def test_what_stays_does_not_overlap_and_what_goes_does(case):
    boxes, scores, labels = case
    kept = detect.nms(boxes, scores, labels, 0.3)
    overlap = np.where(labels[:, None] == labels, detect.iou(boxes, boxes), 0)
    among = overlap[np.ix_(kept, kept)]
    assert (np.triu(among, 1) <= 0.3).all()
    assert (np.diff(scores[kept]) <= 0).all()
    for gone in set(range(len(boxes))) - set(kept.tolist()):
        assert any(overlap[gone, k] > 0.3 and scores[k] >= scores[gone] for k in kept)
    assert_array_equal(detect.nms(boxes[kept], scores[kept], labels[kept], 0.3), np.arange(len(kept)))


@SUPPRESSION
def test_a_box_that_goes_suppresses_nothing(nms):
    row = np.array([[0, 0, 10, 4], [4, 0, 14, 4], [8, 0, 18, 4.0]])  # each overlaps with its neighbours by 3/7
    assert nms(row, np.array([0.9, 0.8, 0.7]), np.zeros(3, int), 0.4).tolist() == [0, 2]


def test_shapes_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match=r"^nms: boxes, scores and labels must be .* got \(2, 4\), \(3,\) and \(3,\)"):
        detect.nms(np.zeros((2, 4)), np.zeros(3), np.zeros(3))
    with pytest.raises(ValueError, match="^nms: threshold must be >= 0 and <= 1, got 1.5"):
        detect.nms(np.zeros((3, 4)), np.zeros(3), np.zeros(3), 1.5)


# Detections ----------------------------------------------------------------------------------------------------

ANCHORS = np.array([[0, 0, 8, 8], [1, 0, 9, 8], [30, 30, 38, 38], [60, 60, 70, 70]], np.float32)
SCORES = np.array([[0.9, 0.2], [0.8, 0.01], [0.04, 0.3], [0.99, 0.5]])  # of two classes


def found(score=0.05, **options):
    logits = np.log(SCORES / (1 - SCORES))[None].astype(np.float32)
    (one,) = detect.detections(logits, np.zeros((1, 4, 4), np.float32), ANCHORS, (40, 40), score, **options)
    return one


def rounded(one):
    return one.scores.astype(float).round(2).tolist()


def test_detections_are_confident_inside_the_picture_and_once_each():
    one = found()
    assert_allclose(one.scores, [0.9, 0.3, 0.2], rtol=1e-6)
    assert one.labels.tolist() == [0, 1, 1]
    assert_array_equal(one.boxes, ANCHORS[[0, 2, 0]])
    assert [array.dtype for array in one] == [np.float32, np.int64, np.float32]


def test_a_higher_score_a_looser_overlap_and_a_limit_change_how_many_there_are():
    assert len(found(0.25).boxes) == 2
    assert rounded(found(iou=0.8)) == [0.9, 0.8, 0.3, 0.2]
    assert rounded(found(most=1)) == [0.9]
    assert len(found(0.0).boxes) == 4 and len(found(0.95).boxes) == 0


def test_the_highest_of_each_map_are_candidates():
    assert rounded(found(top=2)) == [0.9], "the other one is outside"
    assert rounded(found(top=1, per_map=[2, 1, 1])) == [0.9, 0.3]


def test_boxes_are_clipped_to_the_picture():
    logits, offsets = np.full((1, 4, 1), 3, np.float32), np.zeros((1, 4, 4), np.float32)
    (one,) = detect.detections(logits, offsets, ANCHORS, (6, 34), iou=1.0)
    assert_array_equal(one.boxes, [[0, 0, 8, 6], [1, 0, 9, 6]])


def test_a_nan_is_never_found():
    logits = np.full((1, 4, 2), np.nan, np.float32)
    assert len(detect.detections(logits, np.zeros((1, 4, 4), np.float32), ANCHORS, (40, 40))[0].boxes) == 0


@pytest.mark.parametrize(
    "options, message",
    [
        ({"score": 1.0}, "score must be >= 0 and < 1, got 1.0"),
        ({"top": 0}, "top=0 must be a whole number of at least 1"),
        ({"per_map": [2, 1]}, "per_map=[2, 1] must add up to 4 anchors, not 3"),
    ],
)
def test_impossible_options_are_named(options, message):
    with pytest.raises(ValueError, match=f"^detections: {re.escape(message)}"):
        found(**options)
