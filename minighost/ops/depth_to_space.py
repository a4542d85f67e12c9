"""Depth to space, and back: every pixel's channels become a block of pixels (Shi et al. 2016, "Real-time single image
and video super-resolution using an efficient sub-pixel convolutional neural network", eq. 4).

    out[n, i*SH + u, j*SW + v, c] = x[n, i, j, k],      k = (u*SW + v)*OC + c      "DCR": depth, column, row
                                                        k = (c*SH + u)*SW + v      "CRD": column, row, depth

for a block of SH x SW pixels. The two orders of channels are equal only where OC is 1; weights that were trained with
one are wrong with the other. DCR is TensorFlow's, and the default of ONNX; with channels last it moves whole pixels.
CRD is PyTorch's `PixelShuffle`. Each is a permutation of numbers: the inverse, `space_to_depth`, is also the backward.
"""

import numpy as np

from minighost.engine import check
from minighost.engine.launch import kernel, share
from minighost.engine.memory import empty
from minighost.type_aliases import Array, Cache, IntPair

__all__ = [
    "depth_to_space_backward",
    "depth_to_space_backward_reference",
    "depth_to_space_forward",
    "depth_to_space_forward_reference",
    "space_to_depth_backward",
    "space_to_depth_backward_reference",
    "space_to_depth_forward",
    "space_to_depth_forward_reference",
]


# The idea ------------------------------------------------------------------------------------------------------


def depth_to_space_forward_reference(x: Array, block: IntPair, order: str = "DCR") -> tuple[Array, Cache]:
    """`depth_to_space_forward` in plain NumPy: split the channels, move the block's axes, join."""
    (SH, SW), OC = _checked("depth_to_space", x, block, order)
    N, H, W, _ = x.shape
    if order == "DCR":
        blocks = x.reshape(N, H, W, SH, SW, OC).transpose(0, 1, 3, 2, 4, 5)
    else:
        blocks = x.reshape(N, H, W, OC, SH, SW).transpose(0, 1, 4, 2, 5, 3)
    return blocks.reshape(N, H * SH, W * SW, OC), ((SH, SW), order)  # from (N, H, SH, W, SW, OC)


def depth_to_space_backward_reference(dout: Array, cache: Cache) -> Array:
    """`depth_to_space_backward` in plain NumPy: the inverse."""
    return space_to_depth_forward_reference(dout, *cache)[0]


def space_to_depth_forward_reference(x: Array, block: IntPair, order: str = "DCR") -> tuple[Array, Cache]:
    """`space_to_depth_forward` in plain NumPy: split the plane, move the block's axes, join."""
    (SH, SW), (H, W) = _checked_plane("space_to_depth", x, block, order)
    N, C = len(x), x.shape[3]
    blocks = x.reshape(N, H, SH, W, SW, C)
    blocks = blocks.transpose((0, 1, 3, 2, 4, 5) if order == "DCR" else (0, 1, 3, 5, 2, 4))
    return blocks.reshape(N, H, W, SH * SW * C), ((SH, SW), order)


def space_to_depth_backward_reference(dout: Array, cache: Cache) -> Array:
    """`space_to_depth_backward` in plain NumPy: the inverse."""
    return depth_to_space_forward_reference(dout, *cache)[0]


# The same, compiled --------------------------------------------------------------------------------------------


def depth_to_space_forward(x: Array, block: IntPair, order: str = "DCR") -> tuple[Array, Cache]:
    """Spread the channels of every pixel over a block of pixels.

    Parameters
    ----------
    x : ndarray, shape (N, H, W, SH*SW*OC), float32 or float64
    block : int or (int, int)
        SH, SW.
    order : {"DCR", "CRD"}
        Which channel goes where; see this file's first lines.

    Returns
    -------
    out : ndarray, shape (N, H*SH, W*SW, OC)
    cache : tuple
        For `depth_to_space_backward`.

    Raises
    ------
    TypeError, ValueError
        If `x` is not such an array, SH*SW does not divide its channels, or the order is another one.

    Examples
    --------
    >>> depth_to_space_forward(np.arange(4.0).reshape(1, 1, 1, 4), 2)[0][0, :, :, 0]
    array([[0., 1.],
           [2., 3.]])
    """
    x = check.array("depth_to_space", "x", x, 4)
    (SH, SW), OC = _checked("depth_to_space", x, block, order)
    out = empty((len(x), x.shape[1] * SH, x.shape[2] * SW, OC), x.dtype)
    spread(x, out, (SH, SW), groups=1 if order == "DCR" else OC)
    return out, ((SH, SW), order)


def depth_to_space_backward(dout: Array, cache: Cache) -> Array:
    """Gradient of `depth_to_space_forward`: `space_to_depth_forward` of `dout`. Returns `dx`."""
    return space_to_depth_forward(dout, *cache)[0]


