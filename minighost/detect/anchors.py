"""Anchors: boxes of several sizes and shapes at every place of every map, from which predictions start.

Lin et al. 2017, "Focal loss for dense object detection", §4: three sizes, 2**0, 2**(1/3) and 2**(2/3) times four
strides, of three shapes each. So a map of stride 8 looks for things of 32 to 51 pixels, the next of twice that. The
centre of an anchor is the pixel at which its place of the map looks, row 3 of a map of stride 8 at row 24.
"""

from collections.abc import Sequence

import numpy as np

from minighost.arguments import number, whole
from minighost.type_aliases import Array

__all__ = ["anchors", "shapes_of"]

RATIOS = 0.5, 1.0, 2.0  # height by width


def shapes_of(count: int) -> Array:
    """Width and height of the anchors of a place, for a side of 1: (count, 2).

    Parameters
    ----------
    count : int
        A multiple of 3: as many sizes as a third of it, each of the ratios 1/2, 1 and 2. Any other: squares. The
        sizes are evenly spaced in the logarithm, from 1 up to less than 2, where the next map begins.

    Examples
    --------
    >>> shapes_of(3).round(2)
    array([[1.41, 0.71],
           [1.  , 1.  ],
           [0.71, 1.41]])
    """
    count = whole("anchors", "count", count, 1)
    ratios = np.sqrt(RATIOS if count % 3 == 0 else (1.0,))
    scales = 2 ** (np.arange(count // len(ratios)) * len(ratios) / count)
    return np.stack([(scales / ratios[:, None]).ravel(), (scales * ratios[:, None]).ravel()], axis=1)


def anchors(sizes: Sequence[tuple[int, int]], strides: Sequence[int], count: int = 9, base: float = 4.0) -> Array:
    """The anchors of all maps: map by map, row by row, and at each place shape by shape, size by size.

    Parameters
    ----------
    sizes : sequence of (int, int)
        H, W of each map.
    strides : sequence of int
        Pixels from one place of a map to the next.
    count : int
        How many there are at a place; see `shapes_of`.
    base : float
        Side of the smallest square anchor, in strides.

    Returns
    -------
    ndarray, shape (A, 4), float32
        Boxes; those at the border reach over it.

    Examples
    --------
    >>> anchors([(2, 2), (1, 1)], [8, 16], count=1)
    array([[-16., -16.,  16.,  16.],
           [ -8., -16.,  24.,  16.],
           [-16.,  -8.,  16.,  24.],
           [ -8.,  -8.,  24.,  24.],
           [-32., -32.,  32.,  32.]], dtype=float32)
    """
    number("anchors", "base", base, above=0)
    if len(sizes) != len(strides):
        raise ValueError(f"anchors: {len(sizes)} maps and {len(strides)} strides; there must be a stride for each map")
    shapes, found = shapes_of(count), [np.empty((0, 4))]
    for (H, W), stride in zip(sizes, strides, strict=True):
        rows, columns = np.mgrid[:H, :W] * stride
        centres = np.stack([columns, rows], axis=-1).reshape(-1, 1, 2)  # (places, 1, x and y)
        half = shapes * (base * stride / 2)
        found.append(np.concatenate([centres - half, centres + half], axis=2).reshape(-1, 4))
    return np.concatenate(found).astype(np.float32)
