"""Anchors and which box each of them is to find."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from minighost import detect

pytestmark = pytest.mark.small


def drawn(rng, n, side=64):
    """Boxes of 4 pixels or more."""
    start = rng.uniform(0, side - 4, (n, 2))
    return np.concatenate([start, start + rng.uniform(4, side / 2, (n, 2))], axis=1)


# Anchors -------------------------------------------------------------------------------------------------------


def test_the_paper_s_anchors_have_three_sizes_of_three_shapes():
    found = detect.anchors([(1, 1)], [8]).astype(np.float64)
    sides = found[:, 2:] - found[:, :2]
    assert_allclose(sides.prod(1), np.tile([32**2, 32**2 * 2 ** (2 / 3), 32**2 * 2 ** (4 / 3)], 3), rtol=1e-6)
    assert_allclose(sides[:, 1] / sides[:, 0], np.repeat([0.5, 1, 2], 3), rtol=1e-6)
    assert_allclose(found[:, :2] + found[:, 2:], 0, atol=1e-5)


def test_maps_of_224_pixels_have_as_many_anchors_as_places_times_nine():
    sizes = [(28, 28), (14, 14), (7, 7), (4, 4), (2, 2)]
    assert len(detect.anchors(sizes, [8, 16, 32, 64, 128])) == 9 * (784 + 196 + 49 + 16 + 4)


@given(st.integers(1, 12), st.integers(1, 4), st.integers(1, 4), st.sampled_from([4, 8, 16]))
def test_a_place_further_moves_an_anchor_by_the_stride(count, H, W, stride):
    found = detect.anchors([(H, W)], [stride], count).reshape(H, W, count, 4)
    assert_allclose(found[1:] - found[:-1], np.broadcast_to([0, stride, 0, stride], (H - 1, W, count, 4)), atol=1e-4)
    assert_allclose(
        found[:, 1:] - found[:, :-1], np.broadcast_to([stride, 0, stride, 0], (H, W - 1, count, 4)), atol=1e-4
    )


@given(st.integers(1, 9), st.floats(0.5, 8))
def test_the_next_map_s_anchors_are_twice_as_large(count, base):
    fine, coarse = (detect.anchors([(1, 1)], [stride], count, base) for stride in (8, 16))
    assert_allclose(coarse, 2 * fine, rtol=1e-6)


def test_sizes_lie_evenly_between_a_map_and_the_next():
    areas = np.prod(detect.anchors([(1, 1), (1, 1)], [8, 16], 2, 1.0)[:, 2:] * 2, axis=1)
    assert_allclose(areas[1:] / areas[:-1], 2, rtol=1e-6)


@pytest.mark.parametrize(
    "call, error, message",
    [
        (
            lambda: detect.anchors([(1, 1)], [8, 16]),
            ValueError,
            "1 maps and 2 strides; there must be a stride for each",
        ),
        (lambda: detect.anchors([(1, 1)], [8], 0), ValueError, "count=0 must be a whole number of at least 1"),
        (lambda: detect.anchors([(1, 1)], [8], base=0), ValueError, "base must be finite and > 0, got 0"),
    ],
)
def test_impossible_anchors_are_named(call, error, message):
    with pytest.raises(error, match=f"^anchors: {re.escape(message)}"):
        call()


# Matching ------------------------------------------------------------------------------------------------------


@given(st.integers(0, 2**32 - 1), st.integers(1, 6))
def test_each_anchor_has_what_its_overlap_says_or_is_the_best_of_a_box(seed, n):
    rng = np.random.default_rng(seed)
    anchors, boxes = detect.anchors([(4, 4), (2, 2)], [8, 16], 3, 2.0), drawn(rng, n, 32)
    found, overlap = detect.match(anchors, boxes), detect.iou(anchors, boxes)
    assert set(range(n)) <= set(found.tolist()), "every box has an anchor"
    for anchor, box in enumerate(found):
        row = overlap[anchor]
        if box == detect.NOTHING:
            assert row.max() < 0.4
        elif box == detect.IGNORED:
            assert 0.4 <= row.max() < 0.5
        elif row[box] != row.max() or row[box] < 0.5:
            better = overlap[:, box] > row[box]
            assert all(box != other for other in found[better]) or row[box] == overlap[:, box].max()
            assert (found[better] >= 0).all(), "who overlaps more has another box"


@given(st.integers(0, 2**32 - 1), st.integers(1, 6))
def test_the_order_of_boxes_changes_nothing(seed, n):
    rng = np.random.default_rng(seed)
    anchors, boxes, order = detect.anchors([(4, 4)], [8], 9), drawn(rng, n), rng.permutation(n)
    found, shuffled = detect.match(anchors, boxes), detect.match(anchors, boxes[order])
    assert_array_equal(found, np.where(shuffled >= 0, order[shuffled.clip(0)], shuffled))


def test_two_boxes_do_not_share_their_best_anchor():
    anchors = np.array([[0, 0, 10, 10], [6, 0, 16, 10], [90, 90, 99, 99.0]])
    small, smaller = [0, 0, 4, 4], [1, 0, 4, 4]
    assert detect.match(anchors, np.array([small, smaller, [8, 0, 11, 3]])).tolist() == [0, 2, -1]
    assert detect.match(anchors, np.array([smaller, small])).tolist() == [1, -1, -1]


def test_of_equal_overlaps_the_first_counts():
    twice = np.array([[0, 0, 8, 8], [0, 0, 8, 8.0]])
    assert detect.match(twice, twice[:1] + 3).tolist() == [0, -1]
    assert detect.match(twice[:1], twice).tolist() == [0]


def test_what_touches_no_anchor_is_not_matched_and_a_minimum_holds():
    anchors = np.array([[0, 0, 8, 8.0]])
    assert detect.match(anchors, np.array([[20, 20, 30, 30.0]])).tolist() == [detect.NOTHING]
    third = np.array([[0, 0, 8, 8 / 3]])
    assert detect.match(anchors, third).tolist() == [0]
    assert detect.match(anchors, third, min_pos_iou=0.4).tolist() == [detect.NOTHING]


def test_without_boxes_there_is_nothing_to_find():
    assert detect.match(np.ones((3, 4)), np.empty((0, 4))).tolist() == [detect.NOTHING] * 3
    assert detect.match(np.empty((0, 4)), np.ones((3, 4))).tolist() == []


def test_thresholds_in_the_wrong_order_are_refused():
    with pytest.raises(ValueError, match="^match: negative must be >= 0 and <= 0.5, got 0.6"):
        detect.match(np.ones((1, 4)), np.ones((1, 4)), 0.5, 0.6)
