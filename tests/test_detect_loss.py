"""A detector's loss: its gradient, what does not count, what it does not depend on."""

import re

import numpy as np
import pytest
from gradients import numeric_gradient
from numpy.testing import assert_allclose, assert_array_equal

from minighost import detect, ops

pytestmark = pytest.mark.small
ANCHORS = detect.anchors([(3, 3)], [8], 3, 2.0)  # 27 of them, of about 16 pixels
TARGETS = [
    detect.target([[0, 0, 16, 15], [5, 3, 20, 24]], [2, 0]),
    detect.target([], []),
    detect.target([[8, 8, 10, 10]], [1]),
]


def predictions(rng, N=3, C=3):
    return rng.normal(size=(N, len(ANCHORS), C)), rng.normal(size=(N, len(ANCHORS), 4))


@pytest.mark.parametrize("options", [{}, {"beta": 0.5, "alpha": 0.4, "gamma": 1.0, "box_weight": 2.5}])
def test_gradients_are_those_of_the_total(rng, options):
    logits, offsets = predictions(rng)
    found = detect.loss(logits, offsets, ANCHORS, TARGETS, **options)
    assert found.total == found.classes + options.get("box_weight", 1) * found.boxes

    def total():
        return detect.loss(logits, offsets, ANCHORS, TARGETS, **options).total

    assert_allclose(found.dlogits, numeric_gradient(total, logits), atol=1e-8)
    assert_allclose(found.doffsets, numeric_gradient(total, offsets), atol=1e-8)


def test_it_is_the_sum_over_pictures_by_the_positives_of_all(rng):
    logits, offsets = predictions(rng)
    together = detect.loss(logits, offsets, ANCHORS, TARGETS)
    classes = boxes = positives = 0
    for n, target in enumerate(TARGETS):
        matched = detect.match(ANCHORS, target.boxes)
        mine = matched >= 0
        labels = np.where(mine, target.labels[matched.clip(0)] if len(target.labels) else -1, matched)
        classes += ops.sigmoid_focal_loss(logits[n], labels)[0] * max(1, mine.sum())
        goal = detect.encode(target.boxes[matched[mine]], ANCHORS[mine])
        boxes, positives = boxes + abs(offsets[n, mine] - goal).sum(), positives + mine.sum()
    assert_allclose([together.classes, together.boxes], [classes / positives, boxes / positives], rtol=1e-6)


def test_an_anchor_between_the_thresholds_has_no_gradient(rng):
    logits, offsets = predictions(rng)
    found = detect.loss(logits, offsets, ANCHORS, TARGETS)
    for n, target in enumerate(TARGETS):
        matched = detect.match(ANCHORS, target.boxes)
        assert not found.dlogits[n, matched == detect.IGNORED].any()
        assert found.dlogits[n, matched != detect.IGNORED].all()
        assert not found.doffsets[n, matched < 0].any() and found.doffsets[n, matched >= 0].all()
    assert (detect.match(ANCHORS, TARGETS[0].boxes) == detect.IGNORED).any()


def test_without_targets_the_loss_is_finite_and_the_boxes_cost_nothing(rng):
    logits, offsets = predictions(rng)
    found = detect.loss(logits, offsets, ANCHORS, [detect.target([], [])] * 3)
    assert 0 < found.total < np.inf and found.boxes == 0 and not found.doffsets.any() and found.dlogits.all()


def test_the_order_of_targets_changes_nothing(rng):
    logits, offsets = predictions(rng)
    swapped = [detect.Target(boxes[::-1], labels[::-1]) for boxes, labels in TARGETS]
    for one, other in zip(
        detect.loss(logits, offsets, ANCHORS, TARGETS), detect.loss(logits, offsets, ANCHORS, swapped), strict=True
    ):
        assert_array_equal(one, other)


def test_right_predictions_cost_next_to_nothing():
    """The anchor of every box says its class and its offsets, all others that there is nothing."""
    matched = [detect.match(ANCHORS, target.boxes) for target in TARGETS]
    logits, offsets = np.full((3, len(ANCHORS), 3), -20, np.float32), np.zeros((3, len(ANCHORS), 4), np.float32)
    for n, (target, places) in enumerate(zip(TARGETS, matched, strict=True)):
        mine = np.flatnonzero(places >= 0)
        logits[n, mine, target.labels[places[mine]]] = 20
        offsets[n, mine] = detect.encode(target.boxes[places[mine]], ANCHORS[mine])
    found = detect.loss(logits, offsets, ANCHORS, TARGETS)
    assert found.total < 1e-6 and found.dlogits.dtype == found.doffsets.dtype == np.float32
    for target, seen in zip(TARGETS, detect.detections(logits, offsets, ANCHORS, (24, 24)), strict=True):
        assert sorted(seen.labels.tolist()) == sorted(target.labels.tolist())
        best = detect.iou(seen.boxes, target.boxes)
        assert (best.max(1, initial=0) > 0.999).all() and (seen.scores > 0.999).all()


@pytest.mark.parametrize(
    "change, message",
    [
        ({"targets": TARGETS[:2]}, "loss: targets must be 3, one per picture, got 2"),
        ({"anchors": ANCHORS[1:]}, "loss: anchors must have shape (27, 4), got (26, 4)"),
        ({"offsets": np.zeros((3, 27, 3))}, "loss: offsets must have shape (3, 27, 4), got (3, 27, 3)"),
        (
            {"targets": [*TARGETS[:2], ([[4, 4, 4, 9]], [0])]},
            "targets[2]: boxes[0]=[4.0, 4.0, 4.0, 9.0] must be finite, with x1 > x0 and y1 > y0",
        ),
        ({"targets": [*TARGETS[:2], ([[4, 4, 5, 9]], [3])]}, "targets[2]: labels[0]=3 must be a class from 0 to 2"),
        ({"box_weight": -1}, "loss: box_weight must be finite and >= 0, got -1"),
    ],
)
def test_what_does_not_fit_is_named(rng, change, message):
    logits, offsets = predictions(rng)
    given = {"logits": logits, "offsets": offsets, "anchors": ANCHORS, "targets": TARGETS, **change}
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        detect.loss(**given)
