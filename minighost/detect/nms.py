"""Non-maximum suppression: of boxes that lie on one another only the most confident stays.

A detector finds a thing with every anchor near it. Greedily: take the box with the highest score; drop all boxes of its
class that overlap with it by more than a threshold; go on with the highest that is left.
"""

import numpy as np

from minighost.arguments import number
from minighost.detect.boxes import iou
from minighost.engine.launch import kernel, share
from minighost.type_aliases import Array, IntArray

__all__ = ["nms", "nms_reference"]


# The idea ------------------------------------------------------------------------------------------------------


def nms_reference(boxes: Array, scores: Array, labels: IntArray, threshold: float = 0.5) -> IntArray:
    """`nms` in plain Python."""
    overlap = iou(boxes, boxes)
    kept: list[int] = []
    for box in sorted(range(len(boxes)), key=lambda k: (-scores[k], k)):
        if all(labels[box] != labels[better] or overlap[box, better] <= threshold for better in kept):
            kept.append(box)
    return np.array(kept, np.int64)


# The same, compiled --------------------------------------------------------------------------------------------


def nms(boxes: Array, scores: Array, labels: IntArray, threshold: float = 0.5) -> IntArray:
    """The boxes that stay, class by class.

    Parameters
    ----------
    boxes : ndarray, shape (n, 4)
    scores : ndarray, shape (n,)
    labels : ndarray, shape (n,)
        Boxes of different classes do not suppress each other.
    threshold : float
        Overlap (intersection over union) above which the lower score goes.

    Returns
    -------
    ndarray, int64
        Numbers of the boxes by falling score; of equal scores the first box comes first.

    Raises
    ------
    ValueError
        Shapes do not fit, or `threshold` is not from 0 to 1.

    Examples
    --------
    >>> boxes = np.array([[0, 0, 8, 8], [1, 0, 9, 8], [20, 0, 28, 8.0]])
    >>> nms(boxes, np.array([0.6, 0.9, 0.3]), np.array([0, 0, 0]))
    array([1, 2])
    >>> nms(boxes, np.array([0.6, 0.9, 0.3]), np.array([1, 0, 0]))
    array([1, 0, 2])
    """
    boxes, scores, labels = np.asarray(boxes), np.asarray(scores), np.asarray(labels)
    n = len(scores)
    if (boxes.shape, scores.shape, labels.shape) != ((n, 4), (n,), (n,)):
        raise ValueError(
            f"nms: boxes, scores and labels must be (n, 4), (n,) and (n,), got {boxes.shape}, {scores.shape} and "
            f"{labels.shape}"
        )
    number("nms", "threshold", threshold, least=0, most=1)
    order = np.lexsort((-scores, labels))  # class by class, by falling score
    bounds = np.flatnonzero(np.diff(labels[order])) + 1
    keep = np.ones(n, bool)
    if n:
        _suppress(np.array(boxes[order], np.float64), np.array([0, *bounds, n]), threshold, keep)
    kept = np.sort(order[keep])
    return kept[np.argsort(-scores[kept], kind="stable")]


@kernel
def _suppress(work, boxes, bounds, threshold, keep):
    for k in share(work, len(bounds) - 1):
        for first in range(bounds[k], bounds[k + 1]):
            if not keep[first]:
                continue
            x0, y0, x1, y1 = boxes[first, 0], boxes[first, 1], boxes[first, 2], boxes[first, 3]
            area = max(x1 - x0, 0.0) * max(y1 - y0, 0.0)
            for other in range(first + 1, bounds[k + 1]):
                if keep[other]:
                    width = max(min(x1, boxes[other, 2]) - max(x0, boxes[other, 0]), 0.0)
                    height = max(min(y1, boxes[other, 3]) - max(y0, boxes[other, 1]), 0.0)
                    its = max(boxes[other, 2] - boxes[other, 0], 0.0) * max(boxes[other, 3] - boxes[other, 1], 0.0)
                    common = width * height
                    union = area + its - common
                    if union > 0 and common / union > threshold:
                        keep[other] = False
