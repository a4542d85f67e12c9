"""Padding as an operation of its own: pixels put around a plane, on each side as many as are wanted.

    out[n, i, j, c] = x[n, i - above, j - left, c]        inside the image
                    = 0                                   outside, in zero mode
                    = x[n, nearest line, nearest column, c]    outside, in edge mode

A convolution pads by itself where both sides of an axis get the same; this is for all other cases, such as
TensorFlow's SAME with a stride (see `engine.padding`). The backward cuts the border off, and in edge mode adds its
gradients to the pixels that were copied.
"""

from typing import NamedTuple

import numpy as np

from minighost.engine import check
from minighost.engine.kernels.padded import pad_line
from minighost.engine.launch import kernel, share
from minighost.engine.memory import empty
from minighost.engine.padding import Padding, Sides, padding_option, sides
from minighost.type_aliases import Array

__all__ = ["pad_backward", "pad_backward_reference", "pad_forward", "pad_forward_reference"]

MODES = ("zero", "edge")


class _Padded(NamedTuple):
    shape: tuple[int, ...]
    sides: Sides
    edge: bool


def pad_options(op: str, padding: Padding, mode: str) -> Sides:
    """Check the options and return pixels per side; "same" is for what has windows."""
    if mode not in MODES:
        raise ValueError(f"{op}: mode={mode!r} is unknown; choose from {', '.join(map(repr, MODES))}")
    padded = padding_option(op, padding)
    if padded == "same":
        raise ValueError(f'{op}: padding="same" needs a kernel: give it to the convolution or pooling itself')
    return sides(padded, (1, 1), (1, 1))


# The idea ------------------------------------------------------------------------------------------------------


def pad_forward_reference(x: Array, padding: Padding, mode: str = "zero") -> tuple[Array, _Padded]:
    """`pad_forward` by `numpy.pad`."""
    rows, columns = pad_options("pad", padding, mode)
    widths = [(0, 0), rows, columns, (0, 0)]
    out = np.pad(x, widths, mode="edge") if mode == "edge" else np.pad(x, widths)
    return out, _Padded(x.shape, (rows, columns), mode == "edge")


def pad_backward_reference(dout: Array, cache: _Padded) -> Array:
    """`pad_backward`, pixel of the output after pixel."""
    (N, H, W, C), ((above, _), (left, _)), edge = cache
    dx = np.zeros((N, H, W, C), dout.dtype)
    for i, j in np.ndindex(dout.shape[1:3]):
        h, w = i - above, j - left
        if edge or (0 <= h < H and 0 <= w < W):
            dx[:, min(max(h, 0), H - 1), min(max(w, 0), W - 1)] += dout[:, i, j]
    return dx


# The same, compiled --------------------------------------------------------------------------------------------


def pad_forward(x: Array, padding: Padding, mode: str = "zero") -> tuple[Array, _Padded]:
    """Put pixels around each plane.

    Parameters
    ----------
    x : ndarray, shape (N, H, W, C), float32 or float64
    padding : int, (int, int) or ((above, below), (left, right))
        Pixels on all sides, on those of each axis, or side by side; >= 0.
    mode : {"zero", "edge"}
        Zeros, or the nearest pixel of the plane.

    Returns
    -------
    out : ndarray, shape (N, above + H + below, left + W + right, C)
    cache : tuple
        For `pad_backward`.

    Raises
    ------
    TypeError, ValueError
        If an option is none of these, or a plane without pixels is to be padded with its edge.

    Examples
    --------
    >>> pad_forward(np.ones((1, 1, 1, 1)), ((0, 1), (0, 2)))[0][0, ..., 0]
    array([[1., 0., 0.],
           [0., 0., 0.]])
    """
    (above, below), (left, right) = pad_options("pad", padding, mode)
    x, edge = check.array("pad", "x", x, 4), mode == "edge"
    N, H, W, C = x.shape
    if edge and not H * W:
        raise ValueError(f"pad: a plane of {H}x{W} pixels has no edge to repeat; pad with zeros")
    out = empty((N, above + H + below, left + W + right, C), x.dtype)
    if out.size:
        _pad(x, above, left, edge, out)
    return out, _Padded(x.shape, ((above, below), (left, right)), edge)


def pad_backward(dout: Array, cache: _Padded) -> Array:
    """Gradient of `pad_forward`: what reached copies of a pixel is added up. Returns `dx`."""
    (N, H, W, C), ((above, below), (left, right)), edge = cache
    dout = check.array("pad backward", "dout", dout, 4)
    check.shape_is("pad backward", "dout", dout, (N, above + H + below, left + W + right, C))
    dx = empty(cache.shape, dout.dtype)
    if dx.size and edge:
        _add_edges(dout, above, left, dx)
    elif dx.size:
        dx[...] = dout[:, above : above + H, left : left + W]
    return dx


@kernel
def _pad(work, x, above, left, edge, out):
    N, OH = out.shape[:2]
    for line in share(work, N * OH):
        n, i = line // OH, line % OH
        pad_line(x[n], i - above, left, edge, out[n, i])


@kernel
def _add_edges(work, dout, above, left, dx):
    (N, H, W, C), (OH, OW) = dx.shape, dout.shape[1:3]
    for n in share(work, N):
        dx[n] = 0
        for i in range(OH):
            h = min(max(i - above, 0), H - 1)
            for j in range(OW):
                w = min(max(j - left, 0), W - 1)
                for c in range(C):
                    dx[n, h, w, c] += dout[n, i, j, c]
