"""Space to batch, and back: every SH-th row and SW-th column is an image of its own.

    out[(u*SW + v)*N + n, i, j, c] = x[n, i*SH + u, j*SW + v, c]

(TensorFlow's order of the batch.) A permutation of numbers, so the inverse is also the backward.

It turns a dilated convolution into an ordinary one: the taps of a kernel with dilation D meet only pixels that are a
multiple of D apart, which is to say neighbours in one of the D*D images (Chen et al. 2015, "Semantic image segmentation
with deep convolutional nets and fully connected CRFs", §2.1). `conv2d_by_space_to_batch` does it.
"""

import numpy as np

from minighost.engine import check
from minighost.engine.geometry import geometry
from minighost.ops.conv2d import conv2d_forward
from minighost.ops.depth_to_space import whole_blocks
from minighost.type_aliases import Array, Cache, IntPair

__all__ = [
    "batch_to_space_backward",
    "batch_to_space_backward_reference",
    "batch_to_space_forward",
    "batch_to_space_forward_reference",
    "conv2d_by_space_to_batch",
    "space_to_batch_backward",
    "space_to_batch_backward_reference",
    "space_to_batch_forward",
    "space_to_batch_forward_reference",
]


# The idea ------------------------------------------------------------------------------------------------------


def space_to_batch_forward_reference(x: Array, block: IntPair) -> tuple[Array, Cache]:
    """`space_to_batch_forward` by a loop over the images that it makes of one."""
    (SH, SW), _ = whole_blocks("space_to_batch", x, block)
    return np.concatenate([x[:, u::SH, v::SW] for u in range(SH) for v in range(SW)]), ((SH, SW),)


def space_to_batch_backward_reference(dout: Array, cache: Cache) -> Array:
    """`space_to_batch_backward` in plain NumPy: the inverse."""
    return batch_to_space_forward_reference(dout, *cache)[0]


def batch_to_space_forward_reference(x: Array, block: IntPair) -> tuple[Array, Cache]:
    """`batch_to_space_forward` by the same loop."""
    SH, SW = _checked_batch("batch_to_space", x, block)
    N, (H, W, C) = len(x) // (SH * SW), x.shape[1:]
    out = np.empty((N, H * SH, W * SW, C), x.dtype)
    for u, v in np.ndindex(SH, SW):
        out[:, u::SH, v::SW] = x[(u * SW + v) * N :][:N]
    return out, ((SH, SW),)


def batch_to_space_backward_reference(dout: Array, cache: Cache) -> Array:
    """`batch_to_space_backward` in plain NumPy: the inverse."""
    return space_to_batch_forward_reference(dout, *cache)[0]


# The same in one copy ------------------------------------------------------------------------------------------


def space_to_batch_forward(x: Array, block: IntPair) -> tuple[Array, Cache]:
    """Make an image of every SH-th row and SW-th column.

    Parameters
    ----------
    x : ndarray, shape (N, H*SH, W*SW, C), float32 or float64
    block : int or (int, int)
        SH, SW.

    Returns
    -------
    out : ndarray, shape (SH*SW*N, H, W, C)
    cache : tuple
        For `space_to_batch_backward`.

    Raises
    ------
    TypeError, ValueError
        If `x` is not such an array, or the block does not divide its plane.

    Examples
    --------
    >>> space_to_batch_forward(np.arange(4.0).reshape(1, 1, 4, 1), (1, 2))[0].reshape(2, 2)
    array([[0., 2.],
           [1., 3.]])
    """
    x = check.array("space_to_batch", "x", x, 4)
    (SH, SW), (H, W) = whole_blocks("space_to_batch", x, block)
    N, C = len(x), x.shape[3]
    images = x.reshape(N, H, SH, W, SW, C).transpose(2, 4, 0, 1, 3, 5)
    return np.ascontiguousarray(images).reshape(SH * SW * N, H, W, C), ((SH, SW),)


def space_to_batch_backward(dout: Array, cache: Cache) -> Array:
    """Gradient of `space_to_batch_forward`: `batch_to_space_forward` of `dout`. Returns `dx`."""
    return batch_to_space_forward(dout, *cache)[0]


def batch_to_space_forward(x: Array, block: IntPair) -> tuple[Array, Cache]:
    """Put images back as the rows and columns of one: the inverse of `space_to_batch_forward`.

    Parameters
    ----------
    x : ndarray, shape (SH*SW*N, H, W, C), float32 or float64
    block : int or (int, int)
        SH, SW.

    Returns
    -------
    out : ndarray, shape (N, H*SH, W*SW, C)
    cache : tuple
        For `batch_to_space_backward`.

    Raises
    ------
    TypeError, ValueError
        If `x` is not such an array, or the images do not make up whole blocks.
    """
    x = check.array("batch_to_space", "x", x, 4)
    SH, SW = _checked_batch("batch_to_space", x, block)
    N, (H, W, C) = len(x) // (SH * SW), x.shape[1:]
    blocks = x.reshape(SH, SW, N, H, W, C).transpose(2, 3, 0, 4, 1, 5)
    return np.ascontiguousarray(blocks).reshape(N, H * SH, W * SW, C), ((SH, SW),)


def batch_to_space_backward(dout: Array, cache: Cache) -> Array:
    """Gradient of `batch_to_space_forward`: `space_to_batch_forward` of `dout`. Returns `dx`."""
    return space_to_batch_forward(dout, *cache)[0]


# What it is good for -------------------------------------------------------------------------------------------


def conv2d_by_space_to_batch(
    x: Array, w: Array, b: Array | None = None, padding: IntPair = 0, dilation: IntPair = 1, groups: int = 1
) -> Array:
    """A dilated convolution by one without dilation: pad, space to batch, convolve, batch to space, crop.

    Parameters
    ----------
    x, w, b, padding, dilation, groups
        As for `conv2d_forward`; the stride is 1.

    Returns
    -------
    ndarray, shape (N, OH, OW, OC)
        That of ``conv2d_forward(x, w, b, 1, padding, dilation, groups)``.

    Examples
    --------
    >>> x, w = np.arange(5.0).reshape(1, 1, 5, 1), np.ones((1, 2, 1, 1))
    >>> conv2d_by_space_to_batch(x, w, dilation=(1, 3)).ravel()  # x[j] + x[j + 3]
    array([3., 5.])
    """
    x = check.array("conv2d_by_space_to_batch", "x", x, 4)
    g = geometry("conv2d_by_space_to_batch", x.shape[1:3], np.shape(w)[:2], 1, padding, dilation)
    sides = [(P, P + -(size + 2 * P) % D) for size, P, D in zip(x.shape[1:3], (g.PH, g.PW), (g.DH, g.DW), strict=True)]
    images, cache = space_to_batch_forward(np.pad(x, [(0, 0), *sides, (0, 0)]), (g.DH, g.DW))
    out, _ = conv2d_forward(images, w, b, groups=groups)
    return batch_to_space_forward(out, *cache)[0][:, : g.OH, : g.OW]


def _checked_batch(op: str, x: Array, block: IntPair) -> tuple[int, int]:
    SH, SW = check.pair(op, "block", block, 1)
    if len(x) % (SH * SW):
        raise ValueError(
            f"{op}: block={block} makes one image of {SH * SW}, but x has {len(x)} "
            f"({len(x)} % {SH * SW} = {len(x) % (SH * SW)})"
        )
    return SH, SW
