"""From predictions to detections: what is confident enough, as boxes in the picture, each thing once.

Lin et al. 2017, "Focal loss for dense object detection", §4: scores above 0.05, of each map at most the thousand
highest, then non-maximum suppression at 0.5.
"""

from collections.abc import Sequence

import numpy as np

from minighost.arguments import number, whole
from minighost.detect.boxes import Detections, clip, decode
from minighost.detect.nms import nms
from minighost.engine import check
from minighost.type_aliases import Array, IntArray

__all__ = ["detections"]


def detections(
    logits: Array,
    offsets: Array,
    anchors: Array,
    size: tuple[int, int],
    score: float = 0.05,
    iou: float = 0.5,
    top: int = 1000,
    most: int = 100,
    per_map: Sequence[int] | None = None,
) -> list[Detections]:
    """What has been found in each picture.

    Parameters
    ----------
    logits : ndarray, shape (N, A, C), float32 or float64
    offsets : ndarray, shape (N, A, 4)
    anchors : ndarray, shape (A, 4)
    size : (int, int)
        H, W of the pictures, to which boxes are clipped.
    score : float
        Only what is more probable than this is looked at; 0 to 1.
    iou : float
        Overlap above which the lower score of two boxes of a class goes.
    top : int
        Of each map at most as many candidates as this, the highest scores.
    most : int
        In each picture at most as many detections as this.
    per_map : sequence of int, optional
        Anchors of each map, in order; by default all are taken together, as of one map.

    Returns
    -------
    list of Detections
        One per picture.

    Raises
    ------
    TypeError, ValueError
        Arrays do not fit, or a number is out of range.
    """
    op = "detections"
    logits, offsets = check.array(op, "logits", logits, 3), check.array(op, "offsets", offsets, 3)
    N, A, C = logits.shape
    check.shape_is(op, "offsets", offsets, (N, A, 4))
    check.shape_is(op, "anchors", anchors, (A, 4))
    number(op, "score", score, least=0, below=1)
    number(op, "iou", iou, least=0, most=1)
    whole(op, "top", top, 1)
    whole(op, "most", most, 1)
    maps = [A] if per_map is None else list(per_map)
    if sum(maps) != A:
        raise ValueError(f"{op}: per_map={maps} must add up to {A} anchors, not {sum(maps)}")
    with np.errstate(divide="ignore"):
        least = np.log(score) - np.log1p(-score)
    found = []
    for n in range(N):
        chosen = _candidates(logits[n], least, top, maps)
        places, labels = chosen // C, chosen % C
        boxes = clip(decode(offsets[n, places], anchors[places]), size).astype(np.float32)
        scores = (1 / (1 + np.exp(-logits[n].ravel()[chosen].astype(np.float64)))).astype(np.float32)
        inside = (boxes[:, 2:] > boxes[:, :2]).all(1)
        boxes, labels, scores = boxes[inside], labels[inside], scores[inside]
        kept = nms(boxes, scores, labels, iou)[:most]
        found.append(Detections(boxes[kept], labels[kept], scores[kept]))
    return found


def _candidates(logits: Array, least: float, top: int, maps: Sequence[int]) -> IntArray:
    """Numbers of logits in the flattened (A, C) that are above `least`, of each map the `top` highest."""
    C, start, found = logits.shape[1], 0, []
    for count in maps:
        flat = logits[start : start + count].ravel()
        above = np.flatnonzero(flat > least)
        best = np.argsort(-flat[above], kind="stable")[:top]
        found.append(start * C + above[best])
        start += count
    return np.concatenate(found)