def space_to_depth_forward(x: Array, block: IntPair, order: str = "DCR") -> tuple[Array, Cache]:
    """Gather every block of pixels in the channels of one: the inverse of `depth_to_space_forward`.

    Parameters
    ----------
    x : ndarray, shape (N, H*SH, W*SW, C), float32 or float64
    block : int or (int, int)
        SH, SW.
    order : {"DCR", "CRD"}

    Returns
    -------
    out : ndarray, shape (N, H, W, SH*SW*C)
    cache : tuple
        For `space_to_depth_backward`.

    Raises
    ------
    TypeError, ValueError
        If `x` is not such an array, the block does not divide its plane, or the order is another one.
    """
    x = check.array("space_to_depth", "x", x, 4)
    (SH, SW), (H, W) = _checked_plane("space_to_depth", x, block, order)
    out = empty((len(x), H, W, SH * SW * x.shape[3]), x.dtype)
    if out.size:
        _gather(x, (SH, SW), 1 if order == "DCR" else x.shape[3], out)
    return out, ((SH, SW), order)


def space_to_depth_backward(dout: Array, cache: Cache) -> Array:
    """Gradient of `space_to_depth_forward`: `depth_to_space_forward` of `dout`. Returns `dx`."""
    return depth_to_space_forward(dout, *cache)[0]


def spread(x, out, block, groups=1, start=(0, 0), bias=None):
    """Write depth to space of `x`, from row and column `start` on, into `out`; zeros where it ends first.

    With groups the channels are (groups, SH, SW, OC/groups) in this order: one group is DCR, OC groups are CRD.

    Parameters
    ----------
    x : ndarray, shape (N, H, W, SH*SW*OC)
    out : ndarray, shape (N, OH, OW, OC)
    block, start : (int, int)
    groups : int
    bias : ndarray, shape (OC,), optional
        Added to all of `out`.
    """
    if out.size:
        bias = np.zeros(out.shape[3], out.dtype) if bias is None else bias
        _spread(x, block, groups, start, bias, out)


@kernel
def _spread(work, x, block, groups, start, bias, out):
    (N, OH, OW, OC), (H, W), (SH, SW) = out.shape, x.shape[1:3], block
    per_group = OC // groups
    for line in share(work, N * OH):
        n, i = line // OH, line % OH
        h, u = (i + start[0]) // SH, (i + start[0]) % SH
        for j in range(OW):
            w, v = (j + start[1]) // SW, (j + start[1]) % SW
            if h < H and w < W:
                for k in range(groups):
                    first = ((k * SH + u) * SW + v) * per_group
                    for c in range(per_group):
                        out[n, i, j, k * per_group + c] = x[n, h, w, first + c] + bias[k * per_group + c]
            else:
                for c in range(OC):
                    out[n, i, j, c] = bias[c]


@kernel
def _gather(work, x, block, groups, out):
    (N, H, W, _), C, (SH, SW) = out.shape, x.shape[3], block
    per_group = C // groups
    for line in share(work, N * H):
        n, h = line // H, line % H
        for w in range(W):
            for k in range(groups):
                for u in range(SH):
                    for v in range(SW):
                        first = ((k * SH + u) * SW + v) * per_group
                        for c in range(per_group):
                            out[n, h, w, first + c] = x[n, h * SH + u, w * SW + v, k * per_group + c]


# What may be asked for -----------------------------------------------------------------------------------------


def _checked(op, x, block, order):
    """The block, and the channels that are left."""
    SH, SW = checked_block(op, block, order)
    C = x.shape[3]
    if C % (SH * SW):
        raise ValueError(
            f"{op}: block={block} must divide the channels into {SH * SW} parts, but x has {C} "
            f"({C} % {SH * SW} = {C % (SH * SW)})"
        )
    return (SH, SW), C // (SH * SW)


def _checked_plane(op, x, block, order):
    """The block, and how many there are along each axis."""
    checked_block(op, block, order)
    return whole_blocks(op, x, block)


def checked_block(op: str, block: IntPair, order: str) -> tuple[int, int]:
    """The block as a pair; TypeError or ValueError if there is no such block or order."""
    if order not in ("DCR", "CRD"):
        raise ValueError(f'{op}: order={order!r} must be "DCR" (TensorFlow, ONNX) or "CRD" (PyTorch\'s PixelShuffle)')
    return check.pair(op, "block", block, 1)


def whole_blocks(op: str, x: Array, block: IntPair) -> tuple[tuple[int, int], tuple[int, int]]:
    """The block as a pair, and how many of them the plane of `x` has along each axis; ValueError if a part is left."""
    (SH, SW), (H, W) = check.pair(op, "block", block, 1), x.shape[1:3]
    if H % SH or W % SW:
        raise ValueError(
            f"{op}: block={block} must divide the plane, but it has {H}x{W} pixels ({H} % {SH} = {H % SH}, "
            f"{W} % {SW} = {W % SW}); pad or crop it"
        )
    return (SH, SW), (H // SH, W // SW)
