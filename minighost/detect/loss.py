"""A detector's loss: the focal loss of all classes at all anchors, and the distance of the boxes that have one.

Lin et al. 2017, "Focal loss for dense object detection", §4. Both are divided by the number of anchors that have a box
in the whole batch, at least 1: by all anchors, nearly all of them easy, the loss would be next to nothing. The boxes'
loss is L1, as in the library with which GhostNet's authors trained; the paper's is its smooth form (`beta`).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from minighost import ops
from minighost.arguments import number
from minighost.detect.boxes import Target, encode, target
from minighost.detect.matching import match
from minighost.engine import check
from minighost.type_aliases import Array, IntArray

__all__ = ["Loss", "loss"]


class Loss(NamedTuple):
    """The loss of a batch and its gradients.

    Attributes
    ----------
    total : float
        ``classes + box_weight * boxes``, of which the gradients are.
    classes, boxes : float
    dlogits : ndarray, shape (N, A, C)
    doffsets : ndarray, shape (N, A, 4)
    """

    total: float
    classes: float
    boxes: float
    dlogits: Array
    doffsets: Array


def loss(
    logits: Array,
    offsets: Array,
    anchors: Array,
    targets: Sequence[Target],
    *,
    alpha: float = 0.25,
    gamma: float = 2.0,
    beta: float = 0.0,
    box_weight: float = 1.0,
    positive: float = 0.5,
    negative: float = 0.4,
    min_pos_iou: float = 0.0,
) -> Loss:
    """Match anchors with targets and say what the predictions cost.

    Parameters
    ----------
    logits : ndarray, shape (N, A, C), float32 or float64
        Of each class at each anchor.
    offsets : ndarray, shape (N, A, 4)
        From each anchor to its box; see `encode`.
    anchors : ndarray, shape (A, 4)
    targets : sequence of Target
        One per picture; it may be empty.
    alpha, gamma : float
        Of the focal loss.
    beta : float
        Below it the boxes' loss is a parabola; 0 is L1.
    box_weight : float
        Of the boxes' loss in the sum.
    positive, negative, min_pos_iou : float
        Of `match`.

    Raises
    ------
    TypeError, ValueError
        Arrays or targets do not fit; what is wrong with which picture is named.
    """
    logits, offsets = check.array("loss", "logits", logits, 3), check.array("loss", "offsets", offsets, 3)
    check.same_dtype("loss", logits=logits, offsets=offsets)
    N, A, C = logits.shape
    check.shape_is("loss", "offsets", offsets, (N, A, 4))
    check.shape_is("loss", "anchors", anchors, (A, 4))
    if len(targets) != N:
        raise ValueError(f"loss: targets must be {N}, one per picture, got {len(targets)}")
    number("loss", "box_weight", box_weight, least=0)
    labels, wanted = np.empty((N, A), np.int64), []
    for n, (boxes, classes) in enumerate(targets):
        boxes, classes = target(boxes, classes, C, name=f"targets[{n}]")
        labels[n], found = _matched(match(anchors, boxes, positive, negative, min_pos_iou), boxes, classes, anchors)
        wanted.append(found)
    has_box = labels >= 0
    of_classes, dlogits = ops.sigmoid_focal_loss(logits.reshape(-1, C), labels.ravel(), alpha, gamma)
    goal = np.concatenate([np.empty((0, 4)), *wanted]).astype(offsets.dtype)
    of_boxes, doffset = ops.l1_loss(offsets[has_box], goal, beta)
    doffsets = np.zeros_like(offsets)
    doffsets[has_box] = doffset * offsets.dtype.type(box_weight)
    return Loss(of_classes + box_weight * of_boxes, of_classes, of_boxes, dlogits.reshape(logits.shape), doffsets)


def _matched(matched: IntArray, boxes: Array, classes: IntArray, anchors: Array) -> tuple[IntArray, Array]:
    """The label of each anchor, and the offsets from each anchor that has a box to it."""
    mine = np.flatnonzero(matched >= 0)
    labels = matched.copy()
    labels[mine] = classes[matched[mine]]
    return labels, encode(boxes[matched[mine]].astype(np.float64), anchors[mine].astype(np.float64))
