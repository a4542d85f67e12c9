"""Boxes: how much two of them overlap, and a box as four numbers relative to another.

A box is x0, y0, x1, y1 in pixels of the picture; x1 and y1 are exclusive, so a box of one pixel at the origin is
0, 0, 1, 1, and the width is x1 - x0. A detector does not predict these four numbers. It predicts how an *anchor*, a box
that was there before, has to move and to grow (Ren et al. 2015, "Faster R-CNN", eq. 2):

    dx = (x - x_a) / w_a        dy = (y - y_a) / h_a        of the centres
    dw = log(w / w_a)           dh = log(h / h_a)           of the sides

These offsets are of about the same size for small boxes and large ones, and no prediction gives a negative side.
"""

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from minighost.type_aliases import Array, ArrayLike, IntArray

__all__ = ["LARGEST_GROWTH", "Detections", "Target", "clip", "decode", "encode", "iou", "target"]

LARGEST_GROWTH = math.log(1000 / 16)  # of a side; a wild prediction would overflow, and a picture's side is enough


class Target(NamedTuple):
    """What is to be found in one picture; `target` makes one and checks it.

    Attributes
    ----------
    boxes : ndarray, shape (n, 4), float32
        n may be 0.
    labels : ndarray, shape (n,), int64
        0 to C-1.
    """

    boxes: Array
    labels: IntArray


class Detections(NamedTuple):
    """What has been found in one picture, by falling score.

    Attributes
    ----------
    boxes : ndarray, shape (n, 4), float32
    labels : ndarray, shape (n,), int64
    scores : ndarray, shape (n,), float32
        0 to 1.
    """

    boxes: Array
    labels: IntArray
    scores: Array


def target(boxes: ArrayLike, labels: ArrayLike, num_classes: int | None = None, name: str = "target") -> Target:
    """Boxes and labels of one picture as a `Target`.

    Parameters
    ----------
    boxes : array_like, shape (n, 4)
    labels : array_like, shape (n,)
    num_classes : int, optional
        Labels are checked against it.
    name : str
        For messages.

    Raises
    ------
    ValueError
        Shapes do not fit, a box has no area or is not finite, or a label is no class; its position is named.

    Examples
    --------
    >>> target([[0, 0, 4, 2]], [3]).boxes
    array([[0., 0., 4., 2.]], dtype=float32)
    >>> target([], []).boxes.shape
    (0, 4)
    """
    found = _four(name, boxes).astype(np.float32)
    numbers = np.asarray(labels) if np.size(labels) else np.empty(np.shape(labels), np.int64)
    if numbers.shape != (len(found),) or numbers.dtype.kind not in "iu":
        raise ValueError(
            f"{name}: labels must be {len(found)} whole numbers, one per box; got shape {numbers.shape}, "
            f"dtype {numbers.dtype}"
        )
    sound = np.isfinite(found).all(1) & (found[:, 2:] > found[:, :2]).all(1)
    if not sound.all():
        k = int(np.argmin(sound))
        raise ValueError(f"{name}: boxes[{k}]={found[k].tolist()} must be finite, with x1 > x0 and y1 > y0")
    wrong = (numbers < 0) | (numbers >= (np.inf if num_classes is None else num_classes))
    if wrong.any():
        k = int(np.argmax(wrong))
        rule = "of at least 0" if num_classes is None else f"from 0 to {num_classes - 1}"
        raise ValueError(f"{name}: labels[{k}]={numbers[k]} must be a class {rule}")
    return Target(found, numbers.astype(np.int64))


def iou(a: ArrayLike, b: ArrayLike) -> Array:
    """Intersection over union of each box of `a` with each of `b`: their common area as a share of what they cover.

    Parameters
    ----------
    a : array_like, shape (n, 4)
    b : array_like, shape (m, 4)

    Returns
    -------
    ndarray, shape (n, m), float64
        0 where they do not touch, 1 where they are equal; 0 where both are without area.

    Examples
    --------
    >>> iou([[0, 0, 2, 2]], [[0, 0, 2, 2], [1, 0, 3, 2], [2, 0, 4, 2]]).round(3)
    array([[1.   , 0.333, 0.   ]])
    """
    first, second = (_four("iou", boxes).astype(np.float64) for boxes in (a, b))
    start = np.maximum(first[:, None, :2], second[None, :, :2])
    end = np.minimum(first[:, None, 2:], second[None, :, 2:])
    common = np.maximum(end - start, 0).prod(2)
    areas = [np.maximum(boxes[:, 2:] - boxes[:, :2], 0).prod(1) for boxes in (first, second)]
    union = areas[0][:, None] + areas[1] - common
    return np.divide(common, union, out=np.zeros_like(common), where=union > 0)


def encode(boxes: Array, anchors: Array) -> Array:
    """Offsets from anchors to boxes: (n, 4) and (n, 4) -> (n, 4); both have an area."""
    (x, y, w, h), (x_a, y_a, w_a, h_a) = _centres(boxes), _centres(anchors)
    return np.stack([(x - x_a) / w_a, (y - y_a) / h_a, np.log(w / w_a), np.log(h / h_a)], axis=-1)


def decode(offsets: Array, anchors: Array) -> Array:
    """Boxes from offsets, the inverse of `encode`: (..., n, 4) and (n, 4) -> (..., n, 4).

    A side grows at most by `LARGEST_GROWTH`, to 62.5 times the anchor's.
    """
    x_a, y_a, w_a, h_a = _centres(anchors)
    dx, dy, dw, dh = np.moveaxis(offsets, -1, 0)
    x, y = x_a + dx * w_a, y_a + dy * h_a
    w, h = (side * np.exp(np.minimum(growth, LARGEST_GROWTH)) for side, growth in ((w_a, dw), (h_a, dh)))
    return np.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2], axis=-1)


def clip(boxes: Array, size: tuple[int, int]) -> Array:
    """The part of each box that lies inside a picture of `size` (H, W); without area if it is outside."""
    H, W = size
    return np.clip(boxes, 0, np.array([W, H, W, H], boxes.dtype))


def _centres(boxes: Array) -> tuple[Array, Array, Array, Array]:
    """Centres x and y, width and height."""
    x0, y0, x1, y1 = np.moveaxis(boxes, -1, 0)
    return (x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0


def _four(name: str, boxes: ArrayLike) -> npt.NDArray[Any]:
    found = np.asarray(boxes)
    if not found.size:
        found = np.empty((0, 4))
    if found.ndim != 2 or found.shape[1] != 4 or found.dtype.kind not in "iuf":
        raise ValueError(
            f"{name}: boxes must be (n, 4) numbers: x0, y0, x1, y1; got shape {found.shape}, dtype {found.dtype}"
        )
    return found
