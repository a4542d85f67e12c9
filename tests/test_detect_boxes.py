"""Boxes: overlap, offsets from an anchor and back, and what is no box."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from minighost import detect

pytestmark = pytest.mark.small


@st.composite
def boxes(draw, n=None):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    start = rng.uniform(-20, 20, (draw(st.integers(1, 6)) if n is None else n, 2))
    return np.concatenate([start, start + rng.uniform(1, 40, start.shape)], axis=1)


@given(boxes(), boxes())
def test_overlap_is_symmetric_and_a_share(a, b):
    overlap = detect.iou(a, b)
    assert overlap.shape == (len(a), len(b)) and (overlap >= 0).all() and (overlap <= 1).all()
    assert_array_equal(overlap, detect.iou(b, a).T)
    assert_allclose(np.diag(detect.iou(a, a)), 1)


@given(st.integers(0, 2**32 - 1))
def test_overlap_counts_pixels(seed):
    rng = np.random.default_rng(seed)
    start = rng.integers(0, 8, (2, 2))
    pair = np.concatenate([start, start + rng.integers(1, 8, (2, 2))], axis=1)
    inside = []
    for x0, y0, x1, y1 in pair:
        plane = np.zeros((16, 16), bool)
        plane[y0:y1, x0:x1] = True
        inside.append(plane)
    assert_allclose(detect.iou(pair[:1], pair[1:]), np.sum(inside[0] & inside[1]) / np.sum(inside[0] | inside[1]))


@given(boxes(), boxes(6), st.floats(0.1, 10), st.tuples(st.floats(-9, 9), st.floats(-9, 9)))
def test_overlap_does_not_depend_on_place_and_scale(a, b, scale, move):
    moved = [scale * (one + np.tile(move, 2)) for one in (a, b)]
    assert_allclose(detect.iou(*moved), detect.iou(a, b), atol=1e-9)


def test_what_has_no_area_overlaps_with_nothing():
    flat, square = [[1, 1, 1, 5]], [[0, 0, 4, 4]]
    assert detect.iou(flat, square) == detect.iou(flat, flat) == detect.iou([[3, 3, 1, 1]], square) == 0
    assert detect.iou([], square).shape == (0, 1)


@given(boxes(5), boxes(5))
def test_decoding_undoes_encoding(found, anchors):
    assert_allclose(detect.decode(detect.encode(found, anchors), anchors), found, atol=1e-9)
    assert_allclose(detect.decode(np.zeros((5, 4)), anchors), anchors, atol=1e-9)


@given(boxes(5), boxes(5), st.floats(0.1, 10), st.tuples(st.floats(-9, 9), st.floats(-9, 9)))
def test_offsets_do_not_depend_on_place_and_scale(found, anchors, scale, move):
    moved = [scale * (one + np.tile(move, 2)) for one in (found, anchors)]
    assert_allclose(detect.encode(*moved), detect.encode(found, anchors), atol=1e-9)


def test_offsets_are_shares_of_the_anchor_and_logarithms():
    anchor, box = np.array([[0.0, 0, 10, 20]]), np.array([[1.0, 5, 21, 15]])  # centres (5, 10) and (11, 10)
    assert_allclose(detect.encode(box, anchor), [[0.6, 0, np.log(2), np.log(0.5)]])


def test_a_wild_prediction_stays_finite():
    anchors, offsets = np.array([[0, 0, 16, 16]], np.float32), np.array([[0, 0, 1e4, 1e4]], np.float32)
    assert_allclose(detect.decode(offsets, anchors), [[-492, -492, 508, 508]], rtol=1e-6)


def test_a_clipped_box_is_its_part_inside_the_picture():
    found = np.array([[-3, -4, 5, 6], [2, 3, 99, 88], [50, 50, 60, 60]], np.float32)
    assert_array_equal(detect.clip(found, (10, 20)), [[0, 0, 5, 6], [2, 3, 20, 10], [20, 10, 20, 10]])


def test_dtypes_stay():
    a = np.array([[0, 0, 4, 4]], np.float32)
    assert detect.encode(a, a).dtype == detect.decode(a, a).dtype == detect.clip(a, (2, 2)).dtype == np.float32


@pytest.mark.parametrize(
    "found, labels, message",
    [
        ([[0, 0, 4, 4], [3, 0, 3, 5]], [0, 1], "boxes[1]=[3.0, 0.0, 3.0, 5.0] must be finite, with x1 > x0 and y1"),
        ([[0, 5, 4, 4]], [0], "boxes[0]=[0.0, 5.0, 4.0, 4.0] must be finite, with x1 > x0 and y1 > y0"),
        ([[0, 0, np.nan, 4]], [0], "boxes[0]=[0.0, 0.0, nan, 4.0] must be finite"),
        ([[0, 0, 4]], [0], "boxes must be (n, 4) numbers: x0, y0, x1, y1; got shape (1, 3)"),
        ([0, 0, 4, 4], [0], "boxes must be (n, 4) numbers: x0, y0, x1, y1; got shape (4,)"),
        ([["a"] * 4], [0], "got shape (1, 4), dtype <U1"),
        ([[0, 0, 4, 4]], [0, 1], "labels must be 1 whole numbers, one per box; got shape (2,)"),
        ([[0, 0, 4, 4]], [0.5], "labels must be 1 whole numbers, one per box; got shape (1,), dtype float64"),
        ([], [1], "labels must be 0 whole numbers, one per box; got shape (1,)"),
        ([[0, 0, 4, 4]], [10], "labels[0]=10 must be a class from 0 to 9"),
        ([[0, 0, 4, 4]], [-1], "labels[0]=-1 must be a class from 0 to 9"),
    ],
)
def test_what_is_no_target_is_named(found, labels, message):
    with pytest.raises(ValueError, match=f"^picture 7: .*{re.escape(message)}"):
        detect.target(found, labels, 10, name="picture 7")
