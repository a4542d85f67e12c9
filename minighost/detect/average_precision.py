"""Average precision: how good detections are, in one number per class, as COCO measures it.

A detection is right if it overlaps a box of its class, and no more confident detection has taken that box already. What
"overlaps" means is asked ten times, with an intersection over union of 0.50, 0.55, ... 0.95. Down the list of all
detections of a class, by falling score, *recall* is the share of boxes that have been found, and *precision* the share
of detections that were right. Average precision is the mean of the best precision that is still to be had at recall 0,
0.01, ... 1; mAP is its mean over the classes (Lin et al. 2014, "Microsoft COCO: common objects in context"; the code
that everybody reports with is COCOeval of pycocotools, whose numbers these are).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from minighost.detect.boxes import Detections, Target, iou
from minighost.type_aliases import Array, BoolArray, IntArray

__all__ = ["MOST", "RECALLS", "THRESHOLDS", "AveragePrecision", "average_precision"]

THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0, 1, 101)
MOST = 100  # detections of one class in one picture that count, the most confident


class AveragePrecision(NamedTuple):
    """Of each class at each threshold.

    Attributes
    ----------
    table : ndarray, shape (C, 10), float64
        0 to 1; NaN for a class that no picture has.
    boxes : ndarray, shape (C,), int64
        True boxes of each class.
    """

    table: Array
    boxes: IntArray

    @property
    def at_50(self) -> float:
        """mAP@0.5: a box counts as found from an intersection over union of 0.5 on. NaN if there are no boxes."""
        return _mean(self.table[:, 0])

    @property
    def mean(self) -> float:
        """mAP@0.5:0.95: over all ten thresholds, so that exact boxes count for more. NaN if there are no boxes."""
        return _mean(self.table)


def average_precision(
    found: Sequence[Detections], truth: Sequence[Target], num_classes: int, most: int = MOST
) -> AveragePrecision:
    """Compare detections with the true boxes, picture by picture.

    Parameters
    ----------
    found : sequence of Detections
        Of each picture, by falling score.
    truth : sequence of Target
        Of the same pictures.
    num_classes : int
    most : int
        How many detections of each class count in one picture: the most confident.

    Raises
    ------
    ValueError
        Another number of pictures in `found` than in `truth`.

    Examples
    --------
    >>> from minighost.detect import Detections, target
    >>> truth = [target([[0, 0, 10, 10]], [0])]
    >>> half = Detections(np.float32([[0, 0, 10, 7]]), np.array([0]), np.float32([0.9]))
    >>> report = average_precision([half], truth, 2)
    >>> report.at_50, round(report.mean, 2)
    (1.0, 0.5)
    """
    if len(found) != len(truth):
        raise ValueError(f"average_precision: found is of {len(found)} pictures, truth of {len(truth)}")
    table = np.full((num_classes, len(THRESHOLDS)), np.nan)
    boxes = np.zeros(num_classes, np.int64)
    for k in range(num_classes):
        scores, right = [], []
        for one, target in zip(found, truth, strict=True):
            mine, true = one.labels == k, target.boxes[target.labels == k]
            boxes[k] += len(true)
            scores.append(one.scores[mine][:most])
            right.append(_right(one.boxes[mine][:most], true))
        if boxes[k]:
            table[k] = _precision(np.concatenate(scores), np.concatenate(right), int(boxes[k]))
    return AveragePrecision(table, boxes)


def _right(found: Array, true: Array) -> BoolArray:
    """Which detections (n, 4), by falling score, find a box of (m, 4) that is free: (n, 10), for each threshold.

    Each takes the free box that it overlaps most; of equals the last, as COCOeval does.
    """
    right = np.zeros((len(found), len(THRESHOLDS)), bool)
    if not (len(found) and len(true)):
        return right
    overlap = iou(found, true)
    taken = np.zeros((len(THRESHOLDS), len(true)), bool)
    least, every = np.minimum(THRESHOLDS, 1 - 1e-10), np.arange(len(THRESHOLDS))
    for n in np.flatnonzero(overlap.max(axis=1) >= least[0]):
        free = np.where(taken, -1, overlap[n])
        best = len(true) - 1 - free[:, ::-1].argmax(axis=1)
        right[n] = free[every, best] >= least
        taken[every[right[n]], best[right[n]]] = True
    return right


def _precision(scores: Array, right: BoolArray, boxes: int) -> Array:
    """Average precision at each threshold, from the scores (n,) of all detections of a class and what is right."""
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(right[order], axis=0)
    recall, precision = hits / boxes, hits / (np.arange(len(scores)) + 1)[:, None]
    precision = np.maximum.accumulate(precision[::-1], axis=0)[::-1]  # the best that is still to come
    precision = np.append(precision, np.zeros((1, len(THRESHOLDS))), axis=0)  # recall that is never reached
    reached = [np.searchsorted(recall[:, t], RECALLS, side="left") for t in range(len(THRESHOLDS))]
    return np.array([precision[at, t].mean() for t, at in enumerate(reached)])


def _mean(table: Array) -> float:
    known = table[~np.isnan(table)]
    return float(known.mean()) if known.size else float("nan")
