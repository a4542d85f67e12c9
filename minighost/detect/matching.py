"""Matching: which anchor is to find which box, and which is to say that there is nothing.

An anchor that overlaps with a box by half or more (intersection over union) is to find it; one that overlaps with all
by less than 0.4 is to find nothing; what lies between is left out of the loss (Lin et al. 2017, "Focal loss", §4). A
box with which no anchor overlaps enough would be lost. So each box also gets the anchor that fits it best.
"""

import numpy as np

from minighost.arguments import number
from minighost.detect.boxes import iou
from minighost.type_aliases import Array, IntArray

__all__ = ["IGNORED", "NOTHING", "match"]

NOTHING, IGNORED = -1, -2


def match(
    anchors: Array, boxes: Array, positive: float = 0.5, negative: float = 0.4, min_pos_iou: float = 0.0
) -> IntArray:
    """The box of each anchor.

    Parameters
    ----------
    anchors : ndarray, shape (A, 4)
    boxes : ndarray, shape (n, 4)
    positive, negative : float
        Overlap from which an anchor has a box, and below which it has nothing; negative <= positive.
    min_pos_iou : float
        Overlap that the best anchor of a box must have to get it though it is below `positive`; more than 0 in any
        case.

    Returns
    -------
    ndarray, shape (A,), int64
        The box's number, `NOTHING` (-1) or `IGNORED` (-2). Of equal overlaps the first counts, and no two boxes share
        their best anchor: the one that overlaps more has it, the other takes the best one that is left.

    Examples
    --------
    >>> places = np.array([[0, 0, 8, 8], [4, 0, 12, 8], [2, 0, 10, 8], [0, 0, 8, 4], [50, 0, 58, 8.0]])
    >>> match(places, np.array([[0, 0, 8, 8], [80, 0, 90, 9.0]]))
    array([ 0, -1,  0,  0, -1])
    >>> match(places, np.array([[0, 0, 8, 9.0]]), positive=0.6, negative=0.3)
    array([ 0, -2, -2, -2, -1])
    """
    number("match", "positive", positive, least=0, most=1)
    number("match", "negative", negative, least=0, most=positive)
    number("match", "min_pos_iou", min_pos_iou, least=0, most=1)
    found = np.full(len(anchors), NOTHING, np.int64)
    if not len(boxes) or not len(anchors):
        return found
    overlap = iou(anchors, boxes)
    best = overlap.max(1)
    found[best >= negative] = IGNORED
    enough = best >= positive
    found[enough] = overlap.argmax(1)[enough]
    for anchor, box in _best_anchors(overlap, min_pos_iou):
        found[anchor] = box
    return found


def _best_anchors(overlap: Array, least: float) -> list[tuple[int, int]]:
    """Pairs (anchor, box) by falling overlap; each anchor and each box once."""
    best = overlap.argmax(0)
    value, taken = overlap.max(0), np.zeros(len(overlap), bool)
    pairs: list[tuple[int, int]] = []
    while True:
        box = int(value.argmax())
        if value[box] <= 0 or value[box] < least:
            return pairs
        anchor = int(best[box])
        if taken[anchor]:  # another box overlaps with it more
            left = np.where(taken, 0, overlap[:, box])
            best[box], value[box] = left.argmax(), left.max()
            continue
        pairs.append((anchor, box))
        taken[anchor], value[box] = True, 0
